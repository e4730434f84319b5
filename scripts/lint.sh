#!/usr/bin/env bash
# Checks format, clippy, the dependency rules and import cycles.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

need_to_build
cargo fmt --all --check
cargo fmt --manifest-path fuzz/Cargo.toml --check
cargo clippy --release --locked --workspace --all-targets -- -D warnings
# A separate workspace: nothing else would notice if it stopped compiling.
cargo clippy --locked --manifest-path fuzz/Cargo.toml --all-targets -- -D warnings
scripts/dependency-rules.sh
need 'to look for import cycles' python3
scripts/import-cycles.py
scripts/deny.sh
