#!/bin/sh
# Run the tests: everything on the environment's own Python, and on every other one from 3.11 that this machine has the
# units, contracts and worlds, where one Python could differ from another. The first failure ends the run.
# usage: test_pythons.sh VENV
set -eu
venv=$1
own=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
workers=${TEST_WORKERS:-2}

echo "== Python $own"
"$venv/bin/python" -m pytest -n "$workers" ${TEST_ARGS:-}

find_python() {  # find_python 3.12 -> a working interpreter of that version, or nothing
    for candidate in "python$1" "$HOME/.pyenv/versions/$1".*/bin/python "/usr/local/bin/python$1" "/opt/python/$1"*/bin/python; do
        found=$(command -v "$candidate" 2>/dev/null) || continue
        "$found" -c "import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null && { echo "$found"; return; }
    done
}
for version in 3.11 3.12 3.13 3.14 3.15; do
    [ "$version" = "$own" ] && continue
    interpreter=$(find_python "$version")
    [ -n "$interpreter" ] || continue
    tools/environment.sh "$interpreter" ".venvs/$version" requirements/dev.lock
    echo "== Python $version"
    ".venvs/$version/bin/python" -m pytest -n "$workers" -m "not slow" \
        tests/unit tests/contract tests/simulation tests/architecture ${TEST_ARGS:-}
done
