#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures how long it takes until what a program has changed in a file here is durable on another host, and what goes through the link for it.
#
#   push.sh [OPTION]...           as root, in a VM (scripts/vm.sh run -- bench/push.sh) or on a machine of its own
#
#   --percents LIST of the pages, at random, each changed whole (default "1 100")
#   --links LIST    RTT/RATE/LOSS each, as for link-peers.sh (default 10/200mbit/0)
#   --size MIB      of the file (default 64)
#   --rounds N      (default 3); variants alternate within a round
#   --variants LIST only those
#   --segments N    MTUs in a packet where there is a rate or loss (default 1)
#   --icount        the clock counts instructions (vm.sh --icount --cpus 1)
#   --bin DIR       where bench-io, bench-touch and hash-push are (default ../build/bench)
#
#   direct, managed     stores into the mapping, one msync
#   memory              the same with a store in memory; -local: msync waits for the store, and "regionctl sync" for the source
#   rsync               over its own protocol, by its defaults: it finds what differs, and makes a new file there; --fsync
#   rsync-inplace       --inplace --no-whole-file; rsync-whole: --whole-file
#   hash-SIZE           peers/hash-push.c, with chunks of that size
#
# -plain is without TLS; rsync and hash are without it, too. The clock begins before the first store and ends when the other host has said that all
# is durable; both files are on a tmpfs, and all has been read here before. What has arrived is looked at, every byte. CPU time, context
# switches and network bytes are the whole machine's (usage.sh). Prints lines of JSON, then tables (push.awk).
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
percents='1 100' links=10/200mbit/0 size=64 rounds=3 only='' segments=1 clock=wall bin=$here/../build/bench
# shellcheck disable=SC2034 # measure() looks it up by its name
variants_push='rsync rsync-inplace rsync-whole hash-4096 hash-65536 direct-plain managed-plain memory-plain memory-local-plain direct managed'

# shellcheck source=bench/options.sh
. "$here/options.sh"
take_options 'percents links size rounds variants=only segments icount=clock:icount bin' "$@"

# shellcheck source=bench/link-run.sh
. "$here/link-run.sh"

link_name() { echo "$rate$([ "$loss" = 0 ] || echo ", $loss % lost"), $percent % changed"; }

# change VARIANT FILE [OPTION]...: prints the result
change() {
	local variant=$1 file=$2
	shift 2
	io change --tags "$(tags "$variant")" --pages "$pages" --seed "$round" "$@" "$file"
}

# arrived LINE: all is durable there, so the clock ends
arrived() {
	local began=${1#*'"began":'} took usage
	took=$(($(bench-io now) - ${began%%,*}))
	usage=$(usage_end)
	bench-io changed --pages "$pages" --seed "$round" "$work/far/data" 2> "$work/log" || return
	record "$(also "\"total_ns\":$took,$usage" <<< "$1")"
}

# What is still pulled behind would be counted
pulled() { near stat data --json | grep -q '"state": *"complete"'; }

push_region() {
	local line
	far_serve data "$1" > "$work/log" 2>&1 || return
	start_near || return
	# shellcheck disable=SC2046 # several options
	near add data --source "$(source_of "$1" data)" $(options_of "$1") > "$work/log" 2>&1 || return
	case $1 in direct*) ;; *) until_ pulled ;; esac
	io seq "$work/near/data" > /dev/null && near sync data > "$work/log" 2>&1 || return
	usage_begin
	line=$(change "$1" "$work/near/data") || return
	case $1 in *-local*) near sync data > "$work/log" 2>&1 || return ;; esac
	arrived "$line"
}

# ---- the others have a file of their own here

rsync_serve() {
	printf '%s\n' 'use chroot = no' 'uid = root' 'gid = root' '[far]' "path = $work/far" 'read only = no' > "$work/rsyncd.conf"
	behind rsync --daemon --no-detach --config="$work/rsyncd.conf" --address="$link_far" --port=8730 2> "$work/rsyncd.log"
}

push_rsync() {
	local line options=()
	case $1 in
	rsync-inplace) options=(--inplace --no-whole-file) ;;
	rsync-whole) options=(--whole-file) ;;
	esac
	usage_begin
	line=$(change "$1" "$work/plain/data" --no-sync) || return
	in_near rsync --ignore-times --fsync "${options[@]}" "$work/plain/data" "rsync://$link_far:8730/far/data" > "$work/log" 2>&1 || return
	arrived "$line"
}

hash_listens() { in_far ss -Hltn 'sport = :7200' | grep -q .; }

push_hash() {
	local line chunk=${1#hash-} receiver rc
	hash-push hash "$chunk" "$work/plain/data" "$work/hashes" || return
	nsenter --net=/run/netns/far hash-push receive "$link_far" 7200 "$work/far/data" &
	receiver=$!
	until_ hash_listens
	usage_begin
	line=$(change "$1" "$work/plain/data" --no-sync) &&
		in_near hash-push send "$chunk" "$link_far" 7200 "$work/plain/data" "$work/hashes" > "$work/log" 2>&1 &&
		arrived "$line"
	rc=$?
	kill "$receiver"
	wait "$receiver" 2> /dev/null
	return $rc
}

push_of() {
	fill "$work/far/data" "$size" || die "cannot fill $work/far/data"
	case $1 in
	rsync* | hash*)
		fill "$work/plain/data" "$size" || die "cannot fill $work/plain/data"
		"push_${1%%-*}" "$1" || failed push "$1"
		rm -f "$work/plain/data"
		;;
	*)
		push_region "$1" || failed push "$1"
		stop_near
		;;
	esac
}

run() {
	local link
	for link in $links; do
		IFS=/ read -r rtt rate loss <<< "$link"
		link_set "$rtt" "$rate" "${loss:=0}" || die "cannot set the link to $link"
		for percent in $percents; do
			pages=$((size * 256 * percent / 100))
			for ((round = 1; round <= rounds; round++)); do measure push; done
		done
	done
}

link_segments=$segments
hosts_up "$bin"
usage_up
cp "$bin/hash-push" "$work" || die "$bin holds no hash-push: run make"
mkdir "$work/plain"
mount -t tmpfs -o size=100% plain "$work/plain" || die 'cannot mount a tmpfs'
record "$(printf '{"kernel":"%s","cpus":%s,"rounds":%s,"file_mib":%s,"segments":%s,"clock":"%s"}' \
	"$(uname -r)" "$(nproc)" "$rounds" "$size" "$segments" "$clock")"
rsync_serve
run
awk -f "$here/json.awk" -f "$here/table.awk" -f "$here/managed.awk" -f "$here/push.awk" "$work/results"
