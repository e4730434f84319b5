# shellcheck shell=bash
# Shared functions; source this file, do not run it. Changes to the project's root.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
# Cargo's output directory.
# shellcheck disable=SC2034  # used by the scripts that source this
programs=${CARGO_TARGET_DIR:-target}/release

say() { printf '%s\n' "$*"; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Runs a command as root.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo > /dev/null; then
    sudo "$@"
  else
    fail "this needs root, and sudo is not installed. Run as root: $*"
  fi
}

# missing PACKAGE...: prints the Debian packages that are not installed.
missing() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" = installed ] || printf '%s\n' "$package"
  done
}

# need PURPOSE PACKAGE...: installs the Debian packages that are missing.
need() {
  local purpose=$1 packages
  shift
  command -v dpkg-query > /dev/null || fail "$purpose, please install the equivalents of these Debian packages: $*"
  mapfile -t packages < <(missing "$@")
  [ "${#packages[@]}" -gt 0 ] || return 0
  say "Installing $purpose: ${packages[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" > /dev/null
}

# need_without_services PURPOSE PACKAGE...: the same, but does not start the packages' services.
need_without_services() (
  policy=/usr/sbin/policy-rc.d
  [ -n "$(missing "${@:2}")" ] || exit 0
  if [ ! -e "$policy" ]; then
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" > /dev/null
    as_root chmod 755 "$policy"
  fi
  need "$@"
)

# Everything that a build needs: a compiler for the C and C++ of RocksDB and Zstandard,
# libclang to parse RocksDB's header files, libpcap to capture.
need_to_build() {
  need_cargo
  need 'to build' build-essential libclang-dev libpcap-dev
}

need_cargo() {
  if ! command -v cargo > /dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
    PATH=$HOME/.cargo/bin:$PATH
  fi
  command -v cargo > /dev/null || fail 'Rust is not installed: see https://www.rust-lang.org/tools/install'
}

# install_tool NAME VERSION [OPTION...]: installs a program of cargo's beside cargo's output.
install_tool() {
  local name=$1 version=$2 root
  shift 2
  root=$(realpath -m "${CARGO_TARGET_DIR:-target}")/$name-$version
  if [ ! -x "$root/bin/$name" ]; then
    say "Building $name $version: a few minutes the first time"
    CARGO_TARGET_DIR=$root/build cargo install --quiet --locked --root "$root" "$@" "$name@$version"
    rm -rf "$root/build"
  fi
  PATH=$root/bin:$PATH
}

# Builds both programs. All crates but the benches are selected, because a smaller selection would select other features of
# dependencies than the tests do, and build DataFusion twice; without the benches they are the same.
build_programs() {
  cargo build --release --locked --workspace --exclude zonepulse-benches --bins
}

# need_node PURPOSE: installs Node, and the packages of the page unless those of package-lock.json are there.
need_node() {
  # Whoever has another release of Node keeps it.
  if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
    need "$1" nodejs npm
  fi
  local lock stamp=web/node_modules/.installed
  lock=$(sha256sum < web/package-lock.json)
  [ "$(cat "$stamp" 2> /dev/null)" != "$lock" ] || return 0
  say "Installing $1: npm ci in web"
  npm --prefix web ci --ignore-scripts --no-audit --no-fund --silent || return
  printf '%s\n' "$lock" > "$stamp"
}
