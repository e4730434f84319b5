#!/usr/bin/env bash
# Runs all tests, and ends with one line: total: N passed, N failed, N skipped
#
#   scripts/test.sh            all tests
#   scripts/test.sh WORD       tests whose names contain WORD
#
# Tests start the programs that they need, on private ports and in temporary
# directories, and stop them. A test that cannot run here says why and is skipped.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

log=
trap '[ -z "$log" ] || rm -f "$log"' EXIT

need_to_build
need_without_services 'to test' rabbitmq-server knot knot-dnsutils knot-dnssecutils knot-module-dnstap nsd bind9 bind9-utils bind9-dnsutils ldnsutils dnsperf tcpdump e2fsprogs kea-dhcp4-server kea-dhcp6-server chromium curl openssh-server busybox age
need_node 'to test the page' || say 'Skipping the tests of the page.'
scripts/rabbitmq-4.sh || say 'Skipping the tests with RabbitMQ 4.'

# DuckDB reads exported files, dnspython plays a primary that misbehaves and, with dpkt, reads captures. They are Python
# packages, installed beside cargo's output.
version=2.0.1
venv=$(dirname "$programs")/duckdb-$version
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import dns.zone, dpkt, duckdb' 2> /dev/null; then
  need 'to test with DuckDB and dnspython' python3-venv
  say "Installing DuckDB $version, dnspython and dpkt in $venv"
  { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet "duckdb==$version" "dnspython==2.9.2" "dpkt==1.9.8"; } ||
    say 'Skipping the tests with DuckDB, dnspython and dpkt.'
fi
ZONEPULSE_TESTS_PYTHON=$(realpath -s "$venv")/bin/python
export ZONEPULSE_TESTS_PYTHON

# Both commands use the same selection of packages and targets; a different one
# would select other features of dependencies and build DataFusion twice.
selection=(--release --locked --workspace --lib --bins --tests)
cargo build "${selection[@]}"
status=0
log=$(mktemp)
cargo test "${selection[@]}" --no-fail-fast -- "$@" 2>&1 | tee "$log" || status=$?

read -r passed failed skipped < <(awk '
  /^test result: / {
    for (i = 2; i <= NF; i++) {
      if ($i ~ /^passed/) passed += $(i - 1)
      if ($i ~ /^failed/) failed += $(i - 1)
      if ($i ~ /^ignored/) skipped += $(i - 1)
    }
  }
  END { print passed + 0, failed + 0, skipped + 0 }' "$log")
# A test program that was killed has printed no result, or failed after printing
# one. Repeat what cargo reported, which tests failed and why, since that is far above.
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
  failed=1
fi
if [ "$status" -ne 0 ]; then
  awk '
    /^---- .* ----$/ { lines = 13; print "" }
    /^(failures:|test result: )/ { lines = 0 }
    lines > 0 && NF > 0 { print substr($0, 1, 600); lines-- }' "$log"
  grep -E '^test .* FAILED$|^error: test failed|^  process didn|signal: ' "$log" | sort -u || true
fi
if [ "$((passed + failed))" -eq 0 ]; then
  say 'no tests were run'
  status=1
fi
say "total: $passed passed, $failed failed, $skipped skipped"
[ "$status" -eq 0 ] && [ "$failed" -eq 0 ]
