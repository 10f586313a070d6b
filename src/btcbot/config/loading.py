"""Reads the settings once, at start: process environment, env file and command line become one frozen `Settings`.

`load_settings` also tells the origin of every value. All problems are reported together, each in one line that says
how to mend it: what cannot be read, secrets given twice, and settings that are fine one by one and cannot be meant
together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import ValidationError

from btcbot.config import values
from btcbot.config.description import description_of, range_of, shown_setting
from btcbot.config.env_file import read_env_file
from btcbot.config.groups.agent import agent_problems
from btcbot.config.groups.risk_budget import risk_budget_problems
from btcbot.config.groups.slo import slo_problems
from btcbot.config.kinds import EXPORTERS
from btcbot.config.secrets import (
    CredentialsDirectoryProvider,
    EnvironmentProvider,
    FileProvider,
    Secret,
    SecretProvider,
)
from btcbot.config.settings import SETTING_NAMES, Settings
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
from btcbot.config.values import FEED_HOST, GRAPH_HOST, VENUE_HOST
from btcbot.errors import ConfigurationError

__all__ = ["DEFAULT_ENV_FILE", "LoadedSettings", "SettingRow", "load_settings", "symbols_given"]

DEFAULT_ENV_FILE: Final = Path(".env.live")


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
            SettingRow(name, shown_setting(self.settings, name), self.origins[name], description_of(name))
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


def symbols_given(env_file: Path | None, overrides: Mapping[str, str]) -> tuple[str, ...] | None:
    """SYMBOLS as the command line or an env file says it, None where neither does: for whoever has to know the pairs
    before the other settings can mean anything. Raises ConfigurationError for a value that cannot be read; every other
    problem is left to `load_settings`."""
    known = frozenset(SETTING_NAMES) | ALIASES.keys()
    sources = [command_line_source(overrides, known, [])]
    if env_file is not None:
        content = read_env_file(env_file)
        sources.append(env_file_source(str(env_file), content.values, content.line_of, known, []))
    given = resolve(sources, []).get("SYMBOLS")
    if given is None:
        return None
    try:
        found = values.symbols(given.text)
    except ValueError as error:
        raise ConfigurationError(line_for("SYMBOLS", error, given.origin)) from None
    assert isinstance(found, tuple), "a text is a list of pairs"
    return found


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
    if allowed := range_of(name):
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
    lines += _feed_problems(settings)
    lines += _portfolio_problems(settings)
    lines += [*agent_problems(settings), *risk_budget_problems(settings), *slo_problems(settings)]
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


def _portfolio_problems(settings: Settings) -> list[str]:
    """Targets, charts and a universe that is chosen can be meant together."""
    lines = []
    weights = settings.portfolio_targets.weights
    if weights and settings.dynamic_universe_enabled:
        lines.append(
            "PORTFOLIO_TARGETS: names shares of pairs while DYNAMIC_UNIVERSE_ENABLED chooses the pairs, so the shares "
            "of those that are not chosen would stay in cash; remove one of them"
        )
    is_local = settings.btcturk_base_url != f"https://{VENUE_HOST}"
    if settings.dynamic_universe_enabled and is_local and settings.btcturk_graph_url is None:
        lines.append(
            "BTCTURK_GRAPH_URL: is missing while DYNAMIC_UNIVERSE_ENABLED ranks pairs by their history; give the "
            "address of the simulator's charts, which its «serve» prints"
        )
    return lines


def _feed_problems(settings: Settings) -> list[str]:
    """Feed, charts and REST interface are of one venue, and a feed that has to serve alone has an address."""
    given, is_venue = settings.btcturk_ws_url, settings.btcturk_base_url == f"https://{VENUE_HOST}"
    charts = settings.btcturk_graph_url
    if charts is not None and (charts == f"https://{GRAPH_HOST}") != is_venue:
        return [
            "BTCTURK_GRAPH_URL: names another venue than BTCTURK_BASE_URL; give both of BtcTurk, or both of one "
            "simulator"
        ]
    if given is not None and (given == f"wss://{FEED_HOST}") != is_venue:
        return [
            "BTCTURK_WS_URL: names another venue than BTCTURK_BASE_URL; give both of BtcTurk, or both of one simulator"
        ]
    if given is None and settings.market_data_mode == "ws" and not is_venue:
        return [
            "BTCTURK_WS_URL: is missing while MARKET_DATA_MODE is ws; give the address of the simulator's feed, which "
            "its «serve» prints"
        ]
    return []


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
