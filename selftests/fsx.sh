#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Random operations on a region of each backend equal those on a reference, also over a restart of the helper.
# COUNT operations on each (default 300), from SEED on.
# timeout: 900
. "$(dirname "$0")/common.sh"
count=${COUNT:-300} seed=${SEED:-1}

# fsx_on WHAT INSTANCE REGION
fsx_on() {
	local what=$1 name=$2 region=$3
	ok "$what: $count operations, seed $seed" fsx -n "$count" -s "$seed" -l 2097152 -f "$work/$what.ref" \
		-x "regionctl drop $region --instance $name" "$mnt/$region"
	ok "$what: the helper is killed" kill_helper "$name"
	ok "$what: and started again" start_helper "$name"
	ok "$what: 100 more on the same bytes" fsx -n 100 -s $((seed + 1)) -l 2097152 -f "$work/$what.ref" "$mnt/$region"
}

direct() {
	local what=$1 source=$2
	start_instance "fsx-$what" "source=$source"
	fsx_on "$what" "fsx-$what" fsx
}

peer() {
	start_instance fsx-far "source=memory:"
	must regionctl add far --instance fsx-far --source memory:2M --size 2M
	must regionctl export far --instance fsx-far --listen 127.0.0.1:7001 --insecure
	start_instance fsx-near
	must regionctl add near --instance fsx-near --source peer+plain://127.0.0.1:7001/far
	fsx_on peer fsx-near near
}

need fsx jq
command -v regiond > /dev/null || skip_all 'regiond is not built'
mkdir "$work/file" "$work/dir"
for backend in ${BACKENDS:-memory file dir peer}; do
	case $backend in
	memory) direct memory memory: ;;
	file) direct file "file:$work/file/" ;;
	dir) direct dir "dir:$work/dir/" ;;
	peer) peer ;;
	esac
done
done_testing
