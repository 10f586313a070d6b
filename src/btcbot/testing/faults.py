"""What can go wrong, by name: the catalogue of the fault simulation.

A fault belongs to a *site*, the place where it may strike: a request on its way (`wire`), any of the points that the
bot passes on its way to the world (`point`), the pause before a cycle (`beat`), or the live feed at any moment
(`feed`). On each occasion chance decides whether it strikes, how hard (`numbers`), and what struck is kept as a
`Firing`: a list of those is a story that can be told again, and made shorter.

What a fault of the wire does stands here, as a rule of the venue or a change of the body; what the others do stands in
`effects` and `feed_effects`, under the same name. `absent` names what the plan knows and this catalogue does not do,
and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from btcbot.testing import bodies, candles
from btcbot.testing.fault import (
    Fault,
    Firing,
    Knowing,
    anywhere,
    beat,
    between,
    is_private,
    nothing,
    one_of,
    only,
    point,
    wire,
)

__all__ = ["FAULTS", "FEED_MS_MAX", "Fault", "Firing", "Knowing"]

OPEN_ORDERS: Final = "GET /api/v1/openOrders"
ALL_ORDERS: Final = "GET /api/v1/allOrders"
SINGLE_ORDER: Final = "GET /api/v1/order/N"
BALANCES: Final = "GET /api/v1/users/balances"
TIME: Final = "GET /api/v2/server/time"
TRADES: Final = "GET /api/v1/users/transactions/trade"
BOOK: Final = "GET /api/v2/orderbook"
SUBMIT: Final = "POST /api/v1/order"
CANCEL: Final = "DELETE /api/v1/order"
CHARTS: Final = "GET /v1/klines/history"

#: The latest moment after a cycle's beginning at which a fault of the feed begins, in milliseconds.
FEED_MS_MAX: Final = 9_000
#: Rates of what has an occasion at every request, every point, every write, every read of one kind, every cycle.
_REQUEST: Final = (1_500, 15_000)
_SELDOM: Final = (1_000, 10_000)
_POINT: Final = (300, 4_000)
_COMMIT: Final = (800, 10_000)
_WRITING: Final = (20_000, 150_000)
_READING: Final = (50_000, 350_000)
_CYCLE: Final = (12_000, 80_000)
_LONG: Final = (6_000, 40_000)
_FEED_CYCLE: Final = (12_000, 80_000)
_FEED_SELDOM: Final = (12_000, 60_000)
_WRITES: Final = only(SUBMIT, CANCEL)
_PICK: Final = between((0, 999), (1, 999))
_SPOT: Final = between((0, 999), (0, 999))


def is_list(place: str) -> bool:
    return place in (TRADES, ALL_ORDERS)


def _feed(name: str, what: str, *ranges: tuple[int, int], ppm: tuple[int, int] | None = None) -> Fault:
    """`ranges`: one number from each, after the moment at which it begins."""
    draw = between((0, FEED_MS_MAX), *ranges)
    return Fault(name=name, group="feed", what=what, site="feed", ppm=ppm or _FEED_CYCLE, at=anywhere, draw=draw)


_SENDING: Final = (
    wire("lost_before", "sending", "the request is lost before the venue", _REQUEST,
         rule=lambda n: ("lost_before", {})),
    wire("lost_after", "sending", "the venue acts, its answer is lost", _REQUEST,
         rule=lambda n: ("lost_after", {})),
    wire("lost_after_write", "sending", "a write is carried out and its answer lost", _WRITING, _WRITES,
         rule=lambda n: ("lost_after", {})),
    wire("lost_before_write", "sending", "a write is lost before the venue", _WRITING, _WRITES,
         rule=lambda n: ("lost_before", {})),
    wire("reset_mid_body", "sending", "the connection ends in the middle of the answer", _REQUEST,
         draw=between((0, 200)), rule=lambda n: ("truncated", {"cut_at": n[0]})),
    wire("duplicate_delivery", "sending", "a proxy delivers the request twice; the first answer is told", _REQUEST),
    wire("duplicate_second_answer", "sending", "a proxy delivers it twice; the second answer is told", _SELDOM,
         is_private),
    wire("slow_within", "sending", "the answer is slow, within the deadline", _REQUEST,
         draw=between((300, 3_500)), rule=lambda n: ("delay_after", {"delay_ms": n[0]})),
    wire("slow_beyond", "sending", "the answer comes after the deadline", _REQUEST,
         draw=between((8_100, 12_000)), rule=lambda n: ("delay_after", {"delay_ms": n[0]})),
    wire("late_inside", "sending", "a write arrives after our deadline and within its stamp", _WRITING, _WRITES,
         between((4_050, 4_850)), lambda n: ("delay_before", {"delay_ms": n[0]})),
    wire("late_outside", "sending", "a write arrives when its stamp is too old", _WRITING, _WRITES,
         between((5_200, 9_000)), lambda n: ("delay_before", {"delay_ms": n[0]})),
    wire("connect_failure", "sending", "no connection comes about", _REQUEST),
    wire("connect_time_out", "sending", "nobody answers the attempt to connect, until the deadline", _SELDOM),
    wire("dns_failure", "sending", "the venue's name cannot be looked up", _SELDOM),
    wire("tls_failure", "sending", "the venue's certificate is not accepted", _SELDOM),
    beat("network_down", "sending", "no connection at all, for one or two cycles", _LONG, between((1, 2))),
)  # fmt: skip

_ANSWERS: Final = (
    wire("status_before", "answers", "a 5xx before the venue acts", _REQUEST, anywhere, one_of(500, 502, 503, 504),
         lambda n: ("status_before", {"status": n[0]})),
    wire("status_after", "answers", "a 5xx after the venue has acted", _REQUEST, anywhere, one_of(500, 502, 503, 504),
         lambda n: ("status_after", {"status": n[0]})),
    wire("html_before", "answers", "a page of HTML before the venue acts", _REQUEST, anywhere, one_of(502, 503, 520),
         lambda n: ("html_before", {"status": n[0]})),
    wire("html_after", "answers", "a page of HTML, with status 200 too, after the venue has acted", _REQUEST,
         anywhere, one_of(200, 502, 504, 520), lambda n: ("html_after", {"status": n[0]})),
    wire("rate_limited", "answers", "429 with Retry-After", _REQUEST, anywhere, between((1, 20)),
         lambda n: ("rate_limited", {"retry_after": n[0]})),
    wire("rate_limited_bare", "answers", "429 without Retry-After", _REQUEST,
         rule=lambda n: ("rate_limited", {"retry_after": None})),
    wire("rate_limited_absurd", "answers", "429 with an absurd Retry-After", _SELDOM, anywhere, between((0, 4)),
         lambda n: ("rate_limited", {"retry_after": bodies.ABSURD_WAITS[n[0]]})),
    wire("unauthorized", "answers", "one to five answers 401 in a row", _SELDOM, is_private, between((1, 5)),
         lambda n: ("unauthorized", {})),
    wire("yes_and_no", "answers", "status 200, success true, and the code of a refusal", _REQUEST, is_private,
         rule=lambda n: ("status_before", {"status": 200, "body":
                         '{"success":true,"message":"Invalid request","code":1037,"data":null}'})),
    wire("empty_body", "answers", "an answer without a body", _REQUEST, remake=bodies.empty),
    wire("huge_body", "answers", "more bytes than anybody can want", (400, 4_000), anywhere, nothing,
         lambda n: ("huge_body", {"bytes": 8_400_000})),
    wire("deep_json", "answers", "a field nested 30 or 100,000 deep", _SELDOM, anywhere, between((0, 1)),
         remake=bodies.deep),
    wire("wrong_shape", "answers", "JSON of another shape", _REQUEST, anywhere, between((0, 999)),
         remake=bodies.wrong_shape),
    wire("wrong_type", "answers", "one value of another type", _REQUEST, anywhere, _SPOT, remake=bodies.wrong_type),
    wire("duplicate_key", "answers", "one name twice in its object, first with another value", _REQUEST, anywhere,
         _SPOT, remake=bodies.twice_keyed),
    wire("unknown_word", "answers", "a status, side or method that nobody has seen before", _REQUEST, anywhere, _SPOT,
         remake=bodies.unknown_word),
    wire("not_a_number", "answers", "NaN, an infinity or another type in place of an amount", _REQUEST, is_private,
         _SPOT, remake=bodies.not_a_number),
    wire("huge_number", "answers", "an amount that cannot be", _REQUEST, is_private, _SPOT,
         remake=bodies.huge_number),
    wire("exponent_number", "answers", "an amount in scientific notation", _REQUEST, anywhere, _SPOT,
         remake=bodies.exponent),
    wire("byte_order_mark", "answers", "a byte order mark before the JSON", _REQUEST, remake=bodies.with_mark),
    wire("extra_fields", "answers", "fields that nobody knows", _REQUEST, remake=bodies.with_news),
    beat("venue_down", "answers", "the venue answers 503 to everything, for one or two cycles", _LONG,
         between((1, 2))),
)  # fmt: skip

_READS: Final = (
    wire("open_orders_lag", "reads", "the list of open orders is old", _READING, only(OPEN_ORDERS),
         between((1, 999)), lambda n: ("lag", {})),
    wire("all_orders_lag", "reads", "the list of all orders is old", _READING, only(ALL_ORDERS),
         between((1, 999)), lambda n: ("lag", {})),
    wire("single_order_lag", "reads", "an order is told as it was, or not yet known", _READING, only(SINGLE_ORDER),
         between((1, 999)), lambda n: ("lag", {})),
    wire("trades_lag", "reads", "the trade list is old", _READING, only(TRADES), between((1, 999)),
         lambda n: ("lag", {})),
    wire("balances_lag", "reads", "the balances are old", _READING, only(BALANCES), between((1, 999)),
         lambda n: ("lag", {})),
    wire("hide_new", "reads", "young orders are left out of a list", _READING, only(OPEN_ORDERS, ALL_ORDERS),
         between((1, 999)), lambda n: ("hide_new", {})),
    wire("rows_shuffled", "reads", "a list is out of order", _WRITING, is_list, between((0, 999_999)),
         remake=bodies.shuffled),
    wire("rows_doubled", "reads", "rows of a list appear twice", _WRITING, is_list, between((0, 999)),
         remake=bodies.doubled),
    wire("page_missing", "reads", "a part of the trade list is missing", _WRITING, only(TRADES), _SPOT,
         remake=bodies.part_missing),
    wire("page_shifted", "reads", "a later page of the trade list begins earlier, as if new trades had come",
         (150_000, 600_000), only(TRADES), between((1, 3)), lambda n: ("shifted_page", {"rows": n[0]})),
    wire("rounded_amounts", "reads", "trades are told without their exact amount", _WRITING, only(TRADES),
         remake=bodies.without_precise_amount),
    wire("other_order_told", "reads", "our order's id is told as somebody else's order", _READING, only(SINGLE_ORDER),
         between((0, 1)), remake=bodies.of_another_order),
    wire("crossed_book", "reads", "best bid above best ask", _REQUEST, only(BOOK), remake=bodies.crossed),
    wire("one_sided_book", "reads", "one side of the book is empty", _REQUEST, only(BOOK), between((0, 1)),
         remake=bodies.one_sided),
    wire("zero_price_book", "reads", "all prices of one side are zero", _REQUEST, only(BOOK), between((0, 1)),
         remake=bodies.without_price),
    beat("replica_lag", "reads", "everything that is told of the account is old, for one to three cycles",
         (15_000, 120_000), between((300, 999), (1, 3))),
)  # fmt: skip

_ORDERS: Final = (
    wire("refused_but_placed", "orders", "a refusal is answered and the order placed", _WRITING, only(SUBMIT),
         rule=lambda n: ("refused_but_placed", {})),
    wire("cancel_lost", "orders", "a cancellation is confirmed and never happens", (100_000, 500_000), only(CANCEL),
         rule=lambda n: ("cancel_lost", {})),
    wire("fill_while_cancelling", "orders", "an order trades between the cancellation's answer and its effect",
         (100_000, 500_000), only(CANCEL), between((1, 1_000))),
    wire("cancelled_after_accept", "orders", "the venue takes an order and cancels it, at once or a little later",
         _WRITING, only(SUBMIT), between((0, 900)), lambda n: ("accepted_then_canceled", {"after_ms": n[0]})),
    point("partial_fill", "orders", "somebody takes a part of a resting order, at any moment", (1_500, 12_000),
          anywhere, _PICK),
    beat("whole_fill", "orders", "somebody takes all that is left of a resting order", (15_000, 120_000), _PICK),
    beat("human_cancel", "orders", "somebody cancels our order by hand", (15_000, 120_000), _PICK),
    beat("price_jump", "orders", "the price jumps by 3 to 20 per cent", _CYCLE, between((0, 999), (-200, 200))),
    beat("maintenance", "orders", "a pair is halted for a few cycles", _LONG, between((0, 999), (1, 4))),
    beat("cancel_only", "orders", "new orders of a pair are refused for a few cycles, cancellations are not", _LONG,
         between((0, 999), (1, 3), (0, 1))),
    beat("delisting", "orders", "a pair is struck off with its orders, and listed again after a few cycles", _LONG,
         between((0, 999), (1, 4))),
    beat("scales_change", "orders", "tick or lot of a pair change, with orders resting", _LONG,
         between((0, 999), (0, 1), (0, 1))),
    beat("rules_change", "orders", "the least value of an order changes", _CYCLE, between((0, 999), (50, 400))),
)  # fmt: skip

_TIME: Final = (
    beat("clock_forward", "time", "our wall clock jumps ahead, for one to three cycles", _LONG,
         between((100, 30_000), (1, 3))),
    beat("clock_back", "time", "our wall clock jumps back, for one to three cycles", _LONG,
         between((100, 30_000), (1, 3))),
    beat("clock_drifts", "time", "our wall clock runs fast or slow, for three to eight cycles", _LONG,
         between((-400, 400), (3, 8))),
    point("process_paused", "time", "the process stands still, for seconds to minutes", (150, 1_500), anywhere,
          between((500, 200_000))),
    wire("time_request_slow", "time",
         "the venue is asked for its time and gets the question late: our estimate runs ahead", _READING, only(TIME),
         between((300, 1_900)), lambda n: ("delay_before", {"delay_ms": n[0]})),
    wire("time_answer_slow", "time", "the venue tells its time and we get it late: our estimate runs behind",
         _READING, only(TIME), between((300, 1_900)), lambda n: ("delay_after", {"delay_ms": n[0]})),
    beat("venue_skew", "time", "the venue's clock runs ahead or behind, from the start", (0, 0)),
)  # fmt: skip

_DISK: Final = (
    point("disk_full", "disk", "no space for this commit", _COMMIT, only("before commit")),
    point("disk_error", "disk", "the device reports an error at this commit", _COMMIT, only("before commit")),
    point("disk_error_after", "disk", "the device reports an error although the commit is on it", _COMMIT,
          only("before commit")),
    point("disk_busy", "disk", "another process holds the database", _COMMIT, only("before unit")),
    beat("disk_read_only", "disk", "the disk can only be read, for one or two cycles", _LONG, between((1, 2))),
)  # fmt: skip

_PROCESS: Final = (
    point("crash", "process", "the process is gone", (1_200, 15_000)),
    point("sigterm", "process", "the process is asked to end", (150, 1_500)),
    point("kill_flip", "process", "the kill file appears, for one to three cycles", (300, 3_000), anywhere,
          between((1, 3))),
    beat("safe_mode", "process", "a restart in safe mode, for one to three cycles", _LONG, between((1, 3))),
    beat("settings_change", "process", "a restart with another setting", _CYCLE, between((0, 999), (0, 999))),
)  # fmt: skip

_OPERATOR: Final = (
    point("human_order", "operator", "somebody trades by hand on the account", (600, 6_000), anywhere,
          between((0, 1), (0, 999), (1, 400))),
    point("human_rests", "operator", "somebody places an order by hand that rests", _POINT, anywhere,
          between((0, 1), (0, 999), (1, 400))),
    point("self_trade", "operator", "somebody on the same account trades with our resting order", (1_500, 12_000),
          anywhere, between((0, 999))),
    point("deposit", "operator", "money comes in", _POINT, anywhere, between((1, 99_999))),
    point("withdrawal", "operator", "money goes out", _POINT, anywhere, between((1, 200))),
    beat("cancel_all", "operator", "the operator cancels all our orders", _CYCLE),
)  # fmt: skip

_ANY: Final = (0, 999)
_FEED: Final = (
    _feed("feed_closed", "the venue closes the connection"),
    _feed("feed_aborted", "the connection breaks"),
    _feed("feed_refused", "the connection breaks, and the next one to six attempts are refused", (1, 6), _ANY),
    _feed("feed_half_open", "nothing is said or heard any more; the socket stays open"),
    _feed("feed_heartbeat_lost", "the venue sends no pings any more; frames still come"),
    _feed("feed_cut", "nothing passes the network between feed and bot, for one to three cycles", (1, 3)),
    _feed("feed_frames_lost", "one to three changes of a book get lost", _ANY, (1, 3)),
    _feed("feed_frame_doubled", "a change of a book comes two to four times", _ANY, (2, 4)),
    _feed("feed_frames_swapped", "changes of a book come in another order", _ANY, (1, 2)),
    _feed("feed_frames_late", "a change, and all that follows, comes late", _ANY, (300, 25_000)),
    _feed("feed_change_first", "after a broken connection a change comes before its snapshot"),
    _feed("feed_snapshot_lost", "after a broken connection a snapshot never comes"),
    _feed("feed_snapshot_stale", "after a broken connection snapshots show the books as they were before"),
    _feed("feed_books_stop", "no changes of books come any more on a connection that lives"),
    _feed("feed_wrong_symbol", "a change names another pair", _ANY, (0, 1)),
    _feed("feed_flood", "hundreds of changes at once, or more than the queue holds", _ANY, (0, 1), ppm=_FEED_SELDOM),
    _feed("feed_crossed", "a change puts a bid above the asks", _ANY),
    _feed("feed_no_price", "prices or quantities that are zero, negative, empty or beyond measure", _ANY, _ANY, _ANY),
    _feed("feed_price_spike", "prices are a hundred times what they are", _ANY, (1, 2)),
    _feed("feed_wrong_type", "numbers where text belongs, and text in place of numbers", _ANY, _ANY),
    _feed("feed_garbage", "something that is no frame, in place of a change or beside all frames", _ANY, _ANY, (0, 1)),
    _feed("feed_frame_cut_off", "half a frame", _ANY),
    _feed("feed_huge", "a frame of more than a megabyte", _ANY, ppm=_FEED_SELDOM),
    _feed("feed_deep", "a frame nested 100,000 deep", _ANY, ppm=_FEED_SELDOM),
    _feed("feed_events_stop", "news of our orders stop on a connection that lives; those of trades go on"),
    _feed("feed_events_lost", "one to five news of our account get lost", (1, 5)),
    _feed("feed_events_doubled", "news of our account come two to four times", (1, 3), (2, 4)),
    _feed("feed_events_late", "news of our account come late", (300, 25_000)),
    _feed("feed_events_early", "news of our account come before the answer to the request, for one to three cycles",
          (1, 3)),
    _feed("feed_time_back", "trades and news of our matches tell times of up to a minute before", (1, 60_000), (1, 5)),
    _feed("feed_events_untrue", "news of our account tell other amounts, prices or ids", _ANY, (1, 3)),
    _feed("feed_login_refused", "the connection breaks, and the next one to three logins are refused", (1, 3)),
    _feed("feed_login_lost", "the login ends on a connection that lives, with a word or without", (0, 1)),
)  # fmt: skip

_OFTEN: Final = (25_000, 120_000)
_PROFILES: Final = (
    beat("degrade_override", "profiles", "the operator puts a degrade level in force, for 5 to 60 seconds", _CYCLE,
         between((0, 2), (5, 60)), Knowing.OVERSEEN),
    beat("degrade_clear", "profiles", "the operator clears the degrade level", _OFTEN, nothing, Knowing.OVERSEEN),
    beat("freeze_clear", "profiles", "the operator clears a freeze, having seen all that froze or less",
         (80_000, 300_000), between((0, 1)), Knowing.OVERSEEN),
    beat("other_book_order", "profiles", "a bot with another database and the same key has an order resting", _OFTEN,
         between((0, 1), (0, 999), (1, 200), (2, 9)), Knowing.OVERSEEN),
    beat("strategy_raises", "profiles", "the strategy raises, for one to four cycles", _CYCLE, between((1, 4)),
         Knowing.OVERSEEN),
    beat("symbol_refused", "profiles", "the venue refuses all new orders of a pair, for three to eight cycles",
         _CYCLE, between((0, 999), (3, 8)), Knowing.OVERSEEN),
    beat("params_reset", "profiles",
         "the operator resets adapted parameters: refused while the bot runs, done when it is stopped", _OFTEN,
         nothing, Knowing.ADAPTIVE),
)  # fmt: skip

_CANDLES: Final = (
    wire("candles_late", "candles", "the newest candles are not told yet", _READING, only(CHARTS), between((1, 4)),
         remake=candles.late, knowing=Knowing.CHARTS),
    wire("candles_missing", "candles", "candles in the middle are missing", _READING, only(CHARTS), _SPOT,
         remake=candles.missing, knowing=Knowing.CHARTS),
    wire("candles_revised", "candles", "a candle is told otherwise than before", _READING, only(CHARTS), _SPOT,
         remake=candles.revised, knowing=Knowing.CHARTS),
    wire("candles_unreadable", "candles", "candles that cannot be: a column too short, a high below the low, out of "
         "order, no numbers", _READING, only(CHARTS), between((0, 3), (0, 999)), remake=candles.unreadable,
         knowing=Knowing.CHARTS),
)  # fmt: skip

FAULTS: Final[Mapping[str, Fault]] = {
    fault.name: fault
    for group in (_SENDING, _ANSWERS, _READS, _ORDERS, _TIME, _DISK, _PROCESS, _OPERATOR, _FEED, _PROFILES, _CANDLES)
    for fault in group
}
