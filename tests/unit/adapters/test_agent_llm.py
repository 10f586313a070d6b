"""A language model over real sockets on this machine: right answers, and everything else that an endpoint may do."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from tests.builders import a_buy, a_report, a_sell, draft_facts
from tests.unit import agents

from btcbot.adapters.agent.llm import BODY_BYTES_MAX, LlmPolicy
from btcbot.adapters.agent.prompt import PROMPT_CHARACTERS_MAX, SYSTEM, prompt_of
from btcbot.adapters.journal import facts
from btcbot.adapters.journal.agent import TapedAgent
from btcbot.adapters.journal.facts import Asked, Reader, Writer
from btcbot.adapters.journal.lines import Event
from btcbot.adapters.logs import configure_logging, shutdown_logging
from btcbot.adapters.metrics import MemoryMetrics
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.config.agent_key import read_agent_key
from btcbot.config.secrets import Secret
from btcbot.decisions.draft import Draft
from btcbot.domain.agent import AgentAction, AgentQuestion, AgentReply, FailureKind
from btcbot.domain.notes import NoteKind
from btcbot.domain.stance import FREE
from btcbot.errors import ConfigurationError
from btcbot.services.agent import AgentService
from btcbot.services.execution import ExecutionSummary
from btcbot.services.watching import CycleEnd
from btcbot.testing.manual_clock import ManualClock

KEY = "sk-0123456789/abcdef+XYZ"
TIMEOUT_S = 0.6

Answering = Callable[[BaseHTTPRequestHandler], None]


def completion(content: str) -> bytes:
    return json.dumps(
        {"id": "1", "choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]}
    ).encode()


class Endpoint:
    """A server on a free port that answers as told, and remembers what came."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: Answering = self.says('{"action":"no_change"}')
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                sent = {name.lower(): value for name, value in self.headers.items()}
                endpoint.requests.append((self.path, sent, self.rfile.read(length)))
                try:
                    endpoint.answer(self)
                except OSError:
                    self.close_connection = True  # the one who asked has gone

            do_GET = do_POST  # noqa: N815 - the library's name

            def log_message(self, *_: object) -> None:
                """Nothing of it belongs into a test's output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/chat/completions"

    def says(self, content: str, status: int = 200, **headers: str) -> Answering:
        return self.sends(completion(content), status, **headers)

    def sends(self, body: bytes, status: int = 200, **headers: str) -> Answering:
        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name, value)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)

        return answer

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.close()


@pytest.fixture
def policy(endpoint: Endpoint) -> Iterator[LlmPolicy]:
    made = LlmPolicy(endpoint.url, "guard-1", Secret(KEY), timeout_s=TIMEOUT_S, captures=True)
    yield made
    made.close()


def a_question(wishes: int = 2, why: str = "an example") -> AgentQuestion:
    """About so many buys of 2 ADA at 100.05."""
    return agents.a_question(
        *(agents.a_wish(number, price=Decimal("100.05"), why=why) for number in range(1, wishes + 1)),
        equity=Decimal(1_200),
    )


def demand_failure(reply: AgentReply, kind: FailureKind, *words: str) -> None:
    assert reply.answer is None
    assert reply.failure is not None
    assert reply.failure.kind is kind, reply.failure
    for word in words:
        assert word in reply.failure.detail


def test_a_right_answer(endpoint: Endpoint, policy: LlmPolicy) -> None:
    endpoint.answer = endpoint.says('{"action":"narrow","smaller":[{"wish":2,"quantity":"0.5"}],"rationale":"wild"}')
    reply = policy.decide(a_question())
    assert reply.failure is None
    assert reply.answer is not None
    assert reply.answer.action is AgentAction.NARROW
    assert [(one.wish, one.quantity) for one in reply.answer.smaller] == [(2, Decimal("0.5"))]
    ((path, headers, body),) = endpoint.requests
    sent = json.loads(body)
    assert (path, headers["authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert (sent["model"], [one["role"] for one in sent["messages"]]) == ("guard-1", ["system", "user"])
    assert "buy 2 ADATRY at 100.05" in sent["messages"][1]["content"]
    assert reply.prompt == f"{SYSTEM}\n{sent['messages'][1]['content']}"


def test_without_a_key_none_is_sent_and_without_capture_nothing_is_kept(endpoint: Endpoint) -> None:
    policy = LlmPolicy(endpoint.url, "guard-1", None, timeout_s=TIMEOUT_S, captures=False)
    reply = policy.decide(a_question())
    policy.close()
    assert "authorization" not in endpoint.requests[0][1]
    assert (reply.prompt, reply.text) == ("", "")
    assert reply.answer is not None


@pytest.mark.parametrize("content", ["Buy!", "", "{}", '{"action":"narrow","smaller":[{"wish":1,"quantity":"3"}]}'])
def test_nonsense(endpoint: Endpoint, policy: LlmPolicy, content: str) -> None:
    endpoint.answer = endpoint.says(content)
    demand_failure(policy.decide(a_question()), FailureKind.NONSENSE)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{}", b'{"choices":[]}', b'{"choices":[{"message":{"content":7}}]}', b"[" * 50_000, b"\xff"],
)
def test_an_answer_that_is_no_completion(endpoint: Endpoint, policy: LlmPolicy, body: bytes) -> None:
    endpoint.answer = endpoint.sends(body)
    demand_failure(policy.decide(a_question()), FailureKind.NONSENSE, "no chat completion")


def test_an_answer_that_never_comes_is_late_and_the_wait_is_over_in_time(endpoint: Endpoint, policy: LlmPolicy) -> None:
    endpoint.answer = lambda request: time.sleep(3 * TIMEOUT_S)
    started_s = time.monotonic()
    demand_failure(policy.decide(a_question()), FailureKind.LATE, "0.6 s")
    assert time.monotonic() - started_s < 2 * TIMEOUT_S


def test_an_answer_that_drips_is_late_although_every_byte_comes_soon(endpoint: Endpoint, policy: LlmPolicy) -> None:
    def drips(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        for _ in range(40):
            request.wfile.write(b" ")
            request.wfile.flush()
            time.sleep(0.05)

    endpoint.answer = drips
    started_s = time.monotonic()
    demand_failure(policy.decide(a_question()), FailureKind.LATE)
    assert time.monotonic() - started_s < 2 * TIMEOUT_S


def test_no_more_is_read_than_the_limit(endpoint: Endpoint, policy: LlmPolicy) -> None:
    written = 0

    def pours(request: BaseHTTPRequestHandler) -> None:
        nonlocal written
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        request.send_response(200)
        request.send_header("Content-Length", str(10**9))
        request.end_headers()
        for _ in range(100_000):
            request.wfile.write(b" " * 4_096)
            written += 4_096

    endpoint.answer = pours
    demand_failure(policy.decide(a_question()), FailureKind.TOO_LARGE, str(BODY_BYTES_MAX))
    time.sleep(0.1)
    assert written < 32 * 2**20  # what the sockets' own buffers swallow, and no gigabyte


def test_a_reply_of_more_than_6000_characters(endpoint: Endpoint, policy: LlmPolicy) -> None:
    endpoint.answer = endpoint.says('{"action":"no_change"}' + " " * 6_000)
    demand_failure(policy.decide(a_question()), FailureKind.TOO_LARGE, "6022")


def test_a_packed_answer_that_was_not_asked_for(endpoint: Endpoint, policy: LlmPolicy) -> None:
    endpoint.answer = endpoint.sends(b"\x1f\x8b not really", **{"Content-Encoding": "br"})
    demand_failure(policy.decide(a_question()), FailureKind.TOO_LARGE, "encoding")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(endpoint: Endpoint, policy: LlmPolicy, status: int) -> None:
    """Neither the question nor the key goes to where the answer points."""
    endpoint.answer = endpoint.sends(b"", status, Location=endpoint.url + "/elsewhere")
    demand_failure(policy.decide(a_question()), FailureKind.REFUSED, str(status), "redirect")
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_a_refusal_is_told_by_its_number_and_not_repeated(endpoint: Endpoint, policy: LlmPolicy, status: int) -> None:
    endpoint.answer = endpoint.says('{"action":"no_change"}', status)
    demand_failure(policy.decide(a_question()), FailureKind.REFUSED, f"HTTP {status}")
    assert len(endpoint.requests) == 1


def test_nobody_is_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    policy = LlmPolicy(f"http://127.0.0.1:{port}/", "guard-1", Secret(KEY), timeout_s=TIMEOUT_S, captures=False)
    demand_failure(policy.decide(a_question()), FailureKind.UNREACHABLE)
    policy.close()


def test_an_error_of_our_own_is_a_failure_too(endpoint: Endpoint) -> None:
    class Broken:
        def handle_request(self, request: object) -> object:
            raise RuntimeError(f"Authorization: Bearer {KEY}")

        def close(self) -> None: ...

    policy = LlmPolicy(endpoint.url, "m", Secret(KEY), timeout_s=1, captures=True, transport=Broken())  # type: ignore[arg-type]
    reply = policy.decide(a_question())
    demand_failure(reply, FailureKind.UNREACHABLE, "RuntimeError")
    assert KEY not in msgspec.json.encode(reply).decode()


class TestTheQuestion:
    def test_is_told_in_full_while_that_fits(self) -> None:
        text = prompt_of(a_question())
        assert text is not None
        assert "why: an example" in text
        assert "held:" in text

    def test_is_told_in_three_sizes_and_never_in_more_than_3500_characters(self) -> None:
        sizes = set()
        for wishes in range(1, 201):
            text = prompt_of(a_question(wishes, why="x" * 500))
            if text is None:
                sizes.add("none")
                continue
            assert len(SYSTEM) + len(text) <= PROMPT_CHARACTERS_MAX
            sizes.add("full" if "why:" in text else "short" if "wishes:" in text else "minimal")
            assert f"{wishes}" in text.splitlines()[-1]  # the last wish is in it, whatever its size
        assert sizes == {"full", "short", "minimal", "none"}

    def test_that_does_not_fit_is_not_asked(self, endpoint: Endpoint, policy: LlmPolicy) -> None:
        demand_failure(policy.decide(a_question(200)), FailureKind.TOO_LARGE, "200 wishes")
        assert endpoint.requests == []


class TestTheKey:
    def test_comes_from_a_private_file(self, tmp_path: Path) -> None:
        file = tmp_path / "key"
        file.write_text(f"{KEY}\n")
        file.chmod(0o600)
        assert read_agent_key(file) == Secret(KEY)
        assert read_agent_key(None) is None

    @pytest.mark.parametrize(
        ("text", "mode", "words"),
        [
            ("short", 0o600, "fewer than 8"),
            (KEY, 0o644, "chmod 600"),
            ("", 0o600, "empty"),
            ("ключключ", 0o600, "ASCII"),
        ],
    )
    def test_is_refused_with_one_line_that_does_not_hold_it(
        self, tmp_path: Path, text: str, mode: int, words: str
    ) -> None:
        file = tmp_path / "key"
        file.write_text(text)
        file.chmod(mode)
        with pytest.raises(ConfigurationError) as refused:
            read_agent_key(file)
        assert words in str(refused.value)
        assert "AGENT_LLM_KEY_FILE" in str(refused.value)
        assert KEY not in str(refused.value)

    @pytest.mark.parametrize("spelling", [KEY, KEY.replace("/", "%2F").replace("+", "%2B"), KEY.encode().hex()])
    def test_an_answer_that_repeats_it_is_thrown_away(
        self, endpoint: Endpoint, policy: LlmPolicy, spelling: str
    ) -> None:
        endpoint.answer = endpoint.says(json.dumps({"action": "no_change", "rationale": f"your key is {spelling}"}))
        reply = policy.decide(a_question())
        demand_failure(reply, FailureKind.NONSENSE, "repeats the key")
        assert spelling not in msgspec.json.encode(reply).decode()

    def test_is_in_no_log_line_and_in_no_note(self, endpoint: Endpoint, policy: LlmPolicy, tmp_path: Path) -> None:
        """Whatever the endpoint does with it: every way of answering, one cycle each, with capture on."""
        stream = io.StringIO()
        configure_logging("DEBUG", [], stream)  # told of no secret: nothing may have to be taken out
        store = SqliteStore.open(tmp_path / "agent.db")
        answers = [
            endpoint.says('{"action":"no_change"}'),
            endpoint.says(f"{KEY}"),
            endpoint.sends(f"no such model for {KEY}".encode(), 401),
            endpoint.sends(b"", 302, Location=f"http://127.0.0.1:1/?key={KEY}"),
            endpoint.sends(f"{KEY}".encode(), 200, **{"Content-Encoding": KEY}),
            endpoint.sends(f"{KEY}".encode()),
        ]
        try:
            agent = service(store, policy)
            for number, endpoint.answer in enumerate(answers, start=1):
                play(agent, store, number)
        finally:
            shutdown_logging()
        bodies = [note.body for note in store.notes(NoteKind.AGENT)]
        store.close()
        assert len(bodies) == len(answers)
        assert stream.getvalue().count("agent_decision") == len(answers)
        assert KEY not in stream.getvalue() + "".join(bodies)
        assert b"sk-0123456789" not in (tmp_path / "agent.db").read_bytes()


def test_a_recorded_decision_comes_back_without_anybody_being_asked(endpoint: Endpoint, policy: LlmPolicy) -> None:
    """Through the journal's own writer and reader."""
    endpoint.answer = endpoint.says('{"action":"narrow","buy_share":"0.25"}')
    tape = _Tape()
    told = TapedAgent(tape, policy).decide(a_question())  # type: ignore[arg-type]
    endpoint.answer = endpoint.says("nonsense")
    failed = TapedAgent(tape, policy).decide(a_question(1))  # type: ignore[arg-type]

    again = TapedAgent(tape.played(), _Unasked())  # type: ignore[arg-type]
    assert [again.decide(a_question()), again.decide(a_question(1))] == [told, failed]
    assert len(endpoint.requests) == 2


class _Unasked:
    """Stands behind the tape of a replay: the tape answers."""

    def decide(self, question: AgentQuestion) -> AgentReply:
        raise AssertionError(f"a replay asked an agent about cycle {question.cycle_id}")


class _Tape:
    """Writes what was asked as a journal does, and gives it back as one."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._left: list[Event] = []

    def ask(self, name: str, method: Callable[..., Any], *arguments: Any) -> Any:
        if self._left:
            return Reader().answer(self._left.pop(0))
        answer = method(*arguments)
        self.asked.append(Asked(name, arguments, answer))
        return answer

    def played(self) -> _Tape:
        writer, tape = Writer(), _Tape()
        lines = [msgspec.json.encode(writer.event(one), enc_hook=facts.plain) for one in self.asked]
        tape._left = [Event(msgspec.Raw(line)) for line in lines]
        return tape


# -- the whole way to a draft ------------------------------------------------------------------------------------------


def service(store: SqliteStore, policy: LlmPolicy) -> AgentService:
    return AgentService(
        agents.RULES,
        policy,
        store,
        ManualClock(),
        MemoryMetrics(),
        structlog.get_logger("btcbot"),
        dict,
        falls_back_to_rules=False,
        answer_age_ms_max=30_000,
        capture_characters_max=4_000,
    )


def play(agent: AgentService, store: SqliteStore, number: int) -> Draft:
    """One cycle that wishes a buy and a sell."""
    cycle_id = f"c{number:08d}"
    draft = agent.shape(Draft(intents=[a_buy("2"), a_sell("2")]), draft_facts(cycle_id=cycle_id, equity=Decimal(1_000)))
    report = a_report(number)
    with store.transaction() as tx:
        end = CycleEnd(report=report, seconds=0, summary=ExecutionSummary(), stance=FREE, draft=draft)
        agent.cycle_ended(end, tx)
    return draft


@pytest.mark.parametrize(
    ("answering", "left"),
    [
        (lambda e: e.says('{"action":"no_change"}'), ["buy", "sell"]),
        (lambda e: e.says('{"action":"no_buys"}'), ["sell"]),
        (lambda e: e.says('{"action":"observe_only"}'), []),
        (lambda e: e.says('{"action":"narrow","take_out":[{"wish":2}]}'), ["buy"]),
        (lambda e: e.says("Sell your house."), ["sell"]),
        (lambda e: e.sends(b"", 500), ["sell"]),
        (lambda e: lambda request: time.sleep(2 * TIMEOUT_S), ["sell"]),
        (lambda e: e.says('{"action":"no_change"}' + " " * 6_000), ["sell"]),
    ],
    ids=["no change", "no buys", "observe", "take out", "nonsense", "500", "late", "too large"],
)
def test_what_an_answer_over_sockets_leaves_of_a_draft(
    endpoint: Endpoint, policy: LlmPolicy, tmp_path: Path, answering: Callable[[Endpoint], Answering], left: list[str]
) -> None:
    store = SqliteStore.open(tmp_path / "agent.db")
    endpoint.answer = answering(endpoint)
    draft = play(service(store, policy), store, 1)
    assert [one.side.value for one in draft.intents] == left
    assert store.note_count(NoteKind.AGENT) == 1
    store.close()
