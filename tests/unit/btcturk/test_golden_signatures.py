"""Our signing, and the local exchange's, against what clients of others sign: see docs/explanation/judges.md."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tests.unit.btcturk.support import signer

from btcturk_sim import auth

VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("golden_signatures.json").read_text("utf-8"))


def test_there_are_vectors_by_two_clients() -> None:
    assert len(VECTORS) >= 90
    signers = [tuple(name.partition(" ")[0] for name in vector["by"]) for vector in VECTORS]
    assert signers.count(("ccxt", "btcturk-api")) >= 40
    lengths = {len(base64.b64decode(vector["secret"])) for vector in VECTORS}
    assert {1, 24, 32, 64, 65} <= lengths, "every padding of base64, and around the block of the hash"


def test_we_sign_as_they_do() -> None:
    for vector in VECTORS:
        assert signer(vector["key"], vector["secret"]).signature(vector["nonce"]) == vector["signature"], vector["by"]


def test_the_local_exchange_expects_what_they_sign() -> None:
    for vector in VECTORS:
        secret = base64.b64decode(vector["secret"])
        assert auth.signature(secret, vector["key"], str(vector["nonce"])) == vector["signature"], vector["by"]
