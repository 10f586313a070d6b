"""Logs: one JSON object a line on stderr, without secrets.

    {"timestamp":"2026-01-31T12:00:00.000Z","level":"info","event":"order_accepted","logger":"btcbot","cycle_id":7}

Everything passes here: structlog, the standard library's logging, warnings, and exceptions that nobody caught. Fields
of the event win over the context bound with `structlog.contextvars` (run_id, cycle_id), but a null hides no value.

Lines are written by a thread behind a bounded queue: a terminal or journal that stops reading must not stop trading.
When the queue is full, lines are dropped and counted. `flush_logs` waits for it, at each cycle's end and at exit.
A line breaks nowhere: line separators and control characters inside a text are escaped, so no event can be forged.
"""

from __future__ import annotations

import atexit
import io
import logging
import queue
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, MutableMapping
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import IO, Any, Final, cast

import msgspec
import structlog

from btcbot.adapters.redaction import Redactor
from btcbot.config.secrets import Secret

__all__ = ["configure_logging", "flush_logs", "shutdown_logging"]

QUEUE_LINES_MAX: Final = 10_000
FLUSH_AT_EXIT_S: Final = 2.0
_OWN_FIELDS: Final = ("timestamp", "level", "event", "logger")
# These libraries log whole requests, signed headers included, when asked to be talkative.
_QUIET_LOGGERS: Final = (
    "alembic",
    "asyncio",
    "httpcore",
    "httpcore2",
    "httpx",
    "httpx2",
    "opentelemetry",
    "requests",
    "urllib3",
)
_RECORD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# C1 controls, line and paragraph separators and direction marks, as UTF-8; JSON itself escapes the ASCII ones.
_UNSAFE: Final = re.compile(rb"\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\x7f")

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def configure_logging(level: str = "INFO", secrets: Iterable[Secret] = (), stream: IO[Any] | None = None) -> None:
    """Send all logs of the process to `stream` (stderr), from `level` (DEBUG … CRITICAL) on. May be called again."""
    global _pipeline
    shutdown_logging()
    number = logging.getLevelNamesMapping()[level]
    _pipeline = _Pipeline(Redactor(secrets), _Writer(stream if stream is not None else sys.stderr))
    structlog.configure(
        processors=[_pipeline.process],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_LineLogger,
        cache_logger_on_first_use=False,  # loggers are made at import time, before the settings are known
    )
    _pipeline.take_over(number)


def flush_logs(timeout_s: float) -> bool:
    """Wait until all lines are written, at most `timeout_s` seconds. False when some were not."""
    return True if _pipeline is None else _pipeline.writer.flush(timeout_s)


def shutdown_logging() -> None:
    """Write what is left and give back the process's own log settings."""
    global _pipeline
    if _pipeline is not None:
        _pipeline.give_back()
        _pipeline.writer.close(FLUSH_AT_EXIT_S)
        structlog.reset_defaults()
        _pipeline = None


class _LineLogger:
    """What structlog ends in: carries the logger's name and hands finished lines to the writer."""

    def __init__(self, name: str = "btcbot") -> None:
        self.name = name

    def _write(self, line: bytes) -> None:
        if _pipeline is not None:
            _pipeline.writer.write(line)

    debug = info = warning = error = _write

    def critical(self, line: bytes) -> None:
        self._write(line)
        flush_logs(0.5)  # the process is likely to end: its last words should get out


class _Pipeline:
    """From an event to a line."""

    def __init__(self, redactor: Redactor, writer: _Writer) -> None:
        self.writer = writer
        self._redactor = redactor
        self._encode = msgspec.json.Encoder().encode
        self._handler = _StandardHandler(self)
        self._restore: list[Callable[[], object]] = []

    def process(self, logger: _LineLogger, level: str, event: MutableMapping[str, Any]) -> bytes:
        """The only structlog processor: it does all in one go, which is faster and keeps the order of fields."""
        name = event.pop("event", "")
        error = _exc_info(event.pop("exc_info", None))
        return self.line(logger.name, level, name, event, error)

    def line(
        self, logger: str, level: str, event: object, fields: MutableMapping[str, Any], error: _ExcInfo | None
    ) -> bytes:
        clean = self._redactor.text
        line: dict[str, object] = {
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "event": clean(str(event)),
            "logger": clean(logger),
        }
        context = structlog.contextvars.get_contextvars()
        merged = {name: value for name, value in context.items() if fields.get(name) is None}
        merged |= {name: value for name, value in fields.items() if name not in merged}
        for name, value in self._redactor.fields(merged).items():
            line[f"field_{name}" if name in _OWN_FIELDS else name] = value
        if error is not None:
            line["error_type"] = error[0].__name__
            line["error_message"] = clean(str(error[1]))
            line["traceback"] = clean("".join(traceback.format_exception(*error)))
        encoded = self._encode(line)
        return encoded if encoded.isascii() and b"\x7f" not in encoded else _UNSAFE.sub(_escaped, encoded)

    def take_over(self, level: int) -> None:
        """Catch what does not come through structlog."""
        root = logging.getLogger()
        former_level = root.level
        root.addHandler(self._handler)
        root.setLevel(level)
        self._restore += [lambda: root.removeHandler(self._handler), lambda: root.setLevel(former_level)]
        for name in _QUIET_LOGGERS:
            quiet = logging.getLogger(name)
            self._restore.append(partial(quiet.setLevel, quiet.level))
            quiet.setLevel(max(level, logging.WARNING))
        logging.captureWarnings(capture=True)
        self._restore.append(lambda: logging.captureWarnings(capture=False))
        former_hook, former_thread_hook = sys.excepthook, threading.excepthook

        def uncaught(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
            if issubclass(kind, KeyboardInterrupt):
                former_hook(kind, error, where)
                return
            self.writer.write(self.line("btcbot", "critical", "uncaught_exception", {}, (kind, error, where)))
            self.writer.flush(FLUSH_AT_EXIT_S)

        def uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
            if arguments.exc_value is not None and arguments.exc_type is not SystemExit:
                fields = {"thread": arguments.thread.name if arguments.thread else None}
                error = (arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
                self.writer.write(self.line("btcbot", "critical", "uncaught_exception", fields, error))

        sys.excepthook, threading.excepthook = uncaught, uncaught_in_thread

        def restore_hooks() -> None:
            sys.excepthook, threading.excepthook = former_hook, former_thread_hook

        self._restore.append(restore_hooks)

    def give_back(self) -> None:
        for restore in reversed(self._restore):
            restore()
        self._restore.clear()


class _StandardHandler(logging.Handler):
    """Brings records of the standard library's logging into the pipeline, with their extra fields."""

    def __init__(self, pipeline: _Pipeline) -> None:
        super().__init__()
        self._pipeline = pipeline

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            message = str(record.msg)  # wrong arguments: the text is better than nothing
        extra = {name: value for name, value in vars(record).items() if name not in _RECORD_FIELDS}
        error = _exc_info(record.exc_info)
        self._pipeline.writer.write(self._pipeline.line(record.name, record.levelname.lower(), message, extra, error))


class _Writer:
    """A daemon thread that writes lines to a stream which may be slow, full or gone."""

    def __init__(self, stream: IO[Any]) -> None:
        self._stream: IO[Any] = getattr(stream, "buffer", stream)  # a text in memory has no bytes below
        self._is_text = isinstance(self._stream, io.TextIOBase)
        self._lines: queue.Queue[bytes | None] = queue.Queue(QUEUE_LINES_MAX)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def flush(self, timeout_s: float) -> bool:
        done = self._lines.all_tasks_done
        with done:
            return done.wait_for(lambda: not self._lines.unfinished_tasks, timeout_s)

    def close(self, timeout_s: float) -> None:
        if self.flush(timeout_s):
            self._lines.put(None)
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                line = b'{"level":"warning","event":"log_lines_dropped","count":%d}\n' % dropped + line
            try:
                self._stream.write(line.decode() + "\n" if self._is_text else line + b"\n")
                self._stream.flush()
            except (OSError, ValueError):
                pass  # nobody reads any more, and there is no other place to say so
            finally:
                self._lines.task_done()
        self._lines.task_done()


def _exc_info(given: object) -> _ExcInfo | None:
    """What `exc_info=` may be: True, an exception, or a triple."""
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    if given is True:
        given = sys.exc_info()
    if isinstance(given, tuple) and len(given) == 3 and isinstance(given[1], BaseException):
        return cast(_ExcInfo, given)  # as logging and structlog pass it on; its other two places follow from the error
    return None


def _escaped(match: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(match[0].decode())


_pipeline: _Pipeline | None = None
atexit.register(flush_logs, FLUSH_AT_EXIT_S)
