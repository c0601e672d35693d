#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures a managed mount over a link, beside a direct one, nbd-client on nbdkit, and one bulk TCP stream over the same link.
#
#   managed.sh [OPTION]...        as root, in a VM (scripts/vm.sh run -- bench/managed.sh) or on a machine of its own
#
#   --rtts LIST     ms (default "0 1 6 14 30 100")
#   --rates LIST    (default "200mbit unlimited")
#   --size MIB      that are read (default 256)
#   --write MIB     that are written (default 32)
#   --rounds N      (default 3); variants alternate within a round
#   --measures LIST default "seq random write backends"
#   --variants LIST only those, of each measure
#   --pages N       random: at most so many (default 200); --seconds S: and no longer (default 8)
#   --segments N    MTUs in a packet where there is a rate (default 1); more is easier on the CPU, but the queue is longer
#   --bin DIR       where bench-io and bench-touch are (default ../build/bench)
#
#   seq        from "regionctl add" (nbd-client, connect) to the last byte checked; when the first page, MiB, 10 MB were there
#   random     pages that had to wait for the link, while the background pulls and with --pull-order none
#   write      a page and its msync; all of the file and one msync
#   backends   seq without any link, from sources of this host
#
# A variant's name: how it is mounted (direct, managed, memory, file: --local; -nopull, -local: --durability local); -plain is
# without TLS. tcp (the third of three transfers) and nbd are without it, too. Prints lines of JSON, then tables (managed.awk).
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rtts='0 1 6 14 30 100' rates='200mbit unlimited' size=256 write=32 rounds=3 pages=200 seconds=8 bin=$here/../build/bench
measures='seq random write backends' only='' segments=1
# shellcheck disable=SC2034 # measure() looks each up by its name
variants_seq='tcp nbd direct-plain managed-plain direct managed memory file'
# shellcheck disable=SC2034
variants_random='nbd direct managed managed-nopull memory memory-nopull'
# shellcheck disable=SC2034
variants_write='direct managed memory memory-local file-local'
# shellcheck disable=SC2034
variants_backends='direct managed memory file'

# shellcheck source=bench/options.sh
. "$here/options.sh"
take_options 'rtts rates size write rounds measures variants=only pages seconds segments bin' "$@"

# shellcheck source=bench/link-run.sh
. "$here/link-run.sh"

# ---- measures

seq_of() {
	case $1 in
	tcp) run_tcp 3 ;;
	nbd) run_nbd nbd seq ;;
	*) run_region seq "$1" data ;;
	esac
}

# What takes less than the RTT has not been at the other end; without a delay all counts
random_of() {
	local options=(--pages "$pages" --seconds "$seconds" --floor-us $((rtt * 1000)) --seed "$round")
	case $1 in
	nbd) run_nbd nbd random "${options[@]}" ;;
	*) run_region random "$1" data "${options[@]}" ;;
	esac
}

write_of() {
	fill "$work/far/written" "$write"
	run_region write "$1" written --pages "$pages" --seconds "$seconds" --seed "$round"
	bench-io written "$work/far/written" 2> "$work/log" || failed 'write: the bytes at the source' "$1"
}

# backend VARIANT KIND: the source is of this host, cold, and there is no link
backend() {
	local variant=$1 kind=$2 name=$2 source=$2:$work/far/$2 since line
	[ "$kind" != memory ] || source="memory:${size}M?name=bench"
	start_near || return
	near add "$name" --source "$source" --size $((size << 20)) > "$work/log" 2>&1 || return
	fill "$work/near/$name" "$size" && near sync "$name" && near rm "$name"
	[ ! -e "$work/near/$name" ] || return
	sync
	echo 3 > /proc/sys/vm/drop_caches
	since=$(bench-io now)
	# shellcheck disable=SC2046 # several options
	near add "$name" --source "$source" --size $((size << 20)) $(options_of "$variant") > "$work/log" 2>&1 || return
	line=$(io seq --tags "$(tags "$variant"),\"backend\":\"$kind\"" --since "$since" "$work/near/$name") || return
	record "$(with_memory <<< "$line")"
}

backends_of() {
	local kind
	for kind in memory file dir; do
		backend "$1" $kind || failed "backends: $kind" "$1"
		stop_near
		rm -rf "$work/far/$kind"
	done
}

run() {
	local name
	for rate in $rates; do
		for rtt in $rtts; do
			link_set "$rtt" "$rate" || die "cannot set the link"
			record "{\"link\":\"$(link_settings)\",\"rtt\":$rtt,\"rate\":\"$rate\"}"
			for ((round = 1; round <= rounds; round++)); do
				for name in $measures; do
					[ "$name" = backends ] || measure "$name"
				done
			done
		done
	done
	case " $measures " in *' backends '*) ;; *) return ;; esac
	rtt=0 rate=none
	for ((round = 1; round <= rounds; round++)); do measure backends; done
}

link_segments=$segments
hosts_up "$bin"
usage_up
record "$(printf '{"kernel":"%s","cpus":%s,"rounds":%s,"size_mib":%s,"write_mib":%s,"segments":%s}' \
	"$(uname -r)" "$(nproc)" "$rounds" "$size" "$write" "$segments")"
fill "$work/far/data" "$size" || die "cannot fill $work/far/data"
behind bench-io send "$link_far" 7100 "$work/far/data"
nbd_possible
run
awk -f "$here/json.awk" -f "$here/table.awk" -f "$here/managed.awk" "$work/results"
