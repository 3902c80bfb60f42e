#!/usr/bin/env bash
# Makes .venv from the hashed lock of STAGE (run: what the ring needs; dev: that and what its tests need).
#   tools/setup/python.sh run|dev
# A dev environment serves a run as well: its lock contains the other one.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/setup/lib.sh

STAGE=${1:?run or dev}
LOCK=requirements/$STAGE.txt

# An environment that was moved with its checkout, or whose interpreter went away, starts nothing.
is_whole() { [ -x .venv/bin/python ] && grep -qs "$PWD/.venv/bin/python" .venv/bin/harden; }

is_ready() {
  is_whole || return 1
  done_already "python-$STAGE" "$LOCK" pyproject.toml && return 0
  [ "$STAGE" = run ] && done_already python-dev requirements/dev.txt pyproject.toml
}

is_ready && exit 0

find_uv
find_python
export UV_NO_PROGRESS=1 VIRTUAL_ENV=$PWD/.venv
rm -f "$CACHE/python-run" "$CACHE/python-dev"
[ ! -e .venv/bin/harden ] || is_whole || rm -rf .venv
[ -x .venv/bin/python ] || quietly "making .venv with $PYTHON" "$UV" venv -q --python "$PYTHON" .venv
# Compiled here, once, by every core: the processes of a ring would all compile the same files while they start.
quietly "installing the Python packages of $LOCK (a few GB the first time)" "$UV" pip sync -q --compile-bytecode --require-hashes "$LOCK"
quietly "installing harden itself, editable" "$UV" pip install -q --no-build-isolation --no-deps -e .
mark_done "python-$STAGE" "$LOCK" pyproject.toml
