#!/usr/bin/env bash
# Takes pictures of every view of the page, filled with a fleet of four months (web/sample.mjs).
#
#   scripts/screenshots.sh [DIR]      default: target/screenshots
#
# Writes every view at 1440 and 390 px, light and dark, to DIR, and the light ones at 1440 px to docs/img/page, where
# docs/PAGE.md shows them. Runs a central of its own on a free port, with its data in a temporary directory, and stops
# it in the end. ZONEPULSE_TESTS_PROGRAMS is a directory with programs to use instead of building them.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

pictures=$(realpath -m "${1:-target/screenshots}")
if [ -n "${ZONEPULSE_TESTS_PROGRAMS:-}" ]; then
  programs=$ZONEPULSE_TESTS_PROGRAMS
else
  need_to_build
  say 'Building (slow the first time, seconds afterwards)'
  build_programs
fi
# The central would take these ZONEPULSE_ variables for its own settings.
unset ZONEPULSE_TESTS_PROGRAMS
need 'to take pictures' chromium fonts-dejavu-core pngquant
command -v node > /dev/null || need 'to take pictures' nodejs npm
[ -e web/node_modules ] || npm --prefix web ci --silent

port_is_taken() {
  (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null
}
port=18600
while port_is_taken "$port"; do port=$((port + 1)); done
url=http://127.0.0.1:$port

run_dir=$(mktemp -d)
central=
# shellcheck disable=SC2317  # called by a trap
stop() {
  trap '' INT TERM
  [ -z "$central" ] || { kill -TERM "$central" 2> /dev/null && wait "$central"; } || true
  rm -rf "$run_dir"
}
trap stop EXIT
trap 'exit 130' INT TERM

setpriv --pdeathsig TERM "$programs/zonepulse" serve --data "$run_dir/data" --listen "127.0.0.1:$port" \
  > "$run_dir/central.log" 2>&1 &
central=$!
until port_is_taken "$port" && [ -e "$run_dir/data/admin-credentials" ]; do
  kill -0 "$central" 2> /dev/null || fail "the central has stopped: $(tail -n 3 "$run_dir/central.log")"
  sleep 0.2
done

node web/screenshots.mjs "$url" "$run_dir/data/admin-credentials" "$pictures" docs/img/page
pngquant --force --strip --speed 1 --ext .png docs/img/page/*.png
say "Pictures are in $pictures and docs/img/page"
