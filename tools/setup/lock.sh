#!/usr/bin/env bash
# Locks every set of libraries anew: what the tests run first, then what runs, then each image's part of it, so that an
# image runs the versions that the tests ran; lint's part is what `make lint imports` needs. What runs is what pyproject.toml
# asks for. Arguments go to uv, such as --upgrade-package NAME.
set -euo pipefail
cd "$(dirname "$0")/../.."

lock() { # NAME CONSTRAINTS PYTHON WHAT...
  local name=$1 constraints=$2 python=$3
  shift 3
  uv pip compile --quiet --generate-hashes --python-version "$python" ${constraints:+-c "requirements/$constraints.txt"} \
    -o "requirements/$name.txt" "$@"
}

lock dev "" 3.11 pyproject.toml --extra demo requirements/run.in requirements/dev.in "$@"
lock lint dev 3.11 requirements/lint.in
lock run dev 3.11 pyproject.toml --extra demo requirements/run.in
lock service run 3.11 pyproject.toml
lock trainer run 3.11 pyproject.toml --extra trainer
# The Python of Triton's image.
lock triton run 3.12 pyproject.toml --extra triton
lock build dev 3.11 requirements/build.in
