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
                              probability is a number from 0 to 1; kinds and params: see `faults`
DELETE /faults[?id=N]         all rules, or one
POST   /bust                  {id}: the trade with this id is taken back, on both sides
POST   /clock                 {skew_ms}: the exchange's clock runs ahead (or behind, negative) by this much
POST   /market                {action: "pause" | "resume"} or {symbol, price: "…" | null} (hold a price; null lets
                              it go) or {symbol, halted: true | false} (maintenance of one pair) or
                              {symbol, cancel_only: true | false, status?} or {symbol, delisted: true | false} or
                              {symbol, rules: {quantity_scale?, price_scale?, has_fraction?, tick_size?,
                              min_exchange_value?, order_methods?}}: new orders are judged by these
POST   /block                 {who?, after?, block_ms?}: `after` and `block_ms` change the rule that blocks whoever is
                              unauthorised too often in a row (after 0: never); `who` is blocked at once
DELETE /block                 nobody is blocked any more
POST   /settle                pending cancels take effect and all trades so far become visible, now
POST   /shutdown              end the program, exit code 0
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Annotated, cast
from urllib.parse import parse_qsl

import msgspec

from btcturk_sim.accounts import Account
from btcturk_sim.api import Api, RequestRecord, body_text
from btcturk_sim.codec import order_row
from btcturk_sim.errors import ConservationError
from btcturk_sim.instruments import Instrument, normalize_symbol
from btcturk_sim.money import decimals_of, exact, plain
from btcturk_sim.operations import STATUS_TRADING, Operations, Rules
from btcturk_sim.orderform import read_order
from btcturk_sim.orders import Fill, Order, Refusal
from btcturk_sim.pair import Pair

_AMOUNT = re.compile(r"\d{1,18}(\.\d{1,16})?")
_REQUESTS_LIMIT_DEFAULT = 10_000


class ControlError(Exception):
    """The order could not be carried out; the text says why."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class ControlAnswer:
    status: int
    payload: object

    @property
    def body(self) -> bytes:
        return msgspec.json.encode(self.payload)


class _TransferForm(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    asset: str
    amount: str
    fee: str = "0"


class _CancelForm(msgspec.Struct, forbid_unknown_fields=True):
    id: int
    key: str | None = None


class _Match(msgspec.Struct, forbid_unknown_fields=True):
    method: str | None = None
    path: str = "/"
    key: str | None = None


class _FaultForm(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    match: _Match = msgspec.field(default_factory=_Match)
    count: int | None = None
    probability: Decimal = Decimal(1)
    params: dict[str, str | int | bool | None] = msgspec.field(default_factory=dict)


class _ClockForm(msgspec.Struct, forbid_unknown_fields=True):
    skew_ms: int


class _RulesForm(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    quantity_scale: int | msgspec.UnsetType = msgspec.UNSET
    price_scale: int | msgspec.UnsetType = msgspec.UNSET
    has_fraction: bool | msgspec.UnsetType = msgspec.UNSET
    tick_size: str | msgspec.UnsetType = msgspec.UNSET
    min_exchange_value: str | msgspec.UnsetType = msgspec.UNSET
    order_methods: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET

    def rules(self) -> Rules:
        given = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not msgspec.UNSET}
        if "min_exchange_value" in given:
            given["min_exchange_value"] = _amount("min_exchange_value", given["min_exchange_value"])
        return cast("Rules", given)


class _MarketForm(msgspec.Struct, forbid_unknown_fields=True):
    action: str | None = None
    symbol: str | None = None
    price: str | msgspec.UnsetType | None = msgspec.UNSET
    halted: bool | None = None
    cancel_only: bool | None = None
    status: str = STATUS_TRADING
    delisted: bool | None = None
    rules: _RulesForm | None = None


class _BustForm(msgspec.Struct, forbid_unknown_fields=True):
    id: int


class _BlockForm(msgspec.Struct, forbid_unknown_fields=True):
    who: str | None = None
    after: Annotated[int, msgspec.Meta(ge=0)] | None = None
    block_ms: Annotated[int, msgspec.Meta(ge=0)] | None = None


_Query = dict[str, str]
_Action = Callable[[_Query, bytes, int], object]


class Control:
    def __init__(self, api: Api) -> None:
        self.shutdown_asked = False
        self._api = api
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
            ("POST", "/bust"): self._bust,
            ("POST", "/block"): self._block,
            ("DELETE", "/block"): self._unblock,
            ("POST", "/clock"): self._clock,
            ("POST", "/market"): self._market,
            ("POST", "/settle"): self._settle,
            ("POST", "/shutdown"): self._shutdown,
        }

    @exact
    def handle(self, method: str, path: str, query: str, body: bytes, now_ms: int) -> ControlAnswer:
        action = self._actions.get((method, path))
        if action is None:
            known = ", ".join(f"{verb} {where}" for verb, where in self._actions)
            return ControlAnswer(404, {"error": f"no {method} {path}; there are {known}"})
        try:
            self._engine.advance(now_ms)
            return ControlAnswer(200, action(dict(parse_qsl(query)), body, now_ms))
        except ControlError as error:
            return ControlAnswer(error.status, {"error": str(error)})
        except (msgspec.DecodeError, ValueError) as error:
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
                "prices": {symbol: _pair_state(pair) for symbol, pair in engine.pairs.items()},
            },
            "accounts": {key: _account_state(account, detailed) for key, account in accounts.items()},
            "totals": {
                asset: {name: plain(amount) for name, amount in sums.items()}
                for asset, sums in engine.books.totals().items()
            },
            "conservation": conservation,
            "faults_struck": dict(self._api.faults.struck),
            "requests_seen": self._api.requests_seen,
            "blocked": self._api.blocklist.blocked(now_ms),
        }

    def _requests(self, query: _Query, body: bytes, now_ms: int) -> object:
        since = int(query.get("since", "0"))
        limit = int(query.get("limit", str(_REQUESTS_LIMIT_DEFAULT)))
        kept = self._api.requests
        first = kept[0].seq if kept else self._api.requests_seen + 1
        start = max(0, since + 1 - first)
        rows = [_request_row(kept[index], query.get("bodies") == "1")
                for index in range(start, min(len(kept), start + limit))]  # fmt: skip
        return {"requests": rows, "seen": self._api.requests_seen, "dropped": max(0, first - 1 - since)}

    # --- money and orders -------------------------------------------------------------------------------------

    def _deposit(self, query: _Query, body: bytes, now_ms: int) -> object:
        return self._transfer(body, now_ms, Decimal(1))

    def _withdraw(self, query: _Query, body: bytes, now_ms: int) -> object:
        return self._transfer(body, now_ms, Decimal(-1))

    def _transfer(self, body: bytes, now_ms: int, sign: Decimal) -> object:
        form = msgspec.json.decode(body, type=_TransferForm)
        account = self._account(form.key)
        amount = _amount("amount", form.amount) * sign
        done = self._engine.transfer(account, form.asset.upper(), amount, _amount("fee", form.fee), now_ms)
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
        form = msgspec.json.decode(body, type=_CancelForm)
        owners = [self._account(form.key)] if form.key else list(self._engine.books.accounts.values())
        order = next((found for account in owners if (found := account.find(form.id)) is not None), None)
        if order is None:
            raise ControlError(f"no order {form.id}", 404)
        refusal = self._engine.cancel(order.account, order.id, now_ms)
        if refusal is not None:
            raise ControlError(f"{refusal.message} ({refusal.code})")
        return {"id": form.id, "status": order.status.value}

    def _bust(self, query: _Query, body: bytes, now_ms: int) -> object:
        trade_id = msgspec.json.decode(body, type=_BustForm).id
        return {"taken_back": [_fill_state(fill) for fill in self._operations.bust(trade_id, now_ms)]}

    # --- faults, clock, market --------------------------------------------------------------------------------

    def _faults(self, query: _Query, body: bytes, now_ms: int) -> object:
        faults = self._api.faults
        return {"rules": [rule.shown() for rule in faults.rules()], "struck": dict(faults.struck)}

    def _add_fault(self, query: _Query, body: bytes, now_ms: int) -> object:
        form = msgspec.json.decode(body, type=_FaultForm)
        ppm = int((form.probability * 1_000_000).to_integral_value(ROUND_DOWN))
        rule = self._api.faults.add(
            form.kind, method=form.match.method, path_prefix=form.match.path, key=form.match.key,
            count=form.count, probability_ppm=ppm, **form.params,
        )  # fmt: skip
        return rule.shown()

    def _remove_faults(self, query: _Query, body: bytes, now_ms: int) -> object:
        if "id" not in query:
            self._api.faults.clear()
        elif not self._api.faults.remove(int(query["id"])):
            raise ControlError(f"no fault rule {query['id']}", 404)
        return self._faults(query, body, now_ms)

    def _block(self, query: _Query, body: bytes, now_ms: int) -> object:
        form, blocklist = msgspec.json.decode(body, type=_BlockForm), self._api.blocklist
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
        self._api.skew_ms = msgspec.json.decode(body, type=_ClockForm).skew_ms
        return {"now_ms": now_ms, "skew_ms": self._api.skew_ms}

    def _market(self, query: _Query, body: bytes, now_ms: int) -> object:
        form = msgspec.json.decode(body, type=_MarketForm)
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
        return {"paused": market.paused, "prices": {s: _pair_state(p) for s, p in self._engine.pairs.items()}}

    def _market_pair(self, form: _MarketForm, pair: Pair, now_ms: int) -> None:
        if form.halted is not None:
            pair.halted = form.halted
        symbol, operations = pair.instrument.symbol, self._operations
        if form.cancel_only is not None:
            operations.set_cancel_only(symbol, form.cancel_only, now_ms, status=form.status)
        if form.delisted is not None:
            (operations.delist if form.delisted else operations.relist)(symbol, now_ms)
        if form.rules is not None:
            operations.change_rules(symbol, now_ms, **form.rules.rules())
        if isinstance(form.price, str):
            self._engine.override_price(pair.instrument.symbol, _price(form.price, pair.instrument), now_ms)
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


def _amount(name: str, text: str) -> Decimal:
    if not _AMOUNT.fullmatch(text) or not text.isascii():
        raise ControlError(f'{name} is {text!r}; give a decimal string such as "100.5"')
    return Decimal(text)


def _price(text: str, instrument: Instrument) -> Decimal:
    price = _amount("price", text)
    if price <= 0 or decimals_of(price) > (instrument.price_scale if instrument.has_fraction else 0):
        raise ControlError(f"price {text} does not fit the scale of {instrument.symbol}")
    return price


def _pair_state(pair: Pair) -> dict[str, object]:
    bid, ask = pair.best_bid(), pair.best_ask()
    return {
        "price": plain(pair.price),
        "last": plain(pair.last),
        "bid": None if bid is None else plain(bid),
        "ask": None if ask is None else plain(ask),
        "halted": pair.halted,
        "cancel_only": pair.cancel_only,
        "delisted": pair.delisted,
        "overridden": pair.price_override is not None,
    }


def _account_state(account: Account, detailed: bool) -> dict[str, object]:
    shown: dict[str, object] = {
        "user_id": account.user_id,
        "balances": {
            asset: {"free": plain(held.free), "locked": plain(held.locked), "balance": plain(held.total)}
            for asset, held in sorted(account.balances.items())
        },
        "open_orders": len(account.open_orders),
    }
    if detailed:
        shown["orders"] = [_order_state(order) for order in account.orders.values()]
        shown["fills"] = [_fill_state(fill) for fill in account.fills]
        shown["transfers"] = [
            {"id": one.id, "asset": one.asset, "amount": plain(one.amount), "fee": plain(one.fee),
             "time_ms": one.time_ms}
            for one in account.transfers
        ]  # fmt: skip
    return shown


def _order_state(order: Order) -> dict[str, object]:
    row = order_row(order, (order.updated_ms, order.left, order.status), 0, with_time=True)
    return {**row, "filled": plain(order.filled), "hold": plain(order.hold), "cancel_at_ms": order.cancel_at_ms}


def _fill_state(fill: Fill) -> dict[str, object]:
    return {
        "id": fill.id,
        "order_id": fill.order_id,
        "client_id": fill.client_id,
        "symbol": fill.instrument.symbol,
        "side": fill.side.value,
        "time_ms": fill.time_ms,
        "quantity": plain(fill.quantity),
        "price": plain(fill.price),
        "fee": plain(fill.fee),
        "tax": plain(fill.tax),
        "maker": fill.maker,
    }


def _request_row(record: RequestRecord, bodies: bool) -> dict[str, object]:
    row: dict[str, object] = {
        "seq": record.seq,
        "time_ms": record.time_ms,
        "host": record.host.value,
        "method": record.method,
        "path": record.path,
        "query": record.query,
        "body": body_text(record.body),
        "stamp": record.stamp,
        "key": record.key,
        "status": record.status,
        "fault": record.fault,
    }
    if bodies:
        row["answer"] = None if record.answer is None else body_text(record.answer, 1_000_000)
    return row
