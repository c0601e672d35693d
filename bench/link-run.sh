# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# hosts.sh, and one run of a variant over the link, for managed.sh, link-peers.sh and push.sh.
#
# A script that uses it sets $rtt, $rate, $loss and $round before each, has $size, MiB, and $only, the variants that are wanted; of each
# measure NAME variants_NAME, a list, and NAME_of VARIANT.
#
# shellcheck disable=SC2154 # size

# shellcheck source=bench/hosts.sh
. "$(dirname "${BASH_SOURCE[0]}")/hosts.sh"
# shellcheck source=bench/usage.sh
. "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
rtt=0 rate=none loss=0 round=0

# What a table stands for
link_name() { echo "$rate$([ "$loss" = 0 ] || echo ", $loss % lost")"; }

# tags VARIANT: what every result says of itself
tags() {
	printf '"variant":"%s","rtt":%s,"rate":"%s","round":%s' "$1" "$rtt" "$(link_name)" "$round"
}

failed() {
	local why
	why=$(tail -n 1 "$work/log" | tr -cd "[:alnum:] .,:;/_()'-")
	say "$2 failed at $1, $rtt ms: $why"
	record "{$(tags "$2"),\"failed\":\"$1\",\"why\":\"$why\"}"
}

io() { timeout 600 bench-io "$@" 2> "$work/log"; }

# also MEMBERS: adds them to the result on the standard input
also() { sed "s/}$/,$1}/"; }

# Adds "memory" to a result: the most that the helper has had
with_memory() { also "\"helper_kib\":$(helper_kib near)"; }

# region MEASURE VARIANT NAME OPTION-OF-BENCH-IO...: adds it, measures, and tells; the clock has begun before "add"
region() {
	local measure=$1 variant=$2 name=$3 since line usage
	shift 3
	far_serve "$name" "$variant" > "$work/log" 2>&1 || return
	start_near || return
	usage_begin
	since=$(bench-io now)
	# shellcheck disable=SC2046 # several options
	near add "$name" --source "$(source_of "$variant" "$name")" $(options_of "$variant") > "$work/log" 2>&1 || return
	line=$(io "$measure" --tags "$(tags "$variant")" --since "$since" "$@" "$work/near/$name") || return
	usage=$(usage_end)
	near sync "$name" > "$work/log" 2>&1 || return
	record "$(also "$usage" <<< "$line" | with_memory)"
}

run_region() {
	region "$@" || failed "$1" "$2"
	stop_near
}

# nbd VARIANT MEASURE OPTION-OF-BENCH-IO...: nbd-late is on this host, and its server delays each answer by the RTT
nbd() {
	local variant=$1 measure=$2 since line late=''
	shift 2
	[ "$variant" = nbd ] || late=_late
	"nbd_serve$late" "$rtt" || return
	link_forget
	usage_begin
	since=$(bench-io now)
	"nbd_connect$late" > "$work/log" 2>&1 &&
		line=$(io "$measure" --tags "$(tags "$variant")" --since "$since" "$@" --size $((size << 20)) "$nbd_device") || return
	record "$(also "$(usage_end)" <<< "$line")"
}

run_nbd() {
	nbd "$@" || failed "$2" "$1"
	nbd_disconnect
}

# run_tcp N: so many, and the last one counts
run_tcp() {
	local i line
	for ((i = 0; i < $1; i++)); do
		usage_begin
		line=$(in_near timeout 600 bench-io receive --tags "$(tags tcp)" "$link_far" 7100 2> "$work/log") || { failed seq tcp; return; }
	done
	record "$(also "$(usage_end)" <<< "$line")"
}

# measure NAME: each of its variants that can be run here
measure() {
	local list=variants_$1 variant
	for variant in ${!list}; do
		case " ${only:-$variant} " in *" $variant "*) ;; *) continue ;; esac
		possible "$variant" || continue
		link_forget
		"$1_of" "$variant"
	done
}

# The first error that a variant cannot be run at all for is told once
declare -A told
possible() {
	local why=''
	case $1 in
	tcp | direct* | hash*) ;;
	rsync*) type rsync > /dev/null 2>&1 || why='no rsync' ;;
	nbd*) [ -n "$nbd_device" ] || why='no nbdkit, nbd-client or nbd module' ;;
	fuse*) [ -c /dev/fuse ] || modprobe -q fuse || why='no FUSE' ;;
	sshfs) type sshfs ssh-keygen > /dev/null 2>&1 && [ -x /usr/sbin/sshd ] || why='no sshfs or openssh-server' ;;
	*) near_can managed || why='regionctl add has no --managed' ;;
	esac
	[ -n "$why" ] || return 0
	[ -n "${told[$1]:-}" ] || record "{\"variant\":\"$1\",\"skipped\":\"$why\"}"
	told[$1]=1
	return 1
}
