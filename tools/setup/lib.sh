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

# Triton's wheel ships its Python backend up to 3.13, numpy 1.26 its wheels up to 3.12.
SUPPORTED="3.11 3.12"

# Prints the path of a Python that everything runs on. After find_uv.
usable_python() {
  local version candidate
  for version in $SUPPORTED; do
    for candidate in "python$version" python3 python; do
      if have "$candidate" && [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$version" ]; then
        "$candidate" -c 'import sys; print(sys.executable)'
        return
      fi
    done
  done
  # uv knows places that are not on the PATH.
  for version in $SUPPORTED; do "$UV" python find --no-python-downloads "$version" 2>/dev/null && return; done
  return 1
}

# Sets UV to an installer that works: the one on the PATH, or one of its own in .cache.
find_uv() {
  # Asked for its version because a version manager's shim can be on the PATH with nothing behind it.
  if uv --version >/dev/null 2>&1; then
    UV=uv
    return
  fi
  UV=.cache/tools/uv/bin/uv
  [ -x "$UV" ] && return
  have python3 || fail "python3 is missing; install Python 3.11 or 3.12 (Debian: apt-get install python3 python3-venv)"
  rm -rf .cache/tools/uv
  python3 -m venv .cache/tools/uv >/dev/null 2>&1 ||
    fail "python3 cannot make a virtual environment; install its venv package (Debian: apt-get install python3-venv) or put uv on the PATH"
  quietly "fetching uv, the installer" .cache/tools/uv/bin/pip install -q --require-hashes -r tools/setup/uv.txt
}

# Sets PYTHON to such a Python, or ends.
find_python() {
  PYTHON=$(usable_python) ||
    fail "no Python 3.11 or 3.12 was found; install one (Debian 12: apt-get install python3.11 python3.11-venv), or let uv bring it: uv python install 3.11"
}
