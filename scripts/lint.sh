#!/usr/bin/env bash
# What holds of the text of the project: format, clippy's opinion, dependency rules.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

need_to_build
cargo fmt --all --check
cargo fmt --manifest-path fuzz/Cargo.toml --check
cargo clippy --release --locked --workspace --all-targets -- -D warnings
# A workspace of its own: nothing else would notice that it no longer compiles.
cargo clippy --locked --manifest-path fuzz/Cargo.toml --all-targets -- -D warnings
scripts/dependency-rules.sh
