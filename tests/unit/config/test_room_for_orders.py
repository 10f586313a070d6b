"""Settings under which no order could ever be made: each is refused by name, where a profile and its strategy read it.

Two pairs, ADATRY and BTCTRY, of each of which an order is worth at least 99.91 TRY; the taker fee is 24 bps, so that a
buy costs 100.149784 at least, and with the buffer of the allocation (25 bps) 100.159775.
"""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.builders import an_instrument

from btcbot.bootstrap.meaning import gate_policy
from btcbot.bootstrap.room import caps_in_force, cash_problem, demand_room, demand_tradable, room_problems
from btcbot.bootstrap.strategies import parameters_in_force
from btcbot.config.loading import load_settings
from btcbot.config.settings import Settings
from btcbot.domain.book import BookIdentity
from btcbot.errors import ConfigurationError, Refused
from btcbot.profiles import PROFILES, RUN, STAGE4, STAGE7, Profile

PAIRS = {symbol: an_instrument(symbol) for symbol in ("ADATRY", "BTCTRY")}
EVERYWHERE = (RUN, STAGE4, STAGE7)
OVERSEEN = (STAGE4, STAGE7)
AGENT = {"AGENT_POLICY_ENABLED": "true"}
HALVES = "ADATRY:0.5,BTCTRY:0.5"


def read(**given: str) -> Settings:
    return load_settings({"SYMBOLS": ",".join(PAIRS), **given}, default_env_file=None).settings


def problems(profile: Profile, given: dict[str, str]) -> list[str]:
    settings = read(**given)
    return room_problems(settings, PAIRS, profile, parameters_in_force(profile, settings))


@pytest.mark.parametrize("profile", EVERYWHERE, ids=lambda one: one.name)
def test_the_defaults_leave_room(profile: Profile) -> None:
    assert problems(profile, {}) == []


@pytest.mark.parametrize(
    ("name", "text", "needed", "profiles", "beside"),
    [
        ("NOTIONAL_CAP_TRY_PER_CYCLE", "99.9", "99.91", EVERYWHERE, {"ENTRY_BUDGET_TRY": "100.14"}),
        ("MAX_NOTIONAL_PER_ORDER_TRY", "99.9", "99.91", EVERYWHERE, {}),
        ("MAX_POSITION_TRY_PER_SYMBOL", "100.149", "100.149784", (RUN,), {"ENTRY_BUDGET_TRY": "100.1491"}),
        ("MAX_POSITION_TRY_PER_SYMBOL", "100.159", "100.159775", OVERSEEN, {}),
        ("MAX_POSITION_TRY_PER_SYMBOL", "110", "110.159775", OVERSEEN, {"ROUNDING_BUFFER_TRY": "10"}),
        ("MAX_TOTAL_EXPOSURE_TRY", "100.149", "100.149784", OVERSEEN, {}),
        ("RISK_MAX_GROSS_EXPOSURE_TRY", "100.149", "100.149784", OVERSEEN, {}),
        ("MAX_INTENT_NOTIONAL_TRY", "99.9", "99.91", OVERSEEN, {}),
        ("MAX_TRY_PER_CYCLE", "100.159", "100.159775", OVERSEEN, {"INVESTABLE_USAGE_MODE": "cap"}),
        ("AGENT_MAX_ORDER_NOTIONAL_TRY", "99.9", "99.91", OVERSEEN, AGENT),
        ("MAX_INTENT_NOTIONAL_TRY", "500", "600", OVERSEEN, {"MIN_ORDER_NOTIONAL_TRY": "600"}),
    ],
)
def test_no_cap_is_below_the_venues_minimum_without_being_told(
    name: str, text: str, needed: str, profiles: tuple[Profile, ...], beside: dict[str, str]
) -> None:
    for profile in profiles:
        line = f"{name}: {text} is below {needed}, the least that an order of ADATRY needs; raise it"
        assert [one for one in problems(profile, {name: text, **beside}) if one.startswith(line)], profile.name
        assert not [one for one in problems(profile, {name: needed, **beside}) if one.startswith(f"{name}: {needed}")]


@pytest.mark.parametrize(
    "name", ["RISK_MAX_GROSS_EXPOSURE_TRY", "MAX_INTENT_NOTIONAL_TRY", "AGENT_MAX_ORDER_NOTIONAL_TRY"]
)
def test_a_cap_that_a_profile_does_not_read_stops_nothing_there(name: str) -> None:
    assert problems(RUN, {name: "50", **AGENT}) == []


def test_an_agent_that_is_not_asked_stops_nothing() -> None:
    assert problems(STAGE4, {"AGENT_MAX_ORDER_NOTIONAL_TRY": "50", "AGENT_SYMBOL_ALLOWLIST": "DOGETRY"}) == []


def test_every_problem_has_its_line() -> None:
    given = {"MAX_TOTAL_EXPOSURE_TRY": "50", "RISK_MAX_GROSS_EXPOSURE_TRY": "60", "AGENT_MAX_ORDER_NOTIONAL_TRY": "70"}
    settings = read(**given, **AGENT)
    with pytest.raises(ConfigurationError) as refused:
        demand_room(settings, PAIRS, STAGE4, parameters_in_force(STAGE4, settings))
    assert [line.partition(":")[0] for line in refused.value.lines] == list(given)


def test_a_turnover_that_stands_still_below_an_order_is_refused() -> None:
    given = {"ADAPTATION_ENABLED": "false", "ADAPTATION_TURNOVER_SHARE": "0.05"}
    (line,) = problems(STAGE7, given)
    assert line.startswith("ADAPTATION_TURNOVER_SHARE: 50 is below 99.91")
    assert problems(STAGE7, {**given, "ADAPTATION_ENABLED": "true"}) == [], "it grows from there"
    assert problems(STAGE4, given) == []


class TestSettingsOfAStrategy:
    """What the strategy in force does not read refuses nothing."""

    def test_an_entry_budget_counts_for_a_strategy_that_spends_it(self) -> None:
        (line,) = problems(RUN, {"ENTRY_BUDGET_TRY": "100.14"})
        assert line == (
            "ENTRY_BUDGET_TRY: 100.14 less the fee is below the minimum of 99.91 for ADATRY, so what it buys could "
            "never be sold; raise it"
        )

    def test_a_start_of_the_portfolio_is_never_refused_over_the_budget_of_another_strategy(self) -> None:
        raised = {"MIN_ORDER_NOTIONAL_TRY": "600", "MAX_INTENT_NOTIONAL_TRY": "700"}
        assert problems(STAGE4, raised) == []
        assert problems(RUN, {**raised, "STRATEGY": "portfolio"}) == []
        (line,) = problems(STAGE4, {**raised, "STRATEGY": "profit_v1"})
        assert line.startswith("ENTRY_BUDGET_TRY: 500 less the fee is below the minimum of 600")
        demand_tradable(read(**raised), PAIRS, STAGE4)
        with pytest.raises(Refused, match="ENTRY_BUDGET_TRY"):
            demand_tradable(read(**raised), PAIRS, RUN)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("NOTIONAL_CAP_TRY_PER_CYCLE", "498"),
            ("MAX_POSITION_TRY_PER_SYMBOL", "499"),
            ("MAX_TOTAL_EXPOSURE_TRY", "499"),
        ],
    )
    def test_a_budget_above_a_cap_is_refused_where_nothing_cuts_it(self, name: str, text: str) -> None:
        (line,) = problems(RUN, {name: text})
        assert line.startswith(f"ENTRY_BUDGET_TRY: a buy of 500 with its fee is above what {name} allows, ")
        assert problems(RUN, {name: text, "MAX_NOTIONAL_PER_ORDER_TRY": "400"}) == [], "that cuts it"
        assert problems(STAGE4, {name: text, "STRATEGY": "profit_v1"}) == [], "sizes are allotted there"

    def test_targets_count_for_a_strategy_that_has_them(self) -> None:
        given = {"PORTFOLIO_TARGETS": HALVES}
        (line,) = problems(STAGE4, given)
        assert line.startswith("RISK_MAX_POSITION_PCT: 40 is below the 50 percent that PORTFOLIO_TARGETS gives to ")
        assert problems(STAGE4, {**given, "STRATEGY": "profit_v1"}) == []

    @pytest.mark.parametrize(
        ("strategy", "parameter"),
        [("portfolio", "position_value_max"), ("portfolio", "turnover_max"), ("rebalance", "order_value_max")],
    )
    def test_a_cap_among_its_parameters_counts_too(self, strategy: str, parameter: str) -> None:
        (line,) = problems(STAGE4, {"STRATEGY": strategy, "STRATEGY_PARAMS": f"{parameter}=50"})
        assert line.startswith(f"STRATEGY: {parameter}: 50 is below ")

    def test_orders_beyond_the_collar_are_refused(self) -> None:
        given = {"PORTFOLIO_ORDER_OFFSET_BPS": "201"}
        (line,) = problems(STAGE4, given)
        assert line.startswith("PORTFOLIO_ORDER_OFFSET_BPS: 201 is above PRICE_COLLAR_BPS, 200")
        assert problems(RUN, given) == []
        assert problems(STAGE4, {"PORTFOLIO_ORDER_OFFSET_BPS": "200"}) == []
        (line,) = problems(RUN, {"SWEEP_ENABLED": "true", "OFFSET_BPS": "250"})
        assert line.startswith("OFFSET_BPS: 250 is above PRICE_COLLAR_BPS, 200")


class TestPairs:
    def test_an_allow_list_outside_of_what_is_traded_is_refused(self) -> None:
        listed = {**PAIRS, "DOGETRY": an_instrument("DOGETRY")}
        settings = read(AGENT_SYMBOL_ALLOWLIST="DOGETRY", **AGENT)
        (line,) = room_problems(settings, listed, STAGE4, parameters_in_force(STAGE4, settings))
        assert line == (
            "AGENT_SYMBOL_ALLOWLIST: names none of the pairs that are bought, so no buy ever passes; name one of "
            "ADATRY, BTCTRY, or leave it empty"
        )
        assert problems(STAGE4, {"AGENT_SYMBOL_ALLOWLIST": "BTCTRY", **AGENT}) == []

    def test_a_pair_that_may_still_be_sold_can_stand_beside_those_that_are_traded(self) -> None:
        """One that was traded before is sold through the same list."""
        listed = {**PAIRS, "DOGETRY": an_instrument("DOGETRY")}
        settings = read(AGENT_SYMBOL_ALLOWLIST="DOGETRY,BTCTRY", **AGENT)
        assert room_problems(settings, listed, STAGE4, {}) == []

    def test_a_slip_in_an_allow_list_is_told_with_the_nearest_name(self) -> None:
        lines = problems(STAGE4, {"AGENT_SYMBOL_ALLOWLIST": "BTCTRY,ADATRI", **AGENT})
        assert lines == ["AGENT_SYMBOL_ALLOWLIST: names ADATRI, which the venue does not list; did you mean ADATRY?"]

    def test_an_allow_list_beside_targets_names_one_of_them(self) -> None:
        given = {"PORTFOLIO_TARGETS": "BTCTRY:1", "RISK_MAX_POSITION_PCT": "100", **AGENT}
        (line,) = problems(STAGE4, {**given, "AGENT_SYMBOL_ALLOWLIST": "ADATRY"})
        assert "name one of BTCTRY, or leave it empty" in line

    def test_a_list_of_exclusions_leaves_somebody_to_choose(self) -> None:
        given = {"UNIVERSE_EXCLUDE_SYMBOLS": "ADATRY,BTCTRY"}
        assert problems(STAGE7, given) == [
            "UNIVERSE_EXCLUDE_SYMBOLS: names every pair of SYMBOLS, so none is ever chosen; take one out"
        ]
        assert problems(STAGE4, given) == [], "as configured, nothing is chosen"

    @pytest.mark.parametrize(
        ("given", "limit"),
        [({}, "MAX_POSITION_TRY_PER_SYMBOL, 5000"), ({"STRATEGY": "profit_v1"}, "ENTRY_BUDGET_TRY, 500")],
    )
    def test_an_agent_that_only_lets_larger_wishes_through_than_there_are(
        self, given: dict[str, str], limit: str
    ) -> None:
        (line,) = problems(STAGE4, {"AGENT_MIN_ORDER_NOTIONAL_TRY": "5001", **AGENT, **given})
        assert line.startswith(f"AGENT_MIN_ORDER_NOTIONAL_TRY: 5001 is above {limit}")


class TestCash:
    """An account that holds nothing but TRY."""

    def why(self, cash: str, profile: Profile = STAGE4, **given: str) -> str | None:
        settings = read(**given)
        return cash_problem(settings, PAIRS, profile, parameters_in_force(profile, settings), Decimal(cash))

    @pytest.mark.parametrize("profile", EVERYWHERE, ids=lambda one: one.name)
    def test_cash_below_the_target_is_told_with_the_setting(self, profile: Profile) -> None:
        assert self.why("1000", profile, TRY_CASH_TARGET="2000", TRY_CASH_MAX="2000") == (
            "1000 TRY are there, of which TRY_CASH_TARGET keeps 2000, and the smallest order needs 100.149784: lower "
            "TRY_CASH_TARGET, or"
        )

    def test_the_smallest_order_with_its_fee_is_enough_for_one(self) -> None:
        assert self.why("400.149783", RUN) is not None
        assert self.why("400.149784", RUN) is None

    def test_shares_that_are_too_small_for_any_order_are_told(self) -> None:
        """200 above the target are 100 for each of the two; leaning to one of them by 30 % makes an order of it."""
        plain = {"STRATEGY": "portfolio"}
        assert "the largest share of the rest is 100 while" in (self.why("500", **plain) or "")
        assert self.why("500") is None
        assert self.why("500", **plain, PORTFOLIO_TARGETS="ADATRY:0.6,BTCTRY:0.4") is None
        assert self.why("500", STAGE7) is None, "how many are chosen is not known yet"


@pytest.mark.parametrize("mode", ["dry_run", "paper"])
def test_a_database_without_a_key_is_not_taken_for_one_of_another_key(mode: str) -> None:
    without = BookIdentity(book_id="b", mode=mode, venue_host="api.btcturk.com", key_fingerprint=None, created_at_ms=0)
    for settings in (read(), read(BTCTURK_API_KEY="k", BTCTURK_API_SECRET="c2VjcmV0")):
        policy = gate_policy(settings, without)
        assert policy.key_matches
        assert not policy.database_armable, "nor does it ever arm"


@pytest.mark.parametrize("mode", ["live", "demo", ""])
def test_a_database_that_could_arm_has_to_be_of_the_very_key(mode: str) -> None:
    identity = BookIdentity(book_id="b", mode=mode, venue_host="api.btcturk.com", key_fingerprint=None, created_at_ms=0)
    assert not gate_policy(read(), identity).key_matches
    assert not gate_policy(read(BTCTURK_API_KEY="k", BTCTURK_API_SECRET="c2VjcmV0"), identity).key_matches


def test_every_setting_that_caps_a_value_is_in_the_table_or_is_known_to_shut_nothing() -> None:
    """A new setting in TRY has to be thought of here."""
    everything = {
        **AGENT,
        "AGENT_MAX_ORDER_NOTIONAL_TRY": "500",
        "MAX_NOTIONAL_PER_ORDER_TRY": "500",
        "INVESTABLE_USAGE_MODE": "cap",
        "MAX_TRY_PER_CYCLE": "500",
        "ADAPTATION_ENABLED": "false",
    }
    settings = read(**everything)
    capped = {cap.name for profile in PROFILES.values() for cap in caps_in_force(settings, profile, {})}
    in_try = {
        name.upper()
        for name in Settings.model_fields
        if "TRY" in name.upper().split("_") and isinstance(getattr(settings, name), Decimal)
    }
    assert in_try - capped == {
        # an order's or a universe's least, and steps and bounds of adaptation
        "MIN_ORDER_NOTIONAL_TRY", "AGENT_MIN_ORDER_NOTIONAL_TRY", "UNIVERSE_MIN_DEPTH_TRY",
        "UNIVERSE_MIN_QUOTE_VOLUME_TRY", "ADAPTATION_VOLUME_STEP_TRY", "ADAPTATION_TURNOVER_MIN_TRY",
        "ADAPTATION_QUOTE_VOLUME_MAX_TRY",
        # losses, fees and differences, which are none before there was an order
        "MAX_DAILY_LOSS_TRY", "RISK_MAX_DAILY_DRAWDOWN_TRY", "RISK_MAX_DRAWDOWN_TRY", "RISK_MAX_FEE_TRY_PER_DAY",
        "AGENT_MAX_DRAWDOWN_TRY", "ADAPTATION_LOSS_TRY", "PNL_DIVERGENCE_TRY_WARN", "PNL_DIVERGENCE_TRY_ERROR",
        # cash, and what is spent of it
        "TRY_CASH_TARGET", "TRY_CASH_MAX", "TARGET_TRY", "DRY_RUN_TRY_BALANCE", "ROUNDING_BUFFER_TRY",
        "ENTRY_BUDGET_TRY",
    }  # fmt: skip
