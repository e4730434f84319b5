#!/usr/bin/env bash
# Builds both programs, with the one profile that is also used for testing and benchmarking.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

need_to_build
build_programs
ls -lh "$programs/zonepulse" "$programs/zonepulse-probe"
