#!/usr/bin/env bash
# Builds the documentation site into target/book, and checks the links of its pages and of the Markdown files.
#
# mdBook is installed beside cargo's output the first time, without its server: a few minutes.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

need_cargo
need 'to check links' python3
install_tool mdbook 0.5.4 --no-default-features --features search
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
book=$target_dir/book

rm -rf "$book"
mdbook build docs --dest-dir "$book" 2>&1 | sed '/ INFO /d' >&2
# mdBook copies everything that is no page.
rm -f "$book/book.toml" "$book/dependencies.txt"
say 'Links of the Markdown files:'
scripts/check-links.py sources
say 'Links of the site:'
scripts/check-links.py book "$book" | sed -n 1p
say "The site is in $book; open index.html."
