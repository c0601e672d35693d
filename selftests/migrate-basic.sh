#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A program with its state in a mapped region moves to another host while it runs: no step is lost or repeated, and the
# bytes are the same. Then back. Aborts on either side leave the program where it was.
# timeout: 500
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl counters
memory_hosts 5ms
size=$(((32 << 20) + 12288))

# program MOUNT: the one program of this test, on that host; the suspend hook ends it
program() { start_counters "$1/db" 16 20; }
cat > "$work/suspend" <<-END
	#!/bin/bash
	$(hook_end_counters)
	touch $work/suspended
END
cat > "$work/resume" <<-END
	#!/bin/bash
	touch $work/resumed
END
chmod +x "$work/suspend" "$work/resume"

# move FROM FROM-NS FROM-IP FROM-MNT TO TO-MNT: moves the region with the program
move() {
	local from=$1 ip=$3 from_mnt=$4 to=$5 to_mnt=$6 seeder grown
	rm -f "$work/suspended"
	on "$from" seed db --listen "$ip:7001" "${tls[@]}" --suspend "$work/suspend" --json \
		> "$work/seed.$from" 2> "$work/seed.err" & seeder=$!
	ok "$from seeds" wait_for 10 state_is "$from" db serving
	ok "$to leeches" on "$to" leech db "peer://$ip:7001/db" "${tls[@]}" --detach
	ok "$to has pulled all of it once" wait_for 60 settled_on "$to" db
	timeout 1 head -c 1 "$to_mnt/db"
	is $? 124 "nobody on $to can read it yet"
	# The file grows behind the counters, from within a chunk into another
	openssl rand 70001 > "$work/tail"
	must dd if="$work/tail" of="$from_mnt/db" bs=4k oflag=append conv=notrunc
	grown=$(stat -c %s "$from_mnt/db")
	counters "$to_mnt/db" check > "$work/waited" 2>&1 & waiting=$!
	ok "$to finalizes" on "$to" finalize db --json
	cp "$work/said" "$work/final.$to"
	ok 'the suspend hook was run' test -e "$work/suspended"
	ok "who waited on $to goes on" ended $waiting 30
	ok 'the seeder ends' ended $seeder 60
	wait $seeder
	is $? 0 'with success'
	ok "$to is complete" wait_for 30 state_is "$to" db complete
	is "$(stat -c %s "$to_mnt/db")" "$grown" 'its size is the one that it had'
	ok 'what was appended is there' cmp "$work/tail" <(tail -c 70001 "$to_mnt/db")
	note "downtime $(jq .downtime "$work/final.$to") ms, dirty $(jq .dirty_bytes "$work/final.$to"), seeder sent $(jq .bytes "$work/seed.$from")"
}

ok 'a region is made on A' on a add db --size $size
program "$a"
sleep 1

# ---- aborts ----
on a seed db --listen 10.11.0.1:7001 "${tls[@]}" --suspend false --resume "$work/resume" > "$work/seed.err" 2>&1 & seeder=$!
must wait_for 10 state_is a db serving
ok 'B leeches' on b leech db peer://10.11.0.1:7001/db "${tls[@]}" --detach
must wait_for 60 settled_on b db
fails 'a suspend hook that fails keeps it on A' on b finalize db
says 'suspend hook' 'and that is said'
ok 'A was resumed' wait_for 10 test -e "$work/resumed"
before=$(wc -l < "$work/steps")
sleep 1
at_least "$(wc -l < "$work/steps")" $((before + 1)) 'the program on A goes on'
ok 'B aborts' on b abort db
fails 'nothing is left of it on B' on b stat db
ok 'A serves still' wait_for 40 state_is a db serving
ok 'A aborts' on a abort db
wait $seeder
isnt=$?
ok 'its seed command says so' test $isnt -ne 0

# ---- there and back ----
must chown 1234:1235 "$a/db"
must chmod 4640 "$a/db"
move a "$ns_a" 10.11.0.1 "$a" b "$b"
steps_are_whole 'on B' "$b/db"
fails 'A has it no longer' head -c 1 "$a/db"
program "$b"
sleep 1
must on a rm db
move b "$ns_b" 10.11.0.2 "$b" a "$a"
steps_are_whole 'on A again' "$a/db"
is "$(stat -c %u:%g:%a "$a/db")" 1234:1235:640 'its owner and mode have come along, but for setuid'
is "$(stat_of a db .epoch)" 2 'the epoch has grown twice'
is "$(stat_of a db .source | cut -c1-7)" memory: 'its source is local'
ok 'the helper of A is killed' kill_helper a
ok 'and started' start_helper_of "$ns_a" a
drop_caches
is "$(counters "$a/db" check)" "$(wc -l < "$work/steps")" 'all is there'
is "$(cat "$work/errors")" '' 'the program has met no error'
done_testing
