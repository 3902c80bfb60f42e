#!/usr/bin/env bash
# Locks every set of libraries anew: what the tests run first, then what runs, then each image's part of it, so that an
# image runs the versions that the tests ran; lint's part is what `make lint imports` needs. Arguments go to uv, such as --upgrade-package NAME.
set -euo pipefail
cd "$(dirname "$0")/../.."

lock() { # IN CONSTRAINTS PYTHON ARGUMENT...
  local name=$1 constraints=$2 python=$3
  shift 3
  uv pip compile --quiet --generate-hashes --python-version "$python" ${constraints:+-c "requirements/$constraints.txt"} \
    "requirements/$name.in" -o "requirements/$name.txt" "$@"
}

lock dev "" 3.11 "$@"
lock lint dev 3.11
lock run dev 3.11
lock service run 3.11
lock trainer run 3.11
# The Python of Triton's image.
lock triton run 3.12
lock build dev 3.11
