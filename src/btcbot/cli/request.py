"""How a command reaches the one process that may write.

Without a running bot the command becomes the writer itself for a moment: it takes the lock and calls the same code.
With one, it leaves a request in the database, which the bot carries out at the start of its next cycle, and waits for
the answer. A request that nobody answered is taken back, so that no later bot does what nobody waits for any more.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from btcbot.cli import reading
from btcbot.cli.options import Where
from btcbot.errors import EXIT_FAILED, Refused

if TYPE_CHECKING:
    from btcbot.adapters.store.sqlite import SqliteStore
    from btcbot.services.operator import Answer, Request

POLL_SECONDS: Final = 0.1


def ask(where: Where, kind: str, arguments: Mapping[str, str], wait_s: float, *, as_json: bool) -> None:
    """Have it done and print the answer. Refused when the answer is no; ends with 1 when nobody answered in time."""
    from btcbot.services.operator import Request

    database = reading.database_path(where)
    reading.demand_database(database)
    request = Request(
        request_id=secrets.token_hex(8),
        kind=kind,
        arguments=dict(arguments),
        made_at_ms=time.time_ns() // 1_000_000,
        wait_ms=int(wait_s * 1000),
    )
    held = reading.writer(database)
    answer = _do_it_here(where, request) if held is None else _ask_the_writer(database, request, held, wait_s)
    if not answer.done:
        raise Refused(answer.text)
    from btcbot.cli import output

    if as_json:
        output.json_line({"done": True, "text": answer.text, "by": "this command" if held is None else str(held)})
    else:
        output.line(answer.text)


def _do_it_here(where: Where, request: Request) -> Answer:
    """No bot is running: be the writer for this one thing."""
    import threading

    import structlog

    from btcbot.adapters.logs import configure_logging, shutdown_logging
    from btcbot.adapters.metrics import NullMetrics
    from btcbot.bootstrap.paper import build_for_request

    settings = reading.load(where).settings
    keys = [secret for secret in (settings.btcturk_api_key, settings.btcturk_api_secret) if secret is not None]
    configure_logging("CRITICAL", keys)  # the answer is the report
    try:
        bot = build_for_request(
            settings, stop=threading.Event(), metrics=NullMetrics(), log=structlog.get_logger("btcbot")
        )
        try:
            return bot.services.operator.answer(request)
        finally:
            bot.close()
    finally:
        shutdown_logging()


# -- a bot is running ------------------------------------------------------------------------------------------------


def _ask_the_writer(database: Path, request: Request, held: reading.Writer, wait_s: float) -> Answer:
    from btcbot.adapters.store.sqlite import SqliteStore

    # Opened for reading first: that refuses another revision, which opening for writing would migrate under the bot.
    SqliteStore.open(database, read_only=True).close()
    store = SqliteStore.open(database)
    try:
        _leave_request(store, request)
        click.echo(f"waiting up to {wait_s:g} s for the running bot ({held}) to do it …", err=True)
        answer = None
        try:
            answer = _await_answer(store, request, wait_s)
        finally:
            if answer is None:
                answer = _take_back(store, request)
    finally:
        store.close()
    if answer is not None:
        return answer
    click.echo(
        f"btcbot: the running bot ({held}) did not answer within {wait_s:g} s and the request was taken back; "
        "see «btcbot status», or stop the bot and ask again",
        err=True,
    )
    sys.exit(EXIT_FAILED)


def _leave_request(store: SqliteStore, request: Request) -> None:
    import msgspec

    from btcbot.services.operator import REQUEST

    with store.transaction() as tx:
        if store.value(REQUEST):
            raise Refused("another request waits for the bot; ask again when it is done («btcbot status»)")
        tx.put_value(REQUEST, msgspec.json.encode(request).decode())


def _await_answer(store: SqliteStore, request: Request, wait_s: float) -> Answer | None:
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        answer = _answer_to(store, request)
        if answer is not None:
            return answer
        time.sleep(min(POLL_SECONDS, wait_s))
    return None


def _take_back(store: SqliteStore, request: Request) -> Answer | None:
    """Withdraw the request unless it was answered in the last moment: then that answer."""
    import msgspec

    from btcbot.services.operator import REQUEST

    with store.transaction() as tx:
        answer = _answer_to(store, request)
        if answer is None and store.value(REQUEST) == msgspec.json.encode(request).decode():
            tx.put_value(REQUEST, "")
        return answer


def _answer_to(store: SqliteStore, request: Request) -> Answer | None:
    from btcbot.services.operator import read_answer

    answer = read_answer(store)
    return answer if answer is not None and answer.request_id == request.request_id else None
