#!/usr/bin/env bash
# Creates a root file system of Debian 13 with RabbitMQ 4 for the tests; Debian 12 has RabbitMQ 3. It is created once,
# beside cargo's output, and takes 180 MB. Nothing in it is run here; tests run its server on private ports.
# DEBIAN_MIRROR overrides the mirror, deb.debian.org.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

root=$(dirname "$programs")/rabbitmq-4
[ ! -d "$root" ] || exit 0
[ "$(id -u)" -eq 0 ] || fail 'only root can run a server in another root file system'

need 'to create a Debian 13 with RabbitMQ 4' mmdebstrap debian-archive-keyring
say "Creating a Debian 13 with RabbitMQ 4 in $root"
mkdir -p "$(dirname "$root")"
made=$(mktemp -d "$root.XXXXXX")
log=$(mktemp)
trap 'rm -rf "$made" "$log"' EXIT
# Packages are unpacked but not configured: none of their scripts run, and no service is started.
packages=base-files,libc-bin,dash,coreutils,sed,grep,mawk,rabbitmq-server
if ! mmdebstrap --variant=extract --include="$packages" trixie "$made" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" 2> "$log"; then
  tail -n 5 "$log" >&2
  fail 'cannot create the Debian 13 with RabbitMQ 4'
fi
printf '127.0.0.1 localhost\n' > "$made/etc/hosts"
chmod 755 "$made"
mv -T "$made" "$root"
