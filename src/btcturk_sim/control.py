"""The control interface: what a test, a demo or a person does to the exchange behind its clients' backs.

JSON in, JSON out, on its own loopback port. Errors are {"error": "..."} with status 400 or 404. Amounts and
prices are strings in both directions; times are Unix milliseconds of the exchange's raw (unskewed) clock.

GET    /state                 everything: clock, market, accounts (balances, orders, fills, transfers), totals,
                              conservation ("ok" or what is wrong), fault statistics, request count.
                              ?key=KEY shows one account; ?orders=0 leaves orders, fills and transfers out
GET    /requests?since=N      requests with seq > N, oldest first: seq, time_ms, host, method, path, query, body,
                              stamp, key, status (0: none was sent), fault; &limit=N; &bodies=1 adds the answers
                              (null for long answers to reads, which only --record keeps)
POST   /deposit               {key, asset, amount, fee?}
POST   /withdraw              {key, asset, amount, fee?}
POST   /foreign-order         {key, pairSymbol, orderType, orderMethod, quantity, price?, stopPrice?,
                              newOrderClientId?}: an order as if a human placed it, no signature, limits or faults
POST   /cancel-order          {id, key?}: as if a human cancelled it
GET    /faults                the rules in force and how often each kind struck
POST   /faults                {kind, match?: {method?, path?, key?}, count?, probability?, params?};
                              probability is a number from 0 to 1; kinds and params: see `faults`. Of faults of the
                              feed, match?: {types?, channel?, event?, key?, session?}; see `feed.faults`
DELETE /faults[?id=N]         all rules, or one
GET    /feed                  connections to the feed: subscriptions, frames sent by type, pongs, logins
POST   /feed                  {kind, session?, params?}: a fault of connections at once, to one or to all, such as
                              "socket_aborted"; or {say}: message 801 to all
POST   /bust                  {id}: the trade with this id is taken back, on both sides
POST   /clock                 {skew_ms}: the exchange's clock runs ahead (or behind, negative) by this much
POST   /market                {action: "pause" | "resume"} or {symbol, price: "…" | null} (hold a price; null lets
                              it go) or {symbol, halted: true | false} (maintenance of one pair) or
                              {symbol, cancel_only: true | false, status?} or {symbol, delisted: true | false} or
                              {symbol, delayed: true | false} (its order book is answered with 503) or
                              {symbol, rules: {quantity_scale?, price_scale?, has_fraction?, tick_size?,
                              min_exchange_value?, order_methods?}}: new orders are judged by these
POST   /block                 {who?, after?, block_ms?}: `after` and `block_ms` change the rule that blocks whoever is
                              unauthorised too often in a row (after 0: never); `who` is blocked at once
DELETE /block                 nobody is blocked any more
GET    /assumptions           {name: {answer, answers | least, about}}: what holds where the documents leave it open
POST   /assumptions           {name: answer, ...}: other answers from now on, all or none
GET    /keys                  {key: {permissions, addresses, revoked}}
POST   /keys                  {key, permissions?: [...], addresses?: [...] | null, revoked?}: what a key may do, from
                              where (null: anywhere), and whether it is good at all
POST   /settle                pending cancels take effect and all trades so far become visible, now
POST   /shutdown              end the program, exit code 0
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from urllib.parse import parse_qsl

import msgspec

from btcturk_sim.accounts import Account
from btcturk_sim.api import Api
from btcturk_sim.control_forms import (
    BlockForm,
    BustForm,
    CancelForm,
    ClockForm,
    ControlError,
    FaultForm,
    FeedForm,
    MarketForm,
    TransferForm,
    decimal_of,
    price_of,
)
from btcturk_sim.control_keys import KeyControls
from btcturk_sim.control_views import account_state, fill_state, pair_state, request_row
from btcturk_sim.errors import ConfigurationError, ConservationError
from btcturk_sim.feed import Feed
from btcturk_sim.feed.faults import FeedKind
from btcturk_sim.instruments import normalize_symbol
from btcturk_sim.money import exact, plain
from btcturk_sim.operations import Operations
from btcturk_sim.orderform import read_order
from btcturk_sim.orders import Refusal
from btcturk_sim.pair import Pair

_REQUESTS_LIMIT_DEFAULT = 10_000
_FEED_KINDS = frozenset(kind.value for kind in FeedKind)


@dataclass(frozen=True, slots=True)
class ControlAnswer:
    status: int
    payload: object

    @property
    def body(self) -> bytes:
        return msgspec.json.encode(self.payload)


_Query = dict[str, str]
_Action = Callable[[_Query, bytes, int], object]


class Control:
    def __init__(self, api: Api, feed: Feed) -> None:
        self.shutdown_asked = False
        self._api = api
        self._feed = feed
        self._engine = api.engine
        self._operations = Operations(api.engine)
        self._actions: dict[tuple[str, str], _Action] = {
            ("GET", "/state"): self._state,
            ("GET", "/requests"): self._requests,
            ("POST", "/deposit"): self._deposit,
            ("POST", "/withdraw"): self._withdraw,
            ("POST", "/foreign-order"): self._foreign_order,
            ("POST", "/cancel-order"): self._cancel_order,
            ("GET", "/faults"): self._faults,
            ("POST", "/faults"): self._add_fault,
            ("DELETE", "/faults"): self._remove_faults,
            ("GET", "/feed"): self._feed_state,
            ("POST", "/feed"): self._strike_feed,
            ("POST", "/bust"): self._bust,
            ("POST", "/block"): self._block,
            ("DELETE", "/block"): self._unblock,
            ("POST", "/clock"): self._clock,
            ("POST", "/market"): self._market,
            ("POST", "/settle"): self._settle,
            ("POST", "/shutdown"): self._shutdown,
            **KeyControls(api, feed).actions,
        }

    @exact
    def handle(self, method: str, path: str, query: str, body: bytes, now_ms: int) -> ControlAnswer:
        action = self._actions.get((method, path))
        if action is None:
            known = ", ".join(f"{verb} {where}" for verb, where in self._actions)
            return ControlAnswer(404, {"error": f"no {method} {path}; there are {known}"})
        try:
            self._feed.advance(now_ms)
            return ControlAnswer(200, action(dict(parse_qsl(query)), body, now_ms))
        except ControlError as error:
            return ControlAnswer(error.status, {"error": str(error)})
        except (msgspec.DecodeError, ConfigurationError, ValueError) as error:
            return ControlAnswer(400, {"error": str(error)})

    # --- looking ----------------------------------------------------------------------------------------------

    def _state(self, query: _Query, body: bytes, now_ms: int) -> object:
        engine, market = self._engine, self._engine.market
        conservation = "ok"
        try:
            if engine.broken is None:
                engine.audit()
        except ConservationError:
            pass
        if engine.broken is not None:
            conservation = engine.broken
        accounts = engine.books.accounts
        if "key" in query:
            accounts = {query["key"]: self._account(query["key"])}
        detailed = query.get("orders") != "0"
        return {
            "clock": {"now_ms": now_ms, "skew_ms": self._api.skew_ms},
            "market": {
                "bar": market.bar_index,
                "step": market.step_in_bar,
                "bars": market.source.length,
                "market_time_ms": market.market_time_ms,
                "ended": market.ended,
                "paused": market.paused,
                "prices": {symbol: pair_state(pair) for symbol, pair in engine.pairs.items()},
            },
            "accounts": {key: account_state(account, detailed) for key, account in accounts.items()},
            "totals": {
                asset: {name: plain(amount) for name, amount in sums.items()}
                for asset, sums in engine.books.totals().items()
            },
            "conservation": conservation,
            "faults_struck": dict(self._api.faults.struck),
            "requests_seen": self._api.requests_seen,
            "feed": self._feed.state(),
            "blocked": self._api.blocklist.blocked(now_ms),
        }

    def _requests(self, query: _Query, body: bytes, now_ms: int) -> object:
        since = int(query.get("since", "0"))
        limit = int(query.get("limit", str(_REQUESTS_LIMIT_DEFAULT)))
        kept = self._api.requests
        first = kept[0].seq if kept else self._api.requests_seen + 1
        start = max(0, since + 1 - first)
        rows = [request_row(kept[index], query.get("bodies") == "1")
                for index in range(start, min(len(kept), start + limit))]  # fmt: skip
        return {"requests": rows, "seen": self._api.requests_seen, "dropped": max(0, first - 1 - since)}

    # --- money and orders -------------------------------------------------------------------------------------

    def _deposit(self, query: _Query, body: bytes, now_ms: int) -> object:
        return self._transfer(body, now_ms, Decimal(1))

    def _withdraw(self, query: _Query, body: bytes, now_ms: int) -> object:
        return self._transfer(body, now_ms, Decimal(-1))

    def _transfer(self, body: bytes, now_ms: int, sign: Decimal) -> object:
        form = msgspec.json.decode(body, type=TransferForm)
        account = self._account(form.key)
        amount = decimal_of("amount", form.amount) * sign
        done = self._engine.transfer(account, form.asset.upper(), amount, decimal_of("fee", form.fee), now_ms)
        return {"id": done.id, "asset": done.asset, "amount": plain(done.amount), "fee": plain(done.fee),
                "time_ms": done.time_ms}  # fmt: skip

    def _foreign_order(self, query: _Query, body: bytes, now_ms: int) -> object:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        account = self._account(msgspec.json.decode(fields.pop("key", msgspec.Raw(b'""')), type=str))
        request = read_order(msgspec.json.encode(fields), self._engine.instruments)
        order = request if isinstance(request, Refusal) else self._engine.submit(account, request, now_ms)
        if isinstance(order, Refusal):
            raise ControlError(f"{order.message} ({order.code})")
        return {"id": order.id, "client_id": order.client_id, "status": order.status.value}

    def _cancel_order(self, query: _Query, body: bytes, now_ms: int) -> object:
        form = msgspec.json.decode(body, type=CancelForm)
        owners = [self._account(form.key)] if form.key else list(self._engine.books.accounts.values())
        order = next((found for account in owners if (found := account.find(form.id)) is not None), None)
        if order is None:
            raise ControlError(f"no order {form.id}", 404)
        refusal = self._engine.cancel(order.account, order.id, now_ms)
        if refusal is not None:
            raise ControlError(f"{refusal.message} ({refusal.code})")
        return {"id": form.id, "status": order.status.value}

    def _bust(self, query: _Query, body: bytes, now_ms: int) -> object:
        trade_id = msgspec.json.decode(body, type=BustForm).id
        return {"taken_back": [fill_state(fill) for fill in self._operations.bust(trade_id, now_ms)]}

    # --- faults, clock, market --------------------------------------------------------------------------------

    def _faults(self, query: _Query, body: bytes, now_ms: int) -> object:
        faults = self._api.faults
        rules = [rule.shown() for rule in faults.rules()] + [rule.shown() for rule in self._feed.faults.rules()]
        return {"rules": rules, "struck": dict(faults.struck)}

    def _add_fault(self, query: _Query, body: bytes, now_ms: int) -> object:
        form = msgspec.json.decode(body, type=FaultForm)
        ppm = int((form.probability * 1_000_000).to_integral_value(ROUND_DOWN))
        if form.kind in _FEED_KINDS:
            match = form.match
            return self._feed.faults.add(
                form.kind, types=match.types, channel=match.channel, event=match.event, key=match.key,
                session=match.session, count=form.count, probability_ppm=ppm, **form.params,
            ).shown()  # fmt: skip
        rule = self._api.faults.add(
            form.kind, method=form.match.method, path_prefix=form.match.path, key=form.match.key,
            count=form.count, probability_ppm=ppm, **form.params,
        )  # fmt: skip
        return rule.shown()

    def _remove_faults(self, query: _Query, body: bytes, now_ms: int) -> object:
        if "id" not in query:
            self._api.faults.clear()
            self._feed.faults.clear()
        elif not (self._api.faults.remove(int(query["id"])) or self._feed.faults.remove(int(query["id"]))):
            raise ControlError(f"no fault rule {query['id']}", 404)
        return self._faults(query, body, now_ms)

    def _feed_state(self, query: _Query, body: bytes, now_ms: int) -> object:
        return self._feed.state()

    def _strike_feed(self, query: _Query, body: bytes, now_ms: int) -> object:
        form = msgspec.json.decode(body, type=FeedForm)
        if (form.kind is None) == (form.say is None):
            raise ControlError("give either kind, a fault of connections, or say, a message to all")
        if form.say is not None:
            self._feed.say(form.say, now_ms)
            return {"struck": 0}
        return {"struck": self._feed.strike(form.kind or "", now_ms, form.session, **form.params)}

    def _block(self, query: _Query, body: bytes, now_ms: int) -> object:
        form, blocklist = msgspec.json.decode(body, type=BlockForm), self._api.blocklist
        if form.after is not None:
            blocklist.after = form.after
        if form.who is not None:
            blocklist.block(form.who, now_ms, form.block_ms)
        elif form.block_ms is not None:
            blocklist.block_ms = form.block_ms
        return self._blocks(now_ms)

    def _unblock(self, query: _Query, body: bytes, now_ms: int) -> object:
        self._api.blocklist.lift()
        return self._blocks(now_ms)

    def _blocks(self, now_ms: int) -> object:
        blocklist = self._api.blocklist
        return {"after": blocklist.after, "block_ms": blocklist.block_ms, "blocked": blocklist.blocked(now_ms)}

    def _clock(self, query: _Query, body: bytes, now_ms: int) -> object:
        self._api.skew_ms = msgspec.json.decode(body, type=ClockForm).skew_ms
        return {"now_ms": now_ms, "skew_ms": self._api.skew_ms}

    def _market(self, query: _Query, body: bytes, now_ms: int) -> object:
        form = msgspec.json.decode(body, type=MarketForm)
        market = self._engine.market
        match form.action:
            case "pause":
                market.pause(now_ms)
            case "resume":
                market.resume(now_ms)
            case None if form.symbol is not None:
                self._market_pair(form, self._pair(form.symbol), now_ms)
            case _:
                raise ControlError('give action "pause" or "resume", or a symbol and what is to become of it')
        return {"paused": market.paused, "prices": {s: pair_state(p) for s, p in self._engine.pairs.items()}}

    def _market_pair(self, form: MarketForm, pair: Pair, now_ms: int) -> None:
        if form.halted is not None:
            pair.halted = form.halted
        if form.delayed is not None:
            pair.delayed = form.delayed
        symbol, operations = pair.instrument.symbol, self._operations
        if form.cancel_only is not None:
            operations.set_cancel_only(symbol, form.cancel_only, now_ms, status=form.status)
        if form.delisted is not None:
            (operations.delist if form.delisted else operations.relist)(symbol, now_ms)
        if form.rules is not None:
            operations.change_rules(symbol, now_ms, **form.rules.rules())
        if isinstance(form.price, str):
            self._engine.override_price(pair.instrument.symbol, price_of(form.price, pair.instrument), now_ms)
        elif form.price is None:
            self._engine.override_price(pair.instrument.symbol, None, now_ms)

    def _settle(self, query: _Query, body: bytes, now_ms: int) -> object:
        self._engine.settle_everything(now_ms)
        self._api.settled_ms = now_ms
        return {"settled_ms": now_ms}

    def _shutdown(self, query: _Query, body: bytes, now_ms: int) -> object:
        self.shutdown_asked = True
        return {"shutdown": True}

    def _account(self, key: str) -> Account:
        account = self._engine.books.accounts.get(key)
        if account is None:
            raise ControlError(f"no account {key!r}; there are {', '.join(self._engine.books.accounts)}", 404)
        return account

    def _pair(self, symbol: str) -> Pair:
        pair = self._engine.pairs.get(normalize_symbol(symbol))
        if pair is None:
            raise ControlError(f"no pair {symbol!r}; there are {', '.join(self._engine.pairs)}", 404)
        return pair
