#!/usr/bin/env bash
# Compares the dependencies between the workspace's crates with docs/dependencies.txt, and checks what crates must not
# re-export and what the programs must never link.
#
#   scripts/dependency-rules.sh           prints a diff and exits with 1 if they differ
#   scripts/dependency-rules.sh --write   rewrites the file
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

golden=docs/dependencies.txt

# edges KIND SUFFIX: prints lines "crate -> crate", from cargo's tree of depth one.
edges() {
  cargo tree --locked --workspace --edges "$1" --depth 1 --no-dedupe --prefix depth --format ' {p}' | awk -v suffix="$2" '
    $1 == 0 { from = $2 }
    $1 == 1 && $2 ~ /^zonepulse-/ { sub(/^zonepulse-/, "", $2); sub(/^zonepulse-/, "", from); print from " -> " $2 suffix }'
}

now=$({ edges normal ''; edges build ' (build)'; edges dev ' (tests)'; } | LC_ALL=C sort -u)
if [ "${1:-}" = --write ]; then
  printf '%s\n' "$now" > "$golden"
fi
if ! diff -u --label "$golden" --label 'the workspace' "$golden" <(printf '%s\n' "$now"); then
  fail "the dependencies between the crates differ from $golden"
fi

# A crate that uses another crate's types declares that dependency; nobody re-exports them.
re_exports=$(grep -rnE '^[[:space:]]*pub[[:space:]]+use[[:space:]]+(::)?zonepulse_' --include='*.rs' -- */src || true)
[ -z "$re_exports" ] || fail "a crate must not re-export another crate's items; depend on that crate instead:
$re_exports"

# Nobody wants a database or a query engine on a DNS server.
forbidden=$(cargo tree --locked --package zonepulse-probe --edges normal --prefix none --format '{p}' |
  awk '{ print $1 }' | grep -E '^(rocksdb|librocksdb-sys|datafusion.*|arrow.*)$' | LC_ALL=C sort -u | tr '\n' ' ' || true)
[ -z "$forbidden" ] || fail "zonepulse-probe must not link: $forbidden"
say "dependency rules hold: $(printf '%s\n' "$now" | wc -l) edges"
