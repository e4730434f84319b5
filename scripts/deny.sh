#!/usr/bin/env bash
# Checks what the programs link against deny.toml: licences, banned crates, duplicates, origins, and known
# vulnerabilities. Only the last needs a network, and the rest is checked without it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

need_to_build
# Kept beside what cargo builds. Without optimisation it is built in a third of the time, and runs for a second.
version=0.20.2
root=$(dirname "$programs")/cargo-deny-$version
if [ ! -x "$root/bin/cargo-deny" ]; then
  say "Building cargo-deny $version: some minutes the first time"
  CARGO_TARGET_DIR=$root/build cargo install --quiet --locked --debug --root "$root" "cargo-deny@$version"
  rm -rf "$root/build"
fi
# A build fetches only what this platform needs; the lock file has all of them.
cargo fetch --quiet --locked
deny() { "$root/bin/cargo-deny" --locked --log-level error "$@"; }

# An exception that is no longer needed is an error.
deny --offline check --deny unmatched-skip --deny unnecessary-skip bans licenses sources

# An earlier copy of the advisory database is used as it is when no newer one can be fetched.
need 'to fetch advisories' git
if GIT_TERMINAL_PROMPT=0 timeout 60 "$root/bin/cargo-deny" --log-level off fetch db > /dev/null 2>&1; then
  deny --offline check advisories
elif [ -n "$(find "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs" -mindepth 1 -maxdepth 1 -type d 2> /dev/null)" ]; then
  say 'The advisory database cannot be reached: its last copy is used.'
  deny --offline check advisories
else
  say 'The advisory database cannot be reached, and there is no copy of it: advisories were not checked.'
fi
