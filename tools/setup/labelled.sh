#!/usr/bin/env bash
# Fetches answers that people labelled into .cache/labelled, for `harden judge agreement --rows .cache/labelled` and its tests.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/setup/lib.sh

LIST=tools/setup/labelled.txt
ROWS=.cache/labelled

[ -d $ROWS/pyrit ] && done_already labelled $LIST && exit 0
find_uv
find_python
export UV_NO_PROGRESS=1
rm -rf $ROWS
# Without its dependencies: its files are read, its code is never run.
quietly "fetching answers that people labelled ($LIST)" \
  "$UV" pip install -q --python "$PYTHON" --no-deps --require-hashes --target $ROWS -r $LIST
mark_done labelled $LIST
