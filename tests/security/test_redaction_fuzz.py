"""Secrets hidden in random data, in every spelling and place, do not get through the log; nor does a forged line."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from proof.canaries import Canary, Search

from btcbot.adapters.logs import configure_logging, flush_logs, shutdown_logging
from btcbot.config.secrets import Secret, known_secret_forms

log = structlog.get_logger("btcbot.fuzz")


#: Controls, separators of lines and paragraphs, marks that turn the direction of writing.
UNRULY = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Bench:
    """The real log pipeline, writing into memory."""

    def __init__(self, folder: Path) -> None:
        self.canary = Canary(folder / "keys")
        self.secrets = [Secret(self.canary.key), Secret(self.canary.secret)]
        self.search = Search([self.canary])
        self.stream = io.BytesIO()
        configure_logging("DEBUG", self.secrets, self.stream)
        self.forms = sorted(form for secret in self.secrets for form in known_secret_forms(secret))

    def written(self) -> bytes:
        assert flush_logs(5)
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        return text


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    yield Bench(tmp_path_factory.mktemp("fuzz"))
    shutdown_logging()


#: Where a secret may be put: the number says which spelling, how much of it, and in what clothes it comes.
HIDING = st.tuples(st.integers(0, 10**6), st.integers(8, 200), st.integers(0, 6))


class Hidden(msgspec.Struct):
    """Marks a place in random data where a secret goes."""

    which: int
    length: int
    how: int
    before: str
    after: str


def dressed(bench: Bench, hidden: Hidden) -> Any:
    form = bench.forms[hidden.which % len(bench.forms)]
    text = hidden.before + form[: max(hidden.length, 8)] + hidden.after
    kinds: list[Any] = [
        text,
        text.encode("utf-8", "surrogatepass"),
        ValueError(text),
        make_dataclass("Data", ["value"])(text),
        Path("/tmp") / text.replace("\x00", ""),
        {text: 1},
        (text, [text]),
    ]
    return kinds[hidden.how % len(kinds)]


TEXTS = st.text(max_size=12)
HIDDEN = st.builds(
    lambda place, before, after: Hidden(*place, before=before, after=after),
    HIDING,
    TEXTS,
    st.sampled_from(["", "\n", "…", '"}', "%"]),
)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.binary(max_size=8) | HIDDEN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=12,
)


def with_secrets(bench: Bench, value: Any) -> Any:
    if isinstance(value, Hidden):
        return dressed(bench, value)
    if isinstance(value, dict):
        return {key: with_secrets(bench, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(with_secrets(bench, each) for each in value)
    return value


@settings(max_examples=250, deadline=None)
@given(data=DATA, hidden=HIDDEN, name=TEXTS)
def test_no_secret_gets_into_a_line(bench: Bench, data: Any, hidden: Hidden, name: str) -> None:
    made, text = with_secrets(bench, data), dressed(bench, hidden)

    log.info(f"event {text}", **{f"field_{name}": made})
    logging.getLogger("other.library").warning("%s %r", text, made, extra={"more": made})
    structlog.contextvars.bind_contextvars(bound=made)
    try:
        raise RuntimeError(text, made)
    except RuntimeError:
        log.exception("failed")
    finally:
        structlog.contextvars.clear_contextvars()
    written = bench.written()

    assert bench.search.hits("log", written) == []
    lines = written.splitlines()
    assert len(lines) == 3
    assert [json.loads(line)["level"] for line in lines] == ["info", "warning", "error"]


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(st.text(st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Cs", "L"]), max_size=20), max_size=4))
def test_no_line_is_forged(bench: Bench, texts: list[str]) -> None:
    forged = '\n{"level":"critical","event":"forged"}\r\u2028'.join(["start", *texts, "end"])

    log.info(forged, **{f"f{number}": text for number, text in enumerate(texts)})
    written = bench.written()

    (line,) = written.decode().splitlines()  # str.splitlines breaks at every separator that Unicode knows
    assert json.loads(line)["level"] == "info"
    assert not UNRULY.search(line)


def test_the_bench_would_notice(bench: Bench) -> None:
    assert bench.search.hits("log", json.dumps({"event": bench.canary.key}).encode())
    log.info("a secret", value=bench.canary.secret)
    assert b"[REDACTED]" in bench.written()
