"""Everything about the exchange that is a choice: its delays, and each answer where none is known for certain.

Values are frozen; who changes one at run time replaces the whole (`assumptions`). The defaults are what was recorded,
or the likelier of two readings. What each stands for is told where it is asked for, in `assumptions`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from btcturk_sim.auth import NonceRule
from btcturk_sim.book import BookOptions
from btcturk_sim.fees import FeeSchedule
from btcturk_sim.limits import LimitsMode

MarketRemainder = Literal["canceled", "closed", "refused"]
SelfTrades = Literal["allowed", "cancel-incoming", "cancel-resting"]
StopMarketBuy = Literal["quote", "base"]
StopReference = Literal["price", "book"]
StopFunds = Literal["locked", "free"]
LongClientIds = Literal["refused", "trimmed"]
TrailingZeros = Literal["ignored", "counted"]
Exponents = Literal["refused", "accepted"]

ReusedStamp = Literal["nonce", "signature", "accepted"]
AccountIp = Literal["each", "together"]
Error429 = Literal["documented", "short"]
ErrorCodes = Literal["2024", "2022", "2020"]
ErrorNames = Literal["list", "documents"]
OrderAnswer = Literal["2024", "2021", "2020"]
CancelCode = Literal["zero", "empty"]
OpenOrdersPair = Literal["optional", "required"]
AllOrdersFirst = Literal["newest", "oldest"]
CanceledAfterPartial = Literal["Canceled", "Partial"]
AmountRounding = Literal["down", "up"]
TransferFilters = Literal["always", "with-start"]
PreciseTransfers = Literal["absent", "present"]
PublicSide = Literal["taker", "maker"]
EmptyKlines = Literal["no_data", "ok"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    cancel_lag_ms: int = 50
    transactions_lag_ms: int = 150
    #: Money from a fill cannot be spent for this long (1122); 0 switches the rule off.
    just_filled_ms: int = 0
    unique_client_ids: bool = False
    book: BookOptions = field(default_factory=BookOptions)
    #: Commission by pair or by quote currency, where it is not the published one.
    fees: dict[str, FeeSchedule] | None = None
    #: The published level of commission, 1 (little volume) to 8.
    fee_level: int = 1
    market_remainder: MarketRemainder = "canceled"
    self_trades: SelfTrades = "allowed"
    stop_market_buy: StopMarketBuy = "quote"
    stop_reference: StopReference = "price"
    stop_funds: StopFunds = "locked"
    long_client_ids: LongClientIds = "refused"
    trailing_zeros: TrailingZeros = "ignored"
    exponents: Exponents = "refused"
    #: Open orders that an account may have; 0: as many as it likes.
    max_open_orders: int = 0


#: The number is the documentation's; how long the block lasts is not known.
UNAUTHORIZED_MAX = 50
UNAUTHORIZED_BLOCK_MS = 600_000
TRADES_MAX = 200
ALL_ORDERS_LIMIT_MAX = 1000
ALL_ORDERS_LIMIT_DEFAULT = 100


@dataclass(frozen=True, slots=True)
class ApiOptions:
    nonce: NonceRule = NonceRule.WINDOWED
    limits: LimitsMode = LimitsMode()  # noqa: RUF009 (frozen)
    #: Auth failures of 2019–20 said `success: true`; what they say now is not known.
    error_401_of_2019: bool = False
    #: Whether allOrders counts pages from 1 or 0 is not known; page 0 is always the first one.
    first_page: int = 1
    #: Balances with a decimal comma, as the documentation shows them; the live exchange was seen to use a dot.
    decimal_comma: bool = False
    #: Rows of a trade list at most, and of a page of allOrders.
    trades_max: int = TRADES_MAX
    all_orders_max: int = ALL_ORDERS_LIMIT_MAX
    #: This many 401 in a row are borne; the next blocks the address for so long. 0: never.
    unauthorized_max: int = UNAUTHORIZED_MAX
    unauthorized_block_ms: int = UNAUTHORIZED_BLOCK_MS
    reused_stamp: ReusedStamp = "nonce"
    account_ip: AccountIp = "each"
    #: Requests a minute of what the published table leaves out; 0: without limit.
    unlisted_limit: int = 0
    error_429: Error429 = "documented"
    error_codes: ErrorCodes = "2024"
    error_names: ErrorNames = "list"
    order_answer: OrderAnswer = "2024"
    cancel_code: CancelCode = "zero"
    open_orders_pair: OpenOrdersPair = "optional"
    #: Rows of a list of open orders; 0: all.
    open_orders_max: int = 0
    all_orders_default: int = ALL_ORDERS_LIMIT_DEFAULT
    #: How many orders back allOrders reaches, over all pages; 0: to the first.
    all_orders_reach: int = 0
    all_orders_first: AllOrdersFirst = "newest"
    canceled_after_partial: CanceledAfterPartial = "Canceled"
    amount_rounding: AmountRounding = "down"
    transfer_filters: TransferFilters = "always"
    precise_transfers: PreciseTransfers = "absent"
    public_side: PublicSide = "taker"
    empty_klines: EmptyKlines = "no_data"
    #: Answers may be this old: exchangeinfo and ticker rows are kept for so long; 0: always fresh.
    exchangeinfo_age_ms: int = 0
    ticker_age_ms: int = 0
