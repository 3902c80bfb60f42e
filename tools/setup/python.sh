#!/usr/bin/env bash
# Makes .venv from the hashed lock of STAGE (run: what the ring needs; dev: that and what its tests need).
#   tools/setup/python.sh run|dev
# A dev environment serves a run as well: its lock contains the other one.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/setup/lib.sh

STAGE=${1:?run or dev}
LOCK=requirements/$STAGE.txt
# Triton's wheel ships its Python backend up to 3.13, numpy 1.26 its wheels up to 3.12.
SUPPORTED="3.11 3.12"

usable_python() {
  local version candidate
  for version in $SUPPORTED; do
    for candidate in "python$version" python3 python; do
      if have "$candidate" && [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$version" ]; then
        "$candidate" -c 'import sys; print(sys.executable)'
        return
      fi
    done
  done
  # uv knows places that are not on the PATH.
  for version in $SUPPORTED; do "$UV" python find --no-python-downloads "$version" 2>/dev/null && return; done
  return 1
}

find_uv() {
  # Asked for its version because a version manager's shim can be on the PATH with nothing behind it.
  if uv --version >/dev/null 2>&1; then
    UV=uv
    return
  fi
  UV=.cache/tools/uv/bin/uv
  [ -x "$UV" ] && return
  have python3 || fail "python3 is missing; install Python 3.11 or 3.12 (Debian: apt-get install python3 python3-venv)"
  rm -rf .cache/tools/uv
  python3 -m venv .cache/tools/uv >/dev/null 2>&1 ||
    fail "python3 cannot make a virtual environment; install its venv package (Debian: apt-get install python3-venv) or put uv on the PATH"
  quietly "fetching uv, the installer" .cache/tools/uv/bin/pip install -q --require-hashes -r tools/setup/uv.txt
}

# An environment that was moved with its checkout, or whose interpreter went away, starts nothing.
is_whole() { [ -x .venv/bin/python ] && grep -qs "$PWD/.venv/bin/python" .venv/bin/harden; }

is_ready() {
  is_whole || return 1
  done_already "python-$STAGE" "$LOCK" pyproject.toml && return 0
  [ "$STAGE" = run ] && done_already python-dev requirements/dev.txt pyproject.toml
}

is_ready && exit 0

find_uv
PYTHON=$(usable_python) ||
  fail "no Python 3.11 or 3.12 was found; install one (Debian 12: apt-get install python3.11 python3.11-venv), or let uv bring it: uv python install 3.11"
export UV_NO_PROGRESS=1 VIRTUAL_ENV=$PWD/.venv
rm -f "$CACHE/python-run" "$CACHE/python-dev"
[ ! -e .venv/bin/harden ] || is_whole || rm -rf .venv
[ -x .venv/bin/python ] || quietly "making .venv with $PYTHON" "$UV" venv -q --python "$PYTHON" .venv
# Compiled here, once, by every core: the processes of a ring would all compile the same files while they start.
quietly "installing the Python packages of $LOCK (a few GB the first time)" "$UV" pip sync -q --compile-bytecode --require-hashes "$LOCK"
quietly "installing harden itself, editable" "$UV" pip install -q --no-build-isolation --no-deps -e .
mark_done "python-$STAGE" "$LOCK" pyproject.toml
