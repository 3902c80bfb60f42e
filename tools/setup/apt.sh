#!/usr/bin/env bash
# Asks Debian for programs that only tests need.  tools/setup/apt.sh PROGRAM:PACKAGE...
# Where apt cannot be used it says so in one line and goes on: the tests that need the program fail and name it.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/setup/lib.sh

missing=()
for pair in "$@"; do have "${pair%%:*}" || missing+=("${pair##*:}"); done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! have apt-get || [ "$(id -u)" != 0 ]; then
  say "missing: ${missing[*]}; install them by hand (as root: apt-get install ${missing[*]})"
  exit 0
fi
# RUNLEVEL=1 keeps a package from starting the service it brings: only its programs are wanted.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
install_missing() { apt-get install -y -q --no-install-recommends "${missing[@]}" || (apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"); }
quietly "asking apt for ${missing[*]}" install_missing
