#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What a managed region's file store has acknowledged outlives a power cut, and comes to the source behind it. The host with the region
# and its store, and the source, which is a file behind a regiond in another network namespace, are in one VM; the store and the source
# are on disks of their own with a volatile cache. make soak-managed-power builds what it needs.
#
#   [COUNT=n] [SEED=s] [KERNEL=k] managed-power.sh
#
#   COUNT   power cuts, default 2
#   SEED    of the bytes that are written, default 1
#   KERNEL  as for vm.sh, default 6.1
#
# In the VMs it calls itself: managed-power.sh first | again | last. A region has 16 parts: the first eight are written in turn, each
# time with fsync, and what was acknowledged is noted outside of the VM; the others are written all the while without fsync. After the
# cut each acknowledged part has its last bytes; and after a sync the source's file is what the region shows, byte for byte.
#
# REGIONFS_DIRECT=1: with a direct region.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
count=${COUNT:-2}
seed=${SEED:-1}
part=131072
parts=16
asked=8
# where the disks are mounted: the same place in all VMs
disks=/run/managed-power

# ---------------------------------------------------------------------------------------------- outside

# vm HOW NUMBER STATUS: how it has to end
vm() {
	local rc
	SEED=$seed COUNT=$2 "$here/vm.sh" run --kernel "${KERNEL:-6.1}" --disk near=256M --disk far=128M --out "$scratch/out" \
		-- "$top/scripts/managed-power.sh" "$1"
	rc=$?
	[ "$rc" -eq "$3" ] || { echo "managed-power.sh: VM $2 ended with $rc, and not with $3" >&2; return 1; }
}

drive() {
	local i
	scratch=$(mktemp -d "${TMPDIR:-/tmp}/managed-power.XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
	export REGIONFS_DISKS=$scratch/disks
	vm first 1 120 || return
	for ((i = 2; i <= count; i++)); do vm again $i 120 || return; done
	vm last $((count + 1)) 0 || return
	echo "managed-power.sh: all that was acknowledged was there after $count power cuts"
}

# ---------------------------------------------------------------------------------------------- in the VMs

noted=/out/acknowledged

# The source: what this host has synced is there after a cut as well
start_far() {
	start_host "$ns_a" far source=memory:
	[ "$1" != new ] || must truncate -s $((part * parts)) "$disks/far/source"
	[ "$1" != new ] || must sync "$disks/far/source"
	must on far export region --listen 10.11.0.1:7000 --tls-psk "$disks/near/key" --source "file:$disks/far/source"
}

# The policy: now and then one is pushed in the order of its barriers, now and then in any
order() { [ $((seed % 2)) -eq 0 ] && echo any || echo barrier; }

start_near() {
	must mkdir -p "$work/near"
	instances+=(near)
	ok 'it is mounted' within 60 nsenter "--net=/run/netns/$ns_b" mount -t regionfs -o "state=$disks/near/state,source=memory:" near "$work/near"
	[ "$1" = new ] || { ok 'the region was restored' test -e "$work/near/region"; return; }
	ok 'a region is made' add_managed near region "peer://10.11.0.1:7000/region?psk=$disks/near/key" \
		--local "file:$disks/near/store" --durability local --push-order "$(order)" --push-interval 500ms
}

start() {
	need mkfs.ext4 jq openssl
	need_module ext4
	need_managed
	mount_disk near "$1"
	mount_disk far "$1"
	two_hosts 5ms
	[ "$1" != new ] || make_key "$disks/near/key"
	sync
	start_far "$1"
	start_near "$1"
}

# put_part PLACE BYTES-FILE [CONVERSION]
put_part() { dd if="$2" of="$work/near/region" bs=$part seek="$1" count=1 conv="notrunc${3:+,$3}" 2> /dev/null; }

bytes_of() { random_file "$work/bytes" $part "$seed.$1"; }

# acknowledged_write ROUND: "begun" first, for a cut can fall between
acknowledged_write() {
	local place=$(($1 % asked))
	bytes_of "$1"
	put_part $place "$work/bytes" fsync && echo "$place $1" >> "$noted"
}

# Without end, and without fsync
write_on() {
	local round=0
	random_file "$work/unasked" $part unasked
	while put_part $((asked + round % (parts - asked))) "$work/unasked"; do
		: > "$work/begun"
		round=$((round + 1))
	done
}

do_write() {
	local first=$((COUNT * 1000)) round
	write_on &
	must wait_for 30 test -e "$work/begun"
	for ((round = first; round < first + asked + RANDOM % (2 * asked); round++)); do
		ok "write $round is acknowledged" acknowledged_write $round
	done
	[ "$tap_failed" -eq 0 ] || bail 'something went wrong before the cut'
	vm-power-cut
}

do_check() {
	local place round
	declare -A last=()
	while read -r place round; do last[$place]=$round; done < "$noted"
	for place in "${!last[@]}"; do
		bytes_of "${last[$place]}"
		ok "part $place is that of write ${last[$place]}" cmp "$work/bytes" <(dd if="$work/near/region" bs=$part skip="$place" count=1 2> /dev/null)
	done
	ok 'it is synced' within 120 regionctl --instance near sync region
	ok 'the source has every byte of it' cmp "$work/near/region" "$disks/far/source"
}

case ${1:-} in
'') drive ;;
first | again | last)
	# shellcheck source=selftests/common.sh
	. "$top/selftests/common.sh"
	# shellcheck source=selftests/peer.inc
	. "$top/selftests/peer.inc"
	# shellcheck source=selftests/managed.inc
	. "$top/selftests/managed.inc"
	# shellcheck source=scripts/power.inc
	. "$here/power.inc"
	RANDOM=$((seed * 100 + COUNT))
	if [ "$1" = first ]; then start new; else start old; do_check; fi
	[ "$1" = last ] || do_write
	done_testing
	;;
*) sed -n '3,/^set -u/{/^set -u/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
esac
