#!/usr/bin/env bash
# Lets schemathesis ask a running central whatever its OpenAPI document allows,
# and more, for about a minute: no answer may be a fault of the server, and none
# may be one that the document does not describe.
#
#   scripts/test-api.sh              with the programs as they are, or built now
#
# The central runs on a port of its own, on data of its own, and ends with this.
# Schemathesis (a Python package) is kept beside what cargo builds.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

version=4.32.5
tools=${CARGO_TARGET_DIR:-target}/schemathesis-$version
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance

if [ ! -x "$programs/zonepulse" ]; then
  need_to_build
  # The same selection as for the tests: another would build DataFusion twice.
  cargo build --release --locked --workspace --lib --bins --tests
fi
if [ ! -x "$tools/bin/schemathesis" ]; then
  need 'to ask the API' python3-venv
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet "schemathesis==$version"
fi

work=$(mktemp -d)
central=
# shellcheck disable=SC2317  # called by a trap
cleanup() {
  if [ -n "$central" ]; then
    kill -TERM "$central" 2> /dev/null || true
    wait "$central" || true
  fi
  rm -rf "$work"
}
trap cleanup EXIT

# value NAME: of a line NAME = "value" on standard input.
value() { sed -n "s/^$1 = \"\(.*\)\"$/\1/p"; }

# What every test starts with: a user who may do everything, and a server.
password=$("$programs/zonepulse" user add explorer --administrator --data "$work/data" | value password)
token=$("$programs/zonepulse" server add explored --credential token --data "$work/data" | value token)
"$programs/zonepulse" serve --data "$work/data" --listen 127.0.0.1:0 > "$work/greeting" 2> "$work/log" &
central=$!
url=
for _ in $(seq 300); do
  url=$(sed -n 's/^Zonepulse is at \(http.*\)\/$/\1/p' "$work/greeting")
  [ -z "$url" ] || break
  kill -0 "$central" 2> /dev/null || { cat "$work/log" >&2; fail 'the central has ended'; }
  sleep 0.1
done
[ -n "$url" ] || fail 'the central did not come up'

export SCHEMATHESIS_HOOKS=$PWD/scripts/test_api_hooks.py
# It keeps what it found in the folder that it runs in.
tools=$(realpath "$tools")
# ask NAME ARGUMENT...: one run; what fails is told with the command that shows it again.
ask() {
  local name=$1
  shift
  say "Asking as $name"
  (cd "$work" && "$tools/bin/schemathesis" run "$url/api/v2/openapi.json" --checks "$checks" --seed 53 --max-examples 8 --max-time 60 \
    --request-timeout 20 --no-color --suppress-health-check all --warnings off "$@")
}

status=0
# First the server: the users' calls may give it another token.
ask 'a server' --header "Authorization: Bearer $token" \
  --include-path /api/v2/batches --include-path-regex '/heartbeat$' --exclude-method GET || status=1
ask 'an administrator' --auth "explorer:$password" \
  --exclude-path-regex '/(batches|enrollments)$' --exclude-operation-id send_heartbeat || status=1
ask 'nobody' --max-examples 1 --phases coverage --exclude-path /healthz || status=1

if grep -E '"?(level"?[:=]"?)?(ERROR|panic)' "$work/log" | head -20 | grep .; then
  say 'the central has logged errors'
  status=1
fi
[ "$status" -eq 0 ] && say 'the API answers as its document says'
exit "$status"
