"""What the product never does, read from its source: run what came as data, trust whoever answers, start a shell."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

import pytest
from tests.architecture.test_source_rules import BOT, SOURCE, assert_none, modules, name_of, tree_of

TRADES = [path for path in modules() if not path.relative_to(BOT).as_posix().startswith("testing/")]
Rule = Callable[[ast.AST], bool]


def breaches(rule: Rule, among: list = TRADES) -> list[str]:
    """Lines of the product, the test kit apart, where `rule` is true."""
    return [
        f"{path.relative_to(SOURCE)}:{node.lineno}"  # type: ignore[attr-defined]
        for path in among
        for node in ast.walk(tree_of(path))
        if rule(node)
    ]


RUNS_DATA = {"eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec", "os.system", "os.popen"}
RUNS_DATA |= {"pty.spawn", "code.interact", "runpy.run_path", "runpy.run_module", "importlib.import_module"}
READS_OBJECTS = {"pickle", "cPickle", "marshal", "shelve", "dill", "jsonpickle", "yaml", "joblib", "cloudpickle"}
STARTS_PROGRAMS = {"subprocess", "multiprocessing", "pexpect", "pty", "telnetlib", "ftplib", "xmlrpc", "smtplib"}


def runs_what_came_as_data(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and name_of(node.func) in RUNS_DATA


def imports(names: set[str]) -> Rule:
    def rule(node: ast.AST) -> bool:
        if isinstance(node, ast.Import):
            return any(alias.name.partition(".")[0] in names for alias in node.names)
        return isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in names

    return rule


def starts_a_program(node: ast.AST) -> bool:
    if isinstance(node, ast.keyword) and node.arg == "shell":
        return True
    called = name_of(node.func) if isinstance(node, ast.Call) else ""
    return re.match(r"os\.(system|popen|spawn|exec|fork|posix_spawn)", called) is not None


#: What would take the lock off TLS.
UNTRUSTED = re.compile(
    r"(_create_unverified_context|CERT_NONE|CERT_OPTIONAL|check_hostname|verify_mode|_create_stdlib)"
)


def takes_tls_apart(node: ast.AST) -> bool:
    if isinstance(node, ast.keyword) and node.arg == "verify":
        return not (isinstance(node.value, ast.Constant) and node.value.value is True)
    if isinstance(node, ast.keyword) and node.arg in {"check_hostname", "cert_reqs", "verify_mode"}:
        return True
    if isinstance(node, ast.Attribute):
        return UNTRUSTED.search(node.attr) is not None
    if isinstance(node, ast.alias):
        return UNTRUSTED.search(node.name) is not None
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and UNTRUSTED.fullmatch(node.value) is not None
    made = name_of(node.func) if isinstance(node, ast.Call) else ""
    return made.endswith("SSLContext")  # `create_default_context` verifies; a bare context does not


def trusts_its_surroundings(node: ast.AST) -> bool:
    """A proxy of the environment, a redirect followed, a netrc read."""
    if isinstance(node, ast.keyword) and node.arg in {"trust_env", "follow_redirects"}:
        return not (isinstance(node.value, ast.Constant) and node.value.value is False)
    if isinstance(node, ast.keyword) and node.arg == "proxy":  # a WebSocket asks the environment unless told not to
        return not (isinstance(node.value, ast.Constant) and node.value.value is None)
    return isinstance(node, ast.keyword) and node.arg in {"proxies", "mounts", "max_redirects"}


def asks_the_network_on_its_own(node: ast.AST) -> bool:
    """A client that follows its own rules: its defaults trust the environment and may follow redirects."""
    called = name_of(node.func) if isinstance(node, ast.Call) else ""
    return (
        re.fullmatch(
            r"(httpx2\.(get|post|put|delete|request|stream|Client|AsyncClient)|requests\..*|urllib\.request\..*|urlopen|http\.client\..*)",
            called,
        )
        is not None
    )


def test_nothing_that_came_as_data_is_run() -> None:
    assert_none(line for line in breaches(runs_what_came_as_data) if not line.startswith("btcbot/cli/__init__.py"))
    # The command line imports its commands by name, from a table of its own.
    assert len(breaches(runs_what_came_as_data)) == 1


def test_no_format_that_makes_objects_is_read() -> None:
    assert_none(breaches(imports(READS_OBJECTS)))


def test_no_program_is_started_and_no_shell() -> None:
    # The search for parameters plays backtests in processes of its own: copies of this program, never a shell.
    workers = "btcbot/backtest/optimise/workers.py"
    assert_none(line for line in breaches(imports(STARTS_PROGRAMS)) if not line.startswith(workers))
    assert_none(breaches(starts_a_program))


def test_nothing_turns_the_verification_of_tls_off() -> None:
    assert_none(breaches(takes_tls_apart))
    everything = modules(SOURCE)  # the simulator and the test kit neither
    assert_none(breaches(takes_tls_apart, everything))


def test_no_redirect_is_followed_and_no_proxy_of_the_environment_used() -> None:
    assert_none(breaches(trusts_its_surroundings))
    assert_none(breaches(asks_the_network_on_its_own))


def test_the_feed_is_opened_in_one_place_on_a_socket_of_our_own_and_without_a_proxy() -> None:
    """Given a socket, the library follows no redirect; told of no proxy, it asks the environment for none."""

    def opens_a_feed(node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and name_of(node.func).rpartition(".")[2] == "connect" and bool(node.keywords)

    def is_closed(node: ast.AST) -> bool:
        assert isinstance(node, ast.Call)
        given = {keyword.arg for keyword in node.keywords}
        return {"sock", "proxy", "ssl"} <= given

    opened = [line for line in breaches(opens_a_feed) if line.startswith("btcbot/adapters/btcturk/")]
    assert [line.rpartition(":")[0] for line in opened] == ["btcbot/adapters/btcturk/feed_socket.py"]
    open_ended = breaches(lambda node: opens_a_feed(node) and not is_closed(node))
    assert_none(line for line in open_ended if line.startswith("btcbot/adapters/btcturk/"))


def test_the_transport_is_made_in_the_one_client_of_the_venue_and_in_that_of_an_agent() -> None:
    made = breaches(lambda node: isinstance(node, ast.Call) and name_of(node.func).endswith("DeadlineTransport"))
    assert [line.rpartition(":")[0] for line in made] == [
        "btcbot/adapters/agent/llm.py",
        "btcbot/adapters/btcturk/sender.py",
    ]


def test_tls_is_what_the_standard_library_calls_the_default() -> None:
    made = breaches(lambda node: isinstance(node, ast.Call) and name_of(node.func) == "ssl.create_default_context")
    assert sorted(line.rpartition(":")[0] for line in made) == [
        "btcbot/adapters/agent/llm.py",
        "btcbot/adapters/btcturk/feed.py",
        "btcbot/adapters/btcturk/sender.py",
    ]


def test_no_addresses_of_others_stand_in_the_source() -> None:
    """Beside the venue's, the loopback and examples in messages no host is named."""

    def names_a_host(node: ast.AST) -> bool:
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            return False
        hosts = re.findall(r"(?:https?|wss?)://([A-Za-z0-9.-]+)", node.value)
        return any(
            host not in {"api.btcturk.com", "ws-feed-pro.btcturk.com", "127.0.0.1", "localhost"} for host in hosts
        )

    assert_none(breaches(names_a_host))


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (runs_what_came_as_data, "eval(text)"),
        (runs_what_came_as_data, "exec(open(path).read())"),
        (runs_what_came_as_data, "os.system('ls')"),
        (imports(READS_OBJECTS), "import pickle"),
        (imports(READS_OBJECTS), "from yaml import load"),
        (imports(STARTS_PROGRAMS), "from subprocess import run"),
        (starts_a_program, "run(x, shell=True)"),
        (starts_a_program, "os.execv(a, b)"),
        (takes_tls_apart, "Client(verify=False)"),
        (takes_tls_apart, "Client(verify=flag)"),
        (takes_tls_apart, "context.check_hostname = False"),
        (takes_tls_apart, "context.verify_mode = ssl.CERT_NONE"),
        (takes_tls_apart, "setattr(context, 'check_hostname', False)"),
        (takes_tls_apart, "ssl._create_unverified_context()"),
        (takes_tls_apart, "ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)"),
        (trusts_its_surroundings, "Client(follow_redirects=True)"),
        (trusts_its_surroundings, "Client(trust_env=True)"),
        (trusts_its_surroundings, "Client(proxy=url)"),
        (asks_the_network_on_its_own, "httpx2.get(url)"),
        (asks_the_network_on_its_own, "urllib.request.urlopen(url)"),
    ],
)
def test_the_rules_see(rule: Rule, line: str) -> None:
    assert any(rule(node) for node in ast.walk(ast.parse(line)))
