#!/usr/bin/env bash
# Checks format, clippy, the dependency rules, import cycles and the page.
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
need 'to check what runs on nodes' shellcheck
shellcheck packaging/bundle/install.sh
need 'to look for import cycles' python3
scripts/import-cycles.py
scripts/check-links.py sources > /dev/null
scripts/deny.sh

# Debian 12 has an older one; the page is committed as built, so nothing but this depends on it.
need_node 'to check the page'
if ! node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)'; then
  say 'Skipping the checks of the page: they need Node 20.19 or newer.'
  exit 0
fi
npm --prefix web run --silent check
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
cp -a web/dist "$built"
npm --prefix web run --silent build > /dev/null
diff -r "$built/dist" web/dist ||
  fail 'web/dist is not what its sources give. The right one is there now: commit it.'
# With its times, so that nothing is compiled again.
rm -rf web/dist
mv "$built/dist" web/dist
