"""What everybody may read: the clock, the rules, tickers, books, trades and charts, as the wire lists them."""

from __future__ import annotations

from itertools import islice
from typing import Final

from btcturk_sim import codec
from btcturk_sim.account_reads import SECONDS_MAX
from btcturk_sim.answers import Answers
from btcturk_sim.call import Call
from btcturk_sim.candles import Candle
from btcturk_sim.engine import Engine
from btcturk_sim.instruments import normalize_symbol
from btcturk_sim.orderform import INVALID_REQUEST_ERROR
from btcturk_sim.orders import SYSTEM_UNDER_MAINTENANCE, pair_unknown
from btcturk_sim.pair import Pair
from btcturk_sim.wire import Response, json_response

BOOK_LEVELS_MAX: Final = 100
_RESOLUTIONS: Final = {
    "1": 1, "5": 5, "15": 15, "30": 30, "60": 60, "240": 240, "D": 1440, "1D": 1440, "1440": 1440,
    "W": 10080, "1W": 10080, "M": 43200, "1M": 43200, "Y": 525600, "1Y": 525600,
}  # fmt: skip


class MarketReads:
    def __init__(self, engine: Engine, answers: Answers) -> None:
        self._engine = engine
        self._answers = answers
        #: What was last answered and when, for answers that may be old.
        self._info: tuple[int, Response] | None = None
        self._tickers: dict[str, tuple[int, codec.Row]] = {}

    def time(self, call: Call) -> Response:
        return json_response(200, codec.server_time(call.venue_ms))

    def ping(self, call: Call) -> Response:
        return json_response(200, {"pong": True})

    def exchange_info(self, call: Call) -> Response:
        kept = self._info
        if kept is not None and call.now_ms - kept[0] < self._answers.options.exchangeinfo_age_ms:
            return kept[1]
        payload = codec.exchange_info(self._listed(), call.venue_ms)
        answer = json_response(200, payload, ("Cache-Control", "public, max-age=30"))
        self._info = call.now_ms, answer
        return answer

    def ticker(self, call: Call) -> Response:
        symbol = call.params.one("pairSymbol")
        if symbol is None:
            pairs = self._listed()
        else:
            pair = self._engine.known(symbol)
            pairs = [pair] if pair else []
        return self._tickers_of(pairs, call)

    def ticker_currency(self, call: Call) -> Response:
        asset = (call.params.one("symbol") or "").upper()
        return self._tickers_of([one for one in self._listed() if asset in _assets(one)], call)

    def _tickers_of(self, pairs: list[Pair], call: Call) -> Response:
        rows = [self._ticker_row(pair, call) for pair in pairs]
        return json_response(200, codec.ok(rows), ("CF-Cache-Status", "BYPASS"))

    def _ticker_row(self, pair: Pair, call: Call) -> codec.Row:
        age_ms, symbol = self._answers.options.ticker_age_ms, pair.instrument.symbol
        kept = self._tickers.get(symbol)
        if kept is not None and call.now_ms - kept[0] < age_ms:
            return kept[1]
        row = codec.ticker_row(pair, call.venue_ms)
        if age_ms:
            self._tickers[symbol] = call.now_ms, row
        return row

    def order_book(self, call: Call) -> Response:
        pair = self._pair(call, "pairSymbol")
        if isinstance(pair, Response):
            return pair
        if pair.delayed:
            return json_response(503, codec.failed(SYSTEM_UNDER_MAINTENANCE.message, SYSTEM_UNDER_MAINTENANCE.code))
        limit = call.params.integer("limit") or BOOK_LEVELS_MAX
        return json_response(200, codec.order_book(pair, max(1, min(limit, BOOK_LEVELS_MAX)), call.venue_ms))

    def trades(self, call: Call) -> Response:
        pair = self._pair(call, "pairSymbol")
        if isinstance(pair, Response):
            return pair
        last = max(1, min(call.params.integer("last") or 50, 50))
        side = self._answers.options.public_side
        newest = islice(reversed(pair.trades), last)
        rows = [codec.public_trade_row(pair, trade, call.skew_ms, side=side) for trade in newest]
        return json_response(200, codec.ok(rows))

    def ohlcs(self, call: Call) -> Response:
        pair = self._pair(call, "pair")
        if isinstance(pair, Response):
            return pair
        rows = self._candles(call, pair, 1440)
        places = pair.instrument.price_scale
        return json_response(
            200, [codec.daily_row(pair.instrument.symbol, second, one, places) for second, one in rows]
        )

    def klines(self, call: Call) -> Response:
        pair = self._pair(call, "symbol")
        if isinstance(pair, Response):
            return pair
        # Written by clients in several ways: "1D", "1 d", "d".
        minutes = _RESOLUTIONS.get((call.params.one("resolution") or "").replace(" ", "").upper())
        if minutes is None:
            return self._answers.refused(INVALID_REQUEST_ERROR)
        rows = self._candles(call, pair, minutes)
        return json_response(200, codec.klines(rows, empty=self._answers.options.empty_klines))

    def _candles(self, call: Call, pair: Pair, minutes: int) -> list[tuple[int, Candle]]:
        # The day that holds `from` counts, so that "today" finds today's bar.
        since = (call.params.integer("from") or 0) // (minutes * 60) * (minutes * 60)
        return pair.chart.candles(minutes, since, call.params.integer("to") or SECONDS_MAX)

    def _pair(self, call: Call, name: str) -> Pair | Response:
        symbol = call.params.one(name)
        if symbol is None:
            return self._answers.refused(INVALID_REQUEST_ERROR)
        pair = self._engine.pairs.get(normalize_symbol(symbol))
        return self._answers.refused(pair_unknown(symbol)) if pair is None or pair.delisted else pair

    def _listed(self) -> list[Pair]:
        return [pair for pair in self._engine.pairs.values() if not pair.delisted]


def _assets(pair: Pair) -> tuple[str, str]:
    return pair.instrument.base, pair.instrument.quote
