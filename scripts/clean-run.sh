#!/usr/bin/env bash
# Forgets what `make run` has stored: data, credentials, the probe's spools.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

run_dir=${ZONEPULSE_RUN_DIR:-.run}
[ -e "$run_dir" ] || exit 0
# Nothing but what run.sh made is deleted, whatever ZONEPULSE_RUN_DIR says.
[ -e "$run_dir/made-by-make-run" ] || fail "$run_dir was not made by make run: not deleted"
if [ -e "$run_dir/pid" ] && kill -0 "$(cat "$run_dir/pid")" 2> /dev/null; then
  fail 'make run is running: end it first'
fi
rm -rf "$run_dir"
say "deleted $run_dir"
