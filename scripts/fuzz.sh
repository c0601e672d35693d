#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs the helper's fuzzers (helper/fuzz), with clang's libFuzzer, AddressSanitizer and UBSan.
#
#   fuzz.sh [OPTION]... [NAME]...     all of them without a NAME: "wire" is helper/fuzz/fuzz-wire.c
#
#   --seconds N   for each (default 60)
#   --jobs N      at a time (default: as many as there are CPUs)
#   --seed N      for the mutations (default: another one each time)
#   --keep        adds what reaches new code to helper/fuzz/corpus/NAME, as little of it as reaches all of that
#
# Begins with helper/fuzz/corpus/NAME and with what earlier runs found in build/fuzz/corpus/NAME. Prints a table: executions, edges of the code that were
# reached, cases in the corpus. What it has found (a crash, a leak, more than 5 s for a case or 1 GiB of memory) is in build/fuzz/found/NAME: mended, it belongs into
# helper/fuzz/corpus/NAME/found-WHAT, where the unit tests try it again.
#
# Exit status: 0, or 1 when something was found.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${BUILD:-$top/build}
seconds=60 jobs=$(nproc) seed=0 keep='' names=()

say() { echo "fuzz.sh: $*" >&2; }
die() { say "$*"; exit 2; }

while [ $# -gt 0 ]; do
	case $1 in
	--seconds) seconds=${2:?}; shift ;;
	--jobs) jobs=${2:?}; shift ;;
	--seed) seed=${2:?}; shift ;;
	--keep) keep=1 ;;
	-h | --help) sed -n '3,/^set -u/{/^set -u/d;s/^# \{0,1\}//;p}' "$0"; exit ;;
	-*) die "unknown option $1; see --help" ;;
	*) names+=("$1") ;;
	esac
	shift
done

type clang > /dev/null 2>&1 || die "needs clang: run scripts/deps.sh"
if [ ${#names[@]} = 0 ]; then
	for source in "$top"/helper/fuzz/fuzz-*.c; do
		name=${source##*/fuzz-}
		names+=("${name%.c}")
	done
fi
for name in "${names[@]}"; do [ -e "$top/helper/fuzz/fuzz-$name.c" ] || die "there is no helper/fuzz/fuzz-$name.c"; done
make -s -C "$top/helper" BUILD="$build" fuzz > /dev/null || die "the fuzzers can't be built"

# one NAME: its log is build/fuzz/NAME.log
one() {
	local name=$1 corpus=$build/fuzz/corpus/$1 found=$build/fuzz/found/$1
	mkdir -p "$corpus" "$found" "$top/helper/fuzz/corpus/$name"
	"$build/fuzz/fuzz-$name" -max_total_time="$seconds" -seed="$seed" -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$found/" \
		"$corpus" "$top/helper/fuzz/corpus/$name" > "$build/fuzz/$name.log" 2>&1
}

# The last "cov: N" and the number of executions of a log
row() {
	local name=$1 log=$build/fuzz/$1.log
	printf '%-14s %12s %8s %8s  %s\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)" \
		"$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2)" "$(find "$build/fuzz/corpus/$name" -type f | wc -l)" \
		"$(find "$build/fuzz/found/$name" -type f -newer "$stamp" -printf '%f ')"
}

# keep_new NAME: the smallest set that reaches all that is reached
keep_new() {
	"$build/fuzz/fuzz-$1" -merge=1 "$top/helper/fuzz/corpus/$1" "$build/fuzz/corpus/$1" > "$build/fuzz/$1-merge.log" 2>&1 || say "$1: see $build/fuzz/$1-merge.log"
}

stamp=$(mktemp)
trap 'rm -f "$stamp"' EXIT
trap 'exit 130' INT TERM
export -f one
export top build seconds seed
# what UBSan sees is a find as well
export UBSAN_OPTIONS=halt_on_error=1
# shellcheck disable=SC2016 # its own bash expands it
printf '%s\n' "${names[@]}" | xargs -n 1 -P "$jobs" bash -c 'one "$1"' one
failed=$?
printf '%-14s %12s %8s %8s  %s\n' fuzzer executions edges corpus found
for name in "${names[@]}"; do row "$name"; done
[ -z "$keep" ] || for name in "${names[@]}"; do keep_new "$name"; done
[ "$failed" = 0 ] || { say "something was found: see $build/fuzz/found and the logs beside it"; exit 1; }
