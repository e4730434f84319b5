#!/usr/bin/env bash
# Runs a central and a probe on this machine, with sample data.
#
# Data is kept in .run, or in the directory that ZONEPULSE_RUN_DIR names. The
# central listens on 127.0.0.1:8053, or on the address in ZONEPULSE_LISTEN.
# Ctrl-C stops everything; the next start continues with the same data.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

run_dir=${ZONEPULSE_RUN_DIR:-.run}
listen=${ZONEPULSE_LISTEN:-127.0.0.1:8053}
sample=fixtures/captures/sample.pcap.zst
sample_zone=fixtures/zones/sample.example.zone
data=$run_dir/data
# The central would take these ZONEPULSE_ variables for its own settings.
unset ZONEPULSE_RUN_DIR ZONEPULSE_LISTEN

host=${listen%:*}
host=${host#[}
host=${host%]}
port=${listen##*:}
# The address at which this machine reaches a wildcard listener.
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
# Stops the probe first, so that it can deliver what it has counted.
# shellcheck disable=SC2317  # called by a trap
stop() {
  trap '' INT TERM
  local name
  for name in probe central; do
    if [ -n "${!name}" ] && kill -TERM "${!name}" 2> /dev/null; then
      say "Stopping the $name"
      wait "${!name}" || true
    fi
  done
  rm -f "$run_dir/pid"
}

# start LOG PROGRAM ARGUMENT...: starts a program in its own session, so that Ctrl-C
# reaches only this script, which stops the programs in order. If the script is
# killed, the kernel terminates them.
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

# add_server NAME FILE OPTION...: on the first start, adds a server and writes its
# probe's configuration. Must run before the central, since only one process can open the data.
add_server() {
  local name=$1 file=$2
  shift 2
  [ -e "$file" ] || "$programs/zonepulse" server add "$name" --data "$data" --probe-config "$file" "$@" > /dev/null
}

if port_is_taken; then
  fail "another program is using $listen; choose another address, for example: ZONEPULSE_LISTEN=127.0.0.1:8054 make run"
fi
need_to_build
say 'Building (slow the first time, seconds afterwards)'
build_programs

mkdir -p "$run_dir"
touch "$run_dir/made-by-make-run"
echo $$ > "$run_dir/pid"
trap stop EXIT
trap 'exit 0' INT TERM

# Intervals of ten seconds instead of a minute, so that data appears at once. Any
# address, because most machines do not serve DNS: here the machine's own queries
# are counted. On a DNS server, a probe counts only its own addresses.
add_server 'this machine' "$run_dir/probe.toml" --spool "$run_dir/spool" --addresses any --interval-s 10
[ -e "$run_dir/sample.toml" ] || rm -f "$run_dir/sample-is-in" "$run_dir/sample-zone-is-in"
add_server 'sample' "$run_dir/sample.toml" --sample --spool "$run_dir/spool-sample" --addresses any
# The address may have changed since the first start.
export ZONEPULSE_PROBE_DELIVER__HTTP__URL=$url

start "$run_dir/central.log" "$programs/zonepulse" serve --data "$data" --listen "$listen"
central=$!
until healthy; do
  kill -0 "$central" 2> /dev/null || fail "the central has stopped: $(tail -n 3 "$run_dir/central.log")"
  sleep 0.2
done

# Only once: another replay would count everything again. Spools are passed as arguments, not only in the
# configurations, because the directory may have been moved since the first start.
if [ -e "$run_dir/sample-is-in" ]; then
  :
elif [ ! -e "$sample" ]; then
  say "$sample is missing (fixtures/make-sample.sh creates it): the sample server stays empty"
elif "$programs/zonepulse-probe" replay "$sample" --config "$run_dir/sample.toml" \
  --set "spool.dir=$run_dir/spool-sample" --end-now > "$run_dir/sample.log" 2>&1; then
  touch "$run_dir/sample-is-in"
else
  say "Cannot replay the sample: $(tail -n 3 "$run_dir/sample.log")"
fi

# The sample's zone, so that there are records to give a verdict on.
central_is=(--url "$url" --credentials "$data/admin-credentials")
if [ ! -e "$run_dir/sample-zone-is-in" ]; then
  sample_id=$(sed -n 's/^server_id = \([0-9]*\)$/\1/p' "$run_dir/sample.toml" | head -n 1)
  if "$programs/zonepulse" zone add sample.example --file "$sample_zone" --server "$sample_id" "${central_is[@]}" \
    > "$run_dir/sample-zone.log" 2>&1; then
    touch "$run_dir/sample-zone-is-in"
  else
    say "Cannot add the sample's zone: $(tail -n 3 "$run_dir/sample-zone.log")"
  fi
fi

start "$run_dir/probe.log" "$programs/zonepulse-probe" run --config "$run_dir/probe.toml" --set "spool.dir=$run_dir/spool"
probe=$!
for _ in {1..25}; do
  ! grep -q -e ' listening' -e 'no capture;' "$run_dir/probe.log" || break
  sleep 0.2
done
if ! grep -q ' listening' "$run_dir/probe.log"; then
  say "This machine's own traffic is not counted. The probe says:"
  say "  $(grep -m 1 -e ERROR -e error "$run_dir/probe.log" || tail -n 1 "$run_dir/probe.log")"
  if [ "$(id -u)" -ne 0 ]; then
    say 'If it lacks permission to capture, grant it as follows, then run make run again:'
    say "  sudo setcap cap_net_raw+ep $programs/zonepulse-probe"
  fi
fi

say ''
say "Zonepulse is at   $url/"
say "  user            $(sed -n 's/^user = "\(.*\)"/\1/p' "$data/admin-credentials")"
if [ -t 1 ]; then
  say "  password        $(sed -n 's/^password = "\(.*\)"/\1/p' "$data/admin-credentials")"
else
  # The output may be stored where others can read it.
  say "  password        in $data/admin-credentials"
fi
say "  the API         $url/api/docs/"
say "  logs and data   $run_dir"
# The sample is half an hour of traffic that ended when it was replayed: look back to the middle of it.
minutes=$((($(date +%s) - $(stat -c %Y "$run_dir/sample-is-in" 2> /dev/null || date +%s)) / 60 + 15))
say 'Which records of the sample can be deleted, judging by a quarter of an hour?'
say "  $programs/zonepulse verdicts --zone sample.example --not-accessed-for ${minutes}m --margin 0s \\"
say "    --url $url --credentials $data/admin-credentials"
say 'Press Ctrl-C to stop.'

# If one of them ends by itself, stop the other.
wait -n "$central" "$probe" || true
kill -0 "$central" 2> /dev/null || fail "the central has stopped: $(tail -n 3 "$run_dir/central.log")"
fail "the probe has stopped: $(tail -n 3 "$run_dir/probe.log")"
