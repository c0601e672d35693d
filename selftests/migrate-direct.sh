#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Programs write a region with O_DIRECT, and another file is read with O_DIRECT into a mapping of it, which pins its pages, when it is frozen for the
# hand-over; nothing stops them before. The freeze waits for what is under way, so each write that has ended, and all that was read, is on B. One that pins
# for longer than the freeze waits keeps the region on A, where programs go on.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl python3
memory_hosts 1ms 100mbit
size=$((8 << 20))
writers=4
at=$((4 << 20))		# where it is read to
len=65536

cat > "$work/direct" <<-'END'
	# write FILE FIRST COUNT: numbers the writes to these blocks, in turn, and says the number of each that has ended
	# check FILE FIRST COUNT < NUMBERS: what they have written is there; the one after the last may be
	# pin FROM FILE AT LENGTH: reads from one into a mapping of the other
	import mmap, os, struct, sys
	block = 8192
	def bytes_of(n): return struct.pack('<Q', n) * (block // 8)
	what, path, args = sys.argv[1], sys.argv[2], sys.argv[3:]
	if what == 'pin':
	    into = os.open(args[0], os.O_RDWR)
	    data = mmap.mmap(into, 0)
	    at, length = int(args[1]), int(args[2])
	    print(os.preadv(os.open(path, os.O_RDONLY | os.O_DIRECT), [memoryview(data)[at:at + length]], 0), flush=True)
	    os._exit(0)
	first, count = int(args[0]), int(args[1])
	if what == 'write':
	    fd, buf, n = os.open(path, os.O_RDWR | os.O_DIRECT), mmap.mmap(-1, block), 1
	    while True:
	        buf[:] = bytes_of(n)
	        if os.pwritev(fd, [buf], (first + n % count) * block) != block: sys.exit('short')
	        print(n, flush=True)
	        n += 1
	last = int(sys.stdin.read().split()[-1])
	with open(path, 'rb') as file:
	    for n in range(max(1, last - count + 1), last + 1):
	        file.seek((first + n % count) * block)
	        got = file.read(block)
	        if got != bytes_of(n) and not (n == last - count + 1 and got == bytes_of(last + 1)):
	            sys.exit('write %d of %d is not there' % (n, last))
END
direct() { python3 "$work/direct" "$@"; }
zeroes() { cmp <(dd if="$1" bs="$len" skip=$((at / len)) count=1 status=none) <(head -c "$len" /dev/zero); }

# pin REGION DELAY: something far away is read into it, which takes so long
pin() {
	must on a add "far-$1" --source "memory:$len?delay=$2"
	python3 "$work/direct" pin "$a/far-$1" "$a/$1" $at $len > "$work/pinned" 2>&1 & pinner=$!
	ok "pages of $1 are pinned" wait_for 20 waits_for_region $pinner
}

# moves REGION: all but the hand-over
moves() {
	ok "$1 is made on A" on a add "$1" --size $size
	must dd if="$work/bytes" of="$a/$1" bs=1M conv=notrunc status=none
	must on a seed "$1" --listen 10.11.0.1:7001 "${tls[@]}" --detach
	ok 'B leeches it' on b leech "$1" "peer://10.11.0.1:7001/$1" "${tls[@]}" --detach
	ok 'and pulls it' wait_for 60 settled_on b "$1"
}

random_file "$work/bytes" $size
must regionctl instance set --instance a --takeback 60s

# ---- what ends in time ----
moves db
for ((w = 0; w < writers; w++)); do
	direct write "$a/db" $((w * 64)) 64 > "$work/written.$w" 2> "$work/error.$w" &
	eval "writer_$w=$!"
done
ok 'programs write it' wait_for 20 more_than "$work/written.$((writers - 1))" 20
pin db 8s
ok 'B finalizes' within 60 regionctl finalize --instance b db
ok 'the read has ended' ended $pinner 20
is "$(cat "$work/pinned")" $len 'whole'
ok 'B has all of it' wait_for 60 state_is b db complete
ok 'what was read is there' zeroes "$b/db"
for ((w = 0; w < writers; w++)); do
	ok "writer $w has ended" ended "$(eval "echo \$writer_$w")" 20
	ok 'as its region has moved' grep -q 'Errno 116' "$work/error.$w"
	ok 'every write that had ended is there' direct check "$b/db" $((w * 64)) 64 < "$work/written.$w"
done

# ---- what does not ----
# It takes as long as the freeze waits, so it is a part of make soak-migrate-direct alone; freeze-rules has the kernel's side
[ -n "${REGIONFS_SOAK:-}" ] || done_testing
ok 'A has ended' wait_for 20 state_is a db complete
moves slow
pin slow 45s
fails 'pages that are pinned for long keep it on A' within 90 regionctl finalize --instance b slow
ok 'where it is not frozen' wait_for 10 has_not a slow frozen
ok 'programs write it' within 20 dd if="$work/bytes" of="$a/slow" bs=$len seek=1 count=1 conv=notrunc,fsync status=none
ok 'the read ends' ended $pinner 60
is "$(cat "$work/pinned")" $len 'whole'
ok 'then B gets it' within 60 regionctl finalize --instance b slow
ok 'all of it' wait_for 60 state_is b slow complete
ok 'what was read is there' zeroes "$b/slow"
ok 'what was written is there' cmp <(dd if="$b/slow" bs=$len skip=1 count=1 status=none) <(head -c $len "$work/bytes")
done_testing
