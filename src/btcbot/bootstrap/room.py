"""Whether any order can come of the settings: each limit under which every order would be refused for ever.

A bot that starts, looks alive and may never order anything is worse than one that does not start. So each setting that
caps an order, a position, a cycle, the account or the pairs stands here, beside the least that an order needs. What the
profile or the strategy in force does not read is not looked at: it can stop nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple

from btcbot.bootstrap.adaptive import start_tuning
from btcbot.bootstrap.listing import demand_symbols_tradable
from btcbot.bootstrap.strategies import parameters_in_force
from btcbot.bootstrap.universe import chooses
from btcbot.decisions.allotment import UsageMode
from btcbot.domain import money
from btcbot.domain.instrument import Instrument
from btcbot.domain.money import plain
from btcbot.errors import ConfigurationError, Refused, VenueUnavailable
from btcbot.ports import Exchange, Log
from btcbot.profiles import STAGE4, Profile

if TYPE_CHECKING:
    from btcbot.config.settings import Settings

_NO_LIMIT: Final = "raise it, or set 0 for no limit"


class Cap(NamedTuple):
    """A limit in TRY that one order has to fit into. The order counts with `share` of its value (1 and the fee that
    stands beside it), and with `beside` on top. One that is a `part_of` another cap is not told beside that one."""

    name: str
    amount: Decimal
    share: Decimal = money.ONE
    beside: Decimal = money.ZERO
    mend: str = "raise it"
    part_of: str = ""


def tradable_now(exchange: Exchange, settings: Settings, log: Log, profile: Profile) -> None:
    """Refuse what can never trade, by the venue's rules of now: Refused for a pair, ConfigurationError with one line
    for each limit. A venue in trouble is no reason to refuse a start."""
    try:
        instruments = exchange.instruments()
    except VenueUnavailable as unavailable:
        log.warning("rules_not_checked", why=unavailable.reason)
        return
    demand_symbols_tradable(settings, instruments)
    demand_room(settings, instruments, profile, parameters_in_force(profile, settings))


def demand_tradable(settings: Settings, instruments: Mapping[str, Instrument], profile: Profile | None = None) -> None:
    """Raise Refused for symbols that cannot be traded; of a profile that is known, also for the first limit under which
    nothing could ever be ordered."""
    demand_symbols_tradable(settings, instruments)
    if profile is not None:
        for problem in room_problems(settings, instruments, profile, parameters_in_force(profile, settings)):
            raise Refused(problem)


def demand_room(
    settings: Settings, instruments: Mapping[str, Instrument], profile: Profile, parameters: Mapping[str, str]
) -> None:
    """Raise ConfigurationError with a line for each of `room_problems`."""
    if problems := room_problems(settings, instruments, profile, parameters):
        raise ConfigurationError(problems)


def demand_room_for_orders(settings: Settings, instruments: Mapping[str, Instrument]) -> None:
    """Raise Refused for the first limit of a profile that allots sizes within which no order of some symbol fits,
    whatever its strategy."""
    for problem in room_problems(settings, instruments, STAGE4, {}):
        raise Refused(problem)


def room_problems(
    settings: Settings, instruments: Mapping[str, Instrument], profile: Profile, parameters: Mapping[str, str]
) -> list[str]:
    """One line for each limit that leaves room for no order of some pair, and for each that contradicts another one.

    `parameters` are those of the strategy in force, as `parameters_in_force` gives them; a symbol that is not among
    `instruments` is left to `demand_symbols_tradable`.
    """
    least_of = {symbol: _least(settings, instruments[symbol]) for symbol in settings.symbols if symbol in instruments}
    found = [*_caps(settings, profile, parameters, least_of)]
    found += _budget(settings, profile, parameters, least_of)
    found += _prices(settings, profile, parameters)
    if profile.is_overseen:
        found += _targets(settings, parameters)
    if chooses(profile, settings) and settings.universe_candidates == "configured":
        found += _candidates(settings)
    if profile.is_overseen and settings.agent_policy_enabled:
        found += _agent(settings, instruments, profile, parameters)
    return found


def cash_problem(
    settings: Settings,
    instruments: Mapping[str, Instrument],
    profile: Profile,
    parameters: Mapping[str, str],
    cash: Decimal,
) -> str | None:
    """Why an account of `cash` TRY in all, that holds nothing else, can buy nothing; None where it can.

    Above TRY_CASH_TARGET there has to be enough for the smallest order with its fee; where targets spread it over the
    pairs, enough in the largest share, raised by the tilt.
    """
    fee = money.ONE + settings.fee_bps_taker * money.BPS
    needs = [_least(settings, instruments[symbol]) * fee for symbol in settings.symbols if symbol in instruments]
    if not needs:
        return None
    needed, kept = min(needs), settings.try_cash_target
    left = max(cash - kept, money.ZERO)
    if left < needed:
        return (
            f"{plain(cash)} TRY are there, of which TRY_CASH_TARGET keeps {plain(kept)}, and the smallest order needs "
            f"{plain(needed)}: lower TRY_CASH_TARGET, or"
        )
    if "targets" not in parameters or chooses(profile, settings):
        return None
    weights = settings.portfolio_targets.weights
    share = max(weights.values()) if weights else money.divide_up(money.ONE, Decimal(len(settings.symbols)), 12)
    largest = money.round_down(left * min(share * (money.ONE + Decimal(parameters.get("tilt", "0"))), money.ONE), 2)
    if largest >= needed:
        return None
    return (
        f"{plain(cash)} TRY are there, of which TRY_CASH_TARGET keeps {plain(kept)}, and the largest share of the rest "
        f"is {plain(largest)} while the smallest order needs {plain(needed)}: lower TRY_CASH_TARGET, name fewer "
        "SYMBOLS, or"
    )


def _least(settings: Settings, instrument: Instrument) -> Decimal:
    """The smallest order of a pair, in TRY."""
    return max(instrument.value_min, settings.min_order_notional_try)


# -- what one order has to fit into ------------------------------------------------------------------------------------


def caps_in_force(settings: Settings, profile: Profile, parameters: Mapping[str, str]) -> list[Cap]:
    """Every cap that the parts of this profile and its strategy hold against an order; one that is off is left out."""
    fee = money.ONE + settings.fee_bps_taker * money.BPS
    rounding = settings.rounding_buffer_try if profile.is_overseen else money.ZERO
    allotted = fee
    if profile.is_overseen:
        allotted = money.ONE + max(settings.allocation_fee_buffer_bps, settings.fee_bps_taker) * money.BPS
    caps = [
        Cap("NOTIONAL_CAP_TRY_PER_CYCLE", settings.notional_cap_try_per_cycle),
        Cap("MAX_POSITION_TRY_PER_SYMBOL", settings.max_position_try_per_symbol, allotted, rounding),
        Cap("MAX_TOTAL_EXPOSURE_TRY", settings.max_total_exposure_try, fee),
    ]
    if settings.max_notional_per_order_try:
        caps.append(Cap("MAX_NOTIONAL_PER_ORDER_TRY", settings.max_notional_per_order_try, mend=_NO_LIMIT))
    if profile.is_overseen:
        caps.append(Cap("RISK_MAX_GROSS_EXPOSURE_TRY", settings.risk_max_gross_exposure_try, fee))
        caps.append(Cap("MAX_INTENT_NOTIONAL_TRY", settings.max_intent_notional_try))
        if settings.investable_usage_mode == UsageMode.CAP:
            caps.append(Cap("MAX_TRY_PER_CYCLE", settings.max_try_per_cycle, allotted, rounding))
        if settings.agent_policy_enabled and settings.agent_max_order_notional_try:
            most = settings.agent_max_order_notional_try
            caps.append(Cap("AGENT_MAX_ORDER_NOTIONAL_TRY", most, mend=_NO_LIMIT))
    if profile.adapts and not settings.adaptation_enabled:
        turnover = start_tuning(settings).turnover_per_cycle_max
        whole = "NOTIONAL_CAP_TRY_PER_CYCLE"
        caps.append(Cap("ADAPTATION_TURNOVER_SHARE", turnover, mend=f"raise it, or {whole}", part_of=whole))
    return [*caps, *_own_caps(settings, parameters, fee)]


def _own_caps(settings: Settings, parameters: Mapping[str, str], fee: Decimal) -> Iterator[Cap]:
    """Those that only a parameter of the strategy sets; one that a setting gives is told by that setting's name."""
    position = parameters.get("position_value_max")
    if position is not None and Decimal(position) != settings.max_position_try_per_symbol:
        yield Cap("STRATEGY: position_value_max", Decimal(position), fee)
    if turnover := Decimal(parameters.get("turnover_max", "0")):
        yield Cap("STRATEGY: turnover_max", turnover, mend=_NO_LIMIT)
    if (order := parameters.get("order_value_max")) is not None:
        yield Cap("STRATEGY: order_value_max", Decimal(order))


def _caps(
    settings: Settings, profile: Profile, parameters: Mapping[str, str], least_of: Mapping[str, Decimal]
) -> Iterator[str]:
    told: set[str] = set()
    for cap in caps_in_force(settings, profile, parameters):
        for symbol, least in least_of.items():
            needed = least * cap.share + cap.beside
            if cap.amount < needed and cap.part_of not in told:
                told.add(cap.name)
                yield (
                    f"{cap.name}: {plain(cap.amount)} is below {plain(needed)}, the least that an order of {symbol} "
                    f"needs; {cap.mend}"
                )
                break


# -- what contradicts another setting ----------------------------------------------------------------------------------


def _budget(
    settings: Settings, profile: Profile, parameters: Mapping[str, str], least_of: Mapping[str, Decimal]
) -> Iterator[str]:
    """A budget whose buy could never be sold again; and one above what risk lets through whole or not at all."""
    text = parameters.get("entry_budget")
    if text is None or Decimal(parameters.get("quantity", "0")):
        return
    budget, fee = Decimal(text), settings.fee_bps_taker * money.BPS
    name = "ENTRY_BUDGET_TRY" if budget == settings.entry_budget_try else "STRATEGY: entry_budget"
    bought = budget * (money.ONE - fee)
    for symbol, least in least_of.items():
        if bought < least:
            yield (
                f"{name}: {plain(budget)} less the fee is below the minimum of {plain(least)} for {symbol}, so what it "
                "buys could never be sold; raise it"
            )
            break
    if profile.is_overseen:
        return  # sizes are allotted there: a buy is cut to what there is room for
    cut = settings.max_notional_per_order_try
    spent = min(budget, cut * (money.ONE + fee)) if cut else budget
    most = {
        "NOTIONAL_CAP_TRY_PER_CYCLE": settings.notional_cap_try_per_cycle * (money.ONE + fee),
        "MAX_POSITION_TRY_PER_SYMBOL": settings.max_position_try_per_symbol,
        "MAX_TOTAL_EXPOSURE_TRY": settings.max_total_exposure_try,
    }
    for limit, amount in most.items():
        if spent > amount:
            yield (
                f"{name}: a buy of {plain(spent)} with its fee is above what {limit} allows, {plain(amount)}, and is "
                "refused as a whole; lower the one or raise the other"
            )


def _prices(settings: Settings, profile: Profile, parameters: Mapping[str, str]) -> Iterator[str]:
    """Prices that are wished further from the mid than risk allows any."""
    offset = Decimal(parameters.get("order_offset_bps", "0"))
    of_setting = offset == settings.portfolio_order_offset_bps
    wished = {"PORTFOLIO_ORDER_OFFSET_BPS" if of_setting else "STRATEGY: order_offset_bps": offset}
    if profile.adapts and settings.adaptation_enabled:
        wished = {}  # the tuned one counts, and it has bounds of its own
    if settings.sweep_enabled:
        wished["OFFSET_BPS"] = settings.offset_bps
    for name, away in wished.items():
        if away > settings.price_collar_bps:
            yield (
                f"{name}: {plain(away)} is above PRICE_COLLAR_BPS, {plain(settings.price_collar_bps)}, so every order "
                "at that distance is refused; lower the one or raise the other"
            )


def _targets(settings: Settings, parameters: Mapping[str, str]) -> Iterator[str]:
    """A target that the risk budget never lets be reached; a strategy without targets has none."""
    weights = settings.portfolio_targets.weights if "targets" in parameters else {}
    largest = max(weights, key=lambda symbol: weights[symbol], default=None)
    if largest is not None and weights[largest] * 100 > settings.risk_max_position_pct:
        yield (
            f"RISK_MAX_POSITION_PCT: {plain(settings.risk_max_position_pct)} is below the "
            f"{plain(weights[largest] * 100)} percent that PORTFOLIO_TARGETS gives to {largest}, so they would never "
            "be reached; raise the one or lower the other"
        )


def _candidates(settings: Settings) -> Iterator[str]:
    if not set(settings.symbols) - set(settings.universe_exclude_symbols):
        yield "UNIVERSE_EXCLUDE_SYMBOLS: names every pair of SYMBOLS, so none is ever chosen; take one out"


def _agent(
    settings: Settings, instruments: Mapping[str, Instrument], profile: Profile, parameters: Mapping[str, str]
) -> Iterator[str]:
    """An agent that lets nothing through that could ever be wished."""
    allowed = settings.agent_symbol_allowlist
    for symbol in allowed:
        if symbol not in instruments:
            near = get_close_matches(symbol, instruments, n=1)
            hint = f"did you mean {near[0]}?" if near else "take it out"
            yield f"AGENT_SYMBOL_ALLOWLIST: names {symbol}, which the venue does not list; {hint}"
    is_open = chooses(profile, settings) and settings.universe_candidates == "listed"
    traded = set(settings.symbols)
    if "targets" in parameters and settings.portfolio_targets.weights:
        traded &= settings.portfolio_targets.weights.keys()
    if allowed and not is_open and not traded & set(allowed):
        yield (
            f"AGENT_SYMBOL_ALLOWLIST: names none of the pairs that are bought, so no buy ever passes; name one of "
            f"{', '.join(sorted(traded))}, or leave it empty"
        )
    least = settings.agent_min_order_notional_try
    for name, parameter in (
        ("MAX_POSITION_TRY_PER_SYMBOL", "position_value_max"),
        ("ENTRY_BUDGET_TRY", "entry_budget"),
    ):
        if parameter in parameters and least > (most := Decimal(parameters[parameter])):
            yield (
                f"AGENT_MIN_ORDER_NOTIONAL_TRY: {plain(least)} is above {name}, {plain(most)}, so no buy ever passes; "
                "lower the one or raise the other"
            )
