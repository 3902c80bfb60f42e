#!/usr/bin/env bash
# The pinned buf, fetched from npm into .cache at first use; afterwards no network is needed.
#   tools/protos/buf.sh ARGUMENT...        run in protos/
#   tools/protos/buf.sh                    fetches only
set -euo pipefail
cd "$(dirname "$0")/../.."

HOME_OF_BUF=.cache/buf
if ! cmp -s tools/protos/package.json "$HOME_OF_BUF/package.json" || [ ! -x "$HOME_OF_BUF/node_modules/.bin/buf" ]; then
  command -v npm >/dev/null || {
    echo "protos: npm is missing, which brings buf; install Node.js 18 or later (Debian: apt-get install npm)" >&2
    exit 2
  }
  rm -rf "$HOME_OF_BUF"
  mkdir -p "$HOME_OF_BUF"
  # No install script runs: the program itself is one of the package's optional dependencies.
  npm install --prefix "$HOME_OF_BUF" --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error \
    "@bufbuild/buf@$(sed -n 's/.*"@bufbuild\/buf": "\(.*\)".*/\1/p' tools/protos/package.json)" >&2
  # Copied last: its presence says that the installation is whole.
  cp tools/protos/package.json "$HOME_OF_BUF/package.json"
fi
[ $# -gt 0 ] || exit 0
BUF=$PWD/$HOME_OF_BUF/node_modules/.bin/buf
cd protos
exec "$BUF" "$@"
