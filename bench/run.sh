#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures regionfs and what would be used instead of it, side by side in one run on one medium (memory).
#
#   run.sh [OPTION]...        as root, in a VM (scripts/vm.sh run -- bench/run.sh) or on a machine of its own
#
#   --rounds N      rounds that count, after one that doesn't (default 5); peers alternate within a round
#   --size MIB      of the file (default 256)
#   --pages N       that random touches (default 1000); scatter a quarter of it; threads, by the clock without delay, 16 times as many: it takes
#                   the scheduler a while to have eight threads on all CPUs
#   --seed N        of the order of pages (default 1; grows by one each round)
#   --peers LIST    default "tmpfs fuse nbd ublk uffd-4k uffd-64k uffd-1m regionfs-asked regionfs tmpfs-again"; also sshfs, nfs, fuse-mt, nbd-1,
#                   uffd-4k-process. regionfs-asked: its helper answers each miss, as for sources other than memory. And, all on one ext4:
#                   ext4, ext4-cached (in its page cache, and only not mapped), regionfs-store and regionfs-store-cached (a managed region that was
#                   pulled into a store there; cached: the store is in its page cache, as what was pulled just now is)
#   --measures LIST default "random scatter threads lone seq pulled pulled-seq warm read msync fsync direct direct8" (see bench-touch
#                   --help); threads:N and processes:N are by N of them. pulled, pulled-seq: the first touch of pages that are there,
#                   where regionctl pull, or for peers a read of all, has put them after they were dropped; tmpfs has them anyway
#   --delay-ms N    each answer to a READ comes so much later, as from a source that is far away, at the peers that can: fuse, fuse-mt and
#                   regionfs-asked; the others are as they are (default 0)
#   --store DEVICE  a disk that is formatted for these (default: a loop device on a tmpfs)
#   --bin DIR       where bench-touch, memfs and ublk are (default ../build/bench)
#   --icount        the clock counts instructions: judge by the limits for that
#   --gate          exit with 1 when regionfs misses a target, or could not be measured
#
# Prints lines of JSON as results come in, then a table (report.awk, which also reads the lines of an
# earlier run). How each peer is tuned is said in its up_ function below, and in the JSON.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rounds=5 size=256 pages=1000 seed=1 delay=0 store='' bin=$here/../build/bench clock=wall gate=0
peers='tmpfs fuse nbd ublk uffd-4k uffd-64k uffd-1m regionfs-asked regionfs tmpfs-again'
measures='random scatter threads lone seq pulled pulled-seq warm read msync fsync direct direct8'

# shellcheck source=bench/options.sh
. "$here/options.sh"
take_options 'rounds size pages seed delay-ms=delay store peers measures bin icount=clock:icount gate=gate:1' "$@"

bytes=$((size << 20))
work=$(mktemp -d "${TMPDIR:-/tmp}/regionfs-bench.XXXXXX") || exit 2
declare -A target		# of each peer that is up: the last arguments of bench-touch
declare -A pids
up=()				# peers to end
reason=''			# why a peer can't be set up

# Programs are run from memory, so that no fault on them goes to a disk meanwhile
touch_() { "$work/bench-touch" "$@"; }
fill() { touch_ fill --size "$bytes" "$1" || { reason="can't fill $1"; return 1; }; }
record() { printf '%s\n' "$1" | tee -a "$work/results"; }
settings() { record "{\"peer\":\"$1\",\"settings\":\"$2\"}"; }
missing() { reason="no $1"; return 1; }

# shellcheck source=bench/until.sh
. "$here/until.sh"

# tmpfs_up DIR: a tmpfs with the file
tmpfs_up() {
	mkdir -p "$1"
	mount -t tmpfs -o size=$((size + 16))m bench "$1" || { reason="can't mount tmpfs"; return 1; }
	fill "$1/data"
}

# read_ahead DIR: 1 MiB, of the file system that is mounted there; what it is then
read_ahead() {
	local file
	file=/sys/class/bdi/$(mountpoint -d "$1")/read_ahead_kb
	echo 1024 > "$file"
	cat "$file"
}

# ---- tmpfs: not a peer but the limit, with all pages present and only not mapped

up_tmpfs() {
	tmpfs_up "$work/tmpfs" || return
	target[tmpfs]="--warm $work/tmpfs/data"
	settings tmpfs 'warm; pages present, not mapped'
}

down_tmpfs() { umount "$work/tmpfs"; }

# The same file as a peer of its own, which comes last: by how much two differ that are equal. Only for warm, where that is the question
up_tmpfs-again() {
	[ -n "${target[tmpfs]:-}" ] || { reason='no tmpfs'; return 1; }
	target[tmpfs-again]=${target[tmpfs]}
}
down_tmpfs-again() { :; }

# ---- FUSE: peers/memfs.c says what libfuse advises. The kernel takes the bdi's 128 KiB as the most that
# INIT may set, so a readahead of 1 MiB has to be written to sysfs after the mount.

fuse_up() {
	local name=$1 dir=$work/$1 bdi
	shift
	[ "$delay" = 0 ] || set -- "$@" --delay-us=$((delay * 1000))
	[ -x "$work/memfs" ] || missing "memfs" || return
	modprobe -q fuse
	[ -c /dev/fuse ] || missing "/dev/fuse" || return
	mkdir "$dir"
	"$work/memfs" -f "$@" --size=$bytes "$dir" &
	pids[$name]=$!
	until_ mountpoint -q "$dir" || { reason="memfs did not mount"; return 1; }
	bdi=/sys/class/bdi/$(mountpoint -d "$dir")
	echo 100 > "$bdi/max_ratio"
	fill "$dir/data" || return
	target[$name]=$dir/data
	settings "$name" "memfs $*; max_read and max_write 1 MiB, read_ahead_kb $(read_ahead "$dir"), keep_cache, writev replies"
}

fuse_down() { umount "$work/$1"; wait "${pids[$1]:-}"; }
up_fuse() { fuse_up fuse -s; }
down_fuse() { fuse_down fuse; }
up_fuse-mt() { fuse_up fuse-mt -o clone_fd; }
down_fuse-mt() { fuse_down fuse-mt; }

# ---- NBD: nbdkit's memory plugin with its array allocator, over a UNIX socket; blocks of 4 KiB (one buffer
# head a page), requests and readahead of 1 MiB, no scheduler, several connections (nbdkit's memory allows
# it; it helps sequential reads on two CPUs and costs nothing on one).

nbd_up() {
	local name=$1 device=/dev/nbd$2 connections=$3 queue=/sys/block/nbd$2/queue
	type nbdkit nbd-client > /dev/null 2>&1 || missing "nbdkit or nbd-client" || return
	[ -b "$device" ] || modprobe -q nbd nbds_max=4 max_part=0
	until_ test -b "$device" || missing "$device" || return
	nbdkit -f -U "$work/$name.sock" memory "$bytes" allocator=malloc &
	pids[$name]=$!
	until_ test -S "$work/$name.sock" || { reason="nbdkit did not start"; return 1; }
	nbd-client -unix "$work/$name.sock" "$device" -b 4096 -C "$connections" > "$work/$name.log" 2>&1 ||
		{ reason="nbd-client: $(tail -1 "$work/$name.log")"; return 1; }
	until_ grep -q -v '^0$' "/sys/block/nbd$2/size"
	echo none > "$queue/scheduler"
	echo 1024 > "$queue/max_sectors_kb"
	echo 1024 > "$queue/read_ahead_kb"
	fill "$device" || return
	target[$name]=$device
	settings "$name" "nbdkit memory allocator=malloc, UNIX socket, $connections connection(s), 4 KiB blocks, scheduler $(cat "$queue/scheduler"), max_sectors_kb $(cat "$queue/max_sectors_kb"), read_ahead_kb $(cat "$queue/read_ahead_kb")"
}

nbd_down() {
	nbd-client -d "/dev/nbd$2" > /dev/null
	kill "${pids[$1]:-}" && wait "${pids[$1]}"
}

up_nbd() { nbd_up nbd 0 4; }
down_nbd() { nbd_down nbd 0; }
up_nbd-1() { nbd_up nbd-1 1 1; }
down_nbd-1() { nbd_down nbd-1 1; }

# ---- ublk: peers/ublk.c says how its server is tuned; scheduler, requests and readahead are as for NBD. Without a volatile cache there
# are no flushes, and what the server has is as safe as it gets.

up_ublk() {
	local device queue
	[ -x "$work/ublk" ] || missing "ublk server" || return
	modprobe -q ublk_drv
	[ -c /dev/ublk-control ] || missing "ublk_drv in this kernel" || return
	"$work/ublk" --size=$bytes > "$work/ublk.log" 2>&1 &
	pids[ublk]=$!
	until_ grep -q '^/dev/ublkb' "$work/ublk.log" || { reason="ublk: $(tail -1 "$work/ublk.log")"; return 1; }
	device=$(cat "$work/ublk.log") queue=/sys/block/${device##*/}/queue
	echo none > "$queue/scheduler"
	echo 1024 > "$queue/max_sectors_kb"
	echo 1024 > "$queue/read_ahead_kb"
	fill "$device" || return
	target[ublk]=$device
	settings ublk "ublk server; $(find "${queue%/*}/mq" -mindepth 1 -maxdepth 1 -type d | wc -l) queue(s) of $(cat "$queue/nr_requests"), get data, $(cat "$queue/logical_block_size")-byte blocks, scheduler $(cat "$queue/scheduler"), max_sectors_kb $(cat "$queue/max_sectors_kb"), read_ahead_kb $(cat "$queue/read_ahead_kb")"
}

# A server that was killed leaves its number behind
down_ublk() {
	local number
	kill "${pids[ublk]:-}" && wait "${pids[ublk]}"
	number=$(sed -n 's,^/dev/ublkb,,p' "$work/ublk.log")
	[ ! -e "/dev/ublkc$number" ] || "$work/ublk" --delete="$number"
}

# ---- NFS over loopback: the kernel's own server on a tmpfs, version 4.2, requests and readahead of 1 MiB, four connections (nfs(5),
# nconnect), attributes cached for a day.

nfs_start() {
	mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd || return
	mkdir -p /run/rpc_pipefs /var/lib/nfs/v4recovery
	exportfs -o rw,no_root_squash,async,no_subtree_check,fsid=0 "127.0.0.1:$work/nfs.export" || return
	pgrep -x rpc.mountd > /dev/null || rpc.mountd --no-nfs-version 3 || return
	rpc.nfsd --no-nfs-version 3 --no-udp 8 || return
	mount -t nfs4 -o vers=4.2,rsize=1048576,wsize=1048576,nconnect=4,actimeo=86400,noatime,sec=sys 127.0.0.1:/ "$1"
}

up_nfs() {
	local dir=$work/nfs
	type rpc.nfsd exportfs mount.nfs4 > /dev/null 2>&1 || missing "nfs-kernel-server" || return
	modprobe -q nfsd && modprobe -q nfs || missing "nfsd in this kernel" || return
	mkdir "$dir"
	tmpfs_up "$work/nfs.export" || return
	nfs_start "$dir" > "$work/nfs.log" 2>&1 || { reason="nfs: $(tail -1 "$work/nfs.log")"; return 1; }
	target[nfs]=$dir/data
	settings nfs "knfsd with 8 threads on tmpfs, async; vers=4.2, rsize and wsize 1 MiB, nconnect=4, actimeo=86400, read_ahead_kb $(read_ahead "$dir")"
}

down_nfs() {
	umount "$work/nfs"
	rpc.nfsd 0
	exportfs -ua
	pkill -x rpc.mountd
	umount "$work/nfs.export"
}

# ---- sshfs over loopback, on a tmpfs: as its manual advises for speed, several connections, no compression, pages kept, the cheapest cipher that
# both sides have; its requests are 128 KiB at most.

sshfs_key() { ssh-keygen -q -t ed25519 -N '' -f "$1"; }

up_sshfs() {
	local dir=$work/sshfs
	type sshfs ssh-keygen > /dev/null 2>&1 && [ -x /usr/sbin/sshd ] || missing "sshfs or openssh-server" || return
	modprobe -q fuse
	mkdir -p "$dir" /run/sshd
	tmpfs_up "$work/sshfs.export" || return
	sshfs_key "$work/ssh.host" && sshfs_key "$work/ssh.user" && cp "$work/ssh.user.pub" "$work/ssh.keys" || return
	/usr/sbin/sshd -D -f /dev/null -p 2222 -h "$work/ssh.host" -o ListenAddress=127.0.0.1 -o "AuthorizedKeysFile=$work/ssh.keys" -o StrictModes=no \
		-o UsePAM=no -o PermitRootLogin=prohibit-password -o 'Subsystem=sftp internal-sftp' 2> "$work/sshfs.log" &
	pids[sshfs]=$!
	until_ sshfs -p 2222 -o "IdentityFile=$work/ssh.user,StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null,Compression=no,Ciphers=aes128-gcm@openssh.com" \
		-o max_conns=4,kernel_cache,auto_cache,attr_timeout=86400,entry_timeout=86400 "root@127.0.0.1:$work/sshfs.export" "$dir" 2>> "$work/sshfs.log" ||
		{ reason="sshfs: $(tail -1 "$work/sshfs.log")"; return 1; }
	target[sshfs]=$dir/data
	settings sshfs "internal-sftp on tmpfs; max_conns=4, kernel_cache, aes128-gcm, no compression, read_ahead_kb $(read_ahead "$dir")"
}

down_sshfs() {
	umount "$work/sshfs"
	kill "${pids[sshfs]:-}" && wait "${pids[sshfs]}"
	umount "$work/sshfs.export"
}

# ---- userfaultfd: a handler thread inside bench-touch, see peers/uffd.c

uffd_up() {
	target[$1]="--uffd $2 ${3:+--$3} --size $bytes"
	settings "$1" "UFFDIO_COPY of $2 bytes, blocking handler ${3:-thread}, source in huge pages"
}

up_uffd-4k() { uffd_up uffd-4k 4096; }
up_uffd-64k() { uffd_up uffd-64k 65536; }
up_uffd-1m() { uffd_up uffd-1m 1048576; }
up_uffd-4k-process() { uffd_up uffd-4k-process 4096 process; }
down_uffd-4k-process() { :; }
down_uffd-4k() { :; }
down_uffd-64k() { :; }
down_uffd-1m() { :; }

# ---- ext4: one for all peers on it, made for the first and kept to the end

ext4_up() {
	local loop=''
	mountpoint -q "$work/disk" && return
	type mkfs.ext4 > /dev/null 2>&1 || missing mkfs.ext4 || return
	mkdir -p "$work/disk" "$work/image"
	if [ -z "$store" ]; then
		mount -t tmpfs -o size=$((4 * size + 256))m bench "$work/image" || { reason="can't mount tmpfs"; return 1; }
		truncate -s $((4 * size + 224))M "$work/image/disk"
		modprobe -q loop
		loop=1
	fi
	mkfs.ext4 -q -F "${store:-$work/image/disk}" || { reason="can't make an ext4"; return 1; }
	mount -o "noatime${loop:+,loop}" "${store:-$work/image/disk}" "$work/disk" || { reason="can't mount the ext4"; return 1; }
	settings disk "ext4 on ${store:-a loop device on tmpfs}, read_ahead_kb $(read_ahead "$work/disk")"
}

ext4_down() {
	! mountpoint -q "$work/disk" || umount "$work/disk"
	! mountpoint -q "$work/image" || umount "$work/image"
}

ext4_file() {
	ext4_up || return
	fill "$work/disk/$1" || return
	target[$1]="$2 $work/disk/$1"
	settings "$1" "a file${2:+, in the page cache}"
}

up_ext4() { ext4_file ext4 ''; }
down_ext4() { :; }
up_ext4-cached() { ext4_file ext4-cached --warm; }
down_ext4-cached() { :; }

# store_up NAME: as regionfs_up; the two have one region each, with its own store
store_up() {
	local name=$1
	ext4_up || return
	mkdir "$work/$name"
	tmpfs_up "$work/$name.source" || return
	mount.regionfs "$name" "$work/$name" -o source=memory: > "$work/$name.log" 2>&1 ||
		{ reason="mount.regionfs: $(tail -1 "$work/$name.log")"; return 1; }
	{ regionctl add --instance "$name" data --source "file:$work/$name.source/data" --local "file:$work/disk/$name" --durability local &&
		regionctl pull --instance "$name" data; } > "$work/$name.log" 2>&1 || { reason="regionctl: $(tail -1 "$work/$name.log")"; return 1; }
	target[$name]=$work/$name/data
	settings "$name" "regionctl add --local file: --durability local"
}

store_down() {
	regionctl rm --instance "$1" data --discard
	regionfs_down "$1"
	umount "$work/$1.source"
}

# store_bytes NAME: where its store has them
store_bytes() { find "$work/disk/$1" -name bytes; }

up_regionfs-store-cached() { store_up regionfs-store-cached; }
down_regionfs-store-cached() { store_down regionfs-store-cached; }
up_regionfs-store() {
	store_up regionfs-store || return
	target[regionfs-store]="--beside $(store_bytes regionfs-store) ${target[regionfs-store]}"
}
down_regionfs-store() { store_down regionfs-store; }

# ---- regionfs: as a user would mount it; and with its helper asked for each miss, which is what other sources cost

# regionfs_up NAME SOURCE [OPTION]
regionfs_up() {
	local name=$1 dir=$work/$1 options=source=$2${3:+,$3}
	grep -qw regionfs /proc/filesystems || missing "kernel module" || return
	type mount.regionfs regiond > /dev/null 2>&1 || missing "regiond or mount.regionfs on PATH" || return
	mkdir "$dir"
	mount.regionfs "$name" "$dir" -o "$options" > "$work/$name.log" 2>&1 ||
		{ reason="mount.regionfs: $(tail -1 "$work/$name.log")"; return 1; }
	fill "$dir/data" || return
	target[$name]="--pull $name $dir/data"
	settings "$name" "mount.regionfs -o $options"
}

# With its region, so that a later run, whose source may be another, does not find it
regionfs_down() {
	rm -f "$work/$1/data"
	umount "$work/$1"
	regionctl instance stop "$1" --discard
}

up_regionfs() { regionfs_up regionfs memory:; }
down_regionfs() { regionfs_down regionfs; }
up_regionfs-asked() {
	local late=''
	[ "$delay" = 0 ] || late="?delay=${delay}ms"
	regionfs_up regionfs-asked "memory:$late" local-read=no
}
down_regionfs-asked() { regionfs_down regionfs-asked; }

# ---- the run

# Ends what up_ started, in any state
down() {
	local peer
	trap - EXIT
	for peer in "${up[@]}"; do "down_$peer" > /dev/null 2>&1; done
	[ ! -e "$work/image" ] || ext4_down
	rm -rf --one-file-system "$work"
}

set_up() {
	local peer
	for peer in $peers; do
		declare -F "up_$peer" > /dev/null || die "no peer is named $peer"
		up+=("$peer")
		reason=''
		# shellcheck disable=SC2086 # the target is several arguments
		"up_$peer" && touch_ check ${target[$peer]} > /dev/null && continue
		unset "target[$peer]"
		record "{\"peer\":\"$peer\",\"skipped\":\"${reason:-check failed}\"}"
		say "$peer is left out: ${reason:-check failed}"
	done
}

# one MEASURE ROUND: each peer in turn
one() {
	local peer line less count=$pages rc name=$1 workers=''
	[[ $1 != *:* ]] || name=${1%:*} workers="--workers ${1#*:}"
	[ "$1" = scatter ] && count=$((pages / 4))
	[[ $1 == threads && $clock == wall && $delay == 0 ]] && count=$((pages * 16 > bytes / 16384 ? bytes / 16384 : pages * 16))
	for peer in "${up[@]}"; do
		[ -n "${target[$peer]:-}" ] || continue
		[[ $peer != tmpfs-again || $1 == warm ]] || continue
		less=''
		# a fault a page takes as long as all others together; an eighth shows the same rate
		[[ $1 == seq && $peer == uffd-4k* ]] && less="--size $((bytes / 8))"
		# shellcheck disable=SC2086 # the target and the workers are several arguments
		line=$(touch_ "$name" $workers --label "$peer" --round "$2" --pages "$count" --seed $((seed + $2)) ${target[$peer]} $less 2> "$work/said")
		rc=$?
		if [ $rc = 77 ]; then
			[ "$2" = 0 ] || continue
			line="{\"peer\":\"$peer\",\"unsupported\":\"$1\"}"
		elif [ $rc != 0 ]; then
			cat "$work/said" >&2
			say "$peer failed at $1"
			line="{\"peer\":\"$peer\",\"failed\":\"$1\"}"
		fi
		record "$line"
	done
}

run() {
	local round measure
	record "$(printf '{"kernel":"%s","cpus":%s,"clock":"%s","rounds":%s,"size_mib":%s,"pages":%s,"seed":%s,"delay_ms":%s}' \
		"$(uname -r)" "$(nproc)" "$clock" "$rounds" "$size" "$pages" "$seed" "$delay")"
	set_up
	for ((round = 0; round <= rounds; round++)); do
		for measure in $measures; do one "$measure" $round; done
	done
}

[ "$(id -u)" -eq 0 ] || die "needs root: it mounts file systems"
cp "$bin/bench-touch" "$bin/memfs" "$work" || die "$bin holds no bench-touch and memfs: run make"
[ ! -x "$bin/ublk" ] || cp "$bin/ublk" "$work"
for program in regiond regionctl mount.regionfs; do
	! found=$(command -v $program) || cp "$found" "$work"
done
PATH=$work:$PATH
trap 'exit 130' INT TERM
trap down EXIT
run
awk -v gate=$gate -f "$here/json.awk" -f "$here/report.awk" "$work/results"
