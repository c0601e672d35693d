#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures cold sequential reads of a mapped file over links that are long, slow or lossy, beside what would be used instead: FUSE, NBD, sshfs,
# and one bulk TCP stream over the same link. Every byte is checked.
#
#   link-peers.sh [OPTION]...     as root, in a VM (scripts/vm.sh run -- bench/link-peers.sh) or on a machine of its own
#
#   --measures LIST default "delay long loss start sweep"
#   --links LIST    RTT/RATE/LOSS each: ms; 200mbit, 1gbit or unlimited; % of the packets, each way. Default: each measure's own, see below
#   --variants LIST only those, of each measure
#   --size MIB      that are read (default 64)
#   --rounds N      (default 3); variants alternate within a round
#   --tcp N         transfers of which the last one counts (default 3)
#   --segments N    MTUs in a packet where there is a rate or loss (default 1); more is easier on the CPU, but the queue is longer
#   --store DEVICE  a disk that is formatted for the store of the variants file (default: the file system of $TMPDIR)
#   --icount        the clock counts instructions (vm.sh --icount --cpus 1): what a CPU costs repeats whatever else this machine does, and
#                   waiting for the link takes no time of ours
#   --bin DIR       where bench-io, bench-touch and memfs are (default ../build/bench)
#
#   delay      what each request costs at a distance        1/unlimited/0 10/unlimited/0
#   long       a link that has to be filled                 30/200mbit/0 30/1gbit/0
#   loss       one that loses packets                       10/200mbit/0.1 10/200mbit/1
#   start      from the mount command on: when that and "regionctl add" were through, when the first page, MiB, 10 MB were there, and
#              how much was in the page cache when the program began     10/200mbit/0
#   sweep      connections (-cN), chunks (-kSIZE), local stores           10/200mbit/0
#
# Variants: tcp; direct and managed (also memory, file, tmpfs: where the local store is), and -plain without TLS; nbd over the link; nbd-late
# and fuse, whose server is on this host and delays each answer to a read by the RTT, so that only the delay is in the way, and no
# network at all. fuse has a readahead of 4 MiB, as nbd has it; fuse-1m and fuse-16m those.
#
# The clock begins before "regionctl add" (mib_s), and there is a second one from the mapping on (read_mib_s), which is the one of fuse and
# sshfs, whose mounts are there before. CPU time, context switches and network bytes are the whole machine's (usage.sh). Prints lines of
# JSON, then tables (managed.awk, link-peers.awk).
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
measures='delay long loss start sweep' links='' only='' size=64 rounds=3 tcp=3 segments=1 store='' clock=wall bin=$here/../build/bench
# shellcheck disable=SC2034 # each is looked up by its name
links_delay='1/unlimited/0 10/unlimited/0' links_long='30/200mbit/0 30/1gbit/0' links_loss='10/200mbit/0.1 10/200mbit/1'
# shellcheck disable=SC2034
links_start='10/200mbit/0' links_sweep='10/200mbit/0'
# shellcheck disable=SC2034
variants_delay='fuse fuse-1m fuse-16m nbd-late nbd sshfs direct-plain managed-plain direct managed'
# shellcheck disable=SC2034
variants_long='tcp nbd sshfs direct-plain managed-plain direct managed'
# shellcheck disable=SC2034
variants_loss='tcp nbd sshfs direct-plain managed-plain direct managed managed-plain-c4 managed-plain-c8'
# shellcheck disable=SC2034
variants_start='nbd sshfs direct-plain managed-plain direct managed memory file'
# shellcheck disable=SC2034
variants_sweep='direct-plain-c1 direct-plain-c2 direct-plain-c4 direct-plain-c8 managed-plain-c1 managed-plain-c2 managed-plain-c4
	managed-plain-c8 managed-plain-k16K managed-plain-k64K managed-plain-k256K managed-plain-k1M managed-plain-k4M memory-plain
	tmpfs-plain file-plain'

# shellcheck source=bench/options.sh
. "$here/options.sh"
take_options 'measures links variants=only size rounds tcp segments store icount=clock:icount bin' "$@"

# shellcheck source=bench/link-run.sh
. "$here/link-run.sh"

# read_ahead DIR KIB: of the file system that is mounted there
read_ahead() { echo "$2" > "/sys/class/bdi/$(mountpoint -d "$1")/read_ahead_kb"; }

# Not by drop_caches: what is started next would wait for its libraries
forget_pages() { dd if="$1" iflag=nocache count=0 status=none; }

# peer VARIANT FILE: what is mounted is measured
peer() {
	local line
	usage_begin
	line=$(io seq --tags "$(tags "$1")" "$2") || return
	record "$(also "$(usage_end)" <<< "$line")"
}

# ---- FUSE: peers/memfs.c says how it is tuned. A readahead of more than a request is several of them under way.

fuse_pid=''

fuse() {
	local dir=$work/fuse ahead=4096
	case $1 in
	fuse-1m) ahead=1024 ;;
	fuse-16m) ahead=16384 ;;
	esac
	mkdir -p "$dir"
	memfs -f -s --size=$((size << 20)) --delay-us=$((rtt * 1000)) "$dir" 2> "$work/log" &
	fuse_pid=$!
	until_ mountpoint -q "$dir" || return
	echo 100 > "/sys/class/bdi/$(mountpoint -d "$dir")/max_ratio"
	fill "$dir/data" "$size" 2> "$work/log" || return
	read_ahead "$dir" $ahead
	forget_pages "$dir/data"
	peer "$1" "$dir/data"
}

run_fuse() {
	fuse "$1" || failed seq "$1"
	{
		umount "$work/fuse"
		wait "$fuse_pid"
	} 2> /dev/null
}

# ---- sshfs: as in run.sh, over the link, with a readahead of 4 MiB

ssh_serve() {
	local key
	mkdir -p /run/sshd
	for key in host user; do ssh-keygen -q -t ed25519 -N '' -f "$work/ssh.$key" || return; done
	cp "$work/ssh.user.pub" "$work/ssh.keys"
	behind /usr/sbin/sshd -D -f /dev/null -p 2222 -h "$work/ssh.host" -o "ListenAddress=$link_far" -o "AuthorizedKeysFile=$work/ssh.keys" \
		-o StrictModes=no -o UsePAM=no -o PermitRootLogin=prohibit-password -o 'Subsystem=sftp internal-sftp' 2> "$work/sshd.log"
}

sshfs_mount() {
	in_near sshfs -p 2222 -o "IdentityFile=$work/ssh.user,StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null,Compression=no" \
		-o "Ciphers=aes128-gcm@openssh.com,max_conns=4,kernel_cache,auto_cache,attr_timeout=86400,entry_timeout=86400" \
		"root@$link_far:$work/far" "$work/sshfs" 2> "$work/log"
}

sshfs_begin() {
	[ -e "$work/ssh.host" ] || ssh_serve || return
	mkdir -p "$work/sshfs"
	until_ sshfs_mount && read_ahead "$work/sshfs" 4096
}

sshfs_end() { umount "$work/sshfs" 2> /dev/null; }

run_sshfs() {
	{ sshfs_begin && peer sshfs "$work/sshfs/data"; } || failed seq sshfs
	sshfs_end
}

# ---- measures

any_of() {
	case $1 in
	tcp) run_tcp "$tcp" ;;
	nbd*) run_nbd "$1" seq ;;
	fuse*) run_fuse "$1" ;;
	sshfs) run_sshfs ;;
	*) run_region seq "$1" data ;;
	esac
}

delay_of() { any_of "$1"; }
long_of() { any_of "$1"; }
loss_of() { any_of "$1"; }
sweep_of() { any_of "$1"; }

# started VARIANT SINCE MEMBERS FILE: reads it; the clock has begun before the mount
started() {
	local line
	line=$(io seq --tags "$(tags "$1"),$3" --since "$2" --size $((size << 20)) "$4") || return
	record "$(also "$(usage_end)" <<< "${line/'"measure":"seq"'/'"measure":"start"'}")"
}

start_nbd() {
	local since mounted
	nbd_serve || return
	link_forget
	usage_begin
	since=$(bench-io now)
	nbd_connect > "$work/log" 2>&1 || return
	mounted=$(($(bench-io now) - since))
	started nbd "$since" "\"mount_ns\":$mounted" "$nbd_device"
}

start_sshfs() {
	local since mounted
	sshfs_begin && sshfs_end || return
	link_forget
	usage_begin
	since=$(bench-io now)
	sshfs_mount && read_ahead "$work/sshfs" 4096 || return
	mounted=$(($(bench-io now) - since))
	started sshfs "$since" "\"mount_ns\":$mounted" "$work/sshfs/data"
}

start_region() {
	local since mounted added
	far_serve data "$1" > "$work/log" 2>&1 || return
	usage_begin
	since=$(bench-io now)
	start_near || return
	mounted=$(($(bench-io now) - since))
	# shellcheck disable=SC2046 # several options
	near add data --source "$(source_of "$1" data)" $(options_of "$1") > "$work/log" 2>&1 || return
	added=$(($(bench-io now) - since))
	started "$1" "$since" "\"mount_ns\":$mounted,\"add_ns\":$added" "$work/near/data"
}

start_of() {
	case $1 in
	nbd) start_nbd || failed start nbd; nbd_disconnect ;;
	sshfs) start_sshfs || failed start sshfs; sshfs_end ;;
	*) start_region "$1" || failed start "$1"; stop_near ;;
	esac
}

# run NAME: a measure over each of its links
run() {
	local list=links_$1 link
	for link in ${links:-${!list}}; do
		IFS=/ read -r rtt rate loss <<< "$link"
		link_set "$rtt" "$rate" "${loss:=0}" || die "cannot set the link to $link"
		record "{\"link\":\"$(link_settings)\",\"rtt\":$rtt,\"rate\":\"$(link_name)\"}"
		for ((round = 1; round <= rounds; round++)); do measure "$1"; done
	done
}

# Stores in files: on a tmpfs, or on a disk
make_stores() {
	mkdir "$work/near.tmpfs" "$work/near.store"
	mount -t tmpfs -o size=100% store "$work/near.tmpfs" || die 'cannot mount a tmpfs'
	[ -n "$store" ] || return 0
	{ mkfs.ext4 -q -F "$store" && mount "$store" "$work/near.store"; } || die "cannot mount $store"
}

link_segments=$segments
hosts_up "$bin"
usage_up
cp "$bin/memfs" "$work" || die "$bin holds no memfs: run make"
make_stores
record "$(printf '{"kernel":"%s","cpus":%s,"rounds":%s,"size_mib":%s,"write_mib":0,"segments":%s,"clock":"%s"}' \
	"$(uname -r)" "$(nproc)" "$rounds" "$size" "$segments" "$clock")"
fill "$work/far/data" "$size" || die "cannot fill $work/far/data"
behind bench-io send "$link_far" 7100 "$work/far/data"
nbd_possible
for name in $measures; do
	declare -F "${name}_of" > /dev/null || die "no measure is named $name"
	run "$name"
done
awk -f "$here/json.awk" -f "$here/table.awk" -f "$here/managed.awk" -f "$here/link-peers.awk" "$work/results"
