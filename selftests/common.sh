# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For the selftests that are shell scripts: TAP, instances, bounded waits, two hosts; all is undone at exit.
#
#   . "$(dirname "$0")/common.sh"
#   start_instance one source=memory:
#   ok 'a file can be made' touch "$mnt/file"
#   is "$(stat -c %s "$mnt/file")" 0 'it is empty'
#   done_testing
#
# A line "# timeout: SECONDS" near the top of a test bounds it (settings has the default), "# module: fresh"
# asks run.sh to unload the module and load it anew before it. COUNT and SEED, where a test knows them, say
# how much work to do and which; make soak-NAME raises them.

SELF=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(dirname "$SELF")
BUILD=${BUILD:-$TOP/build}
PATH=${REGIONFS_BIN:-$BUILD/bin}:$BUILD/selftests:$PATH
work=$(mktemp -d "${TMPDIR:-/tmp}/regionfs-test.XXXXXX")
# the mount of the instance that was started last
mnt=''
tap_count=0
tap_failed=0
tap_planned=''
instances=()
undo=()

# ---------------------------------------------------------------------------------------------- TAP

note() { printf '%s\n' "$@" | sed 's/^/# /'; }

plan() { tap_planned=$1; echo "1..$1"; }

tap_point() {
	local good=$1
	shift
	tap_count=$((tap_count + 1))
	if [ "$good" = 0 ]; then
		echo "ok $tap_count - $*"
		return 0
	fi
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $*"
	return 1
}

pass() { tap_point 0 "$@"; }
fail() { tap_point 1 "$@"; }

# ok WHAT COMMAND...: COMMAND must succeed
ok() {
	local what=$1 rc
	shift
	"$@" > "$work/said" 2>&1
	rc=$?
	tap_point "$rc" "$what" && return 0
	note "status $rc: $*"
	head -50 "$work/said" | sed 's/^/#   /'
	return 1
}

# fails WHAT COMMAND...: COMMAND must fail, and not be killed
fails() {
	local what=$1 rc
	shift
	"$@" > "$work/said" 2>&1
	rc=$?
	if [ "$rc" -gt 0 ] && [ "$rc" -lt 124 ]; then
		pass "$what"
		return 0
	fi
	fail "$what"
	note "status $rc: $*"
	head -50 "$work/said" | sed 's/^/#   /'
	return 1
}

# says TEXT WHAT: the COMMAND of the last ok or fails has printed TEXT
says() {
	if grep -qF -- "$1" "$work/said"; then pass "$2"; return 0; fi
	fail "$2"
	note "expected to read: $1"
	head -50 "$work/said" | sed 's/^/#   /'
	return 1
}

# is GOT EXPECTED WHAT
is() {
	if [ "$1" = "$2" ]; then pass "$3"; return 0; fi
	fail "$3"
	note "got:      $1" "expected: $2"
	return 1
}

# at_most GOT LIMIT WHAT
at_most() {
	if [ "$1" -le "$2" ]; then pass "$3 ($1, limit $2)"; return 0; fi
	fail "$3 ($1, limit $2)"
}

# at_least GOT LIMIT WHAT
at_least() {
	if [ "$1" -ge "$2" ]; then pass "$3 ($1, at least $2)"; return 0; fi
	fail "$3 ($1, at least $2)"
}

skip_all() {
	[ -n "$tap_planned" ] || echo "1..0 # SKIP $*"
	exit 4
}

# What the rest of the test cannot do without
bail() {
	echo "Bail out! $*"
	[ -s "$work/said" ] && sed 's/^/#   /' "$work/said"
	exit 1
}

# must COMMAND...
must() {
	"$@" > "$work/said" 2>&1 || bail "$* (status $?)"
}

done_testing() {
	[ -n "$tap_planned" ] || plan "$tap_count"
	[ "$tap_failed" -eq 0 ] && [ "$tap_count" -eq "$tap_planned" ]
	exit
}

need() {
	local c
	for c in "$@"; do
		command -v "$c" > /dev/null || skip_all "$c is not installed"
	done
}

# need_module NAME...: kernel modules, or the same built in
need_module() {
	local m
	for m in "$@"; do
		modprobe -q "$m" || [ -d "/sys/module/$m" ] || skip_all "the kernel has no $m"
	done
}

# ---------------------------------------------------------------------------------------------- waiting

# How much slower this machine is than a real one
slowness() {
	if [ -e /sys/kernel/debug/kmemleak ]; then echo 6; elif [ -n "${REGIONFS_VM:-}" ]; then echo 2; else echo 1; fi
}

# wait_for SECONDS COMMAND...: until COMMAND succeeds; SECONDS are those of a fast machine
wait_for() {
	local end=$((SECONDS + $1 * $(slowness)))
	shift
	until "$@" > /dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# within SECONDS COMMAND...: COMMAND, which is killed when it takes longer
within() {
	local limit=$(($1 * $(slowness)))
	shift
	timeout -s KILL "$limit" "$@"
}

# code WANTED WHAT COMMAND...: its exit status, within a minute; what it has said is in $work/said
code() {
	local want=$1 what=$2 rc
	shift 2
	within 60 "$@" > "$work/said" 2>&1
	rc=$?
	is "$rc" "$want" "$what" || note "$(cat "$work/said")"
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# ended PID SECONDS: the process, a child of ours or not, ends in time
ended() { wait_for "$2" gone "$1"; }

# ---------------------------------------------------------------------------------------------- undoing

# later COMMAND...: at exit, the last one first
later() { undo+=("$(printf '%q ' "$@")"); }


clean_up() {
	local rc=$? i
	trap - EXIT
	{
		for ((i = ${#undo[@]} - 1; i >= 0; i--)); do eval "${undo[i]}"; done
		for i in "${instances[@]}"; do end_instance "$i"; done
	} > /dev/null 2>&1
	rm -rf "$work"
	exit "$rc"
}
trap clean_up EXIT
trap 'exit 143' TERM INT HUP

# ---------------------------------------------------------------------------------------------- instances

# start_instance NAME [MOUNT-OPTION]...: mounts it at $work/NAME, which starts its regiond; sets mnt
start_instance() {
	local name=$1 options
	shift
	options=state=$work/$name.state$(printf ',%s' "$@")
	mnt=$work/$name
	mkdir -p "$mnt"
	instances+=("$name")
	must within 60 mount -t regionfs -o "${options%,}" "$name" "$mnt"
}

# The pid of an instance's regiond
helper_pid() {
	regionctl instance stat "$1" --json | jq -e .pid
}

# kill_helper NAME: as kill -9 does
kill_helper() {
	local pid
	pid=$(helper_pid "$1") || return 1
	kill -KILL "$pid"
	ended "$pid" 20
}

start_helper() {
	within 30 regionctl instance start "$1" --state "$work/$1.state" "${@:2}"
}

# What stands in the way of the next test is taken away, dirty bytes and all
end_instance() {
	local name=$1 i rest=()
	for i in "${instances[@]}"; do [ "$i" = "$name" ] || rest+=("$i"); done
	instances=("${rest[@]}")
	{
		fuser -s -k -m "$work/$name"
		for i in 1 2 3; do within 10 umount -i "$work/$name" || break; done
		umount -i -l "$work/$name"
		# Refused, too, while an operation runs that nobody waits for any more
		i=0
		until within 40 regionctl instance stop "$name" --discard || ! regionctl instance stat "$name" || [ $((++i)) -gt 5 ]; do sleep 1; done
	} > /dev/null 2>&1
}

# stat_of INSTANCE REGION JQ-EXPRESSION, e.g. .stats.read_bytes
stat_of() {
	regionctl stat "$2" --instance "$1" --json | jq -r "$3"
}

drop_caches() { sync; echo 3 > /proc/sys/vm/drop_caches; }

# random_file PATH BYTES [SEED]: the same bytes for the same seed
random_file() {
	openssl enc -aes-128-ctr -nosalt -pass "pass:${3:-1}" -pbkdf2 -iter 1 -in /dev/zero 2>/dev/null |
		head -c "$2" > "$1"
}

same() { cmp -s "$1" "$2"; }

# ---------------------------------------------------------------------------------------------- two hosts

# two_hosts [DELAY [RATE]]: network namespaces ha and hb with a wire between them, DELAY each way by netem
#
#   ┌──────────────────────┐                            ┌──────────────────────┐
#   │ $ns_a                │  netem       netem         │ $ns_b                │
#   │           10.11.0.1 wire ──────────────────── wire 10.11.0.2             │
#   │ lo                   │                            │ lo                   │
#   └──────────────────────┘                            └──────────────────────┘
#
# An instance belongs to the namespace that it was made in: in_a COMMAND..., in_b COMMAND...
two_hosts() {
	local delay=${1:-10ms} rate=${2:-} h n=1
	need_module veth sch_netem
	ns_a=ha-$$ ns_b=hb-$$
	for h in "$ns_a" "$ns_b"; do
		must ip netns add "$h"
		later ip netns del "$h"
	done
	must ip -n "$ns_a" link add wire type veth peer name wire netns "$ns_b"
	for h in "$ns_a" "$ns_b"; do
		must ip -n "$h" addr add "10.11.0.$n/24" dev wire
		must ip -n "$h" link set lo up
		must ip -n "$h" link set wire up
		must tc -n "$h" qdisc add dev wire root netem delay "$delay" limit 100000 ${rate:+rate "$rate"}
		n=$((n + 1))
	done
	later end_processes_of "$ns_a"
	later end_processes_of "$ns_b"
}

end_processes_of() {
	local pids
	pids=$(ip netns pids "$1")
	# shellcheck disable=SC2086 # one word each
	[ -z "$pids" ] || kill -KILL $pids
}

in_a() { ip netns exec "$ns_a" "$@"; }
in_b() { ip netns exec "$ns_b" "$@"; }

echo 'TAP version 13'
