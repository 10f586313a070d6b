"""What nobody outside knows of the exchange: each open question, the answers it may have, and which one holds.

A question has a name, a list of answers (or takes a number), and stands for one field of `EngineOptions`, `ApiOptions`
or `FeedOptions`. `serve --assume NAME=ANSWER` settles one at the start, `POST /assumptions {NAME: ANSWER}` at run time;
a client that is right works with every answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeVar

from btcturk_sim.api import Api
from btcturk_sim.auth import NonceRule
from btcturk_sim.engine import Engine
from btcturk_sim.errors import ConfigurationError
from btcturk_sim.feed import Feed
from btcturk_sim.feed.options import BALANCE_UPDATED, ORDER_UPDATE, USER_EVENTS, FeedOptions, LoginWindow, Sides
from btcturk_sim.options import ApiOptions, EngineOptions

_NUMBER_MAX: Final = 1_000_000_000
_Options = TypeVar("_Options", EngineOptions, ApiOptions, FeedOptions)
Part = Literal["engine", "api", "feed"]
_NO_YES: Final = {"no": False, "yes": True}
_YES_NO: Final = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    name: str
    part: Part
    #: Name of the field that it settles.
    field: str
    #: Each answer and the value it gives the field, the likelier first; empty: a whole number from `least` on.
    answers: Mapping[str, object]
    least: int = 0
    about: str

    def read(self, text: str) -> object:
        """The field's value; ConfigurationError says what may be answered."""
        if self.answers:
            if text not in self.answers:
                raise ConfigurationError(f"{self.name}={text}: answer {' or '.join(self.answers)}")
            return self.answers[text]
        if not text.isascii() or not text.isdigit() or not self.least <= int(text[:12]) <= _NUMBER_MAX:
            raise ConfigurationError(f"{self.name}={text}: give a whole number from {self.least} to {_NUMBER_MAX}")
        return int(text)

    def show(self, options: EngineOptions | ApiOptions | FeedOptions) -> str:
        """The answer that holds."""
        value = getattr(options, self.field)  # a question is a row of the table below, and knows its field by name
        return next((text for text, one in self.answers.items() if one == value), str(value))


def _words(part: Part, name: str, answers: str, about: str) -> Question:
    """A question whose answers are the field's values."""
    values = {word: word for word in answers.split()}
    return Question(name=name, part=part, field=name.replace("-", "_"), answers=values, about=about)


def _number(part: Part, name: str, about: str, least: int = 0) -> Question:
    return Question(name=name, part=part, field=name.replace("-", "_"), answers={}, least=least, about=about)


def _map(part: Part, name: str, field: str, answers: Mapping[str, object], about: str) -> Question:
    return Question(name=name, part=part, field=field, answers=answers, about=about)


_ALL: Final = (
    # --- who is asking -------------------------------------------------------------------------------------------
    _map("api", "nonce", "nonce", {rule.value: rule for rule in NonceRule}, "stamps must differ, or must rise"),
    _words("api", "reused-stamp", "nonce signature accepted", "what a stamp is told that was used before"),
    _map("api", "error-401", "error_401_of_2019", {"current": False, "2019": True},
         "body of authentication failures; in 2019 it said success: true"),
    # --- limits ---------------------------------------------------------------------------------------------------
    _words("api", "account-ip", "each together", "a quota for account and ip: one bucket for each, or one for both"),
    _number("api", "unlisted-limit", "requests a minute of what the limits page leaves out; 0: any number"),
    _words("api", "error-429", "documented short", "body of a 429: as the page shows it, or as clients saw it"),
    # --- orders ---------------------------------------------------------------------------------------------------
    _number("engine", "cancel-lag-ms", "a cancel takes effect this much later"),
    _number("engine", "transactions-lag-ms", "a trade is listed this much later"),
    _number("engine", "just-filled-ms", "money from a fill is unusable (1122) for this long"),
    _map("engine", "client-ids", "unique_client_ids", {"repeatable": False, "unique": True},
         "whether a client order id may be used again"),
    _words("engine", "long-client-ids", "refused trimmed", "client order ids of more than 50 characters"),
    _words("engine", "market-remainder", "canceled closed refused",
           "what the 5 % collar leaves of a market order: it ends Canceled, or Closed with the rest in `quantity`; or "
           "such an order is refused at once (1118)"),
    _words("engine", "self-trades", "allowed cancel-incoming cancel-resting",
           "an account meets its own order: they trade, or one of them is cancelled"),
    _words("engine", "stop-market-buy", "quote base", "what the quantity of a stop-market buy counts"),
    _words("engine", "stop-reference", "price book",
           "stops are compared with the market's price, or with the best price they would meet"),
    _words("engine", "stop-funds", "locked free", "whether a stop order locks funds before it goes off"),
    _words("engine", "trailing-zeros", "ignored counted", "zeros at the end of a price or quantity are decimals"),
    _words("engine", "exponents", "refused accepted", "JSON numbers like 1e-3 in an order"),
    _number("engine", "max-open-orders", "open orders that an account may have; 0: any number"),
    _words("api", "order-answer", "2024 2021 2020",
           "answer to an accepted order: stopPrice null, or \"0\", or also without httpStatusCode and with OK"),
    _words("api", "cancel-code", "zero empty", "code in the answer to a cancel: 0, or \"\" as in the documents"),
    _words("api", "error-codes", "2024 2022 2020",
           "numbers of order errors: of May 2024, one higher from 1118 on, or cancels one lower"),
    _words("api", "error-names", "list documents",
           "names of the errors about stop prices and the price band: of the list of May 2024, or of the other pages"),
    # --- lists ----------------------------------------------------------------------------------------------------
    _map("api", "decimal-separator", "decimal_comma", {"dot": False, "comma": True}, "in balances"),
    _number("api", "trades-max", "rows of a trade list", 1),
    _words("api", "amount-rounding", "down up", "how `amount` of a trade is shortened"),
    _words("api", "open-orders-pair", "optional required", "whether openOrders needs a pairSymbol"),
    _number("api", "open-orders-max", "open orders listed a side; 0: all"),
    _number("api", "all-orders-max", "rows of a page of allOrders", 1),
    _number("api", "all-orders-default", "rows of a page that asks for no number", 1),
    _number("api", "all-orders-reach", "orders that allOrders reaches back, over all pages; 0: all"),
    _words("api", "all-orders-first", "newest oldest", "which order allOrders begins with"),
    _number("api", "first-page", "number of the first page of allOrders"),
    _words("api", "canceled-after-partial", "Canceled Partial", "status of an order cancelled after a part was filled"),
    _words("api", "transfer-filters", "always with-start", "type and symbol of a transfer list work without startDate"),
    _words("api", "precise-transfers", "absent present", "preciseAmount in the rows of transfers"),
    # --- market data ----------------------------------------------------------------------------------------------
    _words("api", "public-side", "taker maker", "whose side the list of public trades tells"),
    _words("api", "empty-klines", "no_data ok", "what `s` says where there are no candles"),
    _number("api", "exchangeinfo-age-ms", "how old an answer of exchangeinfo may be; the real one: 30000"),
    _number("api", "ticker-age-ms", "how old a row of the ticker may be; the real ones: 250 to 1650"),
    # --- the feed -------------------------------------------------------------------------------------------------
    _map("feed", "trade-sides", "sides", {one.value: one for one in Sides}, "number of a trade's side on the feed"),
    _map("feed", "trade-time", "trade_time_is_text", {"text": True, "number": False}, "time of a single trade (422)"),
    _number("feed", "lifetime-ms", "age at which a connection to the feed is closed; 0: never"),
    _map("feed", "leave-unknown", "leave_unknown_ok", {"refused": False, "ok": True},
         "leaving on the feed what was never joined"),
    _map("feed", "login-window", "login_window", {one.value: one for one in LoginWindow},
         "a login's timestamp is good for as many milliseconds as its nonce says, or for ever"),
    _map("feed", "logins-per-key", "one_login_per_key", {"many": False, "one": True},
         "connections that a key may be logged in on; the newest one ends the others"),
    _map("feed", "user-events", "user_events",
         {"all-but-453": USER_EVENTS - {ORDER_UPDATE}, "all": USER_EVENTS,
          "neither-201-nor-453": USER_EVENTS - {ORDER_UPDATE, BALANCE_UPDATED}}, "what an account is told of"),
    _number("feed", "user-events-lag-ms", "user events come this long after what they tell of; 0: before the answer"),
    _map("feed", "delete-filled", "delete_when_filled", _NO_YES, "452 for orders that have filled completely"),
    _map("feed", "insert-market", "insert_market_orders", _YES_NO, "451 for market orders"),
    _map("feed", "insert-stop", "insert_stop_orders", _YES_NO, "451 for stop orders"),
    _map("feed", "match-timestamp", "match_has_timestamp", {"absent": False, "present": True}, "timestamp of 441"),
    _map("feed", "user-trade-type", "user_trade_has_type", {"absent": False, "present": True}, "type of 423"),
)  # fmt: skip
QUESTIONS: Final[Mapping[str, Question]] = {one.name: one for one in _ALL}


def question(name: str) -> Question:
    found = QUESTIONS.get(name)
    if found is None:
        raise ConfigurationError(f"nobody asks {name!r}; the questions are {', '.join(QUESTIONS)}")
    return found


def assume(
    texts: Iterable[str], engine: EngineOptions, api: ApiOptions, feed: FeedOptions
) -> tuple[EngineOptions, ApiOptions, FeedOptions]:
    """All options with answers of the form NAME=ANSWER put in; ConfigurationError names what is wrong."""
    for text in texts:
        name, equals, answer = text.partition("=")
        if not equals:
            raise ConfigurationError(f"{text!r} is no answer; write NAME=ANSWER, with one of {', '.join(QUESTIONS)}")
        one = question(name)
        value = one.read(answer)
        if one.part == "engine":
            engine = _with(engine, one, value)
        elif one.part == "api":
            api = _with(api, one, value)
        else:
            feed = _with(feed, one, value)
    return engine, api, feed


def _with(options: _Options, one: Question, value: object) -> _Options:
    changed: dict[str, Any] = {one.field: value}
    return replace(options, **changed)


class Assumptions:
    """The answers that hold in a running exchange."""

    def __init__(self, engine: Engine, api: Api, feed: Feed) -> None:
        self._engine = engine
        self._api = api
        self._feed = feed

    def answers(self) -> dict[str, str]:
        return {one.name: one.show(self._options(one)) for one in _ALL}

    def change(self, answers: Mapping[str, str]) -> None:
        """Let other answers hold from now on, all or (ConfigurationError) none of them."""
        texts = [f"{name}={answer}" for name, answer in answers.items()]
        engine, api, feed = assume(texts, self._engine.options, self._api.options, self._feed.options)
        if engine.unique_client_ids and not self._engine.options.unique_client_ids:
            for account in self._engine.books.accounts.values():
                account.collect_client_ids()
        self._engine.options, self._api.options, self._feed.options = engine, api, feed

    def _options(self, one: Question) -> EngineOptions | ApiOptions | FeedOptions:
        match one.part:
            case "engine":
                return self._engine.options
            case "api":
                return self._api.options
            case "feed":
                return self._feed.options
