#!/bin/sh
# Run the tests: everything on the environment's own Python, units without sockets on the newest that this machine has,
# and what computes (money, decisions, strategies) on each from 3.11 between; the proof compares worlds across all of them.
# Many tests wait for a socket or a clock, hence three workers on two cores. The first failure ends the run.
# usage: test_pythons.sh VENV
set -eu
venv=$1
own=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
workers=${TEST_WORKERS:-3}

echo "== Python $own"
# Slow tests lie together; a worker that is done takes from one that is not.
"$venv/bin/python" -m pytest -n "$workers" --dist worksteal ${TEST_ARGS:-}

find_python() {  # find_python 3.12 -> a working interpreter of that version, or nothing
    for candidate in "python$1" "$HOME/.pyenv/versions/$1".*/bin/python "/usr/local/bin/python$1" "/opt/python/$1"*/bin/python; do
        found=$(command -v "$candidate" 2>/dev/null) || continue
        "$found" -c "import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null && { echo "$found"; return; }
    done
}
others=""
for version in 3.11 3.12 3.13 3.14 3.15; do
    [ "$version" != "$own" ] && [ -n "$(find_python "$version")" ] && others="$others $version"
done
newest=${others##* }
for version in $others; do
    tools/environment.sh "$(find_python "$version")" ".venvs/$version" requirements/dev.lock
    echo "== Python $version"
    # What differs between two Pythons differs between the oldest and the newest; in between, what computes is tried.
    if [ "$version" = "$newest" ]; then
        selection="tests/unit/domain tests/unit/decisions tests/unit/strategies tests/unit/store tests/unit/services
            tests/unit/config tests/architecture"
    else
        selection="tests/unit/domain tests/unit/decisions tests/unit/strategies"
    fi
    ".venvs/$version/bin/python" -m pytest -n "$workers" --dist worksteal -m "not slow" $selection ${TEST_ARGS:-}
done
