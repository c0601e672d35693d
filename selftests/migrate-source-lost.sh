#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A region has moved to host B, but most of its bytes are still on A when that is lost for good: helper, host, network, state. Others have copies
# of it, in which some chunks are not what they were. B has all that anybody has, by what A had told of it; programs wait for the rest, until an
# operator says that A is lost; then they get errors, and the bytes after all when somebody is found who has them, or the region is removed. A helper
# dies in between.
# timeout: 200
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl
memory_hosts 2ms 3mbit
start_host "$ns_b" c source=memory:
c=$mnt
# What B has still to send to A keeps its namespace for minutes, and the instances with it: they are ended while their helpers are there
end_there() {
	fuser -s -k -m "$work/$1"
	umount -i "$work/$1" || umount -i -l "$work/$1"
	within 40 regionctl instance stop "$1" --discard
}
later end_there b
later end_there c
chunk=65536
chunks=256
random_file "$work/bytes" $((chunks * chunk))

# spoil FILE FIRST LAST: these chunks of it are other ones
spoil() {
	local i
	for ((i = $2; i <= $3; i++)); do printf x | dd of="$1" bs=1 seek=$((i * chunk + 100 * i)) conv=notrunc status=none; done
}

# part FILE FIRST LAST [FLAG]: these chunks of it
part() { dd if="$1" bs="$chunk" skip="$2" count=$(($3 - $2 + 1)) iflag="${4:-fullblock}" status=none; }
# comes FIRST LAST: B has them. Past the page cache, which asks for more at once than a program does, and gets all of it or nothing
comes() { within 20 cmp <(part "$b/db" "$1" "$2" direct) <(part "$work/bytes" "$1" "$2"); }
fails_to_come() { ! within 20 dd if="$b/db" of=/dev/null bs="$chunk" skip="$1" count=1 iflag=direct status=none; }
all_known() { [ "$(stat_of b db '.handover | (.hashed_bytes + .done >= .total)')" = true ]; }
lost_is() { [ "$(stat_of b db '.handover.lost_bytes')" = "$1" ]; }
was_said() { grep source-lost "$work/events" | grep -q 'nobody else has'; }

lose_a() {
	local pid
	pid=$(helper_pid a) && kill -KILL "$pid"
	ip -n "$ns_a" link set wire down
	umount -i "$a" || umount -i -l "$a"
	within 40 nsenter "--net=/run/netns/$ns_a" regionctl instance stop a --discard
	rm -rf "$work/a.state"
	! regionctl instance stat a
}

cp "$work/bytes" "$work/copy"
spoil "$work/copy" 242 251
must cp "$work/bytes" "$c/copy"
spoil "$c/copy" 247 255
must on c export copy --listen 10.11.0.2:7002 "${tls[@]}" --read-only
must cp "$work/bytes" "$a/db"
must cp "$work/bytes" "$a/other"
must sync -f "$a/db"
regionctl events --instance b > "$work/events" 2>&1 &
later kill $!

ok 'A seeds a region' on a seed db --listen 10.11.0.1:7001 "${tls[@]}" --detach
ok 'B leeches it, and knows where else it is' on b leech db peer://10.11.0.1:7001/db "${tls[@]}" --finalize manual --detach \
	--also "file:$work/copy" --also peer://10.11.0.2:7002/copy
ok 'it is handed over at once' on b finalize db
ok 'B is told the hashes of what it has not got' wait_for 30 all_known
note "$(stat_of b db '.handover | {done, total, hashed_bytes}' | tr -d '\n')"
is "$(stat_of b db '.handover | .done < .total')" true 'long before the bytes'
must on a seed other --listen 10.11.0.1:7003 "${tls[@]}" --detach
must on b leech other peer://10.11.0.1:7003/other "${tls[@]}" --finalize manual --detach
must on b finalize other

ok 'A is lost for good' lose_a
ok 'what the file has of it comes from there' comes 222 241
ok 'and from the other host what that has' comes 242 246
ok 'all that somebody has' comes 0 246
ok 'also behind' comes 252 255
dd if="$b/db" of="$work/waited" bs="$chunk" skip=249 count=1 status=none 2> "$work/error" & reader=$!
ok 'what nobody has is waited for' wait_for 10 waits_for_region $reader
sleep 1
ok 'for as long as it takes' kill -0 $reader
fails 'it cannot be removed while it may still come' on b rm other
ok 'the operator says that A is lost' on b resolve db --source-lost
ok 'then who waits gets an error' ended $reader 20
is "$(stat -c %s "$work/waited")" 0 'and no byte'
ok 'as does the next one' fails_to_come 247
ok 'it is known how much that is' wait_for 10 lost_is $((5 * chunk))
ok 'and said to who watches' wait_for 10 was_said
ok 'all else is there' comes 0 246

ok 'the helper of B is killed' kill_helper b
ok 'and started' start_helper_of "$ns_b" b
ok 'it is the same for the next one' wait_for 20 lost_is $((5 * chunk))
ok 'with errors' fails_to_come 251
ok 'and bytes' comes 232 246
ok 'somebody is found who has it' on b resolve db --source-lost --also "file:$work/bytes"
ok 'it comes' comes 247 251
ok 'that is all of it' wait_for 20 state_is b db complete
ok 'B has it whole' cmp "$work/bytes" "$b/db"
ok 'and it can be written' dd if="$work/copy" of="$b/db" bs=$chunk count=2 conv=notrunc,fsync status=none

ok 'another region of A that has not all come is given up, too' on b resolve other --source-lost
ok 'it can be removed then' wait_for 10 on b rm other
is_gone() { ! on b stat other; }
ok 'and is gone' wait_for 10 is_gone
done_testing
