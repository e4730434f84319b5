#!/usr/bin/env bash
# Runs schemathesis against a central for about a minute, with requests that its
# OpenAPI document allows, and some that it does not. No response may be a server
# error, or one that the document does not describe.
#
#   scripts/test-api.sh              uses the existing programs, or builds them
#
# The central runs on its own port with its own data, and is stopped at the end.
# Schemathesis (a Python package) is installed beside cargo's output.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

version=4.32.5
tools=${CARGO_TARGET_DIR:-target}/schemathesis-$version
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance

if [ ! -x "$programs/zonepulse" ]; then
  need_to_build
  # The same selection as for the tests; a different one would build DataFusion twice.
  cargo build --release --locked --workspace --lib --bins --tests
fi
if [ ! -x "$tools/bin/schemathesis" ]; then
  need 'to test the API' python3-venv
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

# value NAME: prints the value of the line NAME = "value" on standard input.
value() { sed -n "s/^$1 = \"\(.*\)\"$/\1/p"; }

# Every test starts with an administrator and a server.
password=$("$programs/zonepulse" user add explorer --administrator --data "$work/data" | value password)
token=$("$programs/zonepulse" server add explored --credential token --data "$work/data" | value token)
"$programs/zonepulse" serve --data "$work/data" --listen 127.0.0.1:0 > "$work/greeting" 2> "$work/log" &
central=$!
url=
for _ in $(seq 300); do
  url=$(sed -n 's/^Zonepulse is at \(http.*\)\/$/\1/p' "$work/greeting")
  [ -z "$url" ] || break
  kill -0 "$central" 2> /dev/null || { cat "$work/log" >&2; fail 'the central has stopped'; }
  sleep 0.1
done
[ -n "$url" ] || fail 'the central did not start'

export SCHEMATHESIS_HOOKS=$PWD/scripts/test_api_hooks.py
# Schemathesis stores its findings in the current directory.
tools=$(realpath "$tools")
# ask NAME ARGUMENT...: one run; failures are reported with a command that reproduces them.
ask() {
  local name=$1
  shift
  say "Testing as $name"
  (cd "$work" && "$tools/bin/schemathesis" run "$url/api/v2/openapi.json" --checks "$checks" --seed 53 --max-examples 8 --max-time 60 \
    --request-timeout 20 --no-color --suppress-health-check all --warnings off "$@")
}

status=0
# The server first, because the users' calls may replace its token.
ask 'a server' --header "Authorization: Bearer $token" \
  --include-path /api/v2/batches --include-path-regex '/heartbeat$' --exclude-method GET || status=1
# Not logins: wrong passwords would make this address wait.
ask 'an administrator' --auth "explorer:$password" \
  --exclude-path-regex '/(batches|enrollments)$' --exclude-operation-id send_heartbeat --exclude-operation-id log_in || status=1
ask 'an anonymous client' --max-examples 1 --phases coverage --exclude-path /healthz || status=1

if grep -E '"?(level"?[:=]"?)?(ERROR|panic)' "$work/log" | head -20 | grep .; then
  say 'the central has logged errors'
  status=1
fi
[ "$status" -eq 0 ] && say 'the API conforms to its OpenAPI document'
exit "$status"
