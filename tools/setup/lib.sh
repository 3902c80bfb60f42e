# What the install steps share. Sourced, never run; the working directory is the repository's root.

CACHE=.cache/setup
mkdir -p "$CACHE"

say() { printf 'setup: %s\n' "$*" >&2; }

# Ends with one line that names what is missing and what to do.
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 2
}

have() { command -v "$1" >/dev/null 2>&1; }

# done_already NAME FILE...: whether step NAME last succeeded with the present content of these files.
done_already() {
  local name=$1
  shift
  [ -f "$CACHE/$name" ] && [ "$(cat "$CACHE/$name")" = "$(fingerprint "$@")" ]
}

mark_done() {
  local name=$1
  shift
  fingerprint "$@" >"$CACHE/$name.new" && mv "$CACHE/$name.new" "$CACHE/$name"
}

fingerprint() { cat "$@" | sha256sum | cut -d ' ' -f 1; }

# quietly WHAT COMMAND...: says what it does and how long it took; shows the command's output only where it fails.
quietly() {
  local what=$1 log=$CACHE/last.log began=$SECONDS
  shift
  say "$what ..."
  if ! "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    fail "this failed: $what; the lines above say why (whole output: $log)"
  fi
  say "$what: done in $((SECONDS - began)) s"
}
