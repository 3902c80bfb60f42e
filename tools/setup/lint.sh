#!/usr/bin/env bash
# Makes .cache/lint: what looks at the source without running it, from requirements/lint.txt. Seconds, not gigabytes.
#   tools/setup/lint.sh                       makes it
#   tools/setup/lint.sh PROGRAM ARGUMENT...   makes it and runs one of its programs
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/setup/lib.sh

LOCK=requirements/lint.txt
ENVIRONMENT=.cache/lint

# An environment that was moved with its checkout starts nothing.
is_whole() { [ -x $ENVIRONMENT/bin/python ] && grep -qs "$PWD/$ENVIRONMENT/bin/python" $ENVIRONMENT/bin/lint-imports; }

finish() {
  [ $# -eq 0 ] || exec "$ENVIRONMENT/bin/$1" "${@:2}"
  exit 0
}

is_whole && done_already lint "$LOCK" && finish "$@"

find_uv
find_python
export UV_NO_PROGRESS=1 VIRTUAL_ENV=$PWD/$ENVIRONMENT
is_whole || rm -rf $ENVIRONMENT
[ -x $ENVIRONMENT/bin/python ] || quietly "making $ENVIRONMENT with $PYTHON" "$UV" venv -q --python "$PYTHON" $ENVIRONMENT
quietly "installing what looks at the source ($LOCK)" "$UV" pip sync -q --require-hashes "$LOCK"
mark_done lint "$LOCK"
finish "$@"
