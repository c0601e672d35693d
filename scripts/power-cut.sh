#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What fsync has acknowledged outlives a power cut: regions on file: and dir:, each on ext4 on a disk of its own with a
# volatile cache. One VM writes and loses its power, a second one looks. make check-power-cut builds what it needs.
#
#   [COUNT=n] [SEED=s] [KERNEL=k] power-cut.sh
#
#   COUNT   acknowledged writes to each region before the cut, default 12
#   SEED    of the bytes that are written, default 1
#   KERNEL  as for vm.sh, default 6.1
#
# In the VMs it calls itself: power-cut.sh write | check. A region has eight parts: the first four are written
# in turn, each time with fsync, and what was acknowledged is noted outside of the VM; the others are written
# all the while without fsync.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
count=${COUNT:-12}
seed=${SEED:-1}
part=262144
kinds=(file dir)
# where the disks are mounted: the same place in both VMs, for a region's source names it
disks=/run/power-cut

# ---------------------------------------------------------------------------------------------- outside

vm() {
	"$here/vm.sh" run --kernel "${KERNEL:-6.1}" --disk file=256M --disk dir=256M --disk state=64M --disk control=16M --out "$scratch/out" \
		-- "$top/scripts/power-cut.sh" "$1"
}

drive() {
	local rc
	scratch=$(mktemp -d "${TMPDIR:-/tmp}/power-cut.XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
	export REGIONFS_DISKS=$scratch/disks COUNT=$count SEED=$seed
	vm write
	rc=$?
	[ "$rc" -eq 120 ] || { echo "power-cut.sh: the first VM ended with $rc, and not by a power cut" >&2; return 1; }
	vm check
	rc=$?
	[ "$rc" -eq 0 ] || { echo 'power-cut.sh: the second VM has found fault' >&2; return 1; }
	echo 'power-cut.sh: all that was acknowledged is there'
}

# ---------------------------------------------------------------------------------------------- in the VMs

noted() { echo "/out/acknowledged.$1"; }

start() {
	local kind
	need mkfs.ext4 jq
	need_module ext4
	mount_disk state "$1"
	for kind in "${kinds[@]}"; do
		mount_disk "$kind" "$1"
		mkdir -p "$work/$kind"
		later end_instance "$kind"
		ok "$kind: is mounted" within 60 mount -t regionfs \
			-o "state=$disks/state/$kind,source=$kind:$disks/$kind/data/" "$kind" "$work/$kind"
	done
}

# put_part PLACE BYTES-FILE REGION [CONVERSION]
put_part() { dd if="$2" of="$3" bs=$part seek="$1" count=1 conv="notrunc${4:+,$4}" 2> /dev/null; }

# The bytes that round $2 has for $1
bytes_of() { random_file "$work/bytes" $part "$seed.$1.$2"; }

acknowledged_write() {
	local kind=$1 round=$2
	bytes_of "$kind" "$round"
	put_part $((round % 4)) "$work/bytes" "$work/$kind/region" fsync || return
	echo "$((round % 4)) $round" >> "$(noted "$kind")"
}

# Without end, and without fsync; "unasked" tells that it has begun
write_on() {
	local kind=$1 round=0
	random_file "$work/unasked.$kind" $part "$kind"
	while put_part $((4 + round % 4)) "$work/unasked.$kind" "$work/$kind/region"; do
		: > "$work/begun.$kind"
		round=$((round + 1))
	done
}

all_begun() { [ -e "$work/begun.file" ] && [ -e "$work/begun.dir" ]; }

write_all() {
	local kind round
	for kind in "${kinds[@]}"; do write_on "$kind" & done
	must wait_for 30 all_begun
	for ((round = 1; round <= count; round++)); do
		for kind in "${kinds[@]}"; do
			ok "$kind: write $round is acknowledged" acknowledged_write "$kind" "$round"
		done
	done
}

# What shows that the cut takes what was not flushed: nobody ever flushes this disk
write_control() {
	random_file "$work/control" $part control
	ok 'a disk is written, and not flushed' dd if="$work/control" of="$(device control)" oflag=direct bs=$part
}

# The helper does nothing more once it has acknowledged: it has had to write down the region's name by then
latest_write() {
	local kind=$1 pid
	pid=$(helper_pid "$kind") && bytes_of "$kind" latest || return
	put_part 0 "$work/bytes" "$work/$kind/latest" fsync && kill -STOP "$pid"
}

# A file that is made, written and synced at the last moment
write_latest() {
	local kind
	for kind in "${kinds[@]}"; do ok "$kind: a new region is acknowledged" latest_write "$kind"; done
}

do_write() {
	start new
	write_control
	write_all
	write_latest
	[ "$tap_failed" -eq 0 ] || bail 'something went wrong before the cut'
	vm-power-cut
}

check_latest() {
	local kind=$1
	bytes_of "$kind" latest
	ok "$kind: so was the one that was made last" test -e "$work/$kind/latest"
	ok "$kind: it has its bytes" cmp "$work/bytes" "$work/$kind/latest"
}

check_region() {
	local kind=$1 place round
	declare -A last=()
	while read -r place round; do last[$place]=$round; done < "$(noted "$kind")"
	is "${#last[@]}" 4 "$kind: something was acknowledged for each part"
	ok "$kind: the region was restored" test -e "$work/$kind/region"
	for place in "${!last[@]}"; do
		bytes_of "$kind" "${last[$place]}"
		ok "$kind: part $place is that of write ${last[$place]}" \
			cmp "$work/bytes" <(dd if="$work/$kind/region" bs=$part skip="$place" count=1 2> /dev/null)
	done
	check_latest "$kind"
	ok "$kind: it can be written, and synced" acknowledged_write "$kind" 0
}

do_check() {
	local kind
	start old
	ok 'what was not flushed is lost' cmp -n $part /dev/zero "$(device control)"
	for kind in "${kinds[@]}"; do check_region "$kind"; done
	done_testing
}

case ${1:-} in
'') drive ;;
write | check)
	# shellcheck source=selftests/common.sh
	. "$top/selftests/common.sh"
	# shellcheck source=scripts/power.inc
	. "$here/power.inc"
	"do_$1"
	;;
*) sed -n '3,/^set -u/{/^set -u/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
esac
