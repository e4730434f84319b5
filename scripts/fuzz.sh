#!/usr/bin/env bash
# Fuzzes every parser of untrusted input; fuzz/lib.rs describes the targets.
#
#   scripts/fuzz.sh                      every target for ten minutes
#   scripts/fuzz.sh SECONDS [TARGET...]  all targets, or those named, for SECONDS each
#
# Seed inputs come from the captures in ZONEPULSE_CORPUS, or from the bundled sample.
# What the fuzzer learns stays in the build directory, where the next run continues. A
# finding ends its target, is written to a file, and fails the script.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

seconds=${1:-600}
shift || true
if [ "$#" -gt 0 ]; then
  targets=("$@")
else
  mapfile -t targets < <(basename -s .rs -a fuzz/targets/*.rs)
fi

need_to_build
command -v cargo-fuzz > /dev/null || cargo install --locked cargo-fuzz
folder=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_TARGET_DIR=$folder/fuzz
# Coverage works with a stable compiler, a sanitizer would need nightly; everything but the mapping of files is safe Rust.
cargo fuzz build --sanitizer none
built=$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release

corpus=${ZONEPULSE_CORPUS:-../shared}/pcaps
captures=(fixtures/captures/sample.pcap.zst)
if [ -d "$corpus" ]; then
  captures=("$corpus"/*.pcap "$corpus"/*.pcapng "$corpus"/*.dnstap)
fi
compared=$(FUZZ_SEEDS=$folder/fuzz-inputs "$built/seeds" "${captures[@]}" 2> "$folder/fuzz-seeds.log" | tail -n 1) ||
  fail "the seed inputs could not be created, or hickory reads a message differently: see $folder/fuzz-seeds.log"
say "messages of the captures, compared with hickory (fuzz/differential.rs): $compared"

found=0
for target in "${targets[@]}"; do
  inputs=$folder/fuzz-inputs/$target
  findings=$folder/fuzz-findings/$target
  log=$folder/fuzz-$target.log
  mkdir -p "$inputs" "$findings"
  if "$built/$target" "$inputs" -artifact_prefix="$findings/" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 > "$log" 2>&1; then
    outcome='no finding'
  else
    outcome="a finding: see $log and $findings"
    found=1
  fi
  say "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") executions in $seconds s, $outcome"
done
[ "$found" -eq 0 ]
