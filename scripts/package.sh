#!/usr/bin/env bash
# Builds deb and rpm packages of both programs, and the probe as a static file.
#
#   scripts/package.sh [DIR]    default: target/packages; earlier packages in it are deleted
#
# ZONEPULSE_TESTS_REVISION is the revision of the packages (1). ZONEPULSE_TESTS_PROGRAMS is a directory with programs to
# use instead of building them, but for the static probe. cargo-deb and cargo-generate-rpm are installed beside cargo's
# output. The packages are for this machine's architecture, and its release of Debian or newer; the rpm of the probe
# contains the static file.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

need_to_build
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")
output=$(realpath -m "${1:-$target_dir/packages}")
# Cargo.toml of both programs names the files in it.
staged=$target_dir/release/package
revision=${ZONEPULSE_TESTS_REVISION:-1}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
static=zonepulse-probe-$version-linux-$(uname -m)

# Optimised: both compress, which takes minutes otherwise.
install_tool cargo-deb 3.8.0
install_tool cargo-generate-rpm 0.21.1
if [ -n "${ZONEPULSE_TESTS_PROGRAMS:-}" ]; then
  programs=$ZONEPULSE_TESTS_PROGRAMS
else
  build_programs
fi
scripts/static-probe.sh

# Packages of the same sources are the same.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || date +%s)}
export SOURCE_DATE_EPOCH

rm -rf "$staged"
mkdir -p "$staged/bin" "$staged/static" "$output"
rm -f "$output"/*.deb "$output"/*.rpm
"$programs/zonepulse-packaging" "$staged"
cp "$target_dir/packages/$static" "$staged/static/zonepulse-probe"
[ "$output" = "$target_dir/packages" ] || cp "$target_dir/packages/$static" "$output/"
for name in zonepulse zonepulse-probe; do
  strip -o "$staged/bin/$name" "$programs/$name"
  gzip -9n "$staged/$name"/man/*
  {
    printf '%s (%s-%s) unstable; urgency=medium\n\n' "$name" "$version" "$revision"
    printf '  * Version %s. What changes for users is in CHANGELOG.md.\n\n' "$version"
    printf ' -- Zonepulse maintainers <maintainers@zonepulse.example>  %s\n' "$(LC_ALL=C date -R -d "@$SOURCE_DATE_EPOCH")"
  } | gzip -9n > "$staged/$name/changelog.Debian.gz"
done

for crate in zonepulse-api zonepulse-probe; do
  cargo deb --locked --no-build --no-strip --quiet --package "$crate" --deb-revision "$revision" --output "$output/" > /dev/null
  cargo generate-rpm --package "${crate#zonepulse-}" --target-dir "$target_dir" --output "$output/" \
    --source-date "$SOURCE_DATE_EPOCH" --set-metadata "release = \"$revision\""
done
for file in "$output"/*.deb "$output"/*.rpm "$output"/*-linux-*; do
  say "$file: $(stat -c %s "$file") bytes"
done

# What packaging/lintian.txt lists is on purpose.
if command -v lintian > /dev/null; then
  lintian --allow-root --fail-on error,warning --suppress-tags-from-file packaging/lintian.txt "$output"/*.deb
fi
if command -v rpmlint > /dev/null; then
  rpmlint "$output"/*.rpm || say 'rpmlint has remarks, which do not matter here.'
fi
