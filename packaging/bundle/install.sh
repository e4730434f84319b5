#!/bin/sh
# Installs, updates and manages the Zonepulse probe of a setup bundle. It needs a POSIX shell and the usual small programs
# (those of busybox suffice), and no network but the central's address.
#
#   sh install.sh [OPTION...]             install, or update what is installed; can be repeated
#   sh install.sh COMMAND [OPTION...]     manage what is installed, here or with the copy next to the program
#
# Commands:
#   --status            what is installed, and whether it runs; exit code 3 if it does not
#   --start, --stop     start or stop the probe
#   --rollback          exchange the installed version and the one before it
#   --logs              the last lines of its log
#   --uninstall         stop the probe and remove the program; configuration, token and spool stay
#   --purge             the same, and remove those as well
# Options:
#   --prefix DIR        put everything below this directory
#   --service KIND      systemd or plain (a process with a start script); by default systemd if it runs here
#   --user NAME         as root: the user that the probe runs as (zonepulse-probe)
#   --enroll            replace the credentials of a probe that is enrolled already
#
# The last line of standard output is PVOK if everything was done.
# In `a && b || c`, c is for a failed b as well.
# shellcheck disable=SC2015
set -u
umask 077

name=zonepulse-probe
command=install prefix='' service='' runs_as='' enroll=no
here=$(cd "$(dirname "$0")" && pwd) || exit 1
id=$(id -u)

say() { printf '%s\n' "$*"; }
fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}
has() { command -v "$1" > /dev/null 2>&1; }

while [ $# -gt 0 ]; do
  case $1 in
    --status | --start | --stop | --rollback | --logs | --uninstall | --purge | --supervise) command=${1#--} ;;
    --enroll) enroll=yes ;;
    --prefix | --service | --user)
      [ $# -ge 2 ] || fail "$1: a value is missing"
      case $1 in
        --prefix) prefix=$2 ;;
        --service) service=$2 ;;
        --user) runs_as=$2 ;;
      esac
      shift
      ;;
    --help | -h)
      sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *) fail "$1: unknown option; --help lists them" ;;
  esac
  shift
done
case $prefix in
  '' | /*) ;;
  *) fail "--prefix: must be an absolute path, not $prefix" ;;
esac
case $service in
  '' | systemd | plain) ;;
  *) fail "--service: must be systemd or plain, not $service" ;;
esac
case $runs_as in
  *[!a-z0-9_-]* | -*) fail "--user: $runs_as is not the name of a user" ;;
esac

# The copy next to the program knows where it was installed to, whoever runs it.
layout=''
if [ -z "$prefix" ] && [ -f "$here/installed" ]; then
  layout=$(sed -n 's/^layout=//p' "$here/installed")
  prefix=$(sed -n 's/^prefix=//p' "$here/installed")
fi
if [ -z "$prefix" ] && { [ "$layout" = system ] || [ "$id" = 0 ]; }; then
  layout=system
  lib=/usr/local/lib/$name etc=/etc/$name state=/var/lib/$name log=/var/log/$name run=/run/$name-plain
else
  layout=prefix
  if [ -z "$prefix" ]; then
    [ -n "${HOME:-}" ] || fail 'HOME is not set: use --prefix'
    prefix=${XDG_DATA_HOME:-$HOME/.local/share}/$name
  fi
  lib=$prefix/lib etc=$prefix/etc state=$prefix/state log=$prefix/log run=$prefix/run
fi
# They end up in units, in commands and in TOML.
case $prefix in
  *[!A-Za-z0-9/._@+-]*) fail "--prefix: may contain letters, digits and / . _ @ + -, unlike $prefix" ;;
esac
program=$lib/$name config=$etc/probe.toml spool=$state/spool pid_file=$run/pid child_file=$run/child log_file=$log/probe.log
installed() { [ ! -f "$lib/installed" ] || sed -n "s/^$1=//p" "$lib/installed"; }

as_systemd() {
  if [ "$id" = 0 ]; then systemctl "$@"; else systemctl --user "$@"; fi
}
systemd_runs() {
  has systemctl || return 1
  if [ "$id" = 0 ]; then [ -d /run/systemd/system ]; else systemctl --user show-environment > /dev/null 2>&1; fi
}
# How it was installed stays, unless told otherwise.
[ -n "$service" ] || service=$(installed service)
if [ -z "$service" ]; then
  if systemd_runs; then service=systemd; else service=plain; fi
fi
if [ "$id" = 0 ]; then
  units=${ZONEPULSE_TESTS_UNITS:-/etc/systemd/system}
  [ -n "$runs_as" ] || runs_as=$(installed user)
  [ -n "$runs_as" ] || runs_as=$name
else
  units=${ZONEPULSE_TESTS_UNITS:-${XDG_CONFIG_HOME:-${HOME:-/}/.config}/systemd/user}
  runs_as=''
fi
is_other_user() { [ "$id" = 0 ] && [ "$runs_as" != root ]; }

version_of() { "$1" --version 2> /dev/null | sed -n "s/^$name //p" | head -n 1; }

# Becomes a command that runs as the probe's user.
become() {
  if ! is_other_user; then
    exec "$@"
  elif has setpriv; then
    exec setpriv --reuid "$runs_as" --regid "$(id -g "$runs_as")" --clear-groups "$@"
  else
    # None of the arguments has spaces.
    exec su -s /bin/sh "$runs_as" -c "exec $*"
  fi
}
as_user() (become "$@")

# give PATH...: to the probe's user.
give() { ! is_other_user || chown "$runs_as" "$@"; }

plain_pid() {
  [ -f "$pid_file" ] || return 1
  found_pid=$(cat "$pid_file")
  case $found_pid in '' | *[!0-9]*) return 1 ;; esac
  kill -0 "$found_pid" 2> /dev/null || return 1
  # A pid is used again after a while: it has to be that of the supervisor.
  if [ -r "/proc/$found_pid/cmdline" ]; then
    tr '\0' ' ' < "/proc/$found_pid/cmdline" | grep -q -e "$lib/install.sh --supervise" || return 1
  fi
  printf '%s\n' "$found_pid"
}

is_running() {
  if [ "$service" = systemd ]; then as_systemd --quiet is-active $name.service; else plain_pid > /dev/null; fi
}

stop_probe() {
  if [ "$service" = systemd ]; then
    [ ! -f "$units/$name.service" ] || as_systemd stop $name.service
    return
  fi
  pid=$(plain_pid) || return 0
  kill "$pid" 2> /dev/null
  waited=0
  while plain_pid > /dev/null; do
    # What is in the spool stays; only the open interval is lost.
    [ $waited -lt 30 ] || kill -9 "$(cat "$child_file" 2> /dev/null || echo 0)" "$pid" 2> /dev/null
    [ $waited -lt 35 ] || return 1
    sleep 1
    waited=$((waited + 1))
  done
  rm -f "$pid_file" "$child_file"
}

# Starts the probe again whenever it fails, as the unit does.
supervise() {
  stopping='' child=''
  trap 'stopping=yes; [ -z "$child" ] || kill "$child" 2> /dev/null' TERM INT
  trap '[ -z "$child" ] || kill -HUP "$child" 2> /dev/null' HUP
  printf '%s\n' $$ > "$pid_file" || exit 1
  while [ -z "$stopping" ]; do
    "$program" run --config "$config" < /dev/null &
    child=$!
    printf '%s\n' "$child" > "$child_file"
    # Signals interrupt `wait`.
    while :; do
      wait "$child"
      code=$?
      kill -0 "$child" 2> /dev/null || break
    done
    rm -f "$child_file"
    [ "$code" != 0 ] && [ -z "$stopping" ] || break
    sleep 15 &
    child=$!
    wait "$child"
  done
  rm -f "$pid_file" "$child_file"
  exit 0
}

start_probe() {
  if [ "$service" = systemd ]; then
    as_systemd daemon-reload && as_systemd enable $name.service && as_systemd restart $name.service
    return
  fi
  ! plain_pid > /dev/null || return 0
  mkdir -p "$run" "$log" || return 1
  [ ! -f "$log_file" ] || mv -f "$log_file" "$log_file.1"
  : > "$log_file" && give "$run" "$log" "$log_file" || return 1
  set -- sh "$lib/install.sh" --supervise
  if has setsid; then set -- setsid "$@"; else set -- nohup "$@"; fi
  # Nothing of it may hold the output of this script: an SSH connection would not end.
  (
    exec < /dev/null >> "$log_file" 2>&1
    become "$@"
  ) &
  # The supervisor's pid is not that of this job, and it writes it down itself.
  waited=0
  while [ $waited -lt 10 ]; do
    ! plain_pid > /dev/null || return 0
    sleep 1
    waited=$((waited + 1))
  done
  return 1
}

# Whether it still runs after some seconds: what cannot work ends at once.
stays() {
  sleep 3
  is_running || return 1
  [ "$service" = systemd ] || kill -0 "$(cat "$child_file" 2> /dev/null || echo none)" 2> /dev/null
}

last_lines() {
  if [ "$service" = plain ]; then
    tail -n 40 "$log_file"
  elif has journalctl; then
    if [ "$id" = 0 ]; then set -- journalctl; else set -- journalctl --user; fi
    "$@" --no-pager -n 40 -u $name.service
  fi
}

# Makes sure that the program may capture, or says what an administrator has to do.
capture_rights() {
  if [ "$id" = 0 ]; then
    # The unit gives it the right, and so does root.
    [ "$service" = plain ] && is_other_user || return 0
    has setcap && setcap cap_net_raw+ep "$program" 2> /dev/null && return 0
    say "setcap is missing or does not work here, so that the user $runs_as cannot capture. Install it (libcap2-bin, libcap),"
    say "or let the probe run as root (--user root), which keeps nothing but the right to capture."
    return 0
  fi
  if has sudo && has setcap && sudo -n setcap cap_net_raw+ep "$program" 2> /dev/null; then return 0; fi
  say "The probe may not capture yet. An administrator gives the program that right, and again after each update:"
  say "  sudo setcap cap_net_raw+ep $program"
  say "  sh $lib/install.sh --stop && sh $lib/install.sh --start"
  say "To read dnstap instead, it needs the group of the DNS server, for example:"
  say "  sudo usermod -a -G knot $(id -un)"
}

# Exchanges the installed version and the one before it.
exchange() {
  mv -f "$program" "$program.exchanged" && mv -f "$program.previous" "$program" &&
    mv -f "$program.exchanged" "$program.previous"
}

# After a version that does not run.
complain() {
  printf 'The log ends with:\n' >&2
  last_lines >&2
}

case $command in
  supervise) supervise ;;
  install) ;;
  uninstall | purge) [ -d "$lib" ] || [ "$command" = purge ] || fail "nothing is installed in $lib" ;;
  *) [ -f "$program" ] || fail "$program is not installed" ;;
esac
case $command in
  status)
    say "version=$(version_of "$program")"
    [ ! -f "$program.previous" ] || say "previous_version=$(version_of "$program.previous")"
    say "program=$program"
    say "config=$config"
    say "spool=$spool"
    say "service=$service"
    [ "$service" = systemd ] || say "log=$log_file"
    if ! is_running; then
      say 'state=stopped'
      exit 3
    fi
    say 'state=running'
    ;;
  logs) last_lines ;;
  stop) stop_probe || fail 'the probe does not stop' ;;
  start)
    start_probe && stays || {
      complain
      fail 'the probe does not run'
    }
    ;;
  rollback)
    [ -f "$program.previous" ] || fail "there is no previous version in $lib"
    stop_probe || fail 'the probe does not stop'
    exchange || fail 'the versions could not be exchanged'
    capture_rights
    start_probe && stays || {
      complain
      fail "version $(version_of "$program") does not run"
    }
    say "version=$(version_of "$program")"
    ;;
  uninstall | purge)
    stop_probe || fail 'the probe does not stop'
    if [ "$service" = systemd ] && [ -f "$units/$name.service" ]; then
      as_systemd disable $name.service
      rm -f "$units/$name.service"
      as_systemd daemon-reload
    fi
    rm -rf "$lib" "$run"
    if [ "$command" = purge ]; then
      rm -rf "$etc" "$state" "$log"
      [ -z "$prefix" ] || rmdir "$prefix" 2> /dev/null
    else
      say "Configuration and token stay in $etc, and what was not delivered in $state."
    fi
    ;;
esac
if [ "$command" != install ]; then
  say PVOK
  exit 0
fi

[ -f "$here/bundle" ] || fail "$here has no bundle: unpack setup-ID.tar, and run the install.sh in it"
of_bundle() { sed -n "s/^$1=//p" "$here/bundle"; }
server_id=$(of_bundle server_id) url=$(of_bundle url)
case $(uname -m) in
  x86_64 | amd64) architecture=x86_64 ;;
  aarch64 | arm64) architecture=aarch64 ;;
  *) architecture=$(uname -m) ;;
esac
image=$here/bin/$name-$architecture
if [ ! -f "$image" ]; then
  fail "the bundle has no probe for $architecture (it has: $(cd "$here/bin" && ls)): upload an image to the central"
fi
version=$(of_bundle "version_$architecture")
if [ "$layout" = system ]; then
  if has dpkg && dpkg -S /usr/bin/$name > /dev/null 2>&1 || has rpm && rpm -qf /usr/bin/$name > /dev/null 2>&1; then
    fail "/usr/bin/$name belongs to a package: update the package, or remove it first"
  fi
fi
if has sha256sum && ! (cd "$here" && sha256sum -c sums > /dev/null 2>&1); then
  fail 'the bundle is damaged: its checksums do not match'
fi

mkdir -p "$lib" "$etc" "$state" || fail "$lib, $etc or $state cannot be made"
# The probe's user reaches them, and what is private in them has its own mode.
chmod 0755 ${prefix:+"$prefix"} "$lib" "$etc" || fail "$lib or $etc belongs to another user"

# Everything that can fail comes before the running probe is stopped.
new=$program.new
trap 'rm -f "$new"' EXIT
trap 'exit 1' HUP INT TERM
if ! { cp "$image" "$new" && chmod 0755 "$new"; }; then
  rm -f "$new"
  fail "the program cannot be copied to $lib ($(df -P -k "$lib" | awk 'NR == 2 { print $4 }') KiB are free): nothing was changed"
fi
found=$(version_of "$new")
[ "$found" = "$version" ] || fail "the program does not run here, or is not $version but ${found:-of no version}: nothing was changed"

if is_other_user && ! id "$runs_as" > /dev/null 2>&1; then
  if has useradd; then
    useradd --system --no-create-home --home-dir "$state" --shell /usr/sbin/nologin "$runs_as"
  elif has adduser; then
    adduser -S -D -H -h "$state" -s /sbin/nologin "$runs_as"
  fi
  id "$runs_as" > /dev/null 2>&1 || fail "the user $runs_as cannot be made: make it, or use --user root"
fi

if [ -f "$config" ] && [ "$enroll" = no ]; then
  enrolled=$(sed -n 's/^server_id *= *\([0-9]*\).*/\1/p' "$config" | head -n 1)
  [ "$enrolled" = "$server_id" ] ||
    fail "this machine is enrolled as server $enrolled, and the bundle is of server $server_id: --enroll replaces the credentials"
  say 'Enrolled already: configuration and token stay.'
else
  [ -s "$here/token" ] || fail 'the bundle has no enrolment token (any more), and this machine is not enrolled: download another bundle'
  set -- enroll "$url" --token-file "$here/token" --config "$config" --spool "$spool" --force
  if [ -f "$here/ca.pem" ]; then
    cp "$here/ca.pem" "$etc/ca.pem" && chmod 0644 "$etc/ca.pem" || fail "$etc cannot be written"
    set -- "$@" --ca-file "$etc/ca.pem"
  fi
  "$new" "$@" > "$state/enrolled" || fail 'the machine could not be enrolled: nothing else was changed'
  sed -n '1s/ Written:$//p' "$state/enrolled"
  # Used up.
  rm -f "$here/token" "$state/enrolled"
fi
mkdir -p "$spool" || fail "$spool cannot be made"
! is_other_user || chown -R "$runs_as" "$etc" "$state" || fail "$etc and $state cannot be given to $runs_as"
as_user "$new" run --config "$config" --check-config || fail 'the configuration is not valid: the program was not changed'

unit=$lib/$name.service
if [ "$service" = systemd ]; then
  if [ "$id" = 0 ]; then kind=system; else kind=user; fi
  # The system's unit may write to the state directory only.
  if [ "$layout" = system ]; then at=/dev/null; else at=$state; fi
  sed -e "s#/usr/bin/$name#$program#" -e "s#/etc/$name/probe.toml#$config#" \
    -e "s#^User=.*#User=${runs_as:-$name}#" -e "s#^Group=.*#Group=$(id -gn "${runs_as:-$(id -un)}")#" \
    -e "/^Documentation=/d" -e "s#^StateDirectory=.*#&\\nReadWritePaths=$at#" "$here/systemd/$kind.service" > "$unit.new" &&
    sed '/^ReadWritePaths=\/dev\/null$/d' "$unit.new" > "$unit" && rm "$unit.new" || fail "$lib cannot be written"
fi

stop_probe || fail 'the running probe does not stop: it was not changed'
updated=no
if [ ! -f "$program" ]; then
  mv -f "$new" "$program" || fail "$program cannot be written"
elif cmp -s "$new" "$program"; then
  rm -f "$new"
  say "Version $version was installed already."
else
  say "The previous version, $(version_of "$program"), is kept as $program.previous."
  mv -f "$program" "$program.previous" && mv -f "$new" "$program" || fail "$program cannot be replaced"
  updated=yes
fi
{ [ "$here" = "$lib" ] || cp "$here/install.sh" "$lib/install.sh"; } &&
  printf 'layout=%s\nprefix=%s\nservice=%s\nuser=%s\n' "$layout" "$prefix" "$service" "$runs_as" > "$lib/installed" &&
  chmod 0755 "$lib/install.sh" && chmod 0644 "$lib/installed" || fail "$lib cannot be written"
if [ "$service" = systemd ]; then
  mkdir -p "$units" && cp "$unit" "$units/$name.service" && chmod 0644 "$units/$name.service" || fail "$units cannot be written"
fi
capture_rights
if ! { start_probe && stays; }; then
  complain
  [ "$updated" = yes ] || fail 'the probe does not run'
  stop_probe
  exchange
  capture_rights > /dev/null
  start_probe && stays || fail 'neither the new version nor the previous one runs'
  fail "version $version does not run: the previous one, $(version_of "$program"), runs again"
fi
if [ "$service" = plain ]; then
  say 'It runs as a process, without systemd. To start it with the machine, add to the crontab (crontab -e):'
  say "  @reboot sh $lib/install.sh --start"
elif [ "$id" != 0 ]; then
  say 'For it to run while nobody is logged in, an administrator runs once:'
  say "  sudo loginctl enable-linger $(id -un)"
fi
say "To manage it: sh $lib/install.sh --status, --logs, --stop, --start, --rollback, --uninstall"
say "server_id=$server_id"
say "version=$version"
say PVOK
