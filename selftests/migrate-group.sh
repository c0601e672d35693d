#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Two regions move as one, while a program writes a number to the first, then the same to the second, and so on: on the other host the first one's is the
# second one's, or the next, and no less than what the program has been told was written. So it is when the helper of either host is killed in
# the middle of the hand-over: then all are where they were, or all are there, and whoever has been stopped for it goes on once. And they go there and back.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl python3
memory_hosts 5ms 100mbit

cat > "$work/program" <<-'END'
	#!/usr/bin/python3
	# program FIRST SECOND TOLD: tells in a file of its own which number both have
	import os, sys
	first, second, told = (os.open(path, os.O_RDWR | os.O_CREAT) for path in sys.argv[1:4])
	n = 0
	while True:
	    n += 1
	    for fd in first, second:
	        os.pwrite(fd, n.to_bytes(8, 'little'), 0)
	    if n % 64 == 0:
	        for fd in first, second:
	            os.pwrite(fd, n.to_bytes(8, 'little') * 512, (1 + n // 64 % 31) << 16)
	    os.pwrite(told, n.to_bytes(8, 'little'), 0)
END
chmod +x "$work/program"

number() { od -An -tu8 -N8 "$1" | tr -d ' '; }
lines() { wc -l < "$1" 2> /dev/null || echo 0; }
# goes_on NAME NUMBER: unless it has been handed over meanwhile
goes_on() { [ "$(number "$work/told")" -gt "$2" ] || is_bs "$1"; }
group_is() { [ "$(stat_of "$1" "$2" .handover.group.state)" = "$3" ]; }
is_pulling() { state_is b "$1.1" pulling && state_is b "$1.2" pulling; }
# Of what an earlier helper has seen the end of nothing is known
is_on_b() { [ "$(stat_of b "$1" '.flags | index("locked") == null')" = true ]; }
is_bs() { is_on_b "$1.1" && is_on_b "$1.2"; }
is_whole() { [ "$(stat_of b "$1" '.source | startswith("leech:") | not')" = true ]; }
are_whole() { is_whole "$1.1" && is_whole "$1.2"; }
either() { is_pulling "$1" || is_bs "$1"; }

# begin NAME [HOOK]: its program runs on A, B has pulled it once
begin() {
	local r hook=${2:-sleep 0.3}
	for r in "$1.1" "$1.2"; do must on a add "$r" --size 2M; done
	rm -f "$work/told" "$work/suspended" "$work/resumed" "$work/started"
	touch "$work/suspended" "$work/resumed" "$work/started"
	"$work/program" "$a/$1.1" "$a/$1.2" "$work/told" 2> /dev/null & program=$!
	later kill $program
	must wait_for 20 test -s "$work/told"
	ok "$1: A seeds it" on a seed "$1.1" "$1.2" --group "$1" --listen 10.11.0.1:7001 "${tls[@]}" --detach \
		--suspend "echo >> $work/suspended; $hook" --resume "echo >> $work/resumed"
	ok "$1: B leeches it" on b leech --group "$1" peer://10.11.0.1:7001 "${tls[@]}" --detach --resume "echo >> $work/started"
	for r in "$1.1" "$1.2"; do ok "$1: B has pulled $r once" wait_for 60 settled_on b "$r"; done
}

# end NAME: it is B's
end() {
	local first second told
	ok "$1: B has all of it" wait_for 60 are_whole "$1"
	ok "$1: the program on A has come to its end" ended $program 20
	first=$(number "$b/$1.1") second=$(number "$b/$1.2") told=$(number "$work/told")
	note "$1: first $first, second $second, told $told"
	ok "$1: both regions are of one moment" test $((first - second)) -ge 0 -a $((first - second)) -le 1
	ok "$1: with all that the program knows of" test "$second" -ge "$told" -a "$second" -le $((told + 1))
	ok "$1: what waits for it on B is started" wait_for 20 test -s "$work/started"
	for r in "$1.1" "$1.2"; do
		ok "$1: A lets go of $r" wait_for 20 on a rm "$r"
	done
}

# settle NAME: what was asked for before may be done by the next helpers, or not
settle() {
	ok "$1: it is where it was, or B's, as a whole" wait_for 60 either "$1"
	is_bs "$1" || finalize "$1.1" || ok "$1: it is finalized" is_bs "$1"
}

finalize() { within 60 regionctl finalize --instance b "$1"; }

begin plain
ok 'plain: one of them is finalized' finalize plain.2
end plain
# shellcheck disable=SC2016 # jq's
is "$(on b stat plain.1 --json | jq -c '.handover.group | [.wire_bytes > 0, (.fault_waits | add) == .faults, has("at_risk")]')" '[true,true,true]' 'plain: the group has the sums of its regions'
is "$(lines "$work/suspended") $(lines "$work/resumed") $(lines "$work/started")" '1 0 1' 'plain: the program was stopped once, and started once'

# There and back, over what each stay has left: seed from ONE, leech on OTHER
hop() {
	local one=$1 other=$2 port=$3 from=${!1} to=${!2} r sums
	shift 3
	for r in back.1 back.2; do must dd if=/dev/urandom of="$from/$r" bs=64k count=1 seek="$port" conv=notrunc status=none; done
	sums=$(cat "$from/back.1" "$from/back.2" | sha256sum)
	ok "back: $one seeds it" on "$one" seed back.1 back.2 --group back --listen "${address[$one]}:$((7010 + port))" "${tls[@]}" --detach
	ok "back: $other leeches it" within 60 regionctl leech --instance "$other" --group back "peer://${address[$one]}:$((7010 + port))" "${tls[@]}" --max-downtime 2s "$@"
	is "$(cat "$to/back.1" "$to/back.2" | sha256sum)" "$sums" "back: all is on $other"
	ok "back: $one has done" wait_for 20 group_is "$one" back.1 complete
}
declare -A address=([a]=10.11.0.1 [b]=10.11.0.2)
for r in back.1 back.2; do must on a add "$r" --size 2M; done
hop a b 1
hop b a 2
hop a b 3 --reuse
hop b a 4 --reuse
is "$(stat_of a back.2 .epoch)" 4 'back: the epoch has grown with each hop'

begin early "test -s $work/resumed || sleep 20"
on b finalize early.1 > /dev/null 2>&1 & finalizing=$!
must wait_for 20 test -s "$work/suspended"
ok 'early: the helper of A is killed as it stops the program' kill_helper a
ok 'early: and started' start_helper_of "$ns_a" a
ok 'early: the program is let go on' wait_for 20 test -s "$work/resumed"
ok 'early: and does' wait_for 20 goes_on early "$(number "$work/told")"
wait $finalizing
settle early
end early

# kill WHO NAME TIME: TIME after the program was stopped
kill_in() {
	local who=$1 ns=$ns_a
	[ "$who" = a ] || ns=$ns_b
	begin "$2"
	on b finalize "$2.1" > /dev/null 2>&1 & finalizing=$!
	must wait_for 20 test -s "$work/suspended"
	sleep "$3"
	ok "$2: the helper of $who is killed in the hand-over" kill_helper "$who"
	ok "$2: and started" start_helper_of "$ns" "$who"
	wait $finalizing
	settle "$2"
	end "$2"
}

kill_in b b1 0
kill_in b b2 0.3
kill_in a a1 0.3
if [ -n "${REGIONFS_SOAK:-}" ]; then
	for n in {3..40}; do
		kill_in b "b$n" "0.$((RANDOM % 40 + 10))"
		kill_in a "a$n" "0.$((RANDOM % 40 + 10))"
	done
fi

# What does not go together
must on a add x --size 64k
must on a add y --size 64k
must on a seed x y --listen 10.11.0.1:7001 "${tls[@]}" --detach
fails 'one alone is not leeched' on b leech y peer://10.11.0.1:7001/y "${tls[@]}"
says 'in a group' 'and it is said why'
ok 'the group has the name of its first region' on b leech --group x peer://10.11.0.1:7001 "${tls[@]}" --detach
ok 'one of them is aborted' on b abort y
fails 'so none is there' test -e "$b/x"
ok 'A has them both' wait_for 20 group_is a x serving
done_testing
