#!/usr/bin/env bash
# Contracts: formatted, in buf's style, protos/gen up to date, and nothing that a reader of the accepted ones could not bear.
#   tools/protos/check.sh              checks
#   tools/protos/check.sh --accept     checks, then takes the present contracts as the ones to stay compatible with
# The accepted contracts are protos/accepted.binpb, so that this works offline and without history. Accept with a release.
set -euo pipefail
cd "$(dirname "$0")/../.."
ACCEPTED=accepted.binpb

tools/protos/buf.sh format -d --exit-code --path harden
tools/protos/buf.sh lint
tools/protos/generate.sh --check
# Compared as images: the vendored rules are a module of their own, and buf pairs modules only where both sides have as many.
PRESENT=$(mktemp --suffix=.binpb)
trap 'rm -f "$PRESENT"' EXIT
tools/protos/buf.sh build --exclude-source-info -o "$PRESENT"
tools/protos/buf.sh breaking "$PRESENT" --against "$ACCEPTED" --path harden
if [ "${1:-}" = --accept ]; then
  cp "$PRESENT" "protos/$ACCEPTED"
fi
