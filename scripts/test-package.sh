#!/usr/bin/env bash
# Installs, upgrades and removes the packages in systems made for that, and runs every command of docs/INSTALL.md there.
#
#   scripts/test-package.sh [PART...]    deb, rpm, oci; by default all
#
# The first two parts have a Debian system of their own, made by mmdebstrap and booted by systemd-nspawn, with no network but
# loopback. `oci` builds the images of packaging/Containerfile with buildah, on a base made by mmdebstrap. Needs root. ZONEPULSE_TESTS_PROGRAMS is a directory with programs to use instead of building them.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

[ "$(id -u)" -eq 0 ] || fail 'this needs root: it makes and boots systems'
need_to_build
need 'to test packages' mmdebstrap systemd-container rpm openssl
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
built=$target_dir/packages
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
suite=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
guide=docs/INSTALL.md
max_exposure=2.0

work=$(mktemp -d /var/tmp/zonepulse-packages.XXXXXX)
system=
boot=
# shellcheck disable=SC2317  # called by a trap
cleanup() {
  power_off
  rm -rf "$work"
}
trap cleanup EXIT

passed=0
# is WHAT COMMAND...: one check.
is() {
  local what=$1
  shift
  "$@" > "$work/said" 2>&1 || {
    cat "$work/said" >&2
    fail "not so: $what"
  }
  passed=$((passed + 1))
}
# is_not WHAT COMMAND...: the same, for a command that has to fail.
is_not() {
  local what=$1
  shift
  ! "$@" > "$work/said" 2>&1 || {
    cat "$work/said" >&2
    fail "not so: $what"
  }
  passed=$((passed + 1))
}
# eventually WHAT COMMAND...: the same, within 90 seconds.
eventually() {
  local what=$1
  shift
  for _ in {180..0}; do
    if "$@" > "$work/said" 2>&1; then
      passed=$((passed + 1))
      return
    fi
    sleep 0.5
  done
  cat "$work/said" >&2
  fail "not so after 90 seconds: $what"
}

# make_base: the system that every part starts with, kept for a week beside cargo's output.
make_base() {
  base=$target_dir/package-test/$suite.tar
  [ -z "$(find "$base" -mtime -7 2> /dev/null)" ] || return 0
  say "Making a system with Debian's $suite"
  mkdir -p "$(dirname "$base")"
  local packages=(systemd systemd-sysv dbus sudo procps iproute2 curl jq ca-certificates openssl man-db bash-completion zsh
    fish knot knot-dnsutils knot-module-dnstap libpcap0.8 libstdc++6 dnf rpm)
  mmdebstrap --quiet --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" "$suite" "$base.new"
  mv "$base.new" "$base"
}

# power_on NAME: unpacks a system, boots it, and waits until it has started.
power_on() {
  system=$work/$1
  mkdir "$system"
  tar -xf "$base" -C "$system"
  # A network with one address besides loopback, and the name that the guide uses.
  echo '192.0.2.1 central.example' >> "$system/etc/hosts"
  echo zonepulse-test > "$system/etc/hostname"
  echo '127.0.0.1 zonepulse-test' >> "$system/etc/hosts"
  sed -i 's/^# *listen:/    listen:/' "$system/etc/knot/knot.conf"
  # Lists of the mirror are not in the system, and nothing is fetched.
  rm -f "$system/etc/apt/sources.list"
  mkdir -p -m 700 "$system/srv/trial"
  setpriv --pdeathsig TERM systemd-nspawn --quiet --directory "$system" --boot --private-network --register=no --keep-unit \
    --link-journal=no < /dev/null > "$work/boot.log" 2>&1 &
  boot=$!
  for _ in {120..0}; do
    first=$(pgrep -P "$boot" -x systemd) && [ -S "$system/run/dbus/system_bus_socket" ] && break
    kill -0 "$boot" 2> /dev/null || { cat "$work/boot.log" >&2; fail 'systemd-nspawn cannot boot a system here'; }
    sleep 0.5
  done
  eventually 'the system has started' in_system systemctl is-active multi-user.target
  in_system ip address add 192.0.2.1/32 dev lo
}
# shellcheck disable=SC2317  # called by a trap
power_off() {
  [ -n "$boot" ] || return 0
  kill -TERM "$boot" 2> /dev/null || true
  wait "$boot" 2> /dev/null || true
  boot=
  rm -rf "$system"
}

# in_system COMMAND...: runs a command in the system, in /srv/trial.
in_system() {
  nsenter --target "$first" --all --wd="/proc/$first/root/srv/trial" \
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive "$@"
}
# typed TEXT: runs lines of a shell in the system.
typed() { in_system bash -euo pipefail -c "$1"; }

# block KIND NAME: a block of the guide.
block() {
  awk -v mark="<!-- $1: $2 -->" '
    $0 == mark { found = 1; next }
    found && /^```/ { if (inside) exit; inside = 1; next }
    inside { print }' "$guide"
}
# guide NAME: runs a block of the guide. What it prints is in $said.
ran=()
guide() {
  local text
  text=$(block run "$1")
  [ -n "$text" ] || fail "$guide has no block $1"
  typed "$text" > "$work/guide" 2>&1 < "${2:-/dev/null}" || {
    cat "$work/guide" >&2
    fail "this does not work as written in $guide: $text"
  }
  said=$(cat "$work/guide")
  ran+=("$1")
  passed=$((passed + 1))
}
says() { grep -q -e "$1" <<< "$said"; }

# bring FILE...: copies files to /srv/trial in the system, in place of those that were there.
bring() {
  rm -rf "$system"/srv/trial/*
  cp -r "$@" "$system/srv/trial/"
}

# state PATH: owner, group and mode in the system.
state() { in_system stat -c '%U:%G %a' "$1"; }
has_state() { [ "$(state "$1")" = "$2" ] || { state "$1"; false; }; }
exists() { in_system test -e "$1"; }

# api METHOD PATH [OPTION...]
api() {
  local method=$1 path=$2
  shift 2
  in_system curl -sS --fail-with-body -u "admin:$password" -X "$method" "$url/api/v2/$path" "$@"
}

# units_are_sound UNIT...
units_are_sound() {
  local unit exposure
  for unit in "$@"; do
    is "systemd accepts $unit" in_system systemd-analyze verify "$unit"
    [ ! -s "$work/said" ] || fail "systemd warns about $unit: $(cat "$work/said")"
    is "$unit is exposed by at most $max_exposure" \
      in_system systemd-analyze security --offline=true --no-pager --threshold=20 "/usr/lib/systemd/system/$unit"
    exposure=$(sed -n 's/.*Overall exposure level for .*: \([0-9.]*\) .*/\1/p' "$work/said")
    say "  exposure of $unit: $exposure"
  done
}

# central_works: the central runs as its user without any privilege, and answers.
central_works() {
  eventually 'the central is ready' in_system curl -sS --fail "$url/readyz"
  local id
  id=$(in_system systemctl show --value -p MainPID zonepulse)
  is 'the central runs as its user' test "$(in_system ps -o user:32= -p "$id")" = zonepulse
  in_system cat "/proc/$id/status" > "$work/status"
  is 'it has no capability' grep -q '^CapPrm:\s*0*$' "$work/status"
  is 'and cannot get one' grep -q '^NoNewPrivs:\s*1$' "$work/status"
  is 'its system calls are filtered' grep -q '^Seccomp:\s*2$' "$work/status"
  is 'its data is private' has_state /var/lib/zonepulse 'zonepulse:zonepulse 700'
  is 'the password is private' has_state /var/lib/zonepulse/admin-credentials 'zonepulse:zonepulse 600'
  password=$(in_system sed -n 's/^password = "\(.*\)"$/\1/p' /var/lib/zonepulse/admin-credentials)
  # In a process that limits itself: the filter has to allow that.
  is 'a statement is answered' api POST sql -H 'Content-Type: application/sql' --data 'SELECT count(*) AS n FROM dns_raw'
  is 'by a worker of low priority' in_system bash -c 'ps -eo ni,args | grep -E "^ *15 .*sql-worker"'
  is_not 'the journal has no error' in_system bash -c 'journalctl -u zonepulse | grep -E "ERROR|panic|not permitted"'
}

# probe_works: the probe captures as its user with one privilege.
probe_works() {
  eventually 'the probe captures' in_system bash -c 'journalctl -u zonepulse-probe --since -1min | grep " listening"'
  local id
  id=$(in_system systemctl show --value -p MainPID zonepulse-probe)
  is 'the probe runs as its user' test "$(in_system ps -o user:32= -p "$id")" = zonepulse-probe
  in_system bash -c "cat /proc/$id/task/*/status" > "$work/status"
  is 'one thread may capture' test "$(grep -c '^CapPrm:\s*0*2000$' "$work/status")" -eq 1
  is 'and only while it opens the device' test "$(grep -c '^CapEff:\s*0*$' "$work/status")" -eq "$(grep -c ^CapEff "$work/status")"
  is 'it can have no other privilege' test "$(grep -c '^CapBnd:\s*0*2000$' "$work/status")" -eq "$(grep -c ^CapBnd "$work/status")"
  is 'its system calls are filtered' grep -q '^Seccomp:\s*2$' "$work/status"
  is 'the spool is private' has_state /var/lib/zonepulse-probe/spool 'zonepulse-probe:zonepulse-probe 700'
  is_not 'the journal has no error' in_system bash -c 'journalctl -u zonepulse-probe | grep -E "ERROR|panic|not permitted|cannot drop"'
}

# ask NAME TIMES: queries the DNS server of the system.
ask() {
  # shellcheck disable=SC2016  # for the shell in the system
  in_system bash -c 'for _ in $(seq "$2"); do kdig @127.0.0.1 +noall "$1" A > /dev/null; done' - "$1" "$2"
}
# are_counted NAME TIMES: whether the central has these requests of the name.
are_counted() {
  local hits
  hits=$(api GET "monitoring/dns/aggregate?host=$1" | jq '[.[].hits] | add')
  [ "$hits" = "$2" ] || { echo "hits: $hits"; false; }
}

# is_measured: whether the central has the size of the disk.
is_measured() { api GET 'monitoring/system/raw?metric=disk_total_bytes&limit=1' | jq -e 'length == 1'; }

# documents_are_found PROGRAM START COMMAND: manual pages and completions; START is the start of a COMMAND of the program.
documents_are_found() {
  is "man finds $1" in_system man -w "$1"
  is "it is formatted without warnings" typed "man --warnings -P cat $1 2>&1 > /dev/null | (! grep .)"
  is 'bash completes' in_system bash -c "
    . /usr/share/bash-completion/bash_completion
    _completion_loader $1 || [ \$? -eq 124 ]
    COMP_WORDS=($1 $2) COMP_CWORD=1
    function=\$(complete -p $1 | sed 's/.*-F \([^ ]*\).*/\1/')
    \$function $1 $2 $1
    printf '%s\n' \"\${COMPREPLY[@]}\" | grep -x $3"
  is 'zsh completes' in_system zsh -c "fpath+=(/usr/share/zsh/site-functions); autoload -Uz compinit; compinit -u -D; [[ \$_comps[$1] = _$1 ]] && autoload +X _$1"
  is 'fish completes' in_system fish -c "complete -C '$1 $2' | grep '^$3'"
}

# make_certificate: a CA that the system trusts, and a certificate for central.example.
make_certificate() {
  local made=$system/srv/trial
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=Test' -days 30 \
    -keyout "$work/ca.key" -out "$work/ca.crt" 2> /dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=central.example' \
    -keyout "$made/central.key" -out "$work/central.csr" 2> /dev/null
  openssl x509 -req -in "$work/central.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -days 30 -out "$made/central.crt" \
    -extfile <(echo subjectAltName=DNS:central.example) 2> /dev/null
  cp "$work/ca.crt" "$system/usr/local/share/ca-certificates/test.crt"
  in_system update-ca-certificates > /dev/null 2>&1
}

# configure_central: sets what the guide sets.
configure_central() {
  local file=$system/etc/zonepulse/zonepulse.toml line key
  while IFS= read -r line; do
    key=${line%% = *}
    case $line in
      *' = '*)
        sed -i "0,/^\(# \)\?$key = /s|^\(# \)\?$key = .*|$line|" "$file"
        grep -qxF "$line" "$file" || fail "$file has no $key"
        ;;
    esac
  done < <(block configure central)
}

# enroll_probe: adds a server as in the guide, and enrols the probe of the same system.
enroll_probe() {
  guide add-server
  local token
  token=$(grep -o '{.*' <<< "$said" | jq -r .enrollment_token)
  printf '%s\n' "$token" > "$work/token"
  is 'the command is the one in the guide' test "sudo -u zonepulse-probe $(grep -o '{.*' <<< "$said" | jq -r .enroll_command)" = "$(block run enroll)"
  guide enroll "$work/token"
  is 'the token is private' has_state /etc/zonepulse-probe/token 'zonepulse-probe:zonepulse-probe 600'
}

test_deb() {
  say 'deb: install'
  power_on deb
  bring "$work"/1/*.deb
  url=http://127.0.0.1:8053
  guide central-deb
  is 'the installation says where the password is' says /var/lib/zonepulse/admin-credentials
  is 'the configuration is private' has_state /etc/zonepulse/zonepulse.toml 'root:zonepulse 640'
  is 'the central starts with the machine' in_system systemctl is-enabled zonepulse
  central_works
  guide password
  is 'the password is shown' says '^password = '
  guide central-journal
  is 'the journal has the log' says "serving.*$url"
  documents_are_found zonepulse ser server

  make_certificate
  guide certificate
  configure_central
  guide central-configured
  url=https://central.example:8053
  central_works
  guide central-reload
  eventually 'the central has reloaded' in_system bash -c 'journalctl -u zonepulse | grep "was read again"'
  guide central-offline
  central_works

  guide probe-deb
  is 'the installation says what to do' says 'zonepulse-probe enroll'
  is 'the probe is enabled' in_system systemctl is-enabled zonepulse-probe
  is 'and waits for its configuration' test "$(in_system systemctl show --value -p ActiveState -p ConditionResult zonepulse-probe | tr '\n' ' ')" = 'inactive no '
  units_are_sound zonepulse.service zonepulse-probe.service
  documents_are_found zonepulse-probe enr enroll
  enroll_probe
  guide probe-start
  probe_works
  ask www.first.example 7
  guide probe-reload
  eventually 'the queries are counted' are_counted www.first.example 7
  probe_works
  eventually 'the machine is measured' is_measured

  say 'deb: a probe without its token'
  in_system mv /etc/zonepulse-probe/token /srv/token
  is_not 'it does not start' in_system bash -c 'systemctl restart zonepulse-probe; sleep 3; systemctl is-active --quiet zonepulse-probe'
  is 'and does not try again at once' test "$(in_system systemctl show --value -p NRestarts zonepulse-probe)" -eq 0
  is 'the journal says why' in_system bash -c 'journalctl -u zonepulse-probe | grep /etc/zonepulse-probe/token'
  in_system mv /srv/token /etc/zonepulse-probe/token
  in_system systemctl restart zonepulse-probe

  say 'deb: dnstap'
  configure_dnstap
  guide dnstap
  eventually 'the socket is for the DNS server' has_state /run/zonepulse-probe/dnstap.sock 'zonepulse-probe:knot 660'
  in_system systemctl restart knot
  eventually 'the DNS server connects' in_system bash -c 'journalctl -u zonepulse-probe | grep "servers=1.*number of connected\|number of connected.*servers=1"'

  say 'deb: upgrade'
  in_system bash -c 'echo "# A note of the administrator." >> /etc/zonepulse/zonepulse.toml'
  in_system cat /etc/zonepulse/zonepulse.toml > "$work/central.toml"
  in_system cat /etc/zonepulse-probe/probe.toml > "$work/probe.toml"
  bring "$work"/2/*.deb
  guide upgrade-deb
  is 'the newer version is installed' test "$(in_system dpkg-query -W -f "\${Version} " zonepulse zonepulse-probe)" = "$version-2 $version-2 "
  is_not 'an upgrade does not repeat the introduction' says admin-credentials
  unchanged
  central_works
  probe_works
  is 'the data is there' are_counted www.first.example 7
  ask www.second.example 3
  in_system systemctl restart zonepulse-probe
  eventually 'queries are counted' are_counted www.second.example 3

  say 'deb: upgrade with another default configuration'
  bring "$work"/3/*.deb
  is 'dpkg keeps the one that was changed' typed "apt-get -qq install -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold ./*.deb"
  unchanged
  is 'and puts the other one beside it' exists /etc/zonepulse/zonepulse.toml.dpkg-dist
  central_works

  say 'deb: upgrade over a store of every earlier format'
  local fixture revision=2
  in_system systemctl stop zonepulse
  in_system mv /var/lib/zonepulse /srv/kept
  for fixture in store/fixtures/format-*; do
    in_system install -d -o zonepulse -g zonepulse -m 700 /var/lib/zonepulse
    cp -r "$fixture" "$system/var/lib/zonepulse/store"
    in_system chown -R zonepulse:zonepulse /var/lib/zonepulse
    is "a dry run says that $fixture has ${fixture##*-}" \
      typed "sudo -u zonepulse zonepulse migrate --data /var/lib/zonepulse --dry-run | grep -w 'format ${fixture##*-}'"
    bring "$work/$revision"/zonepulse_*.deb
    is 'the package is installed' typed "apt-get -qq install --allow-downgrades --reinstall -o Dpkg::Options::=--force-confold ./*.deb"
    revision=$((5 - revision))
    in_system systemctl start zonepulse
    central_works
    is 'the journal tells of it' in_system bash -c 'journalctl -u zonepulse | grep "bringing the store up to date"'
    in_system systemctl stop zonepulse
    is 'the store is sound' in_system sudo -u zonepulse zonepulse check /var/lib/zonepulse
    in_system rm -r /var/lib/zonepulse
  done
  in_system mv /srv/kept /var/lib/zonepulse
  in_system systemctl start zonepulse
  central_works

  say 'deb: a service that was disabled stays disabled'
  in_system systemctl disable --quiet --now zonepulse-probe
  bring "$work"/2/*.deb
  typed "apt-get -qq install --allow-downgrades --reinstall ./zonepulse-probe_*.deb" > /dev/null 2>&1
  is_not 'it is disabled' in_system systemctl is-enabled zonepulse-probe
  is_not 'it does not run' in_system systemctl is-active zonepulse-probe

  say 'deb: remove'
  in_system systemctl enable --quiet --now zonepulse-probe
  bring "$work"/3/*.deb "$work"/2/zonepulse-probe_*.deb
  guide_yes remove-deb
  is_not 'nothing runs' in_system pgrep zonepulse
  is_not 'the programs are gone' exists /usr/bin/zonepulse
  is_not 'the units are gone' exists /usr/lib/systemd/system/zonepulse.service
  unchanged
  is 'the data stays' exists /var/lib/zonepulse/store
  is 'the token stays' exists /etc/zonepulse-probe/token
  is 'it can be installed again' typed "apt-get -qq install ./*.deb"
  central_works
  probe_works
  is 'and is there again' are_counted www.second.example 3

  say 'deb: purge'
  guide_yes purge-deb
  is_not 'the data is gone' exists /var/lib/zonepulse
  is_not 'the spool is gone' exists /var/lib/zonepulse-probe
  is_not 'the token is gone' exists /etc/zonepulse-probe
  is_not 'the configuration is gone' exists /etc/zonepulse/zonepulse.toml
  is 'an administrator'\''s key stays' exists /etc/zonepulse/central.key
  is 'no unit has failed' test -z "$(in_system systemctl --failed --quiet --no-legend)"
  left_overs

  say 'without packages'
  in_system rm -rf /etc/zonepulse /etc/systemd/system/zonepulse-probe.service.d
  bring packaging
  mkdir -p "$system/srv/trial/target/release" "$system/srv/trial/target/packages" "$system/srv/trial/api"
  cp "$target_dir"/release/package/bin/* "$system/srv/trial/target/release/"
  cp "$built"/*-linux-* "$system/srv/trial/target/packages/"
  cp api/zonepulse.example.toml "$system/srv/trial/api/"
  url=http://127.0.0.1:8053
  guide central-manual
  central_works
  guide probe-manual
  url=https://central.example:8053
  make_certificate
  guide certificate
  configure_central
  in_system systemctl restart zonepulse
  central_works
  enroll_probe
  guide probe-start
  probe_works
  ask www.third.example 4
  in_system systemctl restart zonepulse-probe
  eventually 'the queries are counted' are_counted www.third.example 4
  guide remove-manual
  is_not 'nothing runs' in_system pgrep zonepulse
  left_overs
  power_off
}

# configure_dnstap: has Knot report to the probe.
configure_dnstap() {
  sed -i 's|^# socket = .*|socket = "/run/zonepulse-probe/dnstap.sock"|; s|^# socket_group = .*|socket_group = "knot"|' \
    "$system/etc/zonepulse-probe/probe.toml"
  sed -i -e '/^template:/i mod-dnstap:\n  - id: tap\n    sink: "unix:/run/zonepulse-probe/dnstap.sock"\n    log-queries: on\n    log-responses: on\n' \
    -e '/^  - id: default/a \    global-module: mod-dnstap/tap' "$system/etc/knot/knot.conf"
}

# unchanged: an upgrade has changed no configuration, and no mode.
unchanged() {
  is 'the configuration of the central is kept' cmp "$work/central.toml" "$system/etc/zonepulse/zonepulse.toml"
  is 'with its mode' has_state /etc/zonepulse/zonepulse.toml 'root:zonepulse 640'
  is 'the configuration of the probe is kept' cmp "$work/probe.toml" "$system/etc/zonepulse-probe/probe.toml"
  is 'with its mode' has_state /etc/zonepulse-probe/probe.toml 'zonepulse-probe:zonepulse-probe 600'
}

# guide_yes NAME: the same as guide, with all questions answered.
guide_yes() {
  printf 'y\n%.0s' {1..20} > "$work/yes"
  guide "$1" "$work/yes"
}

# left_overs: nothing with the name is left but users and what the test made itself.
left_overs() {
  is_not 'nothing is left' in_system bash -c "find / -xdev \( -path /proc -o -path /sys -o -path /srv/trial -o -path /root -o -path /var/log \
    -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/rpm -o -path '/etc/zonepulse*' -o -path /tmp \
    -o -path '*/zonepulse-probe.service.d*' \) -prune -o -name '*zonepulse*' -print | grep ."
}

test_rpm() {
  say 'rpm: install'
  power_on rpm
  url=http://127.0.0.1:8053
  # In place of the packages of a system with rpm.
  stand_in
  bring "$work"/1/*.rpm
  in_system rpm -i --nodeps /srv/stand-in.rpm
  guide_yes central-rpm
  is 'the installation says where the password is' says /var/lib/zonepulse/admin-credentials
  is 'the configuration is private' has_state /etc/zonepulse/zonepulse.toml 'root:zonepulse 640'
  is 'the files are as they were packaged' in_system rpm --verify --nodeps zonepulse
  central_works
  documents_are_found zonepulse ser server
  make_certificate
  guide certificate
  configure_central
  in_system systemctl restart zonepulse
  url=https://central.example:8053
  central_works
  bring "$work"/1/*.rpm
  guide_yes probe-rpm
  is 'the installation says what to do' says 'zonepulse-probe enroll'
  units_are_sound zonepulse.service zonepulse-probe.service
  documents_are_found zonepulse-probe enr enroll
  enroll_probe
  guide probe-start
  probe_works
  ask www.first.example 5
  in_system systemctl restart zonepulse-probe
  eventually 'the queries are counted' are_counted www.first.example 5

  say 'rpm: upgrade'
  in_system cat /etc/zonepulse/zonepulse.toml > "$work/central.toml"
  in_system cat /etc/zonepulse-probe/probe.toml > "$work/probe.toml"
  bring "$work"/2/*.rpm
  guide_yes upgrade-rpm
  is 'the newer version is installed' test "$(in_system rpm -q --qf '%{VERSION}-%{RELEASE} ' zonepulse zonepulse-probe)" = "$version-2 $version-2 "
  unchanged
  central_works
  probe_works
  is 'the data is there' are_counted www.first.example 5

  say 'rpm: remove'
  in_system dnf -q -y remove zonepulse zonepulse-probe > /dev/null 2>&1
  is_not 'nothing runs' in_system pgrep zonepulse
  is 'the data stays' exists /var/lib/zonepulse/store
  is 'the changed configuration stays' exists /etc/zonepulse/zonepulse.toml.rpmsave
  bring "$work"/2/*.rpm
  in_system bash -c 'dnf -q -y install ./*.rpm' > /dev/null 2>&1
  guide_yes remove-rpm
  is_not 'the data is gone' exists /var/lib/zonepulse
  left_overs
  power_off
}

# stand_in: a package that provides what the packages require of a distribution.
stand_in() {
  {
    printf 'Name: stand-in\nVersion: 1\nRelease: 1\nSummary: Stand-in\nLicense: MIT\nBuildArch: noarch\n'
    rpm -qp --requires "$work"/1/*.rpm | grep -v -e '^rpmlib(' -e '^config(' | awk 'NF { print "Provides: " $0 }' | sort -u
    printf '%%description\nStand-in\n%%files\n'
  } > "$work/stand-in.spec"
  rpmbuild --quiet -bb --define "_topdir $work/rpmbuild" "$work/stand-in.spec"
  cp "$work"/rpmbuild/RPMS/noarch/*.rpm "$system/srv/stand-in.rpm"
}

# image COMMAND...: buildah, with storage of its own.
image() { buildah --root "$work/images" --runroot "$work/images-run" --storage-driver vfs "$@"; }

test_oci() {
  say 'oci: build'
  need 'to build images' buildah
  local container base_image=localhost/debian:test
  mmdebstrap --quiet --variant=minbase "$suite" "$work/minbase.tar"
  container=$(image from scratch)
  image add --quiet "$container" "$work/minbase.tar" / > /dev/null
  image commit --quiet "$container" "$base_image" > /dev/null
  local target
  for target in central probe; do
    is "the image of the $target is built" image build --isolation chroot --file packaging/Containerfile --target "$target" \
      --build-arg "BASE=$base_image" --tag "zonepulse-$target" "$work/1"
  done

  say 'oci: run'
  local root
  container=$(image from localhost/zonepulse-central)
  is 'the central runs as its user' test "$(image inspect --format '{{.OCIv1.Config.User}}' "$container")" = zonepulse
  # Containers of buildah have the network of this machine here.
  image run --isolation chroot "$container" -- zonepulse serve --config /etc/zonepulse/zonepulse.toml --listen 127.0.0.1:18753 \
    > "$work/central.log" 2>&1 &
  central=$!
  eventually 'the central is ready' curl -sS --fail http://127.0.0.1:18753/readyz
  kill -TERM "$(pgrep -f 'serve --config /etc/zonepulse/zonepulse.toml --listen 127.0.0.1:18753' | tail -n 1)"
  wait "$central" || true
  container=$(image from localhost/zonepulse-probe)
  root=$(image mount "$container")
  is 'the image of the probe is one program' test "$(find "$root" -type f -perm -u+x | wc -l)" -eq 1
  is 'it runs' chroot "$root" /usr/bin/zonepulse-probe --version
  image umount --all > /dev/null
}

[ "$#" -gt 0 ] || set -- deb rpm oci
make_base
for revision in 2 1; do
  ZONEPULSE_TESTS_REVISION=$revision scripts/package.sh "$work/$revision" > "$work/log" || { cat "$work/log"; exit 1; }
done
cat "$work/log"
# A third version, with another default configuration.
mkdir "$work/3"
dpkg-deb --raw-extract "$work"/2/zonepulse_*.deb "$work/tree"
echo '# A new default.' >> "$work/tree/etc/zonepulse/zonepulse.toml"
sed -i "s/^Version: .*/Version: $version-3/" "$work/tree/DEBIAN/control"
dpkg-deb --root-owner-group -Znone --build "$work/tree" "$work/3/" > /dev/null

for part in "$@"; do
  "test_$part"
done
if [[ " $* " = *" deb "* && " $* " = *" rpm "* ]]; then
  while IFS= read -r name; do
    [[ " ${ran[*]} " = *" $name "* ]] || fail "no test runs the block $name of $guide"
  done < <(sed -n 's/^<!-- run: \(.*\) -->$/\1/p' "$guide")
  [ "$(grep -c '^```sh$' "$guide")" -eq "$(grep -c '^<!-- run: ' "$guide")" ] || fail "$guide has a block without a name"
fi
say "total: $passed passed, 0 failed"
