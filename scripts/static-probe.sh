#!/usr/bin/env bash
# Builds the probe as a single static file, with musl and libpcap in it, for any Linux of an architecture.
#
#   scripts/static-probe.sh [ARCHITECTURE...]    x86_64, aarch64; by default this machine's
#
# Writes zonepulse-probe-VERSION-linux-ARCHITECTURE to target/packages. libpcap is compiled from Debian's source; apt
# verifies it, and fetches musl and the kernel's header files for that architecture. None of this is installed: it stays
# beside cargo's output.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

need_to_build
need 'to build libpcap' bison flex
command -v rustup > /dev/null || fail 'this needs rustup, to add a target: see https://rustup.rs'
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
output=$target_dir/packages
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

# of_debian FOLDER ARCHITECTURE COMMAND ARGUMENT...: runs apt-get for an architecture, with this machine's mirror but lists
# and a status of its own.
of_debian() {
  local folder=$1 architecture=$2
  shift 2
  mkdir -p "$folder/lists/partial"
  touch "$folder/status"
  apt-get indextargets --format "\$(REPO_URI) \$(CODENAME) \$(COMPONENT)" 'Created-By: Packages' 'Origin: Debian' |
    awk '!seen[$0]++ { print "deb " $0; print "deb-src " $0 }' > "$folder/sources.list"
  [ -s "$folder/sources.list" ] || fail 'apt knows no mirror of Debian: run apt-get update, or build libpcap.a by hand'
  (cd "$folder" && apt-get -qq -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" \
    -o Dir::State::Lists="$folder/lists" -o Dir::State::status="$folder/status" -o APT::Sandbox::User=root \
    -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null "$@")
}

# build_libpcap FOLDER GNU: makes FOLDER/cc, a compiler for musl, and FOLDER/libpcap.a.
build_libpcap() {
  local folder=$1 gnu=$2 architecture=$3 package source
  rm -rf "$folder"
  of_debian "$folder" "$architecture" update
  of_debian "$folder" "$architecture" download musl-dev linux-libc-dev
  of_debian "$folder" "$architecture" source --download-only libpcap
  for package in "$folder"/*.deb; do
    dpkg-deb --extract "$package" "$folder/root"
  done
  local usr=$folder/root/usr musl=${gnu/gnu/musl}
  ln -s "$usr/include/linux" "$usr/include/asm-generic" "$usr/include/$gnu/asm" "$usr/include/$musl/"
  # The file that musl-gcc uses, with the folder that it is in here.
  sed "s#/usr/#$usr/#g" "$usr/lib/$musl/musl-gcc.specs" > "$folder/musl.specs"
  # Otherwise gcc calls a library of its own for atomic operations.
  local outline=
  [ "$gnu" != aarch64-linux-gnu ] || outline=-mno-outline-atomics
  printf '#!/bin/sh\nexec %s-gcc "$@" -specs %q %s\n' "$gnu" "$folder/musl.specs" "$outline" > "$folder/cc"
  chmod +x "$folder/cc"
  source=$folder/libpcap
  mkdir "$source"
  tar -xf "$folder"/libpcap_*.orig.tar.?z --strip-components=1 -C "$source"
  cp "$source/VERSION" "$folder/version"
  # Only what Linux itself offers; the probe captures from network devices.
  (cd "$source" && ./configure --host="$musl" CC="$folder/cc" CFLAGS=-O2 --with-pcap=linux --disable-shared \
    --disable-usb --disable-bluetooth --disable-dbus --disable-rdma --disable-remote --without-libnl --without-dag \
    --without-snf --without-dpdk && make libpcap.a) > "$folder/log" 2>&1 ||
    fail "libpcap could not be built: see $folder/log"
  cp "$source/libpcap.a" "$folder/"
  rm -rf "$source"
}

[ "$#" -gt 0 ] || set -- "$(uname -m)"
for name in "$@"; do
  case $name in
    x86_64) architecture=amd64 ;;
    aarch64) architecture=arm64 ;;
    *) fail "$name: the architectures are x86_64 and aarch64" ;;
  esac
  gnu=$name-linux-gnu
  rust=$name-unknown-linux-musl
  command -v "$gnu-gcc" > /dev/null || need "to build for $name" "gcc-${gnu/_/-}"
  rustup target list --installed | grep -qx "$rust" || rustup target add "$rust"
  folder=$target_dir/libpcap-$rust
  if [ ! -e "$folder/libpcap.a" ]; then
    say "Building libpcap for $rust"
    build_libpcap "$folder" "$gnu" "$architecture"
  fi
  underscored=${rust//-/_}
  env "CC_$underscored=$folder/cc" "AR_$underscored=$gnu-ar" "CARGO_TARGET_${underscored^^}_LINKER=$gnu-gcc" \
    LIBPCAP_LIBDIR="$folder" LIBPCAP_VER="$(cat "$folder/version")" \
    cargo build --release --locked --package zonepulse-probe --bin zonepulse-probe --target "$rust"
  mkdir -p "$output"
  file=$output/zonepulse-probe-$version-linux-$name
  "$gnu-strip" -o "$file" "$target_dir/$rust/release/zonepulse-probe"
  ! "$gnu-readelf" --dynamic "$file" | grep -q NEEDED || fail "$file is not static"
  say "$file: $(stat -c %s "$file") bytes"
done
