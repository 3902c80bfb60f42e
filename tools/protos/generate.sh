#!/usr/bin/env bash
# Writes protos/gen from protos. Run after every change of a .proto file, and commit both.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec .venv/bin/python tools/protos/generate.py "$@"
