#!/usr/bin/env bash
# Measures the real programs.
#
#   scripts/bench.sh           everything
#   scripts/bench.sh NAME      tally, store, or pipeline
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

need_to_build
need 'to measure' rabbitmq-server zstd
cargo build --release --locked --workspace --bins
"$programs/zonepulse-bench" "$@"
