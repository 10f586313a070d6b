"""Let the judges judge, and show the table of calls.

    python -m judges [JUDGE ...]         all judges, or some of them: ccxt, btcturk-api, signing, statistics
    python -m judges --write-vectors     sign anew what tests/unit/btcturk/golden_signatures.json holds

Exit status 0 when every call is as it should be, 1 when one is not, 2 for wrong input or an environment that misses
something. `make judges` makes the environment.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

HERE: Final = Path(__file__).parent
#: Judge → its modules.
JUDGES: Final = {
    "ccxt": ("test_ccxt.py", "test_ccxt_mistakes.py"),
    "btcturk-api": ("test_btcturk_api.py", "test_btcturk_api_mistakes.py"),
    "signing": ("test_signing.py",),
    "statistics": ("test_statistics.py",),
}
#: Module → the package that brings it.
NEEDED: Final = {
    "btcturk_api": "btcturk-api",
    "ccxt": "ccxt",
    "empyrical": "empyrical-reloaded",
    "hypothesis": "hypothesis",
    "pytest": "pytest",
    "pytest_timeout": "pytest-timeout",
}


def missing(modules: Iterable[str]) -> list[str]:
    """Those that cannot be imported here."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


@click.command(help="Let what others wrote judge the local BtcTurk, call by call, and the statistics of backtests.")
@click.argument("judges", nargs=-1, metavar="[JUDGE]...", type=click.Choice(sorted(JUDGES)))
@click.option("--write-vectors", is_flag=True, help="Let the clients sign the golden vectors anew, and write them.")
def command(judges: tuple[str, ...], *, write_vectors: bool) -> None:
    if write_vectors and judges:
        raise click.UsageError("--write-vectors goes without judges; give one or the other")
    lacking = [NEEDED[name] for name in missing(NEEDED)]
    if lacking:
        raise click.UsageError(f"{', '.join(lacking)} not installed here; run: make judges")
    if write_vectors:
        from judges.signatures import write_golden_vectors

        click.echo(f"{write_golden_vectors()} vectors written")
        return
    named = tuple(dict.fromkeys(judges or JUDGES))
    sys.exit(_judge(*named) if len(named) == 1 else _judge_at_once(named))


def _judge_at_once(names: tuple[str, ...]) -> int:
    """Each judge in a process of its own, as most of the time is spent waiting; their tables come in order."""
    arguments = [sys.executable, "-m", "judges"]
    working = [subprocess.Popen([*arguments, name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for name in names]
    try:
        for judge in working:
            click.echo(judge.communicate()[0])
    finally:
        for judge in working:
            if judge.poll() is None:
                judge.send_signal(signal.SIGINT)  # pytest ends its exchange on it
                judge.wait()
    return int(any(judge.returncode for judge in working))


def _judge(name: str) -> int:
    import pytest

    from judges.table import Table

    # A proxy of the machine's would be asked for loopback addresses too.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"
    modules = [str(HERE / module) for module in JUDGES[name]]
    # Warnings of other people's code are not ours to mend; the project's own pytest settings turn them into errors.
    settings = ["-pno:cacheprovider", "-Wdefault", "--disable-warnings", "--tb=short", f"--rootdir={HERE.parent}"]
    status = pytest.main([*settings, *modules], plugins=[Table()])
    return 0 if status == pytest.ExitCode.OK else 1


def main() -> None:
    """Run the command line; never a traceback for what the operator can mend."""
    try:
        command(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(1)
    except click.ClickException as error:
        click.echo(f"judges: {error.format_message()}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
