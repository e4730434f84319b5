#!/usr/bin/env bash
# The central and a probe on this machine, with something to look at.
#
# Data is kept in .run, or in the folder that ZONEPULSE_RUN_DIR names. The
# central listens on 127.0.0.1:8053, or on what ZONEPULSE_LISTEN says.
# Ctrl-C ends everything; what was counted is there again at the next start.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

run_dir=${ZONEPULSE_RUN_DIR:-.run}
listen=${ZONEPULSE_LISTEN:-127.0.0.1:8053}
sample=fixtures/captures/sample.pcap.zst
data=$run_dir/data
# The central takes every other ZONEPULSE_ variable for a setting of its own.
unset ZONEPULSE_RUN_DIR ZONEPULSE_LISTEN

host=${listen%:*}
host=${host#[}
host=${host%]}
port=${listen##*:}
# Where this machine itself reaches what listens on every address.
case $host in
  0.0.0.0) host=127.0.0.1 ;;
  ::) host=::1 ;;
esac
case $host in
  *:*) url="http://[$host]:$port" ;;
  *) url="http://$host:$port" ;;
esac

central=
probe=
# The probe first: it hands over what it has counted so far.
# shellcheck disable=SC2317  # called by a trap
stop() {
  trap '' INT TERM
  local name
  for name in probe central; do
    if [ -n "${!name}" ] && kill -TERM "${!name}" 2> /dev/null; then
      say "Ending the $name"
      wait "${!name}" || true
    fi
  done
  rm -f "$run_dir/pid"
}

# start LOG PROGRAM ARGUMENT...: in a session of its own, so that Ctrl-C reaches
# this script only, which ends them in order. Should the script be killed, the
# kernel tells them to end.
start() {
  local log=$1
  shift
  setsid setpriv --pdeathsig TERM "$@" > "$log" 2>&1 &
}

port_is_taken() {
  (exec 3<> "/dev/tcp/$host/$port") 2> /dev/null
}

healthy() {
  local status
  { exec 3<> "/dev/tcp/$host/$port"; } 2> /dev/null || return 1
  printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3
  read -r _ status _ <&3 || status=
  exec 3>&-
  [ "$status" = 200 ]
}

# add_server NAME FILE OPTION...: a server and its probe's configuration, at the
# first start; before the central starts, for only one process opens the data.
add_server() {
  local name=$1 file=$2
  shift 2
  [ -e "$file" ] || "$programs/zonepulse" server add "$name" --data "$data" --probe-config "$file" "$@" > /dev/null
}

if port_is_taken; then
  fail "$listen is taken by another program; choose another address, as in: ZONEPULSE_LISTEN=127.0.0.1:8054 make run"
fi
need_to_build
say 'Building: some minutes the first time, seconds later'
cargo build --release --locked --workspace --bins

mkdir -p "$run_dir"
touch "$run_dir/made-by-make-run"
echo $$ > "$run_dir/pid"
trap stop EXIT
trap 'exit 0' INT TERM

# Ten seconds instead of a minute, so that there is something to see at once.
# Any address, for most machines do not serve DNS: it is what this one asks that
# can be seen here. On a DNS server, a probe counts its own addresses only.
add_server 'this machine' "$run_dir/probe.toml" --spool "$run_dir/spool" --addresses any --interval-s 10
[ -e "$run_dir/sample.toml" ] || rm -f "$run_dir/sample-is-in"
add_server 'sample' "$run_dir/sample.toml" --sample --spool "$run_dir/spool-sample" --addresses any
# The address may be another one than at the first start.
export ZONEPULSE_PROBE_DELIVER__HTTP__URL=$url

start "$run_dir/central.log" "$programs/zonepulse" serve --data "$data" --listen "$listen"
central=$!
until healthy; do
  kill -0 "$central" 2> /dev/null || fail "the central has ended: $(tail -n 3 "$run_dir/central.log")"
  sleep 0.2
done

# Once: replayed again, everything in it would count again. Spools are named here and not only in the
# configurations: the folder may have been moved since the first start.
if [ -e "$run_dir/sample-is-in" ]; then
  :
elif [ ! -e "$sample" ]; then
  say "There is no $sample (fixtures/make-sample.sh makes it): the sample server stays empty"
elif "$programs/zonepulse-probe" replay "$sample" --config "$run_dir/sample.toml" \
  --set "spool.dir=$run_dir/spool-sample" --end-now > "$run_dir/sample.log" 2>&1; then
  touch "$run_dir/sample-is-in"
else
  say "The sample could not be replayed: $(tail -n 3 "$run_dir/sample.log")"
fi

start "$run_dir/probe.log" "$programs/zonepulse-probe" run --config "$run_dir/probe.toml" --set "spool.dir=$run_dir/spool"
probe=$!
for _ in {1..25}; do
  ! grep -q -e ' listening' -e 'nothing is captured' "$run_dir/probe.log" || break
  sleep 0.2
done
if ! grep -q ' listening' "$run_dir/probe.log"; then
  say "This machine's own traffic is not counted. The probe says:"
  say "  $(grep -m 1 -e ERROR -e error "$run_dir/probe.log" || tail -n 1 "$run_dir/probe.log")"
  if [ "$(id -u)" -ne 0 ]; then
    say 'If it may not capture, this gives it the right; then again: make run'
    say "  sudo setcap cap_net_raw+ep $programs/zonepulse-probe"
  fi
fi

say ''
say "Zonepulse is at   $url/"
say "  user            $(sed -n 's/^user = "\(.*\)"/\1/p' "$data/admin-credentials")"
if [ -t 1 ]; then
  say "  password        $(sed -n 's/^password = "\(.*\)"/\1/p' "$data/admin-credentials")"
else
  # Whatever keeps this output may be read by others.
  say "  password        in $data/admin-credentials"
fi
say "  the API         $url/api/docs/"
say "  logs and data   $run_dir"
say 'Ctrl-C ends it.'

# Whichever ends by itself ends the other.
wait -n "$central" "$probe" || true
kill -0 "$central" 2> /dev/null || fail "the central has ended: $(tail -n 3 "$run_dir/central.log")"
fail "the probe has ended: $(tail -n 3 "$run_dir/probe.log")"
