#!/usr/bin/env bash
# Measures the real programs.
#
#   scripts/bench.sh           everything
#   scripts/bench.sh NAME      probe (of it: start, capture, flood, or live), store, or pipeline
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
  need 'to measure' rabbitmq-server
fi
cargo build --release --locked --workspace --bins
"$programs/zonepulse-bench" "$@"
