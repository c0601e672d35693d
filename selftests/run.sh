#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs selftests on this kernel, one after the other, and prints TAP: one line a test, what it said itself
# before it, as kselftest does. As root, with regionfs.ko loaded or REGIONFS_KO naming it; that is:
#
#   scripts/vm.sh run -- selftests/run.sh [--tap DIR] [-x] [TEST]...
#
#   TEST      names without .sh or .c; all of them when none is given
#   --tap DIR each test's own TAP goes to DIR/TEST.tap too, for scripts/check.sh
#   -x        ends at the first failure
#   --share K/N  of all tests that move or manage regions, which is work of the helpers whatever the kernel is, only each N-th, from the K-th on:
#             check.sh runs the others on its other kernels
#
# A test fails when it says so, when its time is up (see common.sh), when the kernel's log shows a splat, or
# when it leaves a mount, an instance's helper or a process in our directories behind.
set -u
self=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$self")
build=${BUILD:-$top/build}
export BUILD=$build PATH=${REGIONFS_BIN:-$build/bin}:$build/selftests:$PATH
module=${REGIONFS_KO:-$build/$(uname -r)/regionfs.ko}
tap='' stop='' share=1/1 failed=0 number=0
tests=()

# shellcheck source=/dev/null
. "$self/settings"
# shellcheck disable=SC2154 # settings has it
default_timeout=$timeout
# The debugging kernel takes its time
[ -e /sys/kernel/debug/kmemleak ] && slow=4 || slow=1

all_tests() {
	local f
	for f in "$self"/*.sh "$self"/*.c; do
		f=$(basename "$f")
		case $f in common.sh | run.sh | '*'*) ;; *) echo "${f%.*}" ;; esac
	done | sort
}

# Those that are this kernel's share
shared_tests() {
	all_tests | awk -v k="${share%/*}" -v n="${share#*/}" '!/^(managed|migrate)-/ || ++seen % n == k % n'
}

# The file to run for a test, and its source, which has its settings
program_of() { if [ -e "$self/$1.sh" ]; then echo "$self/$1.sh"; else echo "$build/selftests/$1"; fi; }
source_of() { if [ -e "$self/$1.sh" ]; then echo "$self/$1.sh"; else echo "$self/$1.c"; fi; }

setting() {
	head -40 "$(source_of "$1")" 2>/dev/null | sed -n "s/^[#*\/ ]*$2: *//p" | head -1
}

fresh_module() {
	[ "$(setting "$1" module)" = fresh ] || return 0
	rmmod regionfs && insmod "$module"
}

# What a test has left behind is told, and taken away
leftovers() {
	local dirs pids kept
	dirs=$(awk '$3 == "regionfs" {print $2}' /proc/mounts)
	pids=$(pgrep -d ' ' -x 'region(d|ctl)')
	kept=$(regionctl instance ls --json 2> /dev/null | jq -r '.instances[].name' 2> /dev/null)
	[ -n "$dirs$pids$kept" ] || return 1
	echo "# left behind: ${dirs//$'\n'/ } ${pids:+processes $pids} ${kept:+instances ${kept//$'\n'/ }}"
	# shellcheck disable=SC2086 # one word each
	{
		[ -z "$pids" ] || kill -KILL $pids
		for dirs in $dirs; do
			fuser -s -k -m "$dirs"
			umount -i -l "$dirs"
		done
		for kept in $kept; do timeout -s KILL 60 regionctl instance stop "$kept" --discard; done
	} > /dev/null 2>&1
}

# Whether the test, or its helper, outlives kill -9: then nothing that comes after it means anything
stuck() {
	local i
	for ((i = 0; i < 20; i++)); do
		# shellcheck disable=SC2009 # pgrep looks at names of 15 letters at most
		ps -eo stat,comm | grep -qE "^D.* (${1:0:15}|regiond|fsx|mount|umount)" || return 1
		sleep 0.5
	done
}

# Run-time directories outlive their instances; the next test is to see none of them
forget_instances() {
	[ -n "${REGIONFS_VM:-}" ] || return
	{
		umount -l /run/regionfs/*/memory
		rm -rf /run/regionfs/*
	} 2> /dev/null
}

# splat MARK: whether the kernel's log shows one since
splat() {
	local log
	log=$(dmesg | sed "0,/$1/d")
	dmesg | grep -q "$1" || log=$(dmesg)
	grep -qEf "$self/splats" <<< "$log" || return 1
	echo '# the kernel has said:'
	grep -Ef "$self/splats" -m 2 -B 2 -A 50 <<< "$log" | head -120 | sed 's/^/#   /'
}

# The test's own output, and after it what the runner has to add; the status is that of the test
run_program() {
	local test=$1 mark=$2 limit rc
	limit=$(setting "$test" timeout)
	limit=$((${limit:-$default_timeout} * slow))
	[ -z "${REGIONFS_SOAK:-}" ] || limit=0
	fresh_module "$test" || { echo '# the module could not be loaded anew'; return 1; }
	timeout -k 10 "$limit" "$(program_of "$test")" < /dev/null
	rc=$?
	if [ $rc -eq 124 ] || [ $rc -eq 137 ]; then
		echo "# its time was up after $limit s"
		stuck "$test" && echo '# it cannot be killed' && rc=99
	fi
	leftovers && rc=1
	forget_instances
	splat "$mark" && rc=1
	return $rc
}

# Tells of what TAP alone would not
judge() {
	local log=$1 rc=$2
	if [ "$rc" -eq 0 ] && grep -E '^(not ok|Bail out!)' "$log" | grep -qvE '# (TODO|SKIP)'; then rc=1; fi
	if [ "$rc" -eq 0 ] && ! grep -qE '^1\.\.[0-9]+' "$log"; then
		echo '# it ended without a plan' >> "$log"
		rc=1
	fi
	return "$rc"
}

run_one() {
	local test=$1 mark log rc begun=$SECONDS
	number=$((number + 1))
	mark="selftests: $test begins, $RANDOM$RANDOM"
	log=${tap:-$scratch}/$test.tap
	echo "<6>$mark" > /dev/kmsg
	echo "# selftests: $test"
	# not by a pipe: a process that cannot be killed would keep it open
	run_program "$test" "$mark" > "$log" 2>&1 &
	rc=$!
	tail -n +1 -f -s 0.2 --pid=$rc "$log" | sed -u 's/^/# /'
	wait $rc
	rc=$?
	judge "$log" "$rc"
	rc=$?
	echo "# exit status: $rc" >> "$log"
	begun=$((SECONDS - begun))
	case $rc in
	0) echo "ok $number - $test # $begun s" ;;
	4) echo "ok $number - $test # SKIP $(sed -n 's/^1\.\.0 *# *SKIP *//p' "$log")" ;;
	*)
		echo "not ok $number - $test # status $rc, $begun s"
		failed=$((failed + 1))
		[ "$rc" -ne 99 ] || { echo "Bail out! $test cannot be killed"; exit 2; }
		[ -z "$stop" ] || return 1
		;;
	esac
}

main() {
	local t
	while [ $# -gt 0 ]; do
		case $1 in
		--tap) tap=$2; shift ;;
		-x) stop=1 ;;
		--share) share=$2; shift ;;
		-*) sed -n '3,/^set -u/{/^set -u/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
		*) t=$(basename "$1"); tests+=("${t%.*}") ;;
		esac
		shift
	done
	[ ${#tests[@]} -gt 0 ] || mapfile -t tests < <(shared_tests)
	scratch=$(mktemp -d)
	trap 'rm -rf "$scratch"' EXIT
	[ -z "$tap" ] || mkdir -p "$tap"
	[ -d /sys/module/regionfs ] || insmod "$module" || { echo 'Bail out! regionfs.ko could not be loaded'; exit 1; }
	echo 'TAP version 13'
	echo "1..${#tests[@]}"
	for t in "${tests[@]}"; do run_one "$t" || break; done
	echo "# $((number - failed)) of ${#tests[@]} passed or were skipped, on $(uname -r)"
	[ "$failed" -eq 0 ]
}

main "$@"
