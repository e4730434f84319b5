#!/usr/bin/env bash
# Writes docs/RECALL.md: recall on the captures of the corpus (ZONEPULSE_CORPUS).
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

need_to_build
cargo build --release --locked --workspace --bins
made=$(mktemp)
trap 'rm -f "$made"' EXIT
"$programs/zonepulse-bench" recall > "$made"
cat "$made" > docs/RECALL.md
sed -n '/^Found:/p' docs/RECALL.md
