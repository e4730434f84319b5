#!/usr/bin/env bash
# Holds the dependencies between the crates of the workspace against
# docs/dependencies.txt, what crates hand on of each other, and what the probe must never link.
#
#   scripts/dependency-rules.sh           exit 1 and a diff when they differ
#   scripts/dependency-rules.sh --write   writes the file anew
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

golden=docs/dependencies.txt

# edges KIND SUFFIX: lines "crate -> crate", from cargo's tree of depth one.
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
  fail "the dependencies between the crates are not those of $golden"
fi

# Whoever uses another crate's types depends on that crate, and says so: not on one that hands them on.
handed_on=$(grep -rnE '^[[:space:]]*pub[[:space:]]+use[[:space:]]+(::)?zonepulse_' --include='*.rs' -- */src || true)
[ -z "$handed_on" ] || fail "a crate hands on another crate's items; whoever needs them has to depend on that crate:
$handed_on"

# Whoever runs a probe on a DNS server wants no database and no query engine there.
forbidden=$(cargo tree --locked --package zonepulse-probe --edges normal --prefix none --format '{p}' |
  awk '{ print $1 }' | grep -E '^(rocksdb|librocksdb-sys|datafusion.*|arrow.*)$' | LC_ALL=C sort -u | tr '\n' ' ' || true)
[ -z "$forbidden" ] || fail "zonepulse-probe links what it must not: $forbidden"
# One provider of cryptography: a second one costs minutes of every clean build, and CMake.
second=$(cargo tree --locked --workspace --edges normal,build --prefix none --format '{p}' |
  awk '{ print $1 }' | grep -E '^(aws-lc-rs|aws-lc-sys|openssl-sys)$' | LC_ALL=C sort -u | tr '\n' ' ' || true)
[ -z "$second" ] || fail "the workspace links a second provider of cryptography: $second"
say "dependency rules hold: $(printf '%s\n' "$now" | wc -l) edges"
