#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Checks the models of the hand-over, handover.pml of one region and group.pml of a group, with spin: all their states, and that they are wrong without each of their rules. A model that
# nothing is wrong with whatever is left out would say nothing. TAP.
#
#   run.sh [--deep] [NAME]...    these runs only; --deep: larger ones
#   run.sh --list                their names
#   run.sh --trace NAME          the steps that led to what was wrong in the last run of NAME, and what each has changed
#
# What spin and its verifier said stays in build/model/NAME.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "${BUILD:-$here/../../build}")/model
memory=1000	# MiB, each
failed=0

# what it is called, what is expected, how spin looks, what it is built with
runs=(
	'handover        right all   -DFAULTS=3'
	'handover-again  right all   -DFAULTS=1 -DLEECHES=2'
	'handover-rounds right all   -DFAULTS=1 -DROUNDS=2 -DWRITES=3'
	'handover-chunks right all   -DFAULTS=1 -DCHUNKS=2'
	'handover-other  right all   -DFAULTS=2 -DOTHER -DWRITES=1'
	'handover-cycles right cycle -DFAULTS=1'
	'resolve         right all   -DFAULTS=2 -DRESOLVE'
	'resolve-cycles  right cycle -DFAULTS=1 -DRESOLVE'
	'group           right all   -DFAULTS=4'

	# each way to end well is one that there is
	'ends-moved      reached first -DFAULTS=0 -DREACH=moved_whole'
	'ends-stayed     reached first -DFAULTS=0 -DREACH=stayed_whole'
	'ends-diverged   reached first -DFAULTS=0 -DRESOLVE -DREACH=both_stopped'

	'group-moved     reached first -DFAULTS=0 -DREACH=MOVED_WHOLE'
	'group-stayed    reached first -DFAULTS=0 -DREACH=STAYED_WHOLE'

	# without one rule each
	'no-durable-owned        wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_NO_DURABLE_OWNED'
	'abort-without-refused   wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_ABORT_WITHOUT_REFUSED'
	'seeder-aborts-alone     wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_SEEDER_ABORTS_ALONE'
	'list-not-repeated       wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_LIST_NOT_REPEATED'
	'no-status-on-reconnect  wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_NO_STATUS_ON_RECONNECT'
	'finalize-without-round  wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_FINALIZE_WITHOUT_ROUND'
	'asked-not-durable       wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_ASKED_NOT_DURABLE'
	'abort-answered-early    wrong first -DFAULTS=2 -DWRITES=1 -DMUTANT_ABORT_ANSWERED_EARLY'
	'thaw-before-note        wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_THAW_BEFORE_NOTE'
	'freezing-not-noted      wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_FREEZING_NOT_NOTED'
	'freeze-without-sync     wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_FREEZE_WITHOUT_SYNC'
	'complete-forgets        wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_COMPLETE_FORGETS'
	'old-connection-heard    wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_OLD_CONNECTION_HEARD'
	'listens-too-early       wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_LISTENS_TOO_EARLY'
	'track-before-forget     wrong first -DFAULTS=2 -DWRITES=1 -DMUTANT_TRACK_BEFORE_FORGET'
	'round-before-list       wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_ROUND_BEFORE_LIST'
	'tracker-of-another      wrong first -DFAULTS=3 -DWRITES=1 -DOTHER -DMUTANT_TRACKER_OF_ANOTHER'
	'fetch-not-stale         wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_FETCH_NOT_STALE'
	'map-kept-before-owned   wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_MAP_KEPT_BEFORE_OWNED'
	'bits-from-before-owned  wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_BITS_FROM_BEFORE_OWNED'
	'fsync-before-bits       wrong first -DFAULTS=1 -DWRITES=1 -DMUTANT_FSYNC_BEFORE_BITS'
	'read-after-resolve      wrong first -DFAULTS=1 -DWRITES=1 -DRESOLVE -DMUTANT_READ_AFTER_RESOLVE'
	'diverged-not-noted      wrong first -DFAULTS=1 -DWRITES=1 -DRESOLVE -DMUTANT_DIVERGED_NOT_NOTED'
	'leecher-notes-nothing   wrong first -DFAULTS=1 -DWRITES=1 -DRESOLVE -DMUTANT_LEECHER_NOTES_NO_DIVERGENCE'
	'group-answers-each      wrong first -DFAULTS=2 -DMUTANT_ANSWERS_EACH'
	'group-each-by-its-note  wrong first -DFAULTS=2 -DMUTANT_EACH_BY_ITS_NOTE'
	'group-owns-each         wrong first -DFAULTS=2 -DMUTANT_OWNS_EACH'
	'group-refuses-each      wrong first -DFAULTS=2 -DMUTANT_REFUSES_EACH'
	'group-unlocks-each      wrong first -DFAULTS=2 -DMUTANT_UNLOCKS_EACH'
	'group-first-forgets     wrong first -DFAULTS=2 -DMUTANT_FIRST_FORGETS'
	'group-no-way-forward    wrong first -DFAULTS=2 -DMUTANT_NO_WAY_FORWARD'
)
# with --deep: minutes, and up to 3 GiB
deep_runs=(
	'handover        right all   -DFAULTS=5'
	'handover-again  right all   -DFAULTS=3 -DLEECHES=2 -DROUNDS=2'
	'handover-rounds right all   -DFAULTS=3 -DROUNDS=2 -DWRITES=3'
	'handover-chunks right all   -DFAULTS=2 -DCHUNKS=2'
	'handover-other  right all   -DFAULTS=4 -DOTHER'
	'handover-cycles right cycle -DFAULTS=3'
	'resolve         right all   -DFAULTS=4 -DRESOLVE'
	'resolve-cycles  right cycle -DFAULTS=3 -DRESOLVE'
	'group           right all   -DFAULTS=8 -DASKS=3'
)

# How spin looks: everything, for a way back to where it was, or for the shortest way to something wrong
declare -A built_with=(
	[all]='-O2 -DSAFETY'
	[cycle]='-O2 -DNP'
	[first]='-O1 -DSAFETY -DBFS'
)
declare -A run_with=([all]='-m100000 -w24' [cycle]='-m100000 -w24 -l' [first]='-w22')

model_of() {
	case $1 in
	group*) echo group.pml ;;
	*) echo handover.pml ;;
	esac
}

bail() { echo "Bail out! $*"; exit 1; }

# look NAME HOW FLAG...: 0 when it could be looked for; what was found is in its directory
look() {
	local name=$1 how=$2
	shift 2
	rm -rf "${out:?}/$name"
	mkdir -p "$out/$name" && cd "$out/$name" || return
	echo "$@" > built
	spin -a "$@" "$here/$(model_of "$name")" > spin.log 2>&1 || return
	# shellcheck disable=SC2086 # one word each
	gcc -w ${built_with[$how]} -DNOREDUCE -DMEMLIM=$memory -o pan pan.c >> spin.log 2>&1 || return
	# shellcheck disable=SC2086
	./pan ${run_with[$how]} > pan.log 2>&1 || return
}

found() { sed -n 's/.*errors: \([0-9]*\)$/\1/p' "$out/$1/pan.log" | tail -1; }

# All states were looked at: neither memory nor depth was the end of it
whole() { ! grep -qE 'max search depth too small|MEMLIM|out of memory|hashtable full|Search not completed' "$out/$1/pan.log"; }

is_right() { [ "$(found "$1")" = 0 ] && whole "$1"; }

is_reached() { is_wrong "$1"; }

# Wrong by what is claimed, and not since the model itself is stuck
is_wrong() { grep -q 'assertion violated' "$out/$1/pan.log"; }

figures() {
	sed -nE 's/^ *([0-9.e+]+) states, stored.*/# \1 states/p; s/^ *([0-9.]+)\ttotal actual memory usage.*/# \1 MiB/p
		s/^pan: elapsed time ([0-9.]+) seconds/# \1 s/p' "$out/$1/pan.log"
}

check() {
	local number=$1 name=$2 expected=$3 how=$4
	shift 4
	if look "$name" "$how" "$@" && "is_$expected" "$name"; then
		echo "ok $number - $name: $expected"
		figures "$name"
	else
		echo "not ok $number - $name: should be $expected"
		cat "$out/$name"/*.log 2>/dev/null | head -40 | sed 's/^/# /'
		failed=1
	fi
}

# spin names a step by each of its statements; the state after the last is what counts
trace() {
	local flags model
	model=$(model_of "$1")
	if ! cd "$out/$1" 2>/dev/null || [ ! -e "$model.trail" ]; then bail "$1 was not run, or nothing was wrong"; fi
	read -ra flags < built
	spin -k "$model.trail" -t -p -g "${flags[@]}" "$here/$model" | awk '
		function tell(name) {
			if (!step) return
			printf "%3d %-9s %-16s", step, who, where
			for (name in now) if (now[name] != before[name] && name != "nth") printf " %s=%s", name, now[name]
			for (name in now) before[name] = now[name]
			print ""
		}
		$2 == "proc" {
			if ($1 != step ":") {
				tell()
				step = $1 + 0; who = $4; where = $5
				gsub(/[():0-9]/, "", who)
				sub(/.*\//, "", where)
			}
			delete now
		}
		$2 == "=" { now[$1] = $3 }
		END { tell() }'
}

wanted() {
	local name=$1 w
	shift
	[ $# -eq 0 ] && return
	for w in "$@"; do
		[ "$w" = "$name" ] && return
	done
	return 1
}

main() {
	local run fields number=0 todo=()
	for run in "${runs[@]}"; do
		read -ra fields <<< "$run"
		wanted "${fields[0]}" "$@" && todo+=("$run")
	done
	[ ${#todo[@]} -gt 0 ] || bail "there is no such run: run.sh --list"
	command -v spin > /dev/null || { echo '1..0 # SKIP spin is not installed: scripts/deps.sh'; exit 4; }
	echo "1..${#todo[@]}"
	for run in "${todo[@]}"; do
		read -ra fields <<< "$run"
		check $((++number)) "${fields[@]}"
	done
	exit "$failed"
}

case ${1:-} in
--deep)
	runs=("${deep_runs[@]}")
	memory=3000
	shift
	main "$@"
	;;
--list) printf '%s\n' "${runs[@]%% *}" ;;
--trace) trace "${2:?a name}" ;;
*) main "$@" ;;
esac
