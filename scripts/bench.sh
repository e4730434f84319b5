#!/usr/bin/env bash
# Measures the real programs, and writes bench-report.md and bench-report.json.
#
#   scripts/bench.sh           everything
#   scripts/bench.sh NAME      probe (of it: start, capture, flood, or live), store, peers, system,
#                              pipeline, or growth
#
# ZONEPULSE_BENCH_MINUTES scales what `store` and `peers` store (1440: 28 million points),
# ZONEPULSE_BENCH_REPORT is the report's folder (.run/bench).
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

need_to_build
name=${1:-}
if [ "${name:-probe}" = probe ]; then
  need 'to measure the probe' binutils dnscap dnsperf dnstop knot tshark zstd
  # Not in every release of Debian; the bench says when it is not there.
  if apt-cache show packetq > /dev/null 2>&1; then
    need 'to compare with' packetq
  fi
fi
if [ "${name:-pipeline}" = pipeline ]; then
  need_without_services 'to measure' rabbitmq-server
fi
if [ "${name:-system}" = system ]; then
  need_without_services 'to compare with' victoria-metrics
fi
if [ "${name:-peers}" = peers ]; then
  need_without_services 'to compare with' victoria-metrics python3-venv
  # Beside what is built, not in the system: these come as Python packages.
  venv=$programs/../bench-store/venv
  if ! [ -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import duckdb, chdb' 2> /dev/null; then
    say "Installing to compare with, in $venv: duckdb chdb"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet duckdb chdb
  fi
  export ZONEPULSE_BENCH_PYTHON=$venv/bin/python
fi
cargo build --release --locked --workspace --bins
# Programs find the project by what Cargo would tell them: they may have been built in another checkout.
CARGO_MANIFEST_DIR=$PWD/benches "$programs/zonepulse-bench" "$@"
