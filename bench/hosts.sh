# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For what is measured over a link (managed.sh, link-peers.sh, push.sh, profile.sh, migrate.sh): a far host whose regiond exports files on a tmpfs, by TLS or
# in clear text; a near one with a fresh instance for each run; nbdkit on the far one. All is undone at exit.
#
#   hosts_up BIN [DEVICE]           the link, and the far host's instance; sets $work. DEVICE is formatted, for the state of both
#   far_serve NAME VARIANT          $work/far/NAME, as that variant wants it: by TLS or in clear text
#   start_near; near COMMAND...; stop_near       also far

# shellcheck source=bench/link.sh
. "$(dirname "${BASH_SOURCE[0]}")/link.sh"
[ "$(id -u)" -eq 0 ] || { echo 'needs root: it mounts file systems' >&2; exit 2; }
work=$(mktemp -d "${TMPDIR:-/tmp}/regionfs-managed.XXXXXX") || exit 2
background=()			# processes to end
durable=$work			# where both helpers keep their state
nbd_device=''			# where there is one
nbd_server=''
served=''			# what is exported

# shellcheck source=bench/until.sh disable=SC2154 # here: of who sources this
. "$here/until.sh"

record() { printf '%s\n' "$1" | tee -a "$work/results"; }
fill() { bench-touch fill --size $(($2 << 20)) "$1"; }

hosts_up() {
	local program found
	cp "$1/bench-touch" "$1/bench-io" "$work" || { echo "$1 holds no bench-touch and bench-io: run make" >&2; exit 2; }
	# Programs are run from memory, so that no fault on them goes to a disk meanwhile
	for program in regiond regionctl mount.regionfs; do
		! found=$(command -v $program) || cp "$found" "$work"
	done
	PATH=$work:$PATH
	trap 'exit 130' INT TERM
	trap hosts_down EXIT
	link_up || exit 2
	mkdir "$work/far" "$work/far.mnt" "$work/near"
	mount -t tmpfs -o size=100% far "$work/far"
	if [ -n "${2:-}" ]; then
		durable=$work/durable
		{ mkdir "$durable" && mkfs.ext4 -q -F "$2" && mount "$2" "$durable"; } || { echo "cannot mount $2" >&2; exit 2; }
	fi
	(umask 077 && echo "bench:$(openssl rand -hex 32)" > "$work/key")
	start_far || exit 2
}

hosts_down() {
	local rc=$?
	trap - EXIT
	{
		[ -z "$nbd_device" ] || nbd_disconnect
		stop_near
		kill "${background[@]}"
		stop_far
		link_down
		umount -l "$work/far" "$work/durable" "$work/near.tmpfs" "$work/near.store" "$work/plain"
		rm -rf --one-file-system "$work"
	} > /dev/null 2>&1
	exit "$rc"
}

# ---- the far host

start_far() { in_far mount.regionfs bench-far "$work/far.mnt" -o "source=memory:,state=$durable/far.state"; }
far() { in_far regionctl --instance bench-far "$@"; }

# behind COMMAND...: goes on there until the end
behind() {
	nsenter --net=/run/netns/far "$@" &
	background+=($!)
}

stop_far() { stop_host far "$work/far.mnt"; }

# stop_host far|near MOUNT: with all that it has
stop_host() {
	{
		timeout 60 umount "$2" || umount -l "$2"
		nsenter "--net=/run/netns/$1" timeout 60 regionctl instance stop "bench-$1" --discard
		rm -rf --one-file-system "$durable/$1.state" "$work/$1.store" "$work/$1.tmpfs" "/run/regionfs/bench-$1/memory"
	} > /dev/null 2>&1
}

# far_serve NAME VARIANT: exports $work/far/NAME, and only that; a file has one user at a time
far_serve() {
	local security=(--tls-psk "$work/key")
	case $2 in *-plain*) security=(--insecure) ;; esac
	[ -z "$served" ] || far unexport "$served"
	served=$1
	far export "$1" --listen "$link_far:7000" --source "file:$work/far/$1" "${security[@]}"
}

# ---- the near host: an instance, a run

# Its stores, too, are new each time
start_near() {
	mkdir -p "$work/near.store" "$work/near.tmpfs"
	in_near mount.regionfs bench-near "$work/near" -o "source=memory:,state=$durable/near.state" > "$work/log" 2>&1
}

near() { in_near regionctl --instance bench-near "$@"; }

# near_can WORD: whether regionctl add knows it
near_can() { regionctl add --help | grep -q -- "--$1"; }

stop_near() { stop_host near "$work/near"; }

# helper_kib near|far: the most memory that the helper has had, in KiB
helper_kib() {
	local pid
	pid=$("$1" instance stat --json | jq -e .pid) && awk '/^VmHWM:/ {print $2}' "/proc/$pid/status"
}

# source_of VARIANT NAME: -cN is for N connections
source_of() {
	local connections=''
	[[ $1 =~ -c([1-8])$ ]] && connections=connections=${BASH_REMATCH[1]}
	case $1 in
	*-plain*) echo "peer+plain://$link_far:7000/$2${connections:+?$connections}" ;;
	*) echo "peer://$link_far:7000/$2?psk=$work/key${connections:+&$connections}" ;;
	esac
}

# options_of VARIANT: what regionctl add is given; -kSIZE is for chunks of that size
options_of() {
	case ${1%%-*} in
	managed) echo --managed ;;
	memory) echo --managed --local memory ;;
	file) echo --managed --local "file:$work/near.store" ;;
	tmpfs) echo --managed --local "file:$work/near.tmpfs" ;;
	esac
	[[ $1 =~ -k([0-9]+[KM])$ ]] && echo --chunk "${BASH_REMATCH[1]}"
	case $1 in *-nopull*) echo --pull-order none ;; esac
	case $1 in *-local*) echo --durability local ;; esac
	return 0
}

# ---- NBD: nbdkit's file plugin on the same file; four connections, requests of 1 MiB, readahead of 4 MiB, no scheduler

nbd_possible() {
	type nbdkit nbd-client > /dev/null 2>&1 && { [ -b /dev/nbd0 ] || modprobe -q nbd nbds_max=1 max_part=0; } && nbd_device=/dev/nbd0
}

# A new one for each run, as that of Debian 12 may abort when a client leaves with requests under way. Not by in_far: the
# process to end would be a shell, and nbdkit would stay
nbd_serve() {
	nsenter --net=/run/netns/far nbdkit -f -r -i "$link_far" -p 10809 -t 16 file "$work/far/data" 2> /dev/null &
	nbd_server=$!
	until_ nbd_listens
}

nbd_listens() { in_far ss -Hltn 'sport = :10809' | grep -q .; }

# The same on this host, with each answer so many ms later; as many requests wait at once as come
nbd_serve_late() {
	nbdkit -f -r -U "$work/nbd.sock" -t 64 --filter=delay file "$work/far/data" rdelay="$1ms" 2> /dev/null &
	nbd_server=$!
	until_ test -S "$work/nbd.sock"
}

# Not by netlink: the kernel has that in the first namespace alone
nbd_connect() {
	in_near nbd-client "$link_far" 10809 "$nbd_device" -nonetlink -b 4096 -C 4 && nbd_tune
}

nbd_connect_late() { nbd-client -unix "$work/nbd.sock" "$nbd_device" -nonetlink -b 4096 -C 4 && nbd_tune; }

nbd_has_size() { grep -q -v '^0$' "/sys/block/${nbd_device#/dev/}/size"; }

nbd_tune() {
	local queue=/sys/block/${nbd_device#/dev/}/queue
	until_ nbd_has_size || return
	echo none > "$queue/scheduler"
	echo 1024 > "$queue/max_sectors_kb"
	echo 4096 > "$queue/read_ahead_kb"
}

nbd_disconnect() {
	{
		blockdev --flushbufs "$nbd_device"
		nbd-client -nonetlink -d "$nbd_device"
		kill "$nbd_server"
		wait "$nbd_server"
		rm -f "$work/nbd.sock"
	} > /dev/null 2>&1
}
