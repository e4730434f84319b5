#!/usr/bin/env bash
# Fuzzes everything that reads what strangers wrote; fuzz/lib.rs says what is held to what.
#
#   scripts/fuzz.sh                      every target for ten minutes
#   scripts/fuzz.sh SECONDS [TARGET...]  so long, all or these
#
# The first inputs come from the captures in ZONEPULSE_CORPUS, or from the bundled
# sample. What the fuzzer learns stays under the build's folder and is where the next
# run begins. A finding ends its target, is written to a file, and fails the script.
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
# Coverage needs no nightly compiler, a sanitizer would; all but the mapping of files is safe Rust.
cargo fuzz build --sanitizer none
built=$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release

corpus=${ZONEPULSE_CORPUS:-../shared}/pcaps
captures=(fixtures/captures/sample.pcap.zst)
if [ -d "$corpus" ]; then
  captures=("$corpus"/*.pcap "$corpus"/*.pcapng "$corpus"/*.dnstap)
fi
compared=$(FUZZ_SEEDS=$folder/fuzz-inputs "$built/seeds" "${captures[@]}" 2> "$folder/fuzz-seeds.log" | tail -n 1) ||
  fail "the first inputs could not be made, or hickory reads a message in another way: see $folder/fuzz-seeds.log"
say "messages of the captures, beside hickory's reading (fuzz/differential.rs): $compared"

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
