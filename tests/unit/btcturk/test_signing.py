"""The published vectors, and that nothing shows the secret."""

import pickle

import pytest
from tests.unit.btcturk.support import SECRET, signer

from btcbot.adapters.btcturk.signing import Signer
from btcbot.config.secrets import Secret
from btcbot.errors import ConfigurationError


@pytest.mark.parametrize(
    ("key", "secret", "nonce", "signature"),
    [
        ("test-public-key", SECRET, 1735689600000, "7gyFGcOS+qnq46h/rl83VtpaEAsh8Th3Z3lQrF7g2I0="),
        (
            "PCK1234567890",
            "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0",
            1000000000000,
            "DbJpXuqufl8YO8bgeGx2pVzyf9GED4juDAMVeWwZT78=",
        ),
        ("test-public-key", SECRET, 3000, "uLpuzhycwQqE+aC+WnmBoPSIyBrCPo4I0pyJyq6uF98="),
    ],
)
def test_published_vectors(key: str, secret: str, nonce: int, signature: str) -> None:
    assert signer(key, secret).signature(nonce) == signature


def test_headers_of_a_private_request() -> None:
    made = signer()
    for _ in range(2):  # signing once must not change what is signed next
        assert made.headers(1735689600000) == [
            (b"X-PCK", b"test-public-key"),
            (b"X-Stamp", b"1735689600000"),
            (b"X-Signature", b"7gyFGcOS+qnq46h/rl83VtpaEAsh8Th3Z3lQrF7g2I0="),
            (b"Content-Type", b"application/json"),
        ]


@pytest.mark.parametrize("secret", ["not base64!".replace(" ", "-"), "abc", "===="])
def test_a_secret_that_is_not_base64_is_refused_without_being_told(secret: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Signer(Secret("key"), Secret(secret))
    assert secret not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_nothing_shows_the_secret() -> None:
    made = signer()
    shown = repr(made) + str(made) + repr([getattr(made, name) for name in Signer.__slots__ if name != "_public_key"])
    assert SECRET not in shown
    assert "test-secret-key" not in shown
    with pytest.raises(TypeError):
        pickle.dumps(made)
