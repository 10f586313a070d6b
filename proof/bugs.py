"""The deliberate mistakes: each changes one behaviour of the product, and one invariant has to notice it first.

A row of this list is a mistake that somebody could make, or has made: `after` names the story it is told after, where
there is one (the plan's list of planted bugs, or another project's thread). `caught_by` names the invariant that speaks
first; «HALT I9» is the product's own assertion of I9, which halts before anything can be seen from outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from proof.planting import Patch


class Way(StrEnum):
    """How a mistake is looked for."""

    SEEDS = "seeds"  # worlds of faults, from the first seed on
    KILL_FILE = "kill file"  # the kill file made at every point of a short story
    DRY_RUN = "dry run"  # a dry run of random wishes, and its database offered to a live start
    LOCKS = "locks"  # a second writer by every path
    HALTED = "halted"  # wishes after a halt, and after a restart from it
    AT_ONCE = "at once"  # a venue that answers within the millisecond
    UNDER_WAY = "under way"  # the process ends while its order travels
    TRACES = "traces"  # one seed twice, in processes with other orders of hashes


class Bug(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    patches: tuple[Patch, ...]
    caught_by: tuple[str, ...]
    way: Way = Way.SEEDS
    after: str = ""
    #: The only faults of its worlds, in strokes per million occasions; empty: those that each seed draws.
    faults: Mapping[str, int] = {}
    #: The profile of its worlds, where only that one can show it; empty: that of each seed.
    profile: str = ""


def _bug(
    name: str,
    function: str,
    right: str,
    wrong: str,
    *caught_by: str,
    way: Way = Way.SEEDS,
    after: str = "",
    profile: str = "",
    **faults: int,
) -> Bug:
    module, _, inside = function.partition(":")
    patch = Patch(f"btcbot.{module}", inside, right, wrong)
    return Bug(name=name, patches=(patch,), caught_by=caught_by, way=way, after=after, faults=faults, profile=profile)


def _bugs(name: str, changes: Sequence[tuple[str, str, str]], *caught_by: str, profile: str = "", **faults: int) -> Bug:
    """A mistake that has to be made in several places to show: each of them guards the others."""
    patches = []
    for function, right, wrong in changes:
        module, _, inside = function.partition(":")
        patches.append(Patch(f"btcbot.{module}", inside, right, wrong))
    return Bug(name=name, patches=tuple(patches), caught_by=caught_by, faults=faults, profile=profile)


_PLAN: Final = "planned"
_RECORD_OUTCOME: Final = "services.execution:ExecutionService._record_outcome"
_SUBMIT: Final = "services.execution:ExecutionService.submit"
_RISK: Final = "decisions.risk:_evaluate_one"
_COMPARE: Final = "decisions.recovery:_compare_working"
_OF_SUBMIT: Final = "adapters.btcturk.outcome:of_submit"
_BOOK: Final = "services.accounting:AccountingService._book"
_GATES: Final = "decisions.gates:_brakes"
_REPLACE: Final = "decisions.replacement:_place_of_old"
_TAKE_STEP: Final = "services.replacement:ReplacementService._take_step"
_NARROWED: Final = "decisions.narrowing:_narrowed"
_ADAPT: Final = "services.adaptation:AdaptationService.cycle_ended"
_OVERSEEN: Final = "stage4-run"
_ADAPTIVE: Final = "stage7-run"

BUGS: Final[tuple[Bug, ...]] = (
    # -- sent twice, or not written down -----------------------------------------------------------------------------
    _bug(
        "an order is sent again when its answer is lost",
        "adapters.btcturk.rest:BtcturkHttpClient.submit",
        "return outcome.of_submit(",
        "result = result if isinstance(result, outcome.Answer) else self._requester.write(Endpoint.SUBMIT, "
        '"POST", "/api/v1/order", self._requester.fresh_stamp(), body); return outcome.of_submit(',
        "I1",
        after=_PLAN,
    ),
    _bug(
        "an order that a dead process left is sent anew under a fresh id",
        "cycle:Cycle._guard_and_act",
        "decisions = services.risk.filter(draft.intents, plan.facts, beside, draft.refused)",
        """from btcbot.decisions.risk import Allowed
    from btcbot.domain.intents import Intent
    open_orders = plan.facts.open_orders
    lost = [order for order in open_orders if order.is_in_doubt and "the process ended" in (order.reason or "")]
    again = [
        Intent(intent_id=order.intent_id, cycle_id=order.cycle_id, strategy=order.strategy, symbol=order.symbol,
               side=order.side, price=order.price, quantity=order.quantity, why="it may be lost")
        for order in lost if order.symbol in view.quotes
    ]
    decisions = [
        *(Allowed(intent, "") for intent in again),
        *services.risk.filter(draft.intents, plan.facts, beside, draft.refused),
    ]""",
        "I1",
        after=_PLAN,
    ),
    _bug(
        "an order is written down after it was sent",
        _SUBMIT,
        """    with self._store.transaction() as tx:
        tx.insert_order(order)
        tx.put_hold(self._hold(order, instrument))
        if beside is not None:
            beside(tx, order)

    permit = self._gatekeeper.ask(WriteKind.SUBMIT, order.client_order_id)
    if isinstance(permit, Closed):
        summary.denied += 1
        summary.closed_gates = permit.reasons
        return self._record(order, OrderEvent.DENY, instrument, reason=permit.reasons[0].value)
    return self._record_outcome(order, self._exchange.submit(order, permit), instrument, summary)""",
        """    permit = self._gatekeeper.ask(WriteKind.SUBMIT, order.client_order_id)
    if isinstance(permit, Closed):
        return None
    outcome = self._exchange.submit(order, permit)
    with self._store.transaction() as tx:
        tx.insert_order(order)
        tx.put_hold(self._hold(order, instrument))
        if beside is not None:
            beside(tx, order)
    return self._record_outcome(order, outcome, instrument, summary)""",
        "I1",
        after="an existing bot: key first, order row after the answer",
    ),
    _bug(
        "an order is sent although it could not be written down",
        _SUBMIT,
        """with self._store.transaction() as tx:
        tx.insert_order(order)
        tx.put_hold(self._hold(order, instrument))
        if beside is not None:
            beside(tx, order)""",
        """from btcbot.errors import StoreFailed
    try:
        with self._store.transaction() as tx:
            tx.insert_order(order)
            tx.put_hold(self._hold(order, instrument))
            if beside is not None:
                beside(tx, order)
    except StoreFailed:
        pass""",
        "I1",
        after="freqtrade #7184, #5621", disk_busy=60_000, disk_full=60_000),
    _bug(
        "a pair goes on trading while the fate of an order of it is open",
        _RISK,
        "if symbol in budget.in_doubt:",
        "if False:",
        "I1",
        after="hummingbot #3374",
    ),
    # -- what an answer proves ---------------------------------------------------------------------------------------
    _bug("no answer counts as a refusal", _RECORD_OUTCOME, "OrderEvent.DOUBT", "OrderEvent.DENY", "I7",
         after=_PLAN),
    _bug("a refusal is believed at once", _RECORD_OUTCOME, "OrderEvent.REFUSE", "OrderEvent.DENY", "I7",
         after="BtcTurk #353, #372"),
    _bug(
        "a broken connection counts as a request that never left",
        "adapters.btcturk.sender:Sender._sent",
        'return NoAnswer(f"no whole answer: {type(error).__name__}: {error}")',
        'return NeverLeft(f"no whole answer: {type(error).__name__}: {error}")',
        "I7",
        after="hummingbot #493, #2342",
    ),
    _bug(
        "an answer that cannot be read counts as a request that never left",
        _OF_SUBMIT,
        'return InDoubt(why=f"HTTP {result.status}: {error}")',
        'return NotSent(why=f"HTTP {result.status}: {error}")',
        "I7",
        after="an existing bot: HTML stored as REJECTED", html_after=200_000,
    ),
    _bug(
        "a server error counts as a request that never left",
        _OF_SUBMIT,
        "envelope = _proof(result.body)",
        'if result.status >= 500:\n            return NotSent(why=f"HTTP {result.status}")\n        '
        "envelope = _proof(result.body)",
        "I7",
        after="Binance -1007",
    ),
    _bug(
        "«success: true» is believed, with an order id or without",
        _OF_SUBMIT,
        """if wire.is_success(envelope) and _is_2xx(result.status, envelope):
            venue_order_id, echoed = wire.placed_order(envelope.data)""",
        """if envelope.success is True:
            venue_order_id, echoed = (
                ("0", None) if is_null(envelope.data) else wire.placed_order(envelope.data)
            )""",
        "I7",
        after=_PLAN, yes_and_no=100_000),
    _bug("a confirmed cancellation is taken as final", "services.execution:ExecutionService.cancel",
         "OrderEvent.REQUEST_CANCEL", "OrderEvent.CANCEL", "I7", after=_PLAN),
    _bug(
        "a refused cancellation is taken for a cancelled order",
        "services.execution:ExecutionService.cancel",
        "pass  # the venue's lists say what the order is; the next comparison reads them",
        "after = apply(order, OrderEvent.CANCEL, self._clock.now_ms()); "
        "tx = self._store.transaction(); tx.__enter__(); tx.update_order(after); "
        "tx.put_hold(Hold(client_order_id=order.client_order_id, asset='TRY', amount=money.ZERO)); "
        "tx.__exit__(None, None, None)",
        "I2",
        after="Qubx #434", partial_fill=20_000, trades_lag=600_000,
    ),
    # -- what absence proves -----------------------------------------------------------------------------------------
    _bug(
        "absent once is not placed",
        "decisions.recovery:_weigh_absence",
        "if count < LISTINGS_MIN or listing.taken_at_ms - since_ms < facts.settle_horizon_ms:",
        "if False:",
        "I7",
        after=_PLAN, replica_lag=500_000, lost_after_write=300_000),
    _bug(
        "absent twice is not placed, however soon after each other",
        "decisions.recovery:_weigh_absence",
        "if count < LISTINGS_MIN or listing.taken_at_ms - since_ms < facts.settle_horizon_ms:",
        "if count < LISTINGS_MIN:",
        "I7",
        after="nautilus #4152", replica_lag=500_000, lost_after_write=300_000),
    _bug(
        "absence is weighed while the request may still be accepted",
        "decisions.recovery:_weigh_absence",
        "if listing.taken_at_ms <= fence_ms:",
        "if False:",
        "I7",
        way=Way.UNDER_WAY,
    ),
    _bug(
        "an order that no list shows is taken for cancelled",
        _COMPARE,
        'return Wait(order, "the venue neither lists it as open nor knows its id yet")',
        "return Close(order, OrderEvent.CANCEL, ReasonCode.CANCELED_AT_VENUE)",
        "I7",
        "I2",
        after="nautilus #5000, freqtrade #4403", single_order_lag=600_000, open_orders_lag=600_000, hide_new=600_000,
    ),
    _bugs(
        "an order that is not listed as open is taken for cancelled at once",
        [
            (_COMPARE, "if not order.absent_count and age_ms < facts.settle_horizon_ms:", "if False:"),
            (
                _COMPARE,
                "if count >= LISTINGS_MIN and facts.venue_time_ms - since_ms >= facts.settle_horizon_ms:",
                "if True:",
            ),
        ],
        "I7", "I2"
    ),
    _bug(
        "an order that the venue shows is not looked for among those given up",
        "decisions.recovery:conclude",
        "if order.status in IN_DOUBT or order.status in REOPENABLE:",
        "if order.status is OrderStatus.SUBMITTED or order.status in REOPENABLE:",
        "I7",
        after="hummingbot #397",
    ),
    # -- fills -------------------------------------------------------------------------------------------------------
    _bug(
        "an order is closed without comparing what was filled",
        _COMPARE,
        "if shown.executed_quantity > booked:",
        "if False:",
        "I2",
        after=_PLAN, trades_lag=600_000, partial_fill=20_000, fill_while_cancelling=500_000, human_cancel=200_000),
    _bug(
        "fill and position are two transactions",
        _BOOK,
        "tx.put_position(done.position)",
        "pass\n    with self._store.transaction() as tx:\n        tx.put_position(done.position)",
        "I2",
        after=_PLAN,
    ),
    _bug(
        "a fill of the same order, price and quantity counts as known",
        _BOOK,
        "if self._store.has_fill(trade.trade_id) or",
        "if any((fill.price, fill.quantity) == (trade.price, trade.quantity) for fill in "
        "self._store.fills_of(trade.client_order_id or '')) or self._store.has_fill(trade.trade_id) or",
        "I2",
        after=_PLAN, partial_fill=50_000),
    # Fills of our own have a second way into the books: the trades of each order that executed more than was booked.
    _bug(
        "trades are read from the newest known one on",
        "services.accounting:AccountingService.refresh",
        "cursor_ms - TRADES_LOOKBACK_MS",
        "cursor_ms",
        "I16",
        after=_PLAN,
    ),
    _bug(
        "the signs of fee and tax are kept",
        "adapters.btcturk.wire.account:_trade",
        'fee=values.decimal(row.fee, "a trade\'s fee").copy_abs()',
        'fee=values.decimal(row.fee, "a trade\'s fee")',
        "I2",
        after="an existing bot: −0.15 instead of +0.405",
    ),
    # -- books -------------------------------------------------------------------------------------------------------
    _bug(
        "the fee of a trade is ignored",
        "decisions.booking:_trade_entry",
        """Posting(Account.VENUE, quote_asset, -value - fee - tax),
        Posting(counter, quote_asset, value),
        Posting(Account.FEE, quote_asset, fee),""",
        """Posting(Account.VENUE, quote_asset, -value - tax),
        Posting(counter, quote_asset, value),""",
        "I3",
        after=_PLAN,
    ),
    _bug("the tax of a trade is left out of its entry", "decisions.booking:_trade_entry",
         "-value - fee - tax", "-value - fee", "HALT I4"),
    _bug(
        "the balance of an account is its last entry",
        "adapters.store.sql:SqlTransaction._move_balances",
        "kept.get((asset, account), ZERO) + amount",
        "amount",
        "I4",
    ),
    _bug(
        "the fee of a transfer is booked as if the amount contained it",
        "decisions.booking:_when_sum_fits",
        "each.amount - each.fee if apart else each.amount",
        "each.amount",
        "I3",
    ),
    _bug(
        "trades of other hands are not booked",
        _BOOK,
        "tx.insert_entry(booking.book_foreign(trade))",
        "pass",
        "I16",
    ),
    _bug(
        "the opening is booked at every start",
        "services.startup_recovery:StartupRecoveryService.run",
        "if self._accounting.opening_at_ms() is None:",
        'if self.__dict__.setdefault("is_new", []) == [] and self.__dict__["is_new"].append(1) is None:',
        "I3",
        after="nautilus #3046",
    ),
    # -- holds and life cycle ----------------------------------------------------------------------------------------
    _bug("the hold of an order in doubt is released", "decisions.booking:hold_for",
         "if order.is_open else", "if order.is_open and not order.is_in_doubt else", "I10", after=_PLAN),
    _bug("a hold does not shrink with what is filled", "decisions.booking:hold_for",
         "order.leaves_quantity", "order.quantity", "I10"),
    _bug("the hold of a closed order stays", "services.order_lifecycle:OrderLifecycle._write",
         "tx.put_hold(self._hold(order, instrument))", "pass", "I10"),
    _bug("what a fill leaves is counted from the fill alone", "domain.orders:apply_fill",
         "filled = order.filled_quantity + quantity", "filled = quantity", "I9"),
    _bug("an order in doubt is closed like a refused one", "decisions.recovery:_weigh_absence",
         "if order.status is OrderStatus.REFUSED_PROVISIONAL:", "if order.is_in_doubt:", "HALT I9"),
    # -- budget ------------------------------------------------------------------------------------------------------
    _bug("open buys do not count as invested", "decisions.risk:_Budget.invested",
         "return value + self.open_buys.get(symbol, money.ZERO)", "return value", "I5",),
    _bug(
        "only confirmed orders count as invested",
        "decisions.risk:_Budget.__init__",
        "if order.side is Side.BUY:",
        "if order.side is Side.BUY and order.is_in_doubt:\n            pass\n        elif order.side is Side.BUY:",
        "I5",
        after="Knight Capital 2012",
        lost_after_write=400_000,
        open_orders_lag=900_000,
        all_orders_lag=900_000,
    ),
    _bug("the cap of a cycle is asked of each order alone", _RISK,
         "if budget.notional + value > limits.notional_per_cycle_max:",
         "if value > limits.notional_per_cycle_max:", "I5"),
    _bug("the loss of the day stops nothing", "decisions.risk:_refuse_buy",
         "if facts.daily_pnl <= -limits.daily_loss_max:", "if False:", "I5", price_jump=300_000),
    _bug("orders of a cycle are not counted", "decisions.risk:_Budget.take", "self.orders += 1", "pass", "I5"),
    # -- gates -------------------------------------------------------------------------------------------------------
    _bug("safe mode stops nothing", _GATES, "if facts.safe_mode:", "if False:", "I6", safe_mode=200_000),
    _bug("a halt stops nothing", _GATES, "facts.trading_state is TradingState.HALTED", "False", "I6",
         way=Way.HALTED),
    _bug("the skew of the clock stops nothing", "decisions.gates:_arming",
         "facts.clock_skew_ms is None or abs(facts.clock_skew_ms) >= facts.clock_skew_ms_max", "False", "I6"),
    _bug("orders go on after the word to stop", "services.execution:ExecutionService.execute_intents",
         "if self._stop.is_set():", "if False:", "I6", after="hummingbot #2534, #1508", sigterm=20_000),
    _bug(
        "the kill file is read once a cycle",
        "services.gatekeeper:Gatekeeper._look",
        "self._kill_switch.is_on()[0],",
        'self.__dict__.setdefault("kept", {}).setdefault(self._store.value("cycle_number"), '
        "self._kill_switch.is_on()[0]),",
        "I8",
        way=Way.KILL_FILE,
        after=_PLAN,
    ),
    _bug(
        "leave is asked for before the order is written down",
        _SUBMIT,
        """    with self._store.transaction() as tx:
        tx.insert_order(order)
        tx.put_hold(self._hold(order, instrument))
        if beside is not None:
            beside(tx, order)

    permit = self._gatekeeper.ask(WriteKind.SUBMIT, order.client_order_id)""",
        """    permit = self._gatekeeper.ask(WriteKind.SUBMIT, order.client_order_id)
    with self._store.transaction() as tx:
        tx.insert_order(order)
        tx.put_hold(self._hold(order, instrument))
        if beside is not None:
            beside(tx, order)
""",
        "I8",
        way=Way.KILL_FILE,
    ),
    _bug("a link in place of the kill file counts as off", "adapters.kill_switch:FileKillSwitch.is_on",
         "os.lstat(self._file)", "os.stat(self._file)", "I8", way=Way.KILL_FILE),
    _bug("a folder in place of the kill file counts as off", "adapters.kill_switch:FileKillSwitch.is_on",
         'return True, f"kill file {self.path} is not a regular file"', 'return False, ""', "I8", way=Way.KILL_FILE,
         after="hummingbot #2534"),
    # -- the form of an order, and the market ------------------------------------------------------------------------
    _bug("more is sold than is there", _RISK, "if quantity > sellable:", "if False:", "I14"),
    _bug("what is on sale can be sold again", "decisions.risk:_Budget.sellable",
         "mine -= self.open_sells.get(instrument.symbol, money.ZERO)", "pass", "I14"),
    _bug("an order may be of any value", _RISK, "if value < least:", "if False:", "I14"),
    _bug("an order may be of any price", _RISK, "if away * 10_000 > limits.price_collar_bps * mid:", "if False:",
         "I14",
         after="Alameda 2021-10-21"),
    _bug("a price is taken as it is wished", _RISK,
         "price = instrument.price_down(intent.price) if is_buy else instrument.price_up(intent.price)",
         "price = intent.price", "ASSERT I14"),
    _bug("a crossed book is traded on", "decisions.freshness:judge", "elif zero < quote.bid < quote.ask:",
         "elif True:", "I15", crossed_book=150_000),
    _bug("the age of a quote is not looked at again before an order leaves",
         "services.execution:ExecutionService.execute_intents",
         "if not may_order(decision.intent.symbol):", "if False:", "I15", process_paused=10_000),
    _bug(
        "the last quote serves while the venue tells none",
        "services.market_data:MarketDataService._look",
        "return self._judge(symbols, self._exchange.quotes(symbols), self._exchange.venue_time_ms())",
        'quotes = {**self.__dict__.setdefault("kept", {}), **self._exchange.quotes(symbols)}; '
        'self.__dict__["kept"] = quotes; return self._judge(symbols, quotes, self._exchange.venue_time_ms())',
        "I15",
    ),
    # -- the live feed -----------------------------------------------------------------------------------------------
    _bug("a change of a book is taken whatever came before it", "adapters.btcturk.feed_book:LocalBook.apply",
         "if diff.sequence != self._sequence + 1:", "if False:", "I15",
         after="xchange-stream #498", feed_frames_lost=150_000),
    _bugs(
        "a book of the feed is traded on before it was compared",
        (
            ("decisions.book_trust:distrust", "at_ms = compared_at_ms.get(symbol)",
             "at_ms = max(compared_at_ms.get(symbol, 0), book.snapshot_at_ms)"),
            ("services.feed:FeedService.confirm", "self._compared_at_ms[symbol]",
             "self._compared_at_ms.get(symbol, book.snapshot_at_ms)"),
        ),
        "I15", feed_aborted=150_000),
    _bug("a comparison counts although another book has begun since", "decisions.book_trust:distrust",
         "if at_ms is None or at_ms < book.snapshot_at_ms:", "if at_ms is None:", "I15",
         feed_aborted=150_000),
    _bug("what REST shows of a book makes no difference", "services.feed:FeedService._judge",
         "elif finding is Finding.DIFFERS:", "elif False:", "I15",
         feed_books_stop=60_000, feed_price_spike=60_000, feed_snapshot_stale=100_000),
    _bugs(
        "books are compared once and never again",
        (
            ("decisions.book_trust:distrust", "if now_ms - at_ms > limits.check_ms_max:", "if False:"),
            ("decisions.book_trust:due", "now_ms - at_ms >= renew_ms", "False"),
        ),
        "I15"),
    _bugs(
        "a connection is believed however long it has been silent",
        (
            ("adapters.btcturk.feed_protocol:FeedProtocol._is_silent",
             "return now_ms - self._alive_at_ms > self._timing.silence_ms_max", "return False"),
            ("adapters.btcturk.feed_protocol:FeedProtocol.next_tick_ms",
             "self._timing.silence_ms_max + 1", "10**12"),
            ("decisions.book_trust:distrust", "if silent_ms > limits.silence_ms_max:", "if False:"),
            ("decisions.book_trust:is_silent",
             "return now_ms - max(book.changed_at_ms, compared_at_ms) > limits.silence_ms_max", "return False"),
            ("services.feed:FeedService.quotes", "now_ms - view.alive_at_ms", "0"),
        ),
        "I15", feed_half_open=150_000),
    _bug("an order on a silent pair needs no comparison", "decisions.book_trust:is_silent",
         "return now_ms - max(book.changed_at_ms, compared_at_ms) > limits.silence_ms_max", "return False", "I15",
         feed_books_stop=150_000),
    _bug("a book that cannot be is traded on", "adapters.btcturk.feed_book:LocalBook._judge", "if bid >= ask:",
         "if False:", "I15", feed_crossed=150_000),
    _bug("the caps of a cycle begin anew when the feed wakes one", "cycle:Cycle._woken_steps",
         "services, summary = self._services, progress.summary",
         "services, summary = self._services, progress.summary; self._spent = NOTHING_SPENT", "I5"),
    _bug("what was ordered since the last comparison is not subtracted",
         "services.startup_recovery:StartupRecoveryService.account_now",
         "return self._last.account.with_held(since)", "return self._last.account", "I14",
         profile="run", feed_events_lost=600_000, price_jump=300_000),
    _bug("a cycle that the feed wakes asks the venue for what it lacks", "cycle:Cycle._woken_steps",
         "services.market_data.get_from_feed(universe.watched, venue_now_ms)",
         "services.market_data.get_best_bid_ask(universe.watched)", "I18"),
    _bug("nothing is subscribed to after the first connection", "adapters.btcturk.feed_protocol:FeedProtocol.connected",
         "*self._pairs.open(now_ms)", "*(self._pairs.open(now_ms) if self._connection == 1 else [])", "I7"),
    _bug(
        "a fill is booked when the feed tells of it",
        "services.feed:FeedService._note",
        'self._metrics.count("btcbot_feed_account_events_total", kind=event.kind.value)',
        """from btcbot.domain.fills import Fill
    order = self._store.order(event.client_order_id or "")
    if event.trade_id is not None and order is not None:
        with self._store.transaction() as tx:
            tx.insert_fill(Fill(trade_id=event.trade_id, client_order_id=order.client_order_id, symbol=order.symbol,
                                side=order.side, price=order.price, quantity=order.quantity - order.filled_quantity,
                                fee=order.price * 0, tax=order.price * 0, at_ms=self._clock.now_ms()))""",
        "I2",
        after="hummingbot #1663; nautilus #3493",
    ),
    # -- other hands -------------------------------------------------------------------------------------------------
    _bug(
        "an order is cancelled by its place in the list",
        "adapters.btcturk.rest:BtcturkHttpClient.cancel",
        "venue_order_id = order.venue_order_id or self._find(order)",
        "venue_order_id = next((row.venue_order_id for row in self.open_orders(order.symbol)), order.venue_order_id)",
        "I16", human_rests=20_000),
    _bug(
        "an order of the same pair, side and price is taken for ours",
        "services.accounting:AccountingService._order_of",
        "return None  # somebody else's order",
        "return next((one for one in self._store.recent_orders(50) if (one.symbol, one.side) == "
        "(trade.symbol, trade.side)), None)  # somebody else's order",
        "HALT I1",
        after="an existing bot: adopts any order of equal price and quantity",
        human_order=20_000,
    ),
    # -- stamps and manners ------------------------------------------------------------------------------------------
    _bug("stamps are not written down", "adapters.btcturk.nonce:NonceSource.take", "if stamp > self._mark:",
         "if False:", "I11", after="two programs, one key: bitfinex-api-py #120", time_request_slow=400_000,
         crash=10_000),
    _bug("a stamp is the time, whatever the last one was", "adapters.btcturk.nonce:NonceSource.take",
         "stamp = max(now_ms, self._last + 1)", "stamp = now_ms", "I11", way=Way.AT_ONCE),
    _bug("a key that is refused is used on", "adapters.btcturk.breaker:Breaker.is_key_refused",
         "if self._unauthorized_in_a_row < UNAUTHORIZED_MAX:", "if True:", "I17", unauthorized=60_000),
    _bug("the venue's wish for a pause is not heard", "adapters.btcturk.breaker:Breaker.rate_limited",
         "closed_s = told_s if told_s is not None else min(", "closed_s = min(", "I17"),
    _bug("a read is tried without end", "adapters.btcturk.requester:Requester.read",
         "attempt >= timing.attempts_max or", "", "I18"),
    _bug("a cancellation is asked for in every cycle", "decisions.lifecycle:_is_due_again",
         "return not 0 <= now_ms - asked_ms < retry_ms", "return True", "I18",
         after="Qubx #434"),
    # -- replacements ------------------------------------------------------------------------------------------------
    _bugs(
        "the new order of a replacement is sent before the old one is proved closed",
        (
            (_REPLACE, "old = facts.old",
             "old = facts.old and msgspec.structs.replace(facts.old, status=OrderStatus.CANCELED); "
             "facts = msgspec.structs.replace(facts, open_orders=())"),
            (_TAKE_STEP, "or old is None or old.status not in PROVED_CLOSED", "or old is None"),
            ("decisions.upkeep:Upkeep.shape", "elif len(working) < len(at_place):",
             "elif len(working) < len(at_place) and not replaces_another(intent.intent_id):"),
        ),
        "I5", profile=_OVERSEEN),
    _bug("a resumed replacement forgets what the old order filled", _REPLACE,
         "left = record.quantity - max(old.filled_quantity - record.filled_before, money.ZERO)",
         "left = record.quantity", "I5", profile=_OVERSEEN, fill_while_cancelling=400_000, partial_fill=20_000),
    _bugs(
        "that the new order was made is remembered by the process alone",
        (
            (_TAKE_STEP, "self._put(tx, lambda one: after if one.old_client_order_id == record.old_client_order_id "
             "else one)", "after"),
            (_REPLACE, "if facts.last_order_ms is not None and facts.last_order_ms > record.begun_at_ms:", "if False:"),
        ),
        "I5", "I1", profile=_OVERSEEN),
    _bug("a replacement that is over is never taken out", "services.replacement:ReplacementService.settle",
         "ended, self._ended = self._ended, []", "ended, self._ended = [], []", "I7", profile=_OVERSEEN),
    # -- those who watch over a run ----------------------------------------------------------------------------------
    _bugs(
        "a freeze on unexplained orders closes no gate",
        (
            (_GATES, "if facts.has_unexplained_orders:", "if False:"),
            ("services.freeze:FreezeOverseer.look", "if record is None:", "if True:"),
        ),
        "I6", profile=_OVERSEEN, other_book_order=200_000),
    _bug("how often an unexplained order was seen is forgotten at each restart",
         "services.freeze:FreezeOverseer.cycle_ended", "tx.put_value(ORDER_FREEZE_WATCH, ",
         "(lambda *_: None)(ORDER_FREEZE_WATCH, ", "I23", profile=_OVERSEEN, other_book_order=200_000, crash=12_000),
    _bug("of several stances the last one counts", "domain.stance:strictest",
         "mode=stricter_mode(found.mode, stance.mode)", "mode=stance.mode", "I23", profile=_OVERSEEN),
    _bug("while risk is only to be reduced, buys go on", _NARROWED,
         "if stance.mode is TradingMode.REDUCE_RISK_ONLY:", "if False:", "I23", profile=_OVERSEEN),
    _bug("a symbol that is barred for its refusals is traded on", _NARROWED,
         "if why := stance.barred.get(intent.symbol):", "if False:", "I23", profile=_OVERSEEN,
         symbol_refused=120_000),
    _bug("what may not be bought is bought on", _NARROWED,
         "if why := stance.no_buys.get(intent.symbol):", "if False:", "I23", profile=_OVERSEEN),
    _bugs(
        "what has left the universe is bought on",
        (
            (_NARROWED,
             "if intent.symbol in facts.universe.winding_down or intent.symbol not in facts.universe.active:",
             "if False:"),
            ("decisions.narrowing:_buyable", "active = facts.universe.active", "active = tuple(facts.quotes)"),
        ),
        "I23", profile=_OVERSEEN),
    _bug("the kill chain counts and turns nothing on", "services.kill_chain:KillChain.cycle_ended",
         "self._kill_switch.turn_on(reason, now_ms)", "pass", "I23", profile=_OVERSEEN, strategy_raises=200_000),
    _bug("a degrade level never comes down", "decisions.degrade:step", "below = state.level - 1",
         "below = state.level", "I26", profile=_OVERSEEN),
    _bug("the last fill of a cycle is counted again in the next one", "services.snapshots:SnapshotRecorder._folded",
         "self._store.fills_after(state.fills_counted)", "self._store.fills_after(max(state.fills_counted - 1, 0))",
         "I25", profile=_OVERSEEN),
    _bug("a feed that has woken a cycle in vain wakes it again and again", "cycle:Cycle._woken_steps",
         "services.feed.look()", "pass", "I18", profile=_OVERSEEN),
    _bug("trading does not hear of the pause that a look was asked for",
         "adapters.btcturk.public_reads:PublicReads.__init__", ", breaker=requester.breaker", "", "I17",
         profile=_ADAPTIVE, rate_limited=40_000),
    # -- parameters that adapt ---------------------------------------------------------------------------------------
    _bug("a change of parameters is written down a cycle late, and made again after a crash", _ADAPT,
         "tx.put_value(STATE, encode(step.course))", "step.changes or tx.put_value(STATE, encode(step.course))", "I24",
         profile=_ADAPTIVE),
    _bug("parameters are moved beyond their bounds", "decisions.adaptation:_applied",
         "within = min(max(wish.value, bound.least), bound.most)", "within = wish.value", "I24", profile=_ADAPTIVE),
    _bug("a rollback goes back to what nobody tried", "decisions.adaptation:_rolled_back",
         "tuning, last_version = good, course.last_version",
         "tuning, last_version = msgspec.structs.replace(good, orders_per_cycle_max=7), course.last_version", "I24",
         profile=_ADAPTIVE),
    _bug("caps that were tuned down do not hold", "services.risk:RiskService._limits_now", "if tuning is None:",
         "if True:", "I24", profile=_ADAPTIVE, rate_limited=60_000),
    # -- what the database tells -------------------------------------------------------------------------------------
    _bug("only refusals are written down", "services.risk:RiskService.filter",
         "for decision in decisions:\n            tx",
         "for decision in [each for each in decisions if isinstance(each, RefusedIntent)]:\n            tx", "I20"),
    _bug("orders in doubt are not counted as sent", _RECORD_OUTCOME, "isinstance(outcome, _NEVER_SENT):",
         "isinstance(outcome, (*_NEVER_SENT, InDoubt)):", "I20"),
    # -- one instance ------------------------------------------------------------------------------------------------
    _bug("the lock on the API key is not taken", "adapters.process_lock:acquire", "if key_fingerprint is not None:",
         "if False:", "I12", way=Way.LOCKS, after="zenbot #1084: one key, two programs"),
    _bug("a database is locked by its path", "adapters.process_lock:acquire",
         'f"database-{identity[0]:x}-{identity[1]:x}"', 'f"database-{path}"[-90:]', "I12", way=Way.LOCKS),
    _bug("the locks are let go once they are had", "adapters.process_lock:acquire", "held.pop_all()",
         "contextlib.ExitStack()", "I12", way=Way.LOCKS),
    _bug("a lock counts although its database was replaced", "adapters.process_lock:WriterLock.is_held",
         "return (facts.st_dev, facts.st_ino) == self._identity", "return True", "I12", way=Way.LOCKS),
    # -- dry run -----------------------------------------------------------------------------------------------------
    _bug("a dry run is built like a live one", "bootstrap.meaning:mode_of", "if settings.dry_run:", "if False:", "I13",
         way=Way.DRY_RUN),
    _bug(
        "a database serves whatever it is opened for",
        "bootstrap.purpose:bind",
        "if identity.mode != mode:",
        "if identity.mode == 'dry_run':\n        return identity\n    if identity.mode != mode:",
        "I13",
        way=Way.DRY_RUN,
    ),
    # -- determinism -------------------------------------------------------------------------------------------------
    _bug("pauses take their jitter from the machine", "adapters.btcturk.requester:Requester.read",
         "pause_s = timing.backoff_s * 2 ** (attempt - 1)",
         "import random; pause_s = timing.backoff_s * 2 ** (attempt - 1) * (1 + random.random())", "I19",
         way=Way.TRACES),
    _bug("books are asked for in the order of a set", "services.market_data:MarketDataService._look",
         "self._exchange.quotes(symbols)", "self._exchange.quotes(list(set(symbols)))", "I19",
         way=Way.TRACES),
    _bug("trades are booked in the order of a set", "services.accounting:AccountingService.book_trades",
         "fresh.sort(key=lambda trade: (trade.at_ms, trade.trade_id))", "fresh = list(set(fresh))", "I19",
         way=Way.TRACES,
         after="nautilus #3878"),
)  # fmt: skip
