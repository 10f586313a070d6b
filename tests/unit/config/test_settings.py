"""Settings as an operator meets them: what is written, what comes out, what is refused and in which words."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from btcbot.config.description import describe_settings
from btcbot.config.loading import LoadedSettings, load_settings
from btcbot.config.settings import SETTING_NAMES, Settings
from btcbot.errors import EXIT_REFUSED, ConfigurationError

KEY = "3f0c1d52-0000-4000-8000-c0ffee123456"
SECRET = base64.b64encode(b"a secret of thirty-two bytes!!!!").decode()
CREDENTIALS = {"BTCTURK_API_KEY": KEY, "BTCTURK_API_SECRET": SECRET}
ARMED = {"DRY_RUN": "false", "LIVE_TRADING": "true", "LIVE_TRADING_ACK": "I_UNDERSTAND", **CREDENTIALS}


def load(
    environ: Mapping[str, str] | None = None, env_file: Path | None = None, overrides: Mapping[str, str] | None = None
) -> LoadedSettings:
    return load_settings(environ or {}, env_file, overrides or {}, default_env_file=None)


def refusal(
    environ: Mapping[str, str] | None = None, env_file: Path | None = None, overrides: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(environ, env_file, overrides)
    return caught.value.lines


@pytest.fixture
def env_file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str, mode: int = 0o600) -> Path:
        path = tmp_path / "bot.env"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


def test_without_any_setting_the_bot_only_simulates() -> None:
    loaded = load()

    assert (loaded.settings.dry_run, loaded.settings.live_trading, loaded.settings.live_trading_ack) == (
        True,
        False,
        None,
    )
    assert set(loaded.origins.values()) == {"default"}


def test_every_default_lies_within_its_own_range() -> None:
    defaults = {row.name: row.default for row in describe_settings() if row.default}

    assert Settings.model_validate(defaults) == Settings()


def test_every_setting_has_one_sentence_and_a_kind() -> None:
    for row in describe_settings():
        assert row.kind, row.name
        assert row.description[0].isupper() and row.description.endswith("."), row.name


def test_names_of_attributes_are_the_names_of_the_environment_in_lower_case() -> None:
    assert all(hasattr(Settings(), name.lower()) for name in SETTING_NAMES)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().dry_run = False


# --- order of sources ------------------------------------------------------------------------------------------------


def test_command_line_beats_environment_beats_env_file_beats_default(env_file: Callable[[str], Path]) -> None:
    path = env_file("TTL_SECONDS=10\nCOOLDOWN_SECONDS=10\nOFFSET_BPS=10\n")

    loaded = load({"TTL_SECONDS": "20", "COOLDOWN_SECONDS": "20"}, path, {"TTL_SECONDS": "30"})

    assert (loaded.settings.ttl_seconds, loaded.settings.cooldown_seconds) == (30, 20)
    assert loaded.settings.offset_bps == Decimal(10)
    assert loaded.origins["TTL_SECONDS"] == "command line"
    assert loaded.origins["COOLDOWN_SECONDS"] == "environment"
    assert loaded.origins["OFFSET_BPS"] == f"env file {path}"
    assert loaded.origins["TARGET_TRY"] == "default"


@pytest.mark.parametrize(("environment", "file", "command"), list(product(["", "true", "false"], repeat=3)))
@pytest.mark.parametrize(("name", "closed"), [("DRY_RUN", True), ("KILL_SWITCH", True), ("SAFE_MODE", True)])
def test_the_closed_value_of_a_safety_switch_wins_from_any_source(
    name: str, closed: bool, environment: str, file: str, command: str, env_file: Callable[[str], Path]
) -> None:
    path = env_file(f"{name}={file}" if file else "")

    loaded = load({name: environment} if environment else {}, path, {name: command} if command else {})

    said = [text for text in (environment, file, command) if text]
    expected = "true" in said if said else getattr(Settings(), name.lower())
    assert getattr(loaded.settings, name.lower()) is expected
    assert closed


def test_live_trading_switched_off_anywhere_is_off(env_file: Callable[[str], Path]) -> None:
    loaded = load(ARMED, env_file("LIVE_TRADING=off"))

    assert loaded.settings.live_trading is False
    assert loaded.origins["LIVE_TRADING"].startswith("env file")


def test_a_wrong_acknowledgement_in_one_source_undoes_the_right_one_in_another(env_file: Callable[[str], Path]) -> None:
    (line,) = refusal(ARMED, env_file("LIVE_TRADING_ACK=no"))

    assert line.startswith("LIVE_TRADING_ACK: is wrong (env file")


def test_the_env_file_of_the_working_directory_is_read_when_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings({}).env_file is None

    Path(".env.live").write_text("TTL_SECONDS=7")
    Path(".env.live").chmod(0o600)

    assert load_settings({}).settings.ttl_seconds == 7
    assert load_settings({}, default_env_file=None).settings.ttl_seconds == 120  # the demo and tests


def test_a_missing_env_file_is_refused(tmp_path: Path) -> None:
    (line,) = refusal({}, tmp_path / "absent.env")

    assert line.endswith("absent.env does not exist; create it or correct the path")


def test_a_dangling_link_in_place_of_the_env_file_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env.live").symlink_to("nowhere")

    with pytest.raises(ConfigurationError, match="does not exist"):
        load_settings({})


# --- arming ----------------------------------------------------------------------------------------------------------


def test_all_of_it_together_arms() -> None:
    loaded = load(ARMED)

    assert loaded.settings.live_trading and not loaded.settings.dry_run


@pytest.mark.parametrize("missing", sorted(ARMED.keys() - {"LIVE_TRADING"}))
def test_live_trading_with_any_part_missing_is_refused(missing: str) -> None:
    lines = refusal({name: value for name, value in ARMED.items() if name != missing})

    named = "LIVE_TRADING" if missing == "DRY_RUN" else missing
    assert any(line.startswith(f"{named}: ") for line in lines)


ARMED_LINES = "".join(f"{name}={value}\n" for name, value in ARMED.items())


def test_live_and_dry_run_in_one_source_contradict_and_both_origins_are_named(env_file: Callable[[str], Path]) -> None:
    (line,) = refusal({**ARMED, "DRY_RUN": "true"}, env_file("DRY_RUN=false"))
    assert line.startswith("LIVE_TRADING: is true (environment) while DRY_RUN is true (environment)")
    assert "DRY_RUN=false" in line

    (line,) = refusal({}, env_file(ARMED_LINES.replace("DRY_RUN=false", "DRY_RUN=true")))
    assert line.startswith("LIVE_TRADING: is true (env file ") and "while DRY_RUN is true (env file " in line

    # the environment arms too, so nobody wished for less
    both = env_file(ARMED_LINES.replace("DRY_RUN=false", "DRY_RUN=true"))
    assert refusal(ARMED, both)[0].startswith("LIVE_TRADING: is true (environment) while DRY_RUN is true (env file ")


def test_live_without_a_word_on_dry_run_is_refused(env_file: Callable[[str], Path]) -> None:
    (line,) = refusal({}, env_file(ARMED_LINES.replace("DRY_RUN=false\n", "")))

    assert "while DRY_RUN is true by default" in line


@pytest.mark.parametrize("in_armed_file", ["DRY_RUN=false\n", ""])
def test_dry_run_in_the_environment_over_an_armed_env_file_simulates(
    env_file: Callable[[str], Path], in_armed_file: str
) -> None:
    path = env_file(ARMED_LINES.replace("DRY_RUN=false\n", in_armed_file))

    loaded = load({"DRY_RUN": "true"}, path)

    assert loaded.settings.dry_run and loaded.settings.live_trading  # the dry-run gate is closed, that suffices
    assert loaded.origins["DRY_RUN"] == "environment"


def test_dry_run_in_the_env_file_over_an_armed_environment_simulates(env_file: Callable[[str], Path]) -> None:
    assert load(ARMED, env_file("DRY_RUN=true")).settings.dry_run


def test_dry_run_on_the_command_line_simulates_with_an_armed_environment() -> None:
    assert load(ARMED, None, {"DRY_RUN": "true"}).settings.dry_run
    assert load({**ARMED, "DRY_RUN": "true"}, None, {"DRY_RUN": "true"}).settings.dry_run


def test_dry_run_false_elsewhere_is_no_wish_to_simulate(env_file: Callable[[str], Path]) -> None:
    assert len(refusal({"DRY_RUN": "false"}, env_file(ARMED_LINES.replace("DRY_RUN=false", "DRY_RUN=true")))) == 1
    assert not load({"DRY_RUN": "false"}, env_file(ARMED_LINES)).settings.dry_run


@pytest.mark.parametrize("brake", ["KILL_SWITCH", "SAFE_MODE"])
def test_brakes_may_be_on_while_armed(brake: str) -> None:
    assert load({**ARMED, brake: "true"}).settings.live_trading


def test_live_trading_needs_a_key_that_may_trade() -> None:
    (line,) = refusal({**ARMED, "BTCTURK_API_SCOPES": "read"})

    assert line.startswith("BTCTURK_API_SCOPES: lacks trade")


def test_exactly_one_row_of_the_truth_table_opens() -> None:
    opened = []
    for dry, live, ack, key in product(
        ["true", "false", ""], ["true", "false", ""], ["I_UNDERSTAND", "ok", ""], [0, 1]
    ):
        given_names = {"DRY_RUN": dry, "LIVE_TRADING": live, "LIVE_TRADING_ACK": ack}
        environ = {name: text for name, text in given_names.items() if text} | (CREDENTIALS if key else {})
        try:
            found = load(environ).settings
        except ConfigurationError:
            continue
        if found.live_trading and not found.dry_run:
            opened.append((dry, live, ack, key))
    assert opened == [("false", "true", "I_UNDERSTAND", 1)]


# --- names -----------------------------------------------------------------------------------------------------------


def test_every_unknown_name_of_the_env_file_is_refused_with_the_nearest_one(env_file: Callable[[str], Path]) -> None:
    path = env_file("DRYRUN=true\n\nttl_seconds=5\nGARBAGE=1\n")

    assert refusal({}, path) == (
        f"DRYRUN: is not a setting ({path}:1); did you mean DRY_RUN?",
        f"ttl_seconds: is not a setting ({path}:3); write it in capitals, TTL_SECONDS",
        f"GARBAGE: is not a setting ({path}:4); remove it, `btcbot config` lists all settings",
    )


def test_of_a_file_of_another_program_the_first_names_are_told_and_how_many_there_are(
    env_file: Callable[[str], Path],
) -> None:
    path = env_file("".join(f"OTHER_{number}=1\n" for number in range(1, 31)))

    lines = refusal({}, path)

    assert len(lines) == 21
    assert lines[19].startswith(f"OTHER_20: is not a setting ({path}:20); ")
    assert lines[20] == (
        f"10 more names are not settings (env file {path}); "
        "was it written for another program? `btcbot config` lists all settings"
    )


def test_of_a_file_that_is_no_env_file_the_first_lines_are_told(env_file: Callable[[str], Path]) -> None:
    path = env_file("dry_run: true\n" * 21)

    lines = refusal({}, path)

    assert [line.partition(";")[0] for line in lines] == [
        *(f"{path}:{number}: is not NAME=VALUE" for number in range(1, 21)),
        f"{path}: one more line is wrong in such ways",
    ]


@pytest.mark.parametrize("name", ["BTCTURK_APIKEY", "BTCBOT_DRY_RUN", "DRYRUN", "KILL_SWICH", "SAFE_MOED", "dry_run"])
def test_names_like_ours_are_refused_in_the_environment(name: str) -> None:
    (line,) = refusal({name: "1"})

    assert line.startswith(f"{name}: is not a setting (environment); ")


@pytest.mark.parametrize("name", ["PATH", "HOME", "DRY", "OTEL_SERVICE_NAME", "TTL", "MODE", "LANG"])
def test_other_names_of_the_environment_are_left_alone(name: str) -> None:
    load({name: "anything"})


def test_a_secret_pasted_into_the_wrong_line_is_not_repeated(env_file: Callable[[str], Path]) -> None:
    pasted = base64.b64encode(b"another secret, of 31 bytes....").decode()

    lines = refusal(
        {"BTCTURK_API_KEY_FILE": pasted},
        env_file(f"{pasted}\nTTL_SECONDS={pasted}\nLOG_LEVEL={pasted}\nSYMBOLS={pasted}\nLIVE_TRADING={pasted}"),
    )

    assert len(lines) == 6
    assert pasted[:8] not in "\n".join(lines)


def test_universe_symbols_is_another_name_for_symbols() -> None:
    assert load({"UNIVERSE_SYMBOLS": '["btc_try", "ETHTRY"]'}).settings.symbols == ("BTCTRY", "ETHTRY")
    assert refusal({"UNIVERSE_SYMBOLS": "BTCTRY", "SYMBOLS": "BTCTRY"})[0].startswith("SYMBOLS: is given twice")


def test_all_problems_are_reported_together_one_line_each(env_file: Callable[[str], Path]) -> None:
    path = env_file("TTL_SECONDS=0\nnonsense\nFEE_BPS_TAKER=2,4\n")

    with pytest.raises(ConfigurationError) as caught:
        load({"DRY_RUN": "maybe", "LOG_LEVLE": "INFO"}, path)

    assert caught.value.exit_code == EXIT_REFUSED
    assert caught.value.lines == (
        "LOG_LEVLE: is not a setting (environment); did you mean LOG_LEVEL?",
        f"{path}:2: is not NAME=VALUE; write one setting a line, comments begin with #",
        "DRY_RUN: is neither true nor false (environment); write true or false (1/0, yes/no, on/off also do)",
        f"TTL_SECONDS: is outside its range (env file {path}); choose a value from 1 to 86400",
        f"FEE_BPS_TAKER: is not a number (env file {path}); write it with digits and at most one point, such as 12.5",
    )


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["true", "TRUE", "1", "yes", "On"])
def test_spellings_of_true(text: str) -> None:
    assert load({"SWEEP_ENABLED": text}).settings.sweep_enabled is True


@pytest.mark.parametrize("name", ["DRY_RUN", "LIVE_TRADING", "LIVE_TRADING_ACK", "SWEEP_ENABLED"])
def test_an_empty_switch_is_refused(name: str) -> None:
    assert refusal({name: ""})[0].startswith(f"{name}: is empty (environment); ")


@pytest.mark.parametrize("text", ["t", "2", "falsе", " true", "true\n", "none", "-1"])  # the fourth e is Cyrillic
def test_anything_else_is_no_switch(text: str) -> None:
    assert refusal({"DRY_RUN": text})[0].startswith("DRY_RUN: is neither true nor false")


@pytest.mark.parametrize(
    "text", ["", "1e3", "NaN", "inf", "1_0", "１２", "0x10", " 5", "1.", ".5", "1,5", "--1", "9" * 30]
)
def test_numbers_are_plain_ascii_digits(text: str) -> None:
    assert refusal({"FEE_BPS_TAKER": text})[0].startswith("FEE_BPS_TAKER: is not a number")


def test_numbers_keep_every_digit() -> None:
    assert load({"OFFSET_BPS": "0.100000000000000001"}).settings.offset_bps == Decimal("0.100000000000000001")


def test_code_cannot_hand_over_a_float_either() -> None:
    with pytest.raises(ValueError, match="not an exact number"):
        Settings(fee_bps_taker=0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("TAKE_PROFIT_FRACTION", "0", "choose a value above 0, at most 1"),
        ("TAKE_PROFIT_FRACTION", "1.01", "choose a value above 0, at most 1"),
        ("MAX_ORDERS_PER_CYCLE", "101", "choose a value from 1 to 100"),
        ("MAX_DAILY_LOSS_TRY", "-1", "choose a value above 0, at most 1000000000"),
    ],
)
def test_ranges_are_kept_and_told(name: str, text: str, line: str) -> None:
    assert refusal({name: text})[0] == f"{name}: is outside its range (environment); {line}"


@pytest.mark.parametrize(
    "text", ["BTC__TRY", "BTC-TRY", "B", "_BTC", "ıBTC", "BTCTRY,,ETHTRY", "[]", "[1]", "A" * 21, "[" * 4000]
)
def test_symbols_are_letters_and_digits(text: str) -> None:
    assert refusal({"SYMBOLS": text})[0].startswith("SYMBOLS: ")


def test_symbols_are_made_uniform() -> None:
    assert load({"SYMBOLS": "btc_try, BTCTRY ,ethtry"}).settings.symbols == ("BTCTRY", "ETHTRY")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://api.btcturk.com", "https://api.btcturk.com"),
        ("https://API.btcturk.com:443/", "https://api.btcturk.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.9.9:1/", "http://127.9.9.9:1"),
        ("https://localhost:8443", "https://localhost:8443"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_the_venue_or_this_machine(text: str, address: str) -> None:
    assert load({"BTCTURK_BASE_URL": text}).settings.btcturk_base_url == address


@pytest.mark.parametrize(
    "text",
    [
        "http://api.btcturk.com",
        "https://api.btcturk.com:8443",
        "https://api.btcturk.com.evil.example",
        "https://api.btcturk.com@evil.example",
        "https://api.btcturk.com/v2",
        "https://api.btcturk.com.",
        "https://apі.btcturk.com",
        "http://127.0.0.1@evil.example",
        "http://localhost.evil.example",
        "http://127.0.0.1\\@evil.example",
        "http://0.0.0.0:80",
        "http://192.168.0.1",
        "http://127.0.0.1:99999",
        "http://[::2]",
        "file:///etc/passwd",
        "https://api.btcturk.com\n",
        "",
    ],
)
def test_keys_go_nowhere_else(text: str) -> None:
    assert refusal({"BTCTURK_BASE_URL": text})[0].startswith("BTCTURK_BASE_URL: ")


LOCAL = {"BTCTURK_BASE_URL": "http://127.0.0.1:8080"}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("wss://ws-feed-pro.btcturk.com", "wss://ws-feed-pro.btcturk.com"),
        ("wss://WS-feed-pro.btcturk.com:443/", "wss://ws-feed-pro.btcturk.com"),
        ("", None),
    ],
)
def test_the_feed_is_btcturks(text: str, address: str | None) -> None:
    assert load({"BTCTURK_WS_URL": text}).settings.btcturk_ws_url == address


@pytest.mark.parametrize("text", ["ws://127.0.0.1:9001", "ws://localhost:9001", "ws://[::1]:9001"])
def test_or_a_simulators_beside_a_simulator(text: str) -> None:
    assert load({**LOCAL, "BTCTURK_WS_URL": text}).settings.btcturk_ws_url == text


@pytest.mark.parametrize(
    "text",
    [
        "ws://ws-feed-pro.btcturk.com",
        "wss://ws-feed-pro.btcturk.com:8443",
        "wss://ws-feed-pro.btcturk.com.example.org",
        "wss://api.btcturk.com",
        "wss://user@ws-feed-pro.btcturk.com",
        "wss://ws-feed-pro.btcturk.com/path",
        "https://ws-feed-pro.btcturk.com",
        "ws://10.0.0.1:9001",
        "ws://127.0.0.1:0",
    ],
)
def test_the_login_goes_to_no_other_feed(text: str) -> None:
    assert refusal({"BTCTURK_WS_URL": text})[0].startswith("BTCTURK_WS_URL: ")


def test_feed_and_rest_are_of_one_venue() -> None:
    (line,) = refusal({"BTCTURK_WS_URL": "ws://127.0.0.1:9001"})
    assert line.startswith("BTCTURK_WS_URL: names another venue")
    (line,) = refusal({**LOCAL, "BTCTURK_WS_URL": "wss://ws-feed-pro.btcturk.com"})
    assert line.startswith("BTCTURK_WS_URL: names another venue")


def test_a_feed_that_has_to_serve_alone_has_an_address() -> None:
    (line,) = refusal({**LOCAL, "MARKET_DATA_MODE": "ws"})
    assert line.startswith("BTCTURK_WS_URL: is missing while MARKET_DATA_MODE is ws")
    assert load({"MARKET_DATA_MODE": "ws"}).settings.btcturk_ws_url is None, "BtcTurk's own is known"
    assert refusal({"MARKET_DATA_MODE": "both"})[0].startswith("MARKET_DATA_MODE: ")


@pytest.mark.parametrize(
    ("text", "word"), [("read,trade,withdraw", "withdrawals"), ("trade", "lacks read"), ("read,x", "unknown")]
)
def test_scopes(text: str, word: str) -> None:
    assert word in refusal({"BTCTURK_API_SCOPES": text})[0]


def test_days() -> None:
    assert load({"BTCTURK_SECRET_ROTATED_AT": "2026-01-31"}).settings.btcturk_secret_rotated_at == date(2026, 1, 31)
    assert load({"BTCTURK_SECRET_ROTATED_AT": "2026-01-31T10:00:00Z"}).settings.btcturk_secret_rotated_at == date(
        2026, 1, 31
    )
    assert refusal({"BTCTURK_SECRET_ROTATED_AT": "31.01.2026"})[0].startswith(
        "BTCTURK_SECRET_ROTATED_AT: is not a date"
    )


def test_the_otlp_exporter_needs_an_endpoint() -> None:
    assert refusal({"OBSERVABILITY_METRICS_EXPORTER": "otlp"})[0].startswith("OBSERVABILITY_OTLP_ENDPOINT: is missing")


def test_metrics_that_go_nowhere_are_refused() -> None:
    assert refusal({"OBSERVABILITY_ENABLED": "true"}) == (
        "OBSERVABILITY_METRICS_EXPORTER: is none while OBSERVABILITY_ENABLED is true, so nothing is recorded; "
        "choose prometheus or otlp, or set OBSERVABILITY_ENABLED=false",
    )
    assert load({"OBSERVABILITY_ENABLED": "true", "OBSERVABILITY_METRICS_EXPORTER": "prometheus"})


# --- secrets ---------------------------------------------------------------------------------------------------------


def secret_file(folder: Path, name: str, text: str, mode: int = 0o600) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def test_secrets_by_file(tmp_path: Path) -> None:
    key, secret = secret_file(tmp_path, "key", KEY + "\n", 0o400), secret_file(tmp_path, "secret", SECRET)

    loaded = load({"BTCTURK_API_KEY_FILE": str(key), "BTCTURK_API_SECRET_FILE": str(secret)})

    assert loaded.settings.btcturk_api_key is not None and loaded.settings.btcturk_api_key.reveal() == KEY
    assert loaded.origins["BTCTURK_API_KEY"] == "BTCTURK_API_KEY_FILE, environment"


def test_secrets_as_systemd_credentials(tmp_path: Path) -> None:
    secret_file(tmp_path, "btcturk_api_key", KEY, 0o440)
    secret_file(tmp_path, "btcturk_api_secret", SECRET, 0o400)

    loaded = load({"CREDENTIALS_DIRECTORY": str(tmp_path)})

    assert loaded.settings.btcturk_api_secret is not None and loaded.settings.btcturk_api_secret.reveal() == SECRET
    assert loaded.origins["BTCTURK_API_SECRET"] == "systemd credential"


def test_a_secret_in_two_places_is_refused(tmp_path: Path) -> None:
    key = secret_file(tmp_path, "key", KEY)

    (line,) = refusal({**CREDENTIALS, "BTCTURK_API_KEY_FILE": str(key)})

    assert line == "BTCTURK_API_KEY: is given twice (environment and BTCTURK_API_KEY_FILE, environment); remove one"


def test_a_secret_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    key = secret_file(tmp_path, "key", KEY, 0o640)

    lines = refusal({"BTCTURK_API_KEY_FILE": str(key)})

    assert lines == (
        f"BTCTURK_API_KEY: {key} has mode 0640, it must be 0600 or 0400 (BTCTURK_API_KEY_FILE, environment); "
        f"run: chmod 600 {key}",
    )


def test_a_secret_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    secret_file(tmp_path, "key", KEY)
    (tmp_path / "link").symlink_to("key")

    assert "is a symbolic link" in refusal({"BTCTURK_API_KEY_FILE": str(tmp_path / "link")})[0]


def test_secrets_on_the_command_line_are_refused() -> None:
    (line,) = refusal({}, None, CREDENTIALS)[:1]

    assert line.endswith("use BTCTURK_API_KEY_FILE")


def test_a_key_without_its_secret_is_refused() -> None:
    assert refusal({"BTCTURK_API_KEY": KEY})[0].startswith(
        "BTCTURK_API_SECRET: is missing while BTCTURK_API_KEY is set"
    )


@pytest.mark.parametrize("name", ["BTCTURK_API_KEY", "BTCTURK_API_SECRET"])
@pytest.mark.parametrize("spoil", ["absent", "open to others"])
def test_a_secret_file_that_cannot_be_used_is_one_line_and_is_not_called_missing(
    tmp_path: Path, name: str, spoil: str
) -> None:
    path = tmp_path / "file"
    if spoil == "open to others":
        secret_file(tmp_path, "file", CREDENTIALS[name], 0o644)
    rest = {other: value for other, value in ARMED.items() if other != name}

    (line,) = refusal({**rest, f"{name}_FILE": str(path)})

    assert line.startswith(f"{name}: ") and ("does not exist" in line or "has mode 0644" in line)


def test_a_missing_secret_is_told_beside_a_key_file_that_cannot_be_used(tmp_path: Path) -> None:
    armed = {name: value for name, value in ARMED.items() if not name.startswith("BTCTURK_API")}

    first, second = refusal({**armed, "BTCTURK_API_KEY_FILE": str(tmp_path / "absent")})

    assert "does not exist" in first
    assert second.startswith("BTCTURK_API_SECRET: is missing while LIVE_TRADING is true")


def test_a_secret_that_is_not_base64_is_refused_without_showing_it() -> None:
    (line,) = refusal({"BTCTURK_API_KEY": KEY, "BTCTURK_API_SECRET": "canary-canary-canary!"})

    assert "is not base64" in line and "canary" not in line


def test_blank_credentials_of_a_template_count_as_not_set() -> None:
    assert (
        load({"BTCTURK_API_KEY": "", "BTCTURK_API_SECRET": "", "BTCTURK_API_KEY_FILE": ""}).settings.btcturk_api_key
        is None
    )


def test_secrets_show_nowhere() -> None:
    loaded = load(ARMED)

    shown = f"{loaded} {loaded!r} {loaded.settings} {loaded.rows()} {loaded.settings.model_dump_json()}"
    assert KEY not in shown and SECRET not in shown
    assert next(r[:3] for r in loaded.rows() if r.name == "BTCTURK_API_KEY") == (
        "BTCTURK_API_KEY",
        "**********",
        "environment",
    )


# --- anything at all -------------------------------------------------------------------------------------------------


def check_lines(error: ConfigurationError) -> None:
    assert error.lines and all(line and "\n" not in line for line in error.lines)


HOSTILE = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["$(id)", "${HOME}", "`id`", "\x00", "a\nDRY_RUN=false", "%s", "{0}", "ｔｒｕｅ", "１", "٣", "\ud800", "\u2028"]
    ),
    st.from_regex(r"-?[0-9]{0,25}(\.[0-9]{0,25})?", fullmatch=True),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    environ=st.dictionaries(
        st.sampled_from([*SETTING_NAMES, "UNIVERSE_SYMBOLS", "BTCTURK_X", "DRYRUN"]), HOSTILE, max_size=6
    )
)
def test_whatever_the_environment_holds_gives_settings_or_one_line_for_each_problem(environ: dict[str, str]) -> None:
    try:
        loaded = load(environ)
    except ConfigurationError as error:
        check_lines(error)
    else:
        assert all(isinstance(row.value, str) for row in loaded.rows())
        assert not (loaded.settings.live_trading and not loaded.settings.dry_run)  # it never arms by chance


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    lines=st.lists(st.tuples(st.sampled_from([*SETTING_NAMES, "export DRY_RUN", "", "x"]), HOSTILE), max_size=5),
    raw=st.binary(max_size=20),
)
def test_whatever_the_env_file_holds_gives_settings_or_one_line_for_each_problem(
    tmp_path: Path, lines: list[tuple[str, str]], raw: bytes
) -> None:
    path = tmp_path / "fuzz.env"
    path.write_bytes(
        b"\n".join(f"{name}={text}".encode("utf-8", "surrogatepass") for name, text in lines) + b"\n" + raw
    )
    path.chmod(0o600)
    try:
        loaded = load({}, path)
    except ConfigurationError as error:
        check_lines(error)
    else:
        assert not (loaded.settings.live_trading and not loaded.settings.dry_run)
