#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# regionctl bench measures a region and leaves it as it was: every measure has figures, what is dirty is not lost, and what can't be
# measured is refused in one sentence. How fast it is, is no matter here.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl
memory_hosts 1ms
size=$((8 << 20))
random_file "$work/source" $size
cp "$work/source" "$work/copy"

# bench NAME ARG...: the object that it prints, into $work/NAME.json
bench() {
	local name=$1
	shift
	within 100 regionctl bench --json "$@" > "$work/$name.json"
}

# figure NAME MEASURE KEY [WHICH]
figure() { jq -r ".measures[] | select(.measure == \"$2\") | .$3.${4:-median}" "$work/$1.json"; }

refuses() { code "$1" "$2" regionctl bench --instance a "${@:3}"; }

# ---- all measures, of the region and of a copy

must on a add db --source "file:$work/source"
ok 'a region and a copy of it are measured' bench all db --instance a --rounds 2 --pages 64 --size 4M --compare "$work/copy"
is "$(jq -r '[.measures[].measure] | join(" ")' "$work/all.json")" 'lone random seq read warm direct' 'with every measure there is'
is "$(jq -r '"\(.region) \(.instance) \(.size) \(.region_size) \(.rounds)"' "$work/all.json")" "db a $((4 << 20)) $size 2" \
	'and it says of what'
# shellcheck disable=SC2016 # jq's
figures='[.measures[] | .median_ns, .p90_ns, .p99_ns, .mib_s, .cpu_s_per_gib, .switches_per_gib, .helper_cpu_s_per_gib,
	.helper_switches_per_gib, .helper_bytes, .kernel_bytes, .not_cold_bytes]'
is "$(jq "$figures | length" "$work/all.json")" 66 'each has its figures'
is "$(jq "$figures | all(.least <= .median and .median <= .most)" "$work/all.json")" true 'which are in order'
is "$(jq '[.measures[] | .median_ns.least > 0 and .mib_s.least > 0] | all' "$work/all.json")" true 'and took time'
is "$(jq -r '.compare' "$work/all.json")" "$work/copy" 'the other file is named'
# not each file system has direct I/O
is "$(jq '[.measures[] | select(.measure != "direct") | .ratio > 0 and .file.median_ns.median > 0] | all' "$work/all.json")" true \
	'with a ratio to each'
is "$(jq '.measures[] | select(.measure == "random") | .samples' "$work/all.json")" 64 'as many as were asked for'
at_least "$(figure all read helper_bytes least)" $((4 << 20)) 'what was cold came from regiond'
is "$(figure all warm helper_bytes most)" 0 'what was warm did not'
is "$(figure all random not_cold_bytes most)" 0 'nothing stayed in memory'
ok 'the region has the same bytes' cmp "$work/copy" "$a/db"
ok 'and its source as well' cmp "$work/copy" "$work/source"
is "$(stat_of a db .stats.writes)" 0 'nothing was written'

# ---- by its file, some measures, as tables

ok 'a region is found by its file' bench file "$a/db" --measures random,warm --rounds 1 --pages 16
is "$(jq -r '"\(.region) \(.instance) \([.measures[].measure] | join(" "))"' "$work/file.json")" 'db a random warm' 'and only that is measured'
ok 'and for people' within 100 regionctl bench "$a/db" --rounds 1 --pages 16
for name in lone random seq read warm direct; do
	is "$(grep -c "^$name " "$work/said")" 2 "$name has its times and its costs"
done

# ---- kept in memory: read by the kernel itself

cp "$work/copy" "$a/near"
ok 'a region in memory is measured' bench near near --instance a --measures seq --rounds 1
at_least "$(figure near seq kernel_bytes)" $size 'the kernel has read it'

# ---- what is dirty

must dd if=/dev/urandom of="$a/db" bs=4k count=3 seek=5 conv=notrunc
cp "$a/db" "$work/now"
ok 'a dirty region is measured' bench dirty db --instance a --measures lone,seq --rounds 1
ok 'and has what was written' cmp "$work/now" "$a/db"
must on a sync db
ok 'and so has its source' cmp "$work/now" "$work/source"

# ---- what is dirty and can't be written: its source has no room

mkdir "$work/full"
must mount -t tmpfs -o size=6m none "$work/full"
later umount "$work/full"
truncate -s 4M "$work/full/source"
must on a add full --source "file:$work/full/source"
head -c 8M /dev/zero > "$work/full/fill" 2> /dev/null
must dd if=/dev/urandom of="$a/full" bs=4k count=3 seek=500 conv=notrunc
cp "$a/full" "$work/now-full"
ok 'a region is measured that has bytes which its source does not take' bench full full --instance a --measures random --rounds 1
is "$(figure full random not_cold_bytes)" 12288 'they stay, and are said not to be cold'
ok 'they are there' cmp "$work/now-full" "$a/full"
rm "$work/full/fill"
must on a sync full
ok 'and at the source when it has room' cmp "$work/now-full" "$work/full/source"
must on a rm full

# ---- ended

timeout -k 10 -s INT 3 regionctl bench db --instance a --rounds 1000 > "$work/said" 2>&1
is $? 124 'Ctrl-C ends it'
is "$(pgrep -x regionctl)" '' 'and nothing of it is left'
ok 'the region is as it was' cmp "$work/now" "$a/db"
ok 'and is dropped as ever' on a drop db

# ---- what can't be measured

refuses 3 'no region' nothing
refuses 3 'a file that is none' "$work/copy"
says 'lies on no regionfs' 'which is said'
must on b add other --size 64K
refuses 3 'a file of another instance' "$b/other"
says "is a file of instance 'b'" 'is told from one'
refuses 2 'no measure' db --measures random,fast
says "'fast' is no measure" 'is named'
refuses 2 'no rounds' db --rounds 0
refuses 1 'more than there is' db --size 1G
says '8 MiB, less than the 1 GiB' 'it says how much there is'
refuses 1 'a copy that is too small' db --compare /etc/hostname
refuses 3 'a copy that is not there' db --compare "$work/none"
must touch "$a/empty"
refuses 1 'an empty region' empty
says 'is empty' 'is said to be'
must on a lock db
refuses 4 'a locked region' db
says 'regionctl unlock db' 'and what to do'
must on a unlock db
code 1 'a user who may not' setpriv --reuid 65534 --regid 65534 --clear-groups "$(command -v regionctl)" bench db --instance a
says 'Permission denied' 'hears that'

refuses 1 'a mount' "$a"
says 'is where instance' 'is told from a file'

must on b export other --listen 10.11.0.2:7000 --insecure
must on a add far --source peer+plain://10.11.0.2:7000/other
must cat "$a/far"
ip -n "$ns_b" link set wire down
timeout -k 10 -s INT 8 regionctl bench far --instance a > "$work/said" 2>&1
is $? 124 'a region whose source is away is waited for, until Ctrl-C'
says 'waiting for the first bytes of far' 'and who waits is told'
ok 'nothing of it was dropped, since it could not have come again' within 5 cmp "$a/far" "$b/other"
ip -n "$ns_b" link set wire up
ok 'then the source is back' bench far far --instance a --measures random --rounds 1 --pages 4

on a seed near --listen 10.11.0.1:7001 "${tls[@]}" > /dev/null 2>&1 &
must wait_for 10 state_is a near serving
must within 60 nsenter "--net=/run/netns/$ns_b" regionctl leech near --instance b 'peer://10.11.0.1:7001/near' "${tls[@]}" --finalize auto
must wait_for 30 has_flag a near moved
refuses 1 'a region that has moved' near
says 'has moved to another host' 'is looked for there'
ok 'where it is measured' bench moved near --instance b --measures random --rounds 1 --pages 16
ok 'and whole' cmp "$work/copy" "$b/near"
done_testing
