"""G14: secrets are looked for wherever they could leak, after everything that could bring them out.

A key and a secret that exist nowhere else are given to real processes that trade, are refused, fail, crash and report.
Then whatever any of them left is searched: logs and streams, database with its log and shared memory, copies and
reports, the kill file and the locks, the metrics page, what `/proc` shows of the process. Searched for are both texts
in every spelling (plain, base64, hexadecimal, quoted, decoded) from eight characters on, and the signatures that were
sent, that of the feed's login among them. Each spelling is planted once as well and has to be found: a search that
finds nothing must be able to.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hmac
import itertools
import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote, quote_plus

import httpx2

from btcbot.adapters.kill_switch import FileKillSwitch
from btcbot.adapters.store.sqlite import SqliteStore
from btcbot.errors import BtcbotError
from btcbot.testing.rig import (
    BotProcess,
    Credentials,
    Simulator,
    armed_settings,
    bare_environment,
    wait_until,
    write_private,
    write_settings,
)
from proof.result import Result

SYMBOLS: Final = ("BTCTRY", "ETHTRY")
CYCLE_SECONDS: Final = 0.75
#: A beginning of this length is a leak already: messages are often cut off.
PREFIX_BYTES_MIN: Final = 8
#: Of the plain texts, so many characters in a row from any place.
WINDOW_BYTES: Final = 10
#: What a login to the feed signs beside the key: always the same (see the exchange's interface).
LOGIN_SIGNED: Final = "3000"
COMMAND_SECONDS_MAX: Final = 60.0

# -- what is looked for ------------------------------------------------------------------------------------------------


class Canary(Credentials):
    """A key and a secret that no other text of the world holds, in files of their own."""

    def __init__(self, folder: Path) -> None:
        self.key = secrets.token_urlsafe(24)
        self.secret = ""
        while not {"+", "/"} <= set(self.secret):  # what is quoted and escaped has to be in it
            self.secret = base64.b64encode(secrets.token_bytes(32)).decode()
        self._secret = self.secret
        folder.mkdir(mode=0o700, exist_ok=True)
        self.key_file = write_private(folder / "api.key", self.key)
        self.secret_file = write_private(folder / "api.secret", self.secret)

    def signature(self, stamp: str) -> str:
        """What was sent with a request of this stamp."""
        raw = base64.b64decode(self.secret)
        return base64.b64encode(hmac.digest(raw, (self.key + stamp).encode(), "sha256")).decode()


def spellings(text: str) -> Mapping[str, bytes]:
    """Every way in which `text` may stand somewhere, by name; base64 also from the middle of something longer."""
    contents = {"plain": text.encode()}
    with contextlib.suppress(ValueError):  # no base64, so nothing signs with its decoded form
        contents["decoded"] = base64.b64decode(text, validate=True)
    found: dict[str, bytes] = {}
    for name, content in contents.items():
        found[name] = content
        found[f"{name}, hexadecimal"] = content.hex().encode()
        found[f"{name}, hexadecimal in capitals"] = content.hex().upper().encode()
        found[f"{name}, escaped"] = repr(content)[2:-1].encode()
        found[f"{name}, base32"] = base64.b32encode(content)
        for shift in range(3):  # with nothing, one or two bytes before it, as in `key:secret`
            inner = base64.b64encode(b"\x00" * shift + content)[(0, 2, 3)[shift] : -4]
            found[f"{name}, base64 at {shift}"] = inner
            found[f"{name}, base64 for URLs at {shift}"] = inner.translate(bytes.maketrans(b"+/", b"-_"))
    found["quoted"] = quote(text, safe="").encode()
    found["quoted for a form"] = quote_plus(text).encode()
    found["with escaped slashes"] = text.replace("/", "\\/").encode()
    found["in 16 bits"] = text.encode("utf-16-le")
    return found


def beginning(how: str, form: bytes) -> bytes:
    """The least of a spelling that gives eight characters of the secret away."""
    if how.endswith("with escaped slashes"):
        slashes = form.replace(rb"\/", b"/")[:PREFIX_BYTES_MIN].count(b"/")
        return form[: PREFIX_BYTES_MIN + slashes]
    bytes_per_character = 2 if "16 bits" in how else 4 if "escaped" in how and b"\\x" in form else 1
    return form[: PREFIX_BYTES_MIN * bytes_per_character]


class Hit(NamedTuple):
    place: str
    what: str
    at: int


class Search:
    """Looks for the secrets of some canaries."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._needles: dict[bytes, str] = {}
        self.spellings: dict[str, bytes] = {}
        for number, canary in enumerate(canaries):
            for which, text in (("key", canary.key), ("secret", canary.secret)):
                for how, form in spellings(text).items():
                    name = f"{which} {number}, {how}"
                    self.spellings[name] = form
                    self._needles.setdefault(beginning(how, form), name)
                for at in range(len(text) - WINDOW_BYTES + 1):
                    self._needles.setdefault(text[at : at + WINDOW_BYTES].encode(), f"{which} {number}, from {at}")

    def look_for_signatures(self, canary: Canary, stamps: Iterable[str]) -> int:
        """Signatures are looked for as well; how many there are."""
        count = 0
        for count, stamp in enumerate(stamps, start=1):  # noqa: B007 - the last count is the answer
            made = canary.signature(stamp)
            self._needles.setdefault(made[:WINDOW_BYTES].encode(), f"signature of {stamp}")
        return count

    def hits(self, place: str, content: bytes) -> list[Hit]:
        """One for each secret that stands in `content`, where it begins."""
        found: dict[str, Hit] = {}
        for needle, what in self._needles.items():
            whose = what.partition(",")[0]
            at = content.find(needle)
            if at >= 0 and (whose not in found or at < found[whose].at):
                found[whose] = Hit(place, what, at)
        return list(found.values())


# -- what could bring them out -----------------------------------------------------------------------------------------

#: A bot whose sockets fail in a way that nobody foresaw: the error's text holds all that was to be sent.
_BROKEN_SOCKETS: Final = """
import sys
from btcbot.adapters.btcturk import transport
from btcbot.cli import main
inner = transport.DeadlineTransport.handle_request
def handle_request(self, request):
    if b"X-Signature" in dict(request.headers.raw):
        raise RuntimeError(f"sending {request.headers.raw!r} failed")
    return inner(self, request)
transport.DeadlineTransport.handle_request = handle_request
main()
"""
#: A bot whose feed fails so: the error's text holds the login, and the thread that met it has to tell of it.
_BROKEN_FEED: Final = """
from websockets.asyncio.client import ClientConnection
from btcbot.cli import main
inner = ClientConnection.send
async def send(self, message, *more, **named):
    if "publicKey" in message:
        raise RuntimeError(f"sending {message!r} failed")
    await inner(self, message, *more, **named)
ClientConnection.send = send
main()
"""
#: A bot that fails while it reads its settings, the secrets in hand.
_BROKEN_SETTINGS: Final = """
from btcbot.config import loading
from btcbot.cli import main
def contradictions(made, *arguments, **named):
    raise RuntimeError(f"cannot judge {made!r} {made} {vars(made)}")
loading._contradictions = contradictions
main()
"""
_REPORTS: Final = (
    *(("status", "--json"), ("status",), ("orders", "--all"), ("orders", "--json"), ("ledger", "--entries", "50")),
    *(("ledger", "--json"), ("cycles",), ("cycles", "--json"), ("position",), ("db", "locks"), ("db", "verify")),
    *(("kill", "status"), ("config",), ("config", "--json"), ("health",), ("health", "--json"), ("doctor",)),
    ("doctor", "--json"),
)


class Places:
    """What was left where: outputs and snapshots by name; the files of a folder are read at the end."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def add(self, name: str, content: bytes) -> None:
        count = sum(known.partition(" (")[0] == name for known in self.contents)
        self.contents[f"{name} ({count + 1})" if count else name] = content

    def add_files(self, folder: Path, besides: frozenset[Path], label: str) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and path not in besides:
                self.add(f"{label}: {path.relative_to(folder)}", _opened(path))


def _opened(path: Path) -> bytes:
    """What a file says, unpacked where it is packed: as much as can be read, for a kill leaves a torn end."""
    if path.suffix != ".gz":
        return path.read_bytes()
    told = bytearray()
    with suppress(EOFError, OSError, zlib.error), gzip.open(path) as packed:
        while part := packed.read1(65_536):
            told += part
    return bytes(told)


class Story:
    """One venue, one account, and everything that bots with its key are made to do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bench = folder / "bench"  # the bot's whole world: whatever lies here is searched
        self.bench.mkdir(mode=0o700)
        self.canary = Canary(folder / "keys")
        self.other = Canary(folder / "other-keys")  # well formed, and unknown to the venue
        self.places = Places()
        self.faults: list[str] = []
        #: Files in the bench that are there to hold a secret.
        self.holders: set[Path] = set()
        account = write_private(folder / "accounts", self.canary.account_line({"TRY": Decimal(20_000)}))
        arguments = ["--accounts", str(account), "--speed", "1500", "--seed", "7", "--symbols", ",".join(SYMBOLS)]
        self.venue = Simulator(folder, arguments)
        self.database = self.bench / "bot.db"
        self.port = _free_port()

    def settings(self) -> dict[str, str]:
        more = {
            "COOLDOWN_SECONDS": "1",
            "TTL_SECONDS": "3",
            "SETTLE_HORIZON_SECONDS": "2",
            "LOG_LEVEL": "DEBUG",
            "OBSERVABILITY_ENABLED": "true",
            "OBSERVABILITY_METRICS_EXPORTER": "prometheus",
            "OBSERVABILITY_PROMETHEUS_PORT": str(self.port),
            "BTCTURK_WS_URL": self.venue.ws_url,
        }
        return armed_settings(self.canary, self.venue.rest_url, self.database, SYMBOLS, **more)

    def env_file(
        self, name: str, changes: Mapping[str, str | None] | None = None, *, holds_secrets: bool = False
    ) -> Path:
        """An env file in the bench; a change to None leaves a setting out."""
        wanted = {**self.settings(), **(changes or {})}
        path = write_settings(self.bench / name, {key: text for key, text in wanted.items() if text is not None})
        if holds_secrets:
            self.holders.add(path)
        return path

    def bot(self, env_file: Path) -> BotProcess:
        return BotProcess(self.bench, env_file, CYCLE_SECONDS, log_name=f"{env_file.stem}.log")

    def command(
        self, name: str, *arguments: str, expected: tuple[int, ...] = (0,), program: tuple[str, ...] = ("-m", "btcbot")
    ) -> bytes:
        """Run a command to its end and keep both of its streams."""
        done = subprocess.run(
            [sys.executable, *program, *arguments],
            cwd=self.bench,
            env=bare_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        self.places.add(f"streams of {name}", done.stdout + done.stderr)
        if done.returncode not in expected:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            self.faults.append(f"{name} ended with {done.returncode}, not {expected}: {last}")
        return done.stdout + done.stderr

    def snapshot(self, bot: BotProcess, name: str) -> None:
        """What the system and the files show while it runs."""
        for entry in ("cmdline", "environ", "status", "limits"):
            self.places.add(f"/proc of {name}: {entry}", Path(f"/proc/{bot.pid}/{entry}").read_bytes())
        self.places.add_files(self.bench, frozenset(self.holders), f"while {name} runs")

    def metrics(self) -> None:
        page = httpx2.get(f"http://127.0.0.1:{self.port}/metrics", trust_env=False, timeout=5.0)
        if page.status_code != 200 or "btcbot_" not in page.text:
            self.faults.append(f"the metrics page answered {page.status_code}")
        self.places.add("metrics page", page.content + repr(page.headers).encode())

    def orders(self) -> int:
        try:
            books = SqliteStore.open(self.database, read_only=True)
        except BtcbotError:
            return 0  # being made at this moment
        try:
            return books.order_count()
        finally:
            books.close()

    # -- the acts ------------------------------------------------------------------------------------------------

    def trade_and_report(self) -> None:
        """A bot trades, its secrets in files; every report is asked of it, and it is killed in the middle."""
        env = self.env_file("trading.env")
        with self.bot(env) as bot:
            wait_until(lambda: self.database.exists() and self.orders() > 0, 30.0, f"an order; {bot.last_lines()}")
            wait_until(lambda: b"feed_logged_in" in bot.log.read_bytes(), 20.0, f"a login; {bot.last_lines()}")
            self.snapshot(bot, "trading")
            self.metrics()
            for report in _REPORTS:
                expected = (0, 1, 2) if report[0] == "doctor" else (0,)
                self.command(" ".join(report), *report, "--env-file", str(env), expected=expected)
            books = SqliteStore.open(self.database, read_only=True)
            order = books.recent_orders(1)[0].client_order_id
            books.close()
            self.command("orders show", "orders", "show", order, "--env-file", str(env))
            self.command("db backup", "db", "backup", str(self.bench / "copy.db"), "--env-file", str(env))
            self.command("orders cancel", "orders", "cancel", "--all", "--env-file", str(env), expected=(0, 2))
            bot.kill()
        self.places.add_files(self.bench, frozenset(self.holders), "after kill -9")

    def be_refused_by_the_venue(self) -> None:
        """401 storms, errors behind accepted orders, pages of a proxy; then a key that the venue does not know."""
        env = self.env_file("refused.env")
        for kind, more in (
            ("html_after", {"status": 502}),
            ("raw_body", {"body": '{"success":true', "status": 200}),
            ("unauthorized", {"message": "Unauthorized - Invalid Signature"}),
        ):
            self.venue.control("/faults", kind=kind, match={"path": "/api/v1"}, count=12, params=more)
        with self.bot(env) as bot:
            wait_until(lambda: b"unauthor" in bot.log.read_bytes().lower(), 40.0, f"a 401; {bot.last_lines()}")
            self.snapshot(bot, "refused")
            bot.terminate()
        self.venue.clear_faults()
        self._be_refused_by_the_feed(env)
        stranger = {
            "BTCTURK_API_KEY_FILE": str(self.other.key_file),
            "BTCTURK_API_SECRET_FILE": str(self.other.secret_file),
            "STATE_DB_PATH": str(self.bench / "stranger.db"),
        }
        env = self.env_file("stranger.env", stranger)
        self.command("run of a stranger", "run", "--env-file", str(env), expected=(1, 2))
        self.command("doctor of a stranger", "doctor", "--env-file", str(env), expected=(1, 2))
        rebound = self.env_file("rebound.env", {**stranger, "STATE_DB_PATH": str(self.database)})
        self.command("run with another key", "run", "--env-file", str(rebound), expected=(2,))
        self.command("rebind", "db", "rebind", "--env-file", str(rebound), expected=(1, 2))

    def _be_refused_by_the_feed(self, env: Path) -> None:
        """A feed that says no with our own key in its words, and repeats the login as a frame that cannot be read."""
        key, signature = self.canary.key, self.canary.signature(LOGIN_SIGNED)
        echoed = f'[114,{{"publicKey":"{key}","signature":"{signature}"'
        self.venue.control("/faults", kind="login_refused", params={"message": f"Invalid Signature of {key}"}, count=1)
        with self.bot(env) as bot:
            log = bot.log.read_bytes
            wait_until(lambda: b"feed_login_failed" in log(), 30.0, f"a login that is refused; {bot.last_lines()}")
            self.venue.control("/feed", say=f"{key} is not welcome")
            wait_until(lambda: b"feed_system_message" in log(), 10.0, f"the venue's words; {bot.last_lines()}")
            self.venue.control("/faults", kind="garbage", params={"text": echoed})  # whatever it sends from now on
            wait_until(lambda: b"feed_disconnected" in log(), 20.0, f"the feed's end; {bot.last_lines()}")
            self.snapshot(bot, "refused by the feed")
            bot.terminate()
        self.venue.clear_faults()

    def be_configured_wrong(self) -> None:
        """Secrets in the wrong place, of the wrong shape, open to others, given twice."""
        key, secret = self.canary.key, self.canary.secret
        wrong: list[tuple[str, dict[str, str | None]]] = [
            ("in numbers and switches", {"TTL_SECONDS": secret, "DRY_RUN": secret, "LOG_LEVEL": key}),
            ("as symbols and address", {"SYMBOLS": secret, "BTCTURK_BASE_URL": f"https://{key}@api.btcturk.com"}),
            ("as a file's name", {"BTCTURK_API_SECRET_FILE": secret, "BTCTURK_API_KEY_FILE": key}),
            ("as a long file's name", {"BTCTURK_API_SECRET_FILE": secret * 20}),
            ("given twice", {"BTCTURK_API_SECRET": secret}),
            ("not base64", {"BTCTURK_API_SECRET_FILE": None, "BTCTURK_API_SECRET": f"*{secret}*"}),
            ("as acknowledgement", {"LIVE_TRADING_ACK": secret, "LIVE_TRADING": key}),
            ("as scopes and dates", {"BTCTURK_API_SCOPES": secret, "BTCTURK_SECRET_ROTATED_AT": key}),
            ("as the feed's address", {"BTCTURK_WS_URL": f"wss://{key}:{secret}@ws-feed-pro.btcturk.com"}),
            ("in the feed's path", {"BTCTURK_WS_URL": f"ws://127.0.0.1:9/{secret}?key={key}"}),
            ("as the feed's mode", {"MARKET_DATA_MODE": secret, "FEED_WAKE_MS": key}),
            ("as a collector", {"OBSERVABILITY_OTLP_ENDPOINT": f"http://127.0.0.1/{secret}"}),
        ]
        for number, (what, change) in enumerate(wrong):
            env = self.env_file(f"wrong-{number}.env", change, holds_secrets=True)
            for name in ("run", "doctor", "config"):
                self.command(f"{name} with secrets {what}", name, "--env-file", str(env), expected=(0, 1, 2))
        pasted = self.bench / "pasted.env"
        write_private(pasted, f"{secret}\n{key}\nexport {secret}\n{key}={secret}\n")
        inline = {"BTCTURK_API_KEY": key, "BTCTURK_API_SECRET": secret}
        opened = self.env_file("opened.env", inline, holds_secrets=True)
        opened.chmod(0o644)
        self.holders.add(pasted)
        for env in (pasted, opened):
            self.command(f"run with {env.name}", "run", "--env-file", str(env), expected=(2,))
            self.command(f"help with {env.name}", "run", "--env-file", str(env), "--no-such-option", expected=(2,))
        self.command("help", "--help")

    def fail_unforeseen(self) -> None:
        """Errors that nobody foresaw, their texts full of what was at hand; the secrets in the env file itself."""
        inline = {
            "BTCTURK_API_KEY_FILE": None,
            "BTCTURK_API_SECRET_FILE": None,
            "BTCTURK_API_KEY": self.canary.key,
            "BTCTURK_API_SECRET": self.canary.secret,
        }
        env = self.env_file("inline.env", inline, holds_secrets=True)
        for name, script in (("sockets", _BROKEN_SOCKETS), ("settings", _BROKEN_SETTINGS)):
            told = self.command(
                f"run with broken {name}", "run", "--env-file", str(env), expected=(1, 2), program=("-c", script)
            )
            if b"RuntimeError" not in told:
                self.faults.append(f"the broken {name} did not break: {told[-300:]!r}")
        told = self.command(
            "run with a broken feed", *("run", "--loop", "--cycle-seconds", str(CYCLE_SECONDS), "--max-cycles", "4"),
            *("--env-file", str(env)), expected=(0,), program=("-c", _BROKEN_FEED),
        )  # fmt: skip
        if b"feed_thread_failed" not in told or b"RuntimeError" not in told:
            self.faults.append(f"the broken feed did not break: {told[-300:]!r}")
        with self.bot(env) as bot:
            wait_until(lambda: b"cycle_ended" in bot.log.read_bytes(), 30.0, f"a cycle; {bot.last_lines()}")
            self.snapshot(bot, "secrets in the env file")
            FileKillSwitch(self.database).turn_on("the canary stops", 0)
            bot.terminate()

    def crash(self) -> None:
        """A crash that would leave a core file, were it allowed to."""
        env = self.env_file("crashing.env")
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        try:
            with self.bot(env) as bot:
                wait_until(lambda: b"cycle_ended" in bot.log.read_bytes(), 30.0, f"a cycle; {bot.last_lines()}")
                os.kill(bot.pid, signal.SIGABRT)
                wait_until(lambda: bot.status() is not None, 10.0, "the end of a bot that was told to abort")
                if bot.status() != -signal.SIGABRT:
                    self.faults.append(f"a bot that was told to abort ended with {bot.status()}")
        finally:
            resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
        self.faults += [f"a crash left {path.name}" for path in self.bench.glob("core*")]

    def play(self) -> None:
        self.trade_and_report()
        self.be_refused_by_the_venue()
        self.be_configured_wrong()
        self.fail_unforeseen()
        self.crash()
        self.places.add_files(self.bench, frozenset(self.holders), "at the end")

    def stamps(self) -> Iterator[str]:
        """What was signed: the feed's login, and every request that the venue received."""
        rows = (row for row in self.venue.requests() if row["key"] == self.canary.key and row["stamp"])
        return itertools.chain((LOGIN_SIGNED,), (str(row["stamp"]) for row in rows))

    def logins(self) -> int:
        """To the feed, that the venue accepted."""
        return int(self.venue.state(orders="0")["feed"]["logins"])

    def close(self) -> None:
        self.venue.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert isinstance(port, int)
        return port


def planted(search: Search) -> tuple[int, list[str]]:
    """Every spelling, cut off after eight characters, planted into something long: how many, and what was missed."""
    noise = secrets.token_bytes(50_000)
    missed = []
    for name, form in search.spellings.items():
        if not search.hits("planted", noise + beginning(name, form) + noise):
            missed.append(f"«{name}» was planted and not found")
    return len(search.spellings), missed


def run(slice: int = 0, of: int = 1) -> Result:  # noqa: A002 - the name that all finite parts share
    """One whole story; every slice plays it with canaries of its own."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix=f"canary-{slice}-", dir=memory if memory.is_dir() else None))
    started = time.monotonic()
    counts: Counter[str] = Counter()
    try:
        story = Story(folder)
        try:
            story.play()
            search = Search([story.canary, story.other])
            counts["logins to the feed"] = story.logins()
            if not counts["logins to the feed"]:
                story.faults.append("nobody logged in to the feed, so nothing of it could leak")
            counts["signatures"] = search.look_for_signatures(story.canary, story.stamps())
        finally:
            story.close()
        hits = [hit for place, content in story.places.contents.items() for hit in search.hits(place, content)]
        counts["places"] = len(story.places.contents)
        counts["bytes"] = sum(map(len, story.places.contents.values()))
        counts["spellings planted"], missed = planted(search)
        counts["hits"] = len(hits)
        failures = [*story.faults, *missed, *(f"{hit.what} stands in {hit.place} at {hit.at}" for hit in hits)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    notes = {"story": f"{time.monotonic() - started:.0f} s, slice {slice} of {of}"}
    return Result(goal="G14", part="canaries", counts=dict(counts), failures=failures, notes=notes)
