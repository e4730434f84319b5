#!/usr/bin/env bash
# Deletes what `make run` has stored: data, credentials, the probe's spools.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

run_dir=${ZONEPULSE_RUN_DIR:-.run}
[ -e "$run_dir" ] || exit 0
# Never deletes a directory that run.sh has not created, whatever ZONEPULSE_RUN_DIR says.
[ -e "$run_dir/made-by-make-run" ] || fail "not deleting $run_dir: make run did not create it"
if [ -e "$run_dir/pid" ] && kill -0 "$(cat "$run_dir/pid")" 2> /dev/null; then
  fail 'make run is still running: stop it first'
fi
rm -rf "$run_dir"
say "deleted $run_dir"
