#!/usr/bin/env bash
# Benchmarks the real programs, and writes bench-report.md and bench-report.json.
#
#   scripts/bench.sh           everything
#   scripts/bench.sh NAME      probe (or a part of it: probe start, capture, flood or live), store, peers,
#                              system, pipeline, growth, or zones (or a part of it: zones import, grid or ingest)
#
# ZONEPULSE_BENCH_MINUTES scales the data of `store` and `peers` (1440: 28 million points);
# ZONEPULSE_BENCH_RESOURCES scales the data of `zones` (1000000; 100000 is quick, and draws no plot);
# ZONEPULSE_BENCH_REPORT is the report's directory (.run/bench).
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

need_to_build
name=${1:-}
if [ "${name:-probe}" = probe ]; then
  need 'to benchmark the probe' binutils dnscap dnsperf dnstop knot tshark zstd
  # Not every Debian release has it; the benchmark reports if it is missing.
  if apt-cache show packetq > /dev/null 2>&1; then
    need 'for comparison' packetq
  fi
fi
if [ "${name:-pipeline}" = pipeline ]; then
  need_without_services 'for the benchmark' rabbitmq-server
fi
if [ "${name:-system}" = system ]; then
  need_without_services 'for comparison' victoria-metrics
fi
if [ "${name:-peers}" = peers ]; then
  need_without_services 'for comparison' victoria-metrics python3-venv
  # Python packages: installed beside the build output, not in the system.
  venv=$programs/../bench-store/venv
  if ! [ -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import duckdb, chdb' 2> /dev/null; then
    say "Installing for comparison, in $venv: duckdb chdb"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet duckdb chdb
  fi
  export ZONEPULSE_BENCH_PYTHON=$venv/bin/python
fi
cargo build --release --locked --workspace --bins
# Cargo would set this variable. The programs may have been built in another checkout, and find the project by it.
CARGO_MANIFEST_DIR=$PWD/benches "$programs/zonepulse-bench" "$@"
