#!/usr/bin/env bash
# Fetches the pinned buf, which looks after the contracts in protos/. Nothing happens where it is there already.
set -euo pipefail
exec "$(dirname "$0")/../protos/buf.sh"
