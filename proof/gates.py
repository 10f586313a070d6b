"""G13: the arming truth table, whole. Of all settings of all switches exactly one lets an order out to the venue.

Two tables. The first walks every combination of what the gates look at, and compares what `decisions.gates` says with a
plain reading of the rules. The second begins one step earlier, with the texts that a person writes: every combination
of right, wrong, mistyped and absent, through the real settings.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Final

from msgspec.structs import replace

from btcbot.config.loading import load_settings
from btcbot.decisions import gates
from btcbot.decisions.gates import Closed, GateFacts
from btcbot.domain.permit import Permit, PermitScope, WriteKind
from btcbot.domain.reasons import ReasonCode, TradingState
from btcbot.errors import ConfigurationError
from proof.result import Result

ORDER_ID: Final = "btcbot-k7f3-1-1"
SKEW_MS_MAX: Final = 2_000

#: The brakes hold in every world; the other gates only guard the real venue.
BRAKES: Final = frozenset(
    {
        ReasonCode.SAFE_MODE,
        ReasonCode.KILL_SWITCH,
        ReasonCode.KILL_FILE,
        ReasonCode.HALTED,
        ReasonCode.FROZEN,
        ReasonCode.UNEXPLAINED_ORDERS,
    }
)
#: Gates that let a cancel through: taking an order out of the market only lowers the risk.
CANCELS_PASS: Final = frozenset(
    {
        ReasonCode.KILL_SWITCH,
        ReasonCode.KILL_FILE,
        ReasonCode.HALTED,
        ReasonCode.FROZEN,
        ReasonCode.UNEXPLAINED_ORDERS,
        ReasonCode.CLOCK_SKEW,
        ReasonCode.SELF_CHECK,
    }
)


def armed(**changes: Any) -> GateFacts:
    """Every gate open, but for `changes`."""
    facts = GateFacts(
        dry_run=False,
        safe_mode=False,
        kill_switch=False,
        kill_file_on=False,
        live_trading=True,
        acknowledgement="I_UNDERSTAND",
        database_armable=True,
        key_matches=True,
        lock_held=True,
        clock_skew_ms=150,
        clock_skew_ms_max=SKEW_MS_MAX,
        self_check_passed=True,
        trading_state=TradingState.ACTIVE,
    )
    return replace(facts, **changes)


def truth_table() -> Iterator[tuple[GateFacts, set[ReasonCode]]]:
    """All 2^11 switches × four trading states × three skews, each row with the gates that are closed in it."""
    both = (False, True)
    states, skews = tuple(TradingState), (SKEW_MS_MAX - 1, SKEW_MS_MAX, None)
    for dry, safe, kill, file, live, ack, armable, key, lock, check, strange in product(both, repeat=11):
        for state, skew in product(states, skews):
            facts = armed(
                dry_run=dry,
                safe_mode=safe,
                kill_switch=kill,
                kill_file_on=file,
                live_trading=live,
                acknowledgement="I_UNDERSTAND" if ack else "i understand",
                database_armable=armable,
                key_matches=key,
                lock_held=lock,
                self_check_passed=check,
                trading_state=state,
                has_unexplained_orders=strange,
                clock_skew_ms=skew,
            )
            is_closed = {
                ReasonCode.DRY_RUN: dry,
                ReasonCode.SAFE_MODE: safe,
                ReasonCode.KILL_SWITCH: kill,
                ReasonCode.KILL_FILE: file,
                ReasonCode.HALTED: state is TradingState.HALTED,
                ReasonCode.FROZEN: state is TradingState.FROZEN,
                ReasonCode.UNEXPLAINED_ORDERS: strange,
                ReasonCode.NOT_ARMED: not live,
                ReasonCode.ACK_MISSING: not ack,
                ReasonCode.DATABASE_NOT_LIVE: not armable,
                ReasonCode.KEY_MISMATCH: not key,
                ReasonCode.LOCK_LOST: not lock,
                ReasonCode.CLOCK_SKEW: skew != SKEW_MS_MAX - 1,
                ReasonCode.SELF_CHECK: not check,
            }
            yield facts, {code for code, closed in is_closed.items() if closed}


def barring(facts: GateFacts, closed: set[ReasonCode], kind: WriteKind) -> set[ReasonCode]:
    """The gates of a row that keep this kind of write back: in a dry run only the brakes count."""
    counting = closed & BRAKES if facts.dry_run else closed
    return counting - CANCELS_PASS if kind is WriteKind.CANCEL else counting


#: What a person may write for each switch: the one opening text first, then what must not open.
TYPED: Final[Mapping[str, tuple[str | None, ...]]] = {
    "DRY_RUN": ("false", None, "true", "", "fa1se", "nein"),
    "LIVE_TRADING": ("true", None, "false", "", "treu", "2"),
    "LIVE_TRADING_ACK": (
        *("I_UNDERSTAND", None, "", "i_understand", "I UNDERSTAND", "I_UNDERSTAND ", "I_UNDERSTAND!", "true"),
        *("I_UNDERSTOOD", "1_UNDERSTAND", "\u0399_UNDERSTAND", "yes"),
    ),
    "SAFE_MODE": (None, "true", "ture"),
    "KILL_SWITCH": (None, "true", "onn"),
    "BTCTURK_API_KEY": ("a-key-of-nobody", None),
}
_REST: Final = {"BTCTURK_API_SECRET": base64.b64encode(b"a secret of nobody").decode()}


def typed_table() -> Iterator[dict[str, str]]:
    """Every combination of `TYPED`, as an environment."""
    for texts in product(*TYPED.values()):
        environ = {name: text for name, text in zip(TYPED, texts, strict=True) if text is not None}
        yield environ | (_REST if "BTCTURK_API_KEY" in environ else {})


def opens(environ: Mapping[str, str]) -> bool:
    """Whether an order would leave with these settings, everything that is no setting being well."""
    try:
        read = load_settings(environ, default_env_file=None).settings
    except ConfigurationError:
        return False
    facts = armed(
        dry_run=read.dry_run,
        safe_mode=read.safe_mode,
        kill_switch=read.kill_switch,
        live_trading=read.live_trading,
        acknowledgement=read.live_trading_ack,
        key_matches=read.btcturk_api_key is not None,
    )
    answer = gates.decide(facts, WriteKind.SUBMIT, ORDER_ID, monotonic_ms=0)
    return isinstance(answer, Permit) and answer.scope is PermitScope.VENUE


def run(slice: int = 0, of: int = 1) -> Result:  # noqa: A002 - the name that all finite parts share
    """Both tables; `slice` of `of` takes every so-manieth row."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    opening: set[GateFacts] = set()
    for number, (facts, closed) in enumerate(truth_table()):
        if number % of != slice:
            continue
        counts["rows"] += 1
        for kind in WriteKind:
            answer = gates.decide(facts, kind, ORDER_ID, monotonic_ms=77)
            told = set(answer.reasons) if isinstance(answer, Closed) else set()
            if told != barring(facts, closed, kind):
                failures.append(f"{kind} with {sorted(closed)} closed: told {sorted(told)}")
        if not isinstance(answer := gates.decide(facts, WriteKind.SUBMIT, ORDER_ID, monotonic_ms=77), Closed):
            counts["rows:open to a dry run"] += answer.scope is PermitScope.SIMULATION
            if answer.scope is PermitScope.VENUE:
                # How the last cycle went is no switch: ACTIVE and OBSERVE_ONLY are one setting.
                opening.add(replace(facts, trading_state=TradingState.ACTIVE))
                if closed:
                    failures.append(f"an order leaves with {sorted(closed)} closed")
    if opening - {armed(clock_skew_ms=SKEW_MS_MAX - 1)} or (of == 1 and len(opening) != 1):
        failures.append(f"{len(opening)} settings of the switches open, not one: {opening}")
    counts["settings that open"] = len(opening) if of == 1 else 0
    typed_opening = []
    for number, environ in enumerate(typed_table()):
        if number % of != slice:
            continue
        counts["typed"] += 1
        if opens(environ):
            typed_opening.append(environ)
    counts["typed settings that open"] = len(typed_opening)
    right = {name: text for name, texts in TYPED.items() if (text := texts[0]) is not None} | _REST
    if any(environ != right for environ in typed_opening) or (of == 1 and len(typed_opening) != 1):
        failures.append(f"{len(typed_opening)} written settings open, not one: {typed_opening}")
    return Result(goal="G13", part="gates", counts=dict(counts), failures=failures)
