"""The settings: every environment name that btcbot reads, with its type, default, range and meaning.

`load_settings` reads the process environment, the env file and the command line once, at start, and hands over one
frozen `Settings` with the origin of every value. All problems are reported together. After that nothing else in the
program looks at the environment.

Defaults are closed: without any setting the bot simulates. This is the only module that imports pydantic, because that
import alone costs more than most commands; nothing imports it before it is needed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError
from pydantic.fields import FieldInfo

from btcbot.config import values
from btcbot.config.env_file import read_env_file
from btcbot.config.secrets import (
    MASK,
    CredentialsDirectoryProvider,
    EnvironmentProvider,
    FileProvider,
    Secret,
    SecretProvider,
)
from btcbot.config.sources import (
    ACKNOWLEDGEMENT,
    ALIASES,
    DEFAULT,
    SECRET_SETTINGS,
    Given,
    command_line_source,
    env_file_source,
    environment_source,
    is_simulation_wished,
    line_for,
    resolve,
)
from btcbot.errors import ConfigurationError

__all__ = [
    "DEFAULT_ENV_FILE",
    "SETTING_NAMES",
    "LoadedSettings",
    "SettingDescription",
    "SettingRow",
    "Settings",
    "describe_settings",
    "load_settings",
]

DEFAULT_ENV_FILE: Final = Path(".env.live")
LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
EXPORTERS: Final = ("none", "prometheus", "otlp")


class Kind(NamedTuple):
    """What a setting's value is, in words; for the reference."""

    words: str


def _secret(value: object) -> object:
    return Secret(value) if isinstance(value, str) else value


def _base64(value: Secret | None) -> Secret | None:
    if value is not None:
        try:
            base64.b64decode(value.reveal(), validate=True)
        except binascii.Error:
            raise ValueError("is not base64; copy the secret again, whole, as the venue shows it") from None
    return value


def _scopes(value: tuple[str, ...]) -> tuple[str, ...]:
    if "withdraw" in value:
        raise ValueError("allows withdrawals, which the bot never needs; make a key without that permission")
    if "read" not in value:
        raise ValueError("lacks read; the bot cannot reconcile without it")
    if unknown := set(value) - {"read", "trade"}:
        raise ValueError(f"holds {len(unknown)} unknown scope(s); read and trade are known")
    return value


_masked = PlainSerializer(lambda secret: None if secret is None else MASK)

Switch = Annotated[bool, Kind("true or false"), BeforeValidator(values.switch)]
Whole = Annotated[int, Kind("whole number"), BeforeValidator(values.whole)]
Exact = Annotated[Decimal, Kind("number"), BeforeValidator(values.decimal)]
Words = Annotated[tuple[str, ...], Kind("list"), BeforeValidator(values.names), AfterValidator(_scopes)]
Symbols = Annotated[tuple[str, ...], Kind("list of pairs"), BeforeValidator(values.symbols)]
FilePath = Annotated[Path, Kind("path"), BeforeValidator(values.path)]
OptionalPath = Annotated[Path | None, Kind("path"), BeforeValidator(values.path)]
OptionalDay = Annotated[date | None, Kind("day, YYYY-MM-DD"), BeforeValidator(values.iso_date)]
OptionalText = Annotated[str | None, Kind("text")]
OptionalEndpoint = Annotated[str | None, Kind("address"), BeforeValidator(values.endpoint)]
ApiKey = Annotated[Secret | None, Kind("secret"), BeforeValidator(_secret), _masked]
ApiSecret = Annotated[Secret | None, Kind("secret, base64"), BeforeValidator(_secret), AfterValidator(_base64), _masked]
BaseUrl = Annotated[str, Kind("address"), BeforeValidator(values.base_url)]
LogLevel = Annotated[
    str, Kind(", ".join(LOG_LEVELS)), BeforeValidator(partial(values.choice, allowed=LOG_LEVELS, upper=True))
]
Exporter = Annotated[
    str, Kind(", ".join(EXPORTERS)), BeforeValidator(partial(values.choice, allowed=EXPORTERS, upper=False))
]

TRY_MAX: Final = Decimal(1_000_000_000)
BPS_MAX: Final = Decimal(10_000)


class Settings(BaseModel):
    """All settings, frozen. Attribute names are the environment names in lower case; units come last.

    Money and rates are Decimal; amounts are in TRY, rates in basis points (1 bps = 0.01 %).
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
        alias_generator=str.upper,
        validate_by_name=True,
        validate_by_alias=True,
    )

    # Safety
    dry_run: Switch = Field(default=True, description="Simulate: no order reaches the venue.")
    kill_switch: Switch = Field(default=False, description="Stop: no new order; cancels stay possible.")
    safe_mode: Switch = Field(default=False, description="Observe only: no write of any kind, cancels included.")
    live_trading: Switch = Field(default=False, description="Allow real orders, once every other gate is open too.")
    live_trading_ack: OptionalText = Field(
        default=None, description=f"The acknowledgement that live trading needs: exactly {ACKNOWLEDGEMENT}."
    )

    # Credentials
    btcturk_api_key: ApiKey = Field(default=None, description="The API key; better given by file.")
    btcturk_api_secret: ApiSecret = Field(default=None, description="The API secret; better given by file.")
    btcturk_api_key_file: OptionalPath = Field(
        default=None, description="A file (0600 or 0400, no symlink) with the API key."
    )
    btcturk_api_secret_file: OptionalPath = Field(
        default=None, description="A file (0600 or 0400, no symlink) with the API secret."
    )
    btcturk_api_scopes: Words = Field(
        default=("read", "trade"),
        description="What the key may do: read always, trade for live trading; withdraw is refused.",
    )
    btcturk_secret_rotated_at: OptionalDay = Field(default=None, description="The day on which the key was made.")
    secret_rotation_warn_days: Whole = Field(
        default=30, ge=1, le=3650, description="Age of the key, in days, from which a warning is logged."
    )
    btcturk_secret_max_age_days: Whole = Field(
        default=90, ge=1, le=3650, description="Age of the key, in days, above which live trading is refused."
    )

    # Venue
    btcturk_base_url: BaseUrl = Field(
        default="https://api.btcturk.com", description="The venue's address, or a simulator on this machine."
    )
    symbols: Symbols = Field(
        default=("BTCTRY", "ETHTRY", "SOLTRY"),
        description="The pairs to trade; UNIVERSE_SYMBOLS is another name for it.",
    )
    max_market_data_age_ms: Whole = Field(
        default=15_000,
        ge=1,
        le=600_000,
        description="Age in milliseconds above which a quote is stale and bars new orders.",
    )
    rules_cache_ttl_sec: Whole = Field(
        default=300, ge=1, le=86_400, description="Seconds for which the venue's trading rules are taken as current."
    )
    btcturk_clock_sync_interval_seconds: Whole = Field(
        default=60, ge=1, le=3600, description="Seconds between two measurements of the venue's clock."
    )
    clock_skew_seconds_threshold: Exact = Field(
        default=Decimal(2),
        gt=0,
        le=5,
        description="Seconds by which the clocks may differ before the clock gate closes.",
    )
    max_retry_attempts: Whole = Field(
        default=3, ge=1, le=10, description="Tries of one read, the first included; writes are never repeated."
    )
    max_retry_total_sleep_s: Exact = Field(
        default=Decimal(2), ge=0, le=60, description="Seconds that the retries of one read may wait in all."
    )
    # State
    state_db_path: FilePath = Field(
        default=Path("btcbot_state.db"), description="The state database; lock and kill file lie beside it."
    )

    cycles_kept: Whole = Field(
        200_000,
        ge=1_000,
        le=10_000_000,
        description="Cycle reports kept, with their verdicts; older ones are forgotten. Orders and books stay.",
    )

    # Orders
    ttl_seconds: Whole = Field(
        default=120, ge=1, le=86_400, description="Age in seconds at which an open order is cancelled."
    )
    cooldown_seconds: Whole = Field(
        default=60, ge=0, le=86_400, description="Seconds between two orders for the same pair and side."
    )
    settle_horizon_seconds: Whole = Field(
        default=30,
        ge=1,
        le=3600,
        description="Seconds of venue time after which an order that no list shows counts as not placed.",
    )
    max_orders_per_cycle: Whole = Field(default=2, ge=1, le=100, description="New orders in one cycle, at most.")
    max_open_orders_per_symbol: Whole = Field(default=1, ge=1, le=20, description="Open orders of one pair, at most.")
    min_order_notional_try: Exact = Field(
        default=Decimal(10),
        ge=0,
        le=TRY_MAX,
        description="Smallest value of an order; the venue's own minimum holds as well.",
    )

    # Limits
    notional_cap_try_per_cycle: Exact = Field(
        default=Decimal(1000), gt=0, le=TRY_MAX, description="Value of all new orders of one cycle, at most."
    )
    max_notional_per_order_try: Exact = Field(
        default=Decimal(0), ge=0, le=TRY_MAX, description="Value of one order, at most; 0 sets no limit of its own."
    )
    max_position_try_per_symbol: Exact = Field(
        default=Decimal(5000), gt=0, le=TRY_MAX, description="Value of the position in one pair, at most."
    )
    max_total_exposure_try: Exact = Field(
        default=Decimal(20_000), gt=0, le=TRY_MAX, description="Value of all positions and open buys, at most."
    )
    max_daily_loss_try: Exact = Field(
        default=Decimal(500),
        gt=0,
        le=TRY_MAX,
        description="Loss of one day (realised and unrealised) that stops buying.",
    )
    price_collar_bps: Exact = Field(
        default=Decimal(200), gt=0, le=BPS_MAX, description="Distance of an order's price from the mid price, at most."
    )
    try_cash_target: Exact = Field(
        default=Decimal(300), ge=0, le=TRY_MAX, description="TRY that buying leaves untouched."
    )
    fee_bps_taker: Exact = Field(
        default=Decimal(24),
        ge=0,
        le=1000,
        description="Fee with tax of an order that fills at once; corrected by own trades.",
    )
    fee_bps_maker: Exact = Field(
        default=Decimal(12), ge=0, le=1000, description="Fee with tax of an order that rested; corrected by own trades."
    )

    # Strategy
    entry_budget_try: Exact = Field(
        default=Decimal(500), gt=0, le=TRY_MAX, description="Value of the order that opens a position."
    )
    min_profit_bps: Exact = Field(
        default=Decimal(30),
        ge=0,
        le=BPS_MAX,
        description="Gain, net of the sell's taker fee, from which profit is taken.",
    )
    take_profit_fraction: Exact = Field(
        default=Decimal("0.25"), gt=0, le=1, description="Share of the position that one sell takes."
    )
    entry_spread_bps_max: Exact = Field(
        default=Decimal(100), gt=0, le=BPS_MAX, description="Spread above which no position is opened."
    )
    sweep_enabled: Switch = Field(default=False, description="Spend the TRY above TARGET_TRY, evenly on all pairs.")
    target_try: Exact = Field(default=Decimal(300), ge=0, le=TRY_MAX, description="TRY that a sweep leaves untouched.")
    offset_bps: Exact = Field(
        default=Decimal(20), ge=0, le=BPS_MAX, description="Distance below the best bid at which a sweep buys."
    )

    # Simulation, logs and metrics
    dry_run_try_balance: Exact = Field(
        default=Decimal(1000), ge=0, le=TRY_MAX, description="TRY of the imagined account of a dry run."
    )
    log_level: LogLevel = Field(default="INFO", description="The least severe log lines to write.")
    observability_enabled: Switch = Field(default=False, description="Record metrics with the exporter below.")
    observability_metrics_exporter: Exporter = Field(default="none", description="Where metrics go.")
    observability_otlp_endpoint: OptionalEndpoint = Field(
        default=None, description="The OTLP/HTTP collector's address; needed by the otlp exporter."
    )
    observability_prometheus_port: Whole = Field(
        default=9464, ge=1, le=65_535, description="Port on 127.0.0.1 at which the prometheus exporter is read."
    )


SETTING_NAMES: Final[tuple[str, ...]] = tuple(name.upper() for name in Settings.model_fields)


# --- loading ---------------------------------------------------------------------------------------------------------


class SettingRow(NamedTuple):
    """One line of `btcbot config`: the value as text, secrets masked."""

    name: str
    value: str
    origin: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """The settings in force, and for each name where its value came from."""

    settings: Settings
    origins: Mapping[str, str]
    env_file: Path | None

    def rows(self) -> tuple[SettingRow, ...]:
        """Every setting in order, for people; no row holds a secret."""
        return tuple(
            SettingRow(name, _shown(getattr(self.settings, name.lower())), self.origins[name], _description_of(name))
            for name in SETTING_NAMES
        )


def load_settings(
    environ: Mapping[str, str],
    env_file: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    *,
    default_env_file: Path | None = DEFAULT_ENV_FILE,
) -> LoadedSettings:
    """Read all sources and return settings that can be used, or raise ConfigurationError with every problem found.

    `env_file` must exist; without it `default_env_file` is read if it exists (None: the demo and tests read none).
    `overrides` are the command line's values by setting name.
    """
    problems: list[str] = []
    known = frozenset(SETTING_NAMES) | ALIASES.keys()
    sources = [
        command_line_source(overrides or {}, known, problems),
        environment_source(environ, known, problems),
    ]
    if env_file is None and default_env_file is not None and _is_there(default_env_file):
        env_file = default_env_file
    if env_file is not None:
        content = read_env_file(env_file)
        problems.extend(content.problems)
        sources.append(env_file_source(str(env_file), content.values, content.line_of, known, problems))
    given = resolve(sources, problems)
    secrets, origins, unusable = _secrets(given, environ.get("CREDENTIALS_DIRECTORY", ""), problems)
    plain = {name: text for name, text in given.items() if name not in SECRET_SETTINGS}
    origins |= {name: text.origin for name, text in plain.items()}
    settings = _validated({**{name: text.text for name, text in plain.items()}, **secrets}, origins, problems)
    if settings is not None:
        problems.extend(_contradictions(settings, given, unusable, simulation_wished=is_simulation_wished(sources)))
    if problems or settings is None:
        raise ConfigurationError(problems)
    return LoadedSettings(
        settings=settings,
        origins={name: origins.get(name, DEFAULT) for name in SETTING_NAMES},
        env_file=env_file,
    )


def _is_there(path: Path) -> bool:
    # A dangling link is there too: it is refused when read, instead of being passed over.
    return path.is_symlink() or path.exists()


def _secrets(
    given: Mapping[str, Given], credentials_directory: str, problems: list[str]
) -> tuple[dict[str, Secret], dict[str, str], frozenset[str]]:
    """The secrets, their origins, and the names of those that are given but cannot be used, which is a problem each.

    A secret may come from one place only: two might differ, and who would notice?
    """
    secrets: dict[str, Secret] = {}
    origins: dict[str, str] = {}
    unusable: set[str] = set()
    for name in SECRET_SETTINGS:
        places: list[tuple[str, SecretProvider]] = []
        if name in given:
            places.append((given[name].origin, EnvironmentProvider({name: given[name].text})))
        file = given.get(f"{name}_FILE")
        if file is not None and file.text.isprintable():  # otherwise the path itself is refused, later
            places.append((f"{name}_FILE, {file.origin}", FileProvider({name: Path(file.text)})))
        if credentials_directory:
            places.append(("systemd credential", CredentialsDirectoryProvider(Path(credentials_directory))))
        found: list[tuple[Secret, str]] = []
        for origin, provider in places:
            try:
                if secret := provider.get(name):
                    found.append((secret, origin))
            except ValueError as error:
                problems.append(line_for(name, error, origin))
                unusable.add(name)
        if len(found) > 1:
            problems.append(f"{name}: is given twice ({' and '.join(origin for _, origin in found)}); remove one")
        if found:
            secrets[name], origins[name] = found[0]
    return secrets, origins, frozenset(unusable)


def _validated(texts: Mapping[str, object], origins: Mapping[str, str], problems: list[str]) -> Settings | None:
    try:
        return Settings.model_validate(texts)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            name = str(fault["loc"][0]).upper()
            problems.append(
                line_for(name, _reason(name, fault["type"], fault.get("ctx", {})), origins.get(name, DEFAULT))
            )
        return None


def _reason(name: str, fault: str, context: Mapping[str, object]) -> str:
    reason = context.get("error")
    if isinstance(reason, ValueError):
        return str(reason)
    if allowed := _range_of(name):
        return f"is outside its range; choose a value {allowed}"
    return f"cannot be used ({fault}); see docs/reference/settings.md"


def _contradictions(
    settings: Settings, given: Mapping[str, Given], unusable: frozenset[str], *, simulation_wished: bool
) -> list[str]:
    """Settings that are fine one by one and cannot be meant together.

    An `unusable` secret is not called missing: it is there, and what is wrong with it is told already.
    """
    secrets = {"BTCTURK_API_KEY": settings.btcturk_api_key, "BTCTURK_API_SECRET": settings.btcturk_api_secret}
    missing = [name for name, secret in secrets.items() if secret is None and name not in unusable]
    lines: list[str] = []
    if settings.live_trading:
        lines += _arming_problems(settings, given, missing, simulation_wished=simulation_wished)
    for absent, present in permutations(secrets):
        if absent in missing and secrets[present] is not None:
            lines.append(f"{absent}: is missing while {present} is set; give both or neither")
    if settings.secret_rotation_warn_days > settings.btcturk_secret_max_age_days:
        lines.append(
            "SECRET_ROTATION_WARN_DAYS: is more than BTCTURK_SECRET_MAX_AGE_DAYS, so no warning ever comes; lower it"
        )
    if settings.observability_enabled and settings.observability_metrics_exporter == "none":
        lines.append(
            "OBSERVABILITY_METRICS_EXPORTER: is none while OBSERVABILITY_ENABLED is true, so nothing is recorded; "
            f"choose {' or '.join(EXPORTERS[1:])}, or set OBSERVABILITY_ENABLED=false"
        )
    if settings.observability_metrics_exporter == "otlp" and settings.observability_otlp_endpoint is None:
        lines.append(
            "OBSERVABILITY_OTLP_ENDPOINT: is missing while OBSERVABILITY_METRICS_EXPORTER is otlp; "
            "set it, such as http://127.0.0.1:4318/v1/metrics"
        )
    return lines


def _arming_problems(
    settings: Settings, given: Mapping[str, Given], missing_secrets: Sequence[str], *, simulation_wished: bool
) -> list[str]:
    """What live trading still lacks. KILL_SWITCH and SAFE_MODE may be on: their gates are then simply closed."""
    live = given["LIVE_TRADING"].origin if "LIVE_TRADING" in given else DEFAULT
    lines: list[str] = []
    dry_run = given.get("DRY_RUN")
    # `--dry-run` beside an armed env file is a wish, not a contradiction: the closed value wins and simulates.
    if settings.dry_run and not simulation_wished:
        dry = f"DRY_RUN is true ({dry_run.origin})" if dry_run else "DRY_RUN is true by default"
        lines.append(
            f"LIVE_TRADING: is true ({live}) while {dry}; set DRY_RUN=false to trade, or LIVE_TRADING=false to simulate"
        )
    if settings.live_trading_ack != ACKNOWLEDGEMENT:
        found = "is missing" if settings.live_trading_ack is None else f"is wrong ({given['LIVE_TRADING_ACK'].origin})"
        lines.append(
            f"LIVE_TRADING_ACK: {found} while LIVE_TRADING is true ({live}); set it to exactly {ACKNOWLEDGEMENT}"
        )
    lines += [
        f"{name}: is missing while LIVE_TRADING is true ({live}); give it, or {name}_FILE" for name in missing_secrets
    ]
    if "trade" not in settings.btcturk_api_scopes:
        lines.append(f"BTCTURK_API_SCOPES: lacks trade while LIVE_TRADING is true ({live}); use a key that may trade")
    return lines


# --- description -----------------------------------------------------------------------------------------------------


class SettingDescription(NamedTuple):
    """One setting in words, for the generated reference."""

    name: str
    kind: str
    default: str
    range: str
    description: str


def describe_settings() -> tuple[SettingDescription, ...]:
    """Every setting in order, read from the model itself."""
    return tuple(
        SettingDescription(name, _kind_of(name), _shown(_field(name).default), _range_of(name), _description_of(name))
        for name in SETTING_NAMES
    )


def _field(name: str) -> FieldInfo:
    return Settings.model_fields[name.lower()]


def _kind_of(name: str) -> str:
    return next(mark.words for mark in _field(name).metadata if isinstance(mark, Kind))


def _description_of(name: str) -> str:
    description = _field(name).description
    assert description, f"{name} has no description"
    return description


def _range_of(name: str) -> str:
    """Such as `from 1 to 100` or `above 0, at most 1`; empty when any value will do."""
    low = high = ""
    for mark in _field(name).metadata:
        match mark:
            case Ge(ge=limit):
                low = f"from {limit}"
            case Gt(gt=limit):
                low = f"above {limit},"
            case Le(le=limit):
                high = f"to {limit}" if low.startswith("from") else f"at most {limit}"
            case Lt(lt=limit):
                high = f"below {limit}"
    return f"{low} {high}".strip()


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case Secret():
            return MASK
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(str(item) for item in value)
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)
