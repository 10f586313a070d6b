#!/bin/sh
# Make a virtual environment that holds exactly what a lock file names, and the project itself.
# usage: environment.sh PYTHON VENV LOCK
set -eu
python=$1 venv=$2 lock=$3
unset PYTHONDONTWRITEBYTECODE PYTHONPATH || true

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "btcbot needs Python 3.11 or newer; $python is $("$python" -V 2>&1). Try: make PYTHON=/path/to/python3.11" >&2
    exit 2
}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "preparing $venv from $lock" >&2
pip() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
if pip "uv>=0.9" 2>/dev/null; then
    install() { UV_COMPILE_BYTECODE=1 "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" "$@"; }
else
    install() { pip "$@"; }
fi
install --require-hashes -r "$lock"
# The project itself, with the build backend of our own lock instead of one fetched for the occasion.
install --require-hashes -r requirements/build.lock
pip --no-deps --no-build-isolation -e .
