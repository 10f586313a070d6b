#!/bin/sh
# Resolve the locked requirements: hashes, every platform, no host names.
# usage: lock.sh BIN
set -eu
bin=$1
compile() { "$bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate "$@"; }
compile pyproject.toml --extra sim --extra research -o requirements/run.lock
compile pyproject.toml --all-extras --group dev -o requirements/dev.lock
compile pyproject.toml --all-extras --group dev --group mutation -o requirements/mutation.lock
compile pyproject.toml --extra sim --extra research --group judges -o requirements/judges.lock
printf 'hatchling>=1.27\neditables>=0.5\n' | compile - -o requirements/build.lock
if grep -nE 'https?://' requirements/*.lock; then echo "a lock file names a host" >&2; exit 1; fi
