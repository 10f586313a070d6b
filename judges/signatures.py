"""Signatures by other people's code, and the golden vectors that `make test` holds our own code to.

No client has a door for "sign this stamp", so each is given the stamp the way it takes one: ccxt through its `nonce`
option, btcturk-api through the clock, in whole seconds.
"""

from __future__ import annotations

import base64
import importlib.metadata
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

import ccxt
from btcturk_api.client import Client

GOLDEN_VECTORS: Final = Path(__file__).parents[1] / "tests" / "unit" / "btcturk" / "golden_signatures.json"
CCXT: Final = f"ccxt {ccxt.__version__}"
BTCTURK_API: Final = f"btcturk-api {importlib.metadata.version('btcturk-api')}"
_SEED: Final = "golden signatures"
#: Lengths of a secret in bytes: BtcTurk's own, every padding of base64, and around the block of the hash.
_SECRET_LENGTHS: Final = (24, 32, 1, 2, 3, 31, 33, 48, 63, 64, 65, 100)
_STAMP_FIRST_MS: Final = 1_262_304_000_000
_STAMP_LAST_MS: Final = 4_102_444_800_000


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be signed. `nonce` is a stamp in ms, or the nonce of a WebSocket login."""

    key: str
    secret: str
    nonce: int

    @property
    def is_whole_second(self) -> bool:
        return self.nonce % 1000 == 0


#: The published ones, two for REST and one for the WebSocket login.
PUBLISHED: Final = {
    Question("test-public-key", "dGVzdC1zZWNyZXQta2V5LWZvci11bml0LXRlc3Rz", 1_735_689_600_000):
        "7gyFGcOS+qnq46h/rl83VtpaEAsh8Th3Z3lQrF7g2I0=",
    Question("PCK1234567890", "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0", 1_000_000_000_000):
        "DbJpXuqufl8YO8bgeGx2pVzyf9GED4juDAMVeWwZT78=",
    Question("test-public-key", "dGVzdC1zZWNyZXQta2V5LWZvci11bml0LXRlc3Rz", 3_000):
        "uLpuzhycwQqE+aC+WnmBoPSIyBrCPo4I0pyJyq6uF98=",
}  # fmt: skip


def headers_by_ccxt(question: Question) -> dict[str, str]:
    """What ccxt sends with a private request."""
    client = ccxt.btcturk({"apiKey": question.key, "secret": question.secret, "nonce": lambda: question.nonce})
    signed: dict[str, Any] = client.sign("users/balances", ["private"])
    return {str(name): str(value) for name, value in signed["headers"].items()}


def signature_by_btcturk_api(question: Question) -> str:
    """What btcturk-api signs when the clock shows this stamp. ValueError unless it is a whole second."""
    if not question.is_whole_second:
        raise ValueError(f"btcturk-api signs whole seconds; {question.nonce} is none")
    client = object.__new__(Client)  # its constructor would ask the exchange for pairs
    client.api_key, client.api_secret = question.key, question.secret
    with mock.patch("time.time", return_value=question.nonce // 1000):
        signature: bytes = client._create_signature()
    return signature.decode("ascii")


def questions() -> list[Question]:
    """What the golden vectors ask, the same every time: the published ones, then drawn ones, half of them stamps of
    whole seconds."""
    drawn = random.Random(_SEED)
    asked = list(PUBLISHED)
    for number in range(8 * len(_SECRET_LENGTHS)):
        length = _SECRET_LENGTHS[number % len(_SECRET_LENGTHS)]
        nonce = drawn.randrange(_STAMP_FIRST_MS, _STAMP_LAST_MS)
        key = f"{drawn.getrandbits(128):032x}"
        secret = base64.b64encode(drawn.randbytes(length)).decode("ascii")
        is_whole_second = number // len(_SECRET_LENGTHS) % 2 == 0
        asked.append(Question(key, secret, nonce - nonce % 1000 if is_whole_second else nonce))
    return asked


def signed(question: Question) -> dict[str, Any]:
    """The vector: the question, the signature, and who signed so. AssertionError when the clients disagree."""
    signature = headers_by_ccxt(question)["X-Signature"]
    signers = [CCXT]
    if question.is_whole_second:
        other = signature_by_btcturk_api(question)
        assert other == signature, f"{CCXT} signs {signature}, {BTCTURK_API} signs {other}"
        signers.append(BTCTURK_API)
    return {"key": question.key, "secret": question.secret, "nonce": question.nonce, "signature": signature,
            "by": signers}  # fmt: skip


def write_golden_vectors(path: Path = GOLDEN_VECTORS) -> int:
    """Let the clients sign, write what came of it, and return how many vectors that is."""
    vectors = [signed(question) for question in questions()]
    rows = ",\n".join(json.dumps(vector) for vector in vectors)
    path.write_text(f"[\n{rows}\n]\n", encoding="utf-8")
    return len(vectors)
