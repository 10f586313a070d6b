"""Whatever holds a secret shows it in no form: printed, formatted, pickled, copied, dumped, or in a traceback."""

from __future__ import annotations

import base64
import contextlib
import copy
import gc
import json
import pickle
import pprint
import string
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from proof.canaries import Canary, Search

from btcbot import bootstrap, cli
from btcbot.adapters.btcturk.signing import Signer
from btcbot.adapters.metrics import NullMetrics
from btcbot.adapters.redaction import REDACTED, Redactor, traceback_without_secrets
from btcbot.config import secrets as config_secrets
from btcbot.config.loading import load_settings
from btcbot.config.secrets import EnvironmentProvider, FileProvider, Secret, secrets_alive


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    return Canary(tmp_path / "keys")


def live_environment(canary: Canary, folder: Path) -> dict[str, str]:
    return {
        "BTCTURK_BASE_URL": "http://127.0.0.1:9",
        "BTCTURK_API_KEY_FILE": str(canary.key_file),
        "BTCTURK_API_SECRET_FILE": str(canary.secret_file),
        "STATE_DB_PATH": str(folder / "state.db"),
        "DRY_RUN": "false",
        "LIVE_TRADING": "true",
        "LIVE_TRADING_ACK": "I_UNDERSTAND",
    }


def holders(canary: Canary, folder: Path) -> dict[str, Any]:
    """Every object of the product that a secret passes through."""
    key, secret = Secret(canary.key), Secret(canary.secret)
    loaded = load_settings(live_environment(canary, folder), default_env_file=None)
    bot = bootstrap.build(
        loaded.settings,
        stop=threading.Event(),
        metrics=NullMetrics(),
        log=structlog.wrap_logger(None, processors=[structlog.testing.LogCapture()]),
        is_for_trading=False,
    )
    bot.close()
    return {
        "secret": secret,
        "key": key,
        "settings": loaded.settings,
        "loaded settings": loaded,
        "its rows": loaded.rows(),
        "signer": Signer(key, secret),
        "client": bot.exchange,
        "bot": bot,
        "services": bot.services,
        "file provider": FileProvider({"BTCTURK_API_KEY": canary.key_file}),
        "list": [secret, {"deep": (key, secret)}],
    }


def shown(text: object) -> str:
    return f"{text} {text!r} {text!s:>80} {text}" + "%s %r" % (text, text) + string.Template("$a").substitute(a=text)  # noqa: UP031


def dumped(value: object) -> str:
    return repr(vars(value)) if hasattr(value, "__dict__") else ""


def as_json(value: object) -> str:
    told = json.dumps(value, default=repr)
    if hasattr(value, "model_dump_json"):
        told += value.model_dump_json() + repr(value.model_dump())
    with contextlib.suppress(TypeError, msgspec.MsgspecError):  # then it cannot be written at all
        told += msgspec.json.encode(value, enc_hook=repr).decode()
    return told


@pytest.mark.parametrize("show", [shown, dumped, as_json, pprint.pformat, lambda value: Redactor().value(value)])
def test_no_holder_shows_it(canary: Canary, tmp_path: Path, show: Callable[[object], object]) -> None:
    search = Search([canary])
    for name, holder in holders(canary, tmp_path).items():
        assert search.hits(name, str(show(holder)).encode()) == [], (name, show)


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_secret_and_signer_are_neither_pickled_nor_copied(canary: Canary, take: Callable[[object], object]) -> None:
    key, secret = Secret(canary.key), Secret(canary.secret)
    for holder in (key, Signer(key, secret), [secret], {"a": (key,)}):
        if take is copy.copy and isinstance(holder, list | dict):
            continue  # a shallow copy of a list holds the same Secret
        with pytest.raises(TypeError):
            take(holder)


def test_a_secret_has_no_words_of_its_own(canary: Canary) -> None:
    """`str` and `format` fall back to its mask: there is no second way to its text."""
    assert "__str__" not in vars(Secret)
    assert "__format__" not in vars(Secret)
    assert str(Secret(canary.secret)) == "Secret(**********)"
    with pytest.raises(TypeError):
        bytes(Secret(canary.secret))  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        json.dumps(Secret(canary.secret))


def test_an_environment_that_gave_secrets_does_not_show_them(canary: Canary) -> None:
    """`repr` of the provider must not be the mapping's."""
    provider = EnvironmentProvider({"BTCTURK_API_KEY": canary.key})
    assert Search([canary]).hits("provider", repr(provider).encode()) == []


# -- tracebacks -------------------------------------------------------------------------------------------------------


def test_secrets_alive_are_known_until_the_last_of_them_goes() -> None:
    text = base64.b64encode(b"known while alive").decode()
    first, second = Secret(text), Secret(text)
    assert [secret for secret in secrets_alive() if secret == first] == [first, second]
    del first
    gc.collect()
    assert second in secrets_alive()
    del second
    gc.collect()
    assert text not in [secret.reveal() for secret in secrets_alive()]
    assert config_secrets.secrets_alive is secrets_alive


def test_a_traceback_is_told_whole_and_without_secrets(canary: Canary) -> None:
    secret = Secret(canary.secret)

    def fail(depth: int) -> None:
        if depth:
            try:
                fail(depth - 1)
            except Exception as error:
                raise ValueError(f"{depth}: {'long ' * 500} {secret.reveal()}") from error
        raise RuntimeError(f"sent {secret.reveal()} as {canary.secret.encode().hex()} and {canary.secret[:9]}…")

    with pytest.raises(ValueError, match="long") as caught:
        fail(8)
    told = traceback_without_secrets(caught.value)

    assert Search([canary]).hits("traceback", told.encode()) == []
    assert told.startswith("Traceback (most recent call last):")
    assert told.splitlines()[-1].startswith("ValueError: 8: long")  # the last line is never cut off
    assert f"RuntimeError: sent {REDACTED} as {REDACTED} and {REDACTED}…" in told


def test_a_defect_of_a_command_ends_in_a_traceback_without_secrets(
    canary: Canary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def break_down(*arguments: object, **named: object) -> None:
        raise ZeroDivisionError(f"with {canary.key} and {canary.secret}")

    monkeypatch.setattr(bootstrap, "build", break_down)
    for name, text in live_environment(canary, tmp_path).items():
        monkeypatch.setenv(name, text)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as ended:
        cli.main(["run"])

    told = capfd.readouterr()
    assert ended.value.code == 1
    assert f"ZeroDivisionError: with {REDACTED} and {REDACTED}" in told.err
    assert '"event":"uncaught_exception"' in told.err  # in the log too, for whoever reads only that
    assert Search([canary]).hits("streams", (told.out + told.err).encode()) == []
