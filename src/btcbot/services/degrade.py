"""DegradeOverseer: looks for anomalies once a cycle, and narrows trading as far as they go.

It looks before the cycle plans, where the cycle comes so far; a cycle that does not, because the venue is in trouble,
is judged when it ends. What it counts from cycle to cycle is kept in the database with the cycle's report, so that
windows and cooldowns go on across restarts.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec

from btcbot.decisions import anomalies, degrade, divergence
from btcbot.decisions.anomalies import Anomaly, AnomalyRules, Sight
from btcbot.decisions.degrade import DegradeRules
from btcbot.decisions.divergence import BookFacts
from btcbot.domain import money
from btcbot.domain.ledger import Account
from btcbot.domain.reasons import ReasonCode
from btcbot.domain.stance import Stance
from btcbot.ports import Log, Metrics, StateStore, Transaction, VenueHealth
from btcbot.services import named_values, values
from btcbot.services.degrade_record import DEGRADE, Kept, decode_kept, encoded, put_anomaly, put_change
from btcbot.services.freeze_record import is_frozen
from btcbot.services.watching import CycleEnd, CycleFacts

#: How a cycle says that it failed at the trade list, and with that, that the venue had answered before.
_AT_TRADE_LIST: Final = f"{ReasonCode.VENUE_UNAVAILABLE.value}: trades:"
_WOKEN: Final = "woken_by_feed"


class _Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One cycle's judgement, until it is written down. `before` is the level in force and the codes before it."""

    cycle_id: str
    at_ms: int
    kept: Kept
    found: tuple[Anomaly, ...]
    level_before: int
    codes_before: tuple[str, ...]
    was_overridden: bool


class DegradeOverseer:
    """An overseer and a watcher. `health` is the venue's, asked for without a request; `has_feed` whether quotes are to
    come from the live feed."""

    name = "degrade"

    def __init__(
        self,
        store: StateStore,
        health: Callable[[], VenueHealth],
        metrics: Metrics,
        log: Log,
        limits: AnomalyRules,
        rules: DegradeRules,
        *,
        has_feed: bool,
        quote_asset: str = "TRY",
    ) -> None:
        self._store = store
        self._health = health
        self._metrics = metrics
        self._log = log
        self._limits = limits
        self._rules = rules
        self._has_feed = has_feed
        self._quote_asset = quote_asset
        self._judged: _Judged | None = None
        self._text, self._kept = "", Kept()
        self._bids = named_values.amounts(store, values.MARKS)

    def look(self, facts: CycleFacts) -> Stance:
        kept = self._read(facts.local_ms)
        measured, baseline = self._measure(facts, kept)
        sight = Sight(
            now_ms=facts.local_ms,
            market=facts.view,
            has_feed=self._has_feed,
            clock_skew_ms=facts.health.clock_skew_ms,
            endpoints_closed=facts.health.endpoints_closed,
            divergence=measured,
        )
        kept = msgspec.structs.replace(kept, baseline=baseline)
        self._judged = judged = self._judge(facts.cycle_id, kept, sight)
        return degrade.stance_of(judged.kept.machine, judged.at_ms, self._rules)

    def cycle_ended(self, end: CycleEnd, tx: Transaction) -> None:
        report, summary, limits = end.report, end.summary, self._limits
        if report.counts.get(_WOKEN):
            kept = self._read(report.ended_at_ms)
            self._put(msgspec.structs.replace(kept, watch=anomalies.refused_between(kept.watch, summary.refused)), tx)
            return
        judged, self._judged = self._judged, None
        if judged is None or judged.cycle_id != report.cycle_id:
            judged = self._judge_blind(report.cycle_id, report.ended_at_ms)
        has_heard = end.facts is not None or any(reason.startswith(_AT_TRADE_LIST) for reason in report.reasons)
        watch = anomalies.ended(
            judged.kept.watch,
            cycle_ms=round(end.seconds * 1000),
            refused=summary.refused,
            cursor_ms=named_values.whole_number(self._store, values.TRADES_CURSOR_MS) or 0,
            has_heard=has_heard,
            rules=limits,
        )
        self._note(judged, tx)
        self._put(msgspec.structs.replace(judged.kept, watch=watch, rules=self._rules), tx)

    def _judge_blind(self, cycle_id: str, now_ms: int) -> _Judged:
        """A cycle that saw no market; what the venue's health and the cycles before tell is seen all the same."""
        health = self._health()
        sight = Sight(
            now_ms=now_ms,
            market=None,
            has_feed=self._has_feed,
            clock_skew_ms=health.clock_skew_ms,
            endpoints_closed=health.endpoints_closed,
            divergence=None,
        )
        return self._judge(cycle_id, self._read(now_ms), sight)

    def _judge(self, cycle_id: str, kept: Kept, sight: Sight) -> _Judged:
        machine, now_ms = kept.machine, sight.now_ms
        watch = anomalies.noticed(kept.watch, sight)
        found = anomalies.find(watch, sight, self._limits)
        after = degrade.step(
            machine,
            found,
            freeze_active=is_frozen(self._store),
            saw_market=sight.market is not None,
            now_ms=now_ms,
            rules=self._rules,
            clock_is_trusted=sight.clock_skew_ms is not None and abs(sight.clock_skew_ms) < self._limits.clock_skew_ms,
        )
        level = degrade.level_in_force(after, now_ms)
        self._metrics.gauge("btcbot_degrade_level", level)
        for anomaly in found:
            self._metrics.count("btcbot_anomalies_total", code=anomaly.code.value, severity=anomaly.severity.value)
        return _Judged(
            cycle_id=cycle_id,
            at_ms=now_ms,
            kept=msgspec.structs.replace(kept, machine=after, watch=watch),
            found=found,
            # An override that ran out between two cycles was in force until this one.
            level_before=machine.override.level if machine.override else degrade.level_in_force(machine, now_ms),
            codes_before=machine.codes,
            was_overridden=machine.override is not None,
        )

    def _note(self, judged: _Judged, tx: Transaction) -> None:
        """Anomalies that begin, and a level that changed."""
        machine, at_ms = judged.kept.machine, judged.at_ms
        for anomaly in judged.found:
            if anomaly.code.value not in judged.codes_before:
                put_anomaly(tx, anomaly, judged.cycle_id, at_ms)
                self._log.warning(
                    "anomaly", code=anomaly.code.value, severity=anomaly.severity.value, why=anomaly.detail
                )
        before, after = judged.level_before, degrade.level_in_force(machine, at_ms)
        has_ended = judged.was_overridden and machine.override is None
        if before == after and not has_ended:
            return
        what = "override_ended" if has_ended else "raised" if after > before else "lowered"
        why = degrade.why_in_force(machine, at_ms)
        put_change(tx, what, before, after, why, judged.cycle_id, at_ms)
        log = self._log.warning if after > before else self._log.info
        log("degrade_level", what=what, before=before, after=after, mode=degrade.MODES[after].value, why=why)

    # -- what the books say ----------------------------------------------------------------------------------------

    def _measure(self, facts: CycleFacts, kept: Kept) -> tuple[Decimal | None, divergence.Baseline]:
        """What the account is worth above our result; None where results are not all in one asset."""
        instruments, positions = facts.instruments, tuple(facts.positions.values())
        self._bids.update({symbol: quote.bid for symbol, quote in facts.view.quotes.items()})
        if any(one.symbol in instruments and instruments[one.symbol].quote != self._quote_asset for one in positions):
            return None, kept.baseline
        prices = {self._quote_asset: money.ONE}
        for symbol, bid in self._bids.items():
            instrument = instruments.get(symbol)
            if instrument is not None and instrument.quote == self._quote_asset:
                prices[instrument.base] = bid
        books = BookFacts(
            account=facts.account,
            venue=self._store.account_balances(Account.VENUE),
            market=self._store.account_balances(Account.MARKET),
            suspense=self._store.account_balances(Account.SUSPENSE),
            adopted=self._store.account_balances(Account.ADOPTED),
            positions=positions,
            base_of={one.symbol: instruments[one.symbol].base for one in positions if one.symbol in instruments},
            prices=prices,
            watched=self._store.discrepancies(),
            quote_asset=self._quote_asset,
        )
        return divergence.measure(books, kept.baseline)

    # -- what is kept ----------------------------------------------------------------------------------------------

    def _read(self, now_ms: int) -> Kept:
        """What the last cycle, or an operator since, left in the database."""
        text = self._store.value(DEGRADE) or ""
        if text != self._text:
            self._text, self._kept = text, decode_kept(text, now_ms)
        return self._kept

    def _put(self, kept: Kept, tx: Transaction) -> None:
        if kept != self._kept or not self._text:
            self._text, self._kept = encoded(kept), kept
            tx.put_value(DEGRADE, self._text)
