"""G7: two and four bots at once; exactly one may speak to the venue, and the next one needs no waiting.

Each round starts several bots at the same moment: on one database, by a symbolic link, with other temporary and home
folders and working directories, or on databases of their own with one API key. (By a hard link the others come later:
a database with several names is refused by whoever is first.) Every bot reaches the venue through a proxy of its own,
so what each of them sent is known. The losers must have sent nothing at all, and end with status 2 and a line that
names the winner, within a second after they asked for the locks (not counted what the machine let them wait for a
processor). Then the winner gets SIGKILL, and a successor must trade at once.
"""

from __future__ import annotations

import os
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from btcbot.testing import witness
from btcbot.testing.bench import BUSY_SETTINGS, CYCLE_SECONDS_BUSY
from btcbot.testing.chaos_proxy import ChaosProxy
from btcbot.testing.rig import (
    BotProcess,
    Credentials,
    Simulator,
    armed_settings,
    time_of,
    write_private,
    write_settings,
)
from btcbot.testing.staged_run import Stage
from proof.result import Result
from proof.slices import fast_folder, one_line, spread

SYMBOLS: Final = ("BTCTRY", "ETHTRY", "SOLTRY")
CASH_TRY: Final = Decimal(1_000_000)
REFUSAL_MS_MAX: Final = 1_000
SUCCESSION_MS_MAX: Final = 2_000
END_S_MAX: Final = 30.0
POLL_S: Final = 0.004
_ASKED: Final = re.compile(r"^staged: asks for the locks at (\d+) having waited (\d+)$", re.MULTILINE)
_STARTS: Final = (2, 2, 4)  # how many at once, drawn from these


class _Way(msgspec.Struct, frozen=True):
    """How bot number k of a round is pointed at what only one may have."""

    name: str
    database: Callable[[Path, int], Path]
    environment: Callable[[Path, int], Mapping[str, str]] = lambda folder, number: {}
    word: str = "writes to the database"
    winner_first: bool = False


def _same(folder: Path, number: int) -> Path:
    return folder / "bot.db"


def _hard_link(folder: Path, number: int) -> Path:
    if number == 0:
        return _same(folder, number)
    link = folder / f"linked-{number}.db"
    os.link(folder / "bot.db", link)
    return link


def _symbolic_link(folder: Path, number: int) -> Path:
    """A link to the folder: a link to the file itself is refused whoever runs."""
    link = folder.with_name(f"{folder.name}-{number}")
    link.symlink_to(folder, target_is_directory=True)
    return link / "bot.db"


def _own(folder: Path, number: int) -> Path:
    return folder / f"own-{number}.db"


def _other_folders(folder: Path, number: int) -> Mapping[str, str]:
    home = folder / f"home-{number}"
    home.mkdir()
    return {"TMPDIR": str(home), "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}


WAYS: Final[Sequence[_Way]] = (
    _Way("same", _same),
    _Way("hard_link", _hard_link, winner_first=True),
    _Way("symbolic_link", _symbolic_link),
    _Way("other_folders", _same, _other_folders),
    _Way("one_key", _own, word="uses the API key"),
)


class _Round:
    """Several starts at once, then one after the winner's death."""

    def __init__(self, folder: Path, credentials: Credentials, venue: Simulator, way: _Way, at_once: int) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._credentials = credentials
        self._way = way
        self._proxies = [ChaosProxy(venue.rest_url, number) for number in range(at_once + 1)]
        self._bots: list[BotProcess] = []
        self.starts = at_once + 1
        self.refused_ms: list[int] = []
        self.succession_ms = 0
        self.failures: list[str] = []

    def play(self) -> None:
        write_private(self._folder / "bot.db", "").write_bytes(b"")  # there, so that it can be linked to
        paths = [self._way.database(self._folder, 0)]
        first = self._start(0, paths[0], self._way.environment(self._folder, 0))
        if self._way.winner_first:
            self._wait_for_a_cycle(first)
        for number in range(1, self.starts - 1):
            paths.append(self._way.database(self._folder, number))
            self._start(number, paths[number], self._way.environment(self._folder, number))
        ended = self._losers()
        winners = [number for number, bot in enumerate(self._bots) if bot.status() is None]
        if len(winners) != 1:
            self._fail(f"{len(winners)} of {self.starts - 1} run: {[bot.last_lines(1) for bot in self._bots]}")
            return
        winner = self._bots[winners[0]]
        self._judge_losers(ended, winner)
        if not self._way.winner_first:
            self._wait_for_a_cycle(winner)
        winner.kill()
        for path in self._folder.glob("linked-*.db"):
            path.unlink()
        killed_ms = time.time_ns() // 1_000_000
        successor = self._start(self.starts - 1, paths[winners[0]], {})
        at_ms = self._wait_for_a_cycle(successor)
        if at_ms is not None:
            self.succession_ms = at_ms - killed_ms
            if self.succession_ms - successor.waited_for_processor_ms() > SUCCESSION_MS_MAX:
                self._fail(f"the successor needed {self.succession_ms} ms to its first cycle")
        status = successor.terminate()
        if status != 0:
            self._fail(f"the successor ended with {status}: {successor.last_lines()}")
        passed = [*self._proxies[winners[0]].passed(), *self._proxies[-1].passed()]
        if not passed:
            self._fail("nobody spoke to the venue at all")
        self.failures += [f"{self._way.name}: {line}" for line in witness.crooked_requests(passed)]

    def close(self) -> None:
        for bot in self._bots:
            bot.close()
        for proxy in self._proxies:
            proxy.close()

    def _start(self, number: int, database: Path, environment: Mapping[str, str]) -> BotProcess:
        settings = armed_settings(
            self._credentials, self._proxies[number].url, database, SYMBOLS, **BUSY_SETTINGS
        )  # fmt: skip
        env_file = write_settings(self._folder / f"bot-{number}.env", settings)
        working = self._folder / f"working-{number}"
        working.mkdir()
        stage = Stage(limits_factor=0, busy_seed=number, tells_start=True)
        bot = BotProcess(
            working,
            env_file,
            CYCLE_SECONDS_BUSY,
            stage=msgspec.json.encode(stage).decode(),
            environment=environment,
        )
        self._bots.append(bot)
        return bot

    def _losers(self) -> dict[int, int]:
        """Wait until all but one have ended; when each had, in Unix milliseconds without waits for a processor."""
        ended: dict[int, int] = {}
        waited_ms: Counter[int] = Counter()
        over_at = time.monotonic() + END_S_MAX
        while len(ended) < self.starts - 2 and time.monotonic() < over_at:
            for number, bot in enumerate(self._bots):
                if number in ended:
                    continue
                waited_ms[number] = max(waited_ms[number], bot.waited_for_processor_ms())
                if bot.status() is not None:
                    ended[number] = time.time_ns() // 1_000_000 - waited_ms[number]
            time.sleep(POLL_S)
        return ended

    def _judge_losers(self, ended: Mapping[int, int], winner: BotProcess) -> None:
        for number, ended_ms in ended.items():
            bot = self._bots[number]
            words = bot.last_lines(2)
            if bot.status() != 2 or f"pid {winner.pid}" not in words or self._way.word not in words:
                self._fail(f"a loser ended with {bot.status()} and said: {words}")
            if "Traceback" in words:
                self._fail(f"a loser ended with a traceback: {words}")
            if self._proxies[number].passed():
                self._fail(f"a loser sent {len(self._proxies[number].passed())} requests")
            asked = _ASKED.search(bot.log.read_text(errors="replace"))
            assert asked is not None, f"it never asked for the locks: {words}"
            refused_ms = ended_ms - (int(asked[1]) - int(asked[2]))
            self.refused_ms.append(refused_ms)
            if refused_ms > REFUSAL_MS_MAX:
                self._fail(f"a loser needed {refused_ms} ms to say so")

    def _wait_for_a_cycle(self, bot: BotProcess) -> int | None:
        """When its first cycle completed, in Unix milliseconds."""
        over_at = time.monotonic() + END_S_MAX
        while time.monotonic() < over_at and bot.status() is None:
            for event in bot.new_events():
                if event["event"] == "cycle_ended" and event["outcome"] == "completed":
                    return time_of(event)
            time.sleep(POLL_S)
        self._fail(f"no cycle completed: {bot.last_lines()}")
        return None

    def _fail(self, what: str) -> None:
        self.failures.append(f"{self._way.name}: {one_line(what)}")


def run(count: int = 100, first: int = 1) -> Result:
    """At least `count` starts in one slice; `first` is its seed."""
    dice = random.Random(f"instances-{first}")
    counts: Counter[str] = Counter()
    failures: list[str] = []
    refused_ms: list[int] = []
    succession_ms: list[int] = []
    with tempfile.TemporaryDirectory(prefix="btcbot-instances-", dir=fast_folder()) as name:
        folder = Path(name)
        rounds = [folder / f"round-{number}" for number in range(count)]  # more than are ever played
        for one in rounds:
            one.mkdir(mode=0o700)
        keys = [Credentials(one) for one in rounds]
        accounts = write_private(
            folder / "accounts", "\n".join(key.account_line({"TRY": CASH_TRY}) for key in keys)
        )  # fmt: skip
        with Simulator(
            folder, ["--accounts", str(accounts), "--symbols", ",".join(SYMBOLS), "--limits", "off", "--speed", "600"]
        ) as venue:
            for number, (place, key) in enumerate(zip(rounds, keys, strict=True)):
                way = WAYS[(first + number) % len(WAYS)]
                played = _Round(place, key, venue, way, dice.choice(_STARTS))
                try:
                    played.play()
                except (AssertionError, TimeoutError) as broken:
                    played.failures.append(f"{way.name}: {one_line(broken)}")
                finally:
                    played.close()
                counts["starts"] += played.starts
                counts["losers"] += len(played.refused_ms)
                counts[f"rounds_{way.name}"] += 1
                refused_ms += played.refused_ms
                succession_ms.append(played.succession_ms)
                failures += [f"seed {first}, round {number + 1}, {line}" for line in played.failures]
                if counts["starts"] >= count or failures:
                    break
    notes = {f"refusal_{word}": f"{value} ms" for word, value in spread(refused_ms).items()}
    notes |= {f"succession_{word}": f"{value} ms" for word, value in spread(succession_ms).items()}
    return Result(goal="G7", part="instances", counts=counts, failures=failures, notes=notes)
