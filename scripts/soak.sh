#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs one selftest long, in slices, each in a VM of its own; resumable. So it does a script beside this one that starts its VMs itself
# (managed-power, power-cut). What has been built is used: make soak-NAME does that first.
#
#   COUNT=n [SEED=s] [SLICE=n] [KERNEL=k] soak.sh NAME
#
#   COUNT   how much in all; what docs/soak.tsv already has of it on the same code, kernel and seed counts
#   SEED    the first seed, default 1; a slice that begins at n has SEED + n
#   SLICE   how much in one VM, default COUNT
#   KERNEL  as for vm.sh, default 6.1
#
# One line a slice is added to docs/soak.tsv: date, name, kernel, commit, seed, begin, count, seconds, result.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
table=$top/docs/soak.tsv
name=${1:?"usage: COUNT=n soak.sh NAME"}
count=${COUNT:?"soak.sh: COUNT says how much"}
seed=${SEED:-1}
slice=${SLICE:-$count}
kernel=${KERNEL:-6.1}

# The code that the result is of: the last commit of what is under test
code() {
	local paths=(kmod uapi helper selftests) id
	id=$(git -C "$top" log -1 --format=%h -- "${paths[@]}")
	[ -z "$(git -C "$top" status --porcelain -- "${paths[@]}")" ] || id+=-dirty
	echo "$id"
}

# The count that has passed, without gaps
done_before() {
	[ -e "$table" ] || { echo 0; return; }
	awk -F'\t' -v n="$name" -v k="$kernel" -v c="$commit" -v s="$seed" \
		'$2 == n && $3 == k && $4 == c && $5 == s && $9 == "passed" && $6 == done {done += $7} END {print done + 0}' done=0 "$table"
}

record() {
	[ -e "$table" ] || printf 'date\tname\tkernel\tcommit\tseed\tbegin\tcount\tseconds\tresult\n' > "$table"
	(IFS=$'\t'; echo "$*") >> "$table"
}

one_slice() {
	if [ -x "$here/$name.sh" ]; then
		KERNEL=$kernel "$here/$name.sh"
	else
		"$here/vm.sh" run --kernel "$kernel" --timeout "${TIMEOUT:-86400}" -- \
			env "REGIONFS_SOAK=1" "$top/selftests/run.sh" "$name"
	fi
}

run_slice() {
	local begin=$1 n=$2 started=$SECONDS result=passed
	COUNT=$n SEED=$((seed + begin)) one_slice || result=failed:$?
	record "$(date -u +%FT%TZ)" "$name" "$kernel" "$commit" "$seed" "$begin" "$n" "$((SECONDS - started))" "$result"
	[ "$result" = passed ]
}

commit=$(code)
mkdir -p "$top/docs"
begin=$(done_before)
while [ "$begin" -lt "$count" ]; do
	n=$((count - begin < slice ? count - begin : slice))
	run_slice "$begin" "$n"
	begin=$((begin + n))
done
echo "soak.sh: $name passed $begin on $kernel, seed $seed, code $commit"
