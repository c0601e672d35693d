#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A region moves from A to B while a program writes it, and in each of these states each fault happens: a helper dies, both do, the
# wire is cut for a second, both ways and one way, its connections are reset, B's disk is full, B's user gives up, a host's helper is dead until the
# other's operator has decided and then comes back, or a host is lost for good: its helper, kernel, stores and records. Each 50 ms it is asked whether
# both sides serve it, which must never be. In the end exactly one does; every counter of the program is what its log says, and every other byte
# is what was there before. Only where the host was lost that alone had it, nobody does, or he has no more than had come.
#
#   state        A             B            the fault comes when
#   pulling      TRACKING      PULLING      some of it has come
#   suspending   FROZEN        FINALIZING   A's suspend hook is running
#   handed       HANDED_OFF    FINALIZING   the answer is on its way to B, which has not read it
#   unheard      HANDED_OFF    OWNED        B has it, and A has not heard of that
#   behind       MOVED         OWNED        some of it has come, the rest is fetched
#   refused      HANDED_OFF    REFUSED      B has given up, and A has not heard of that
#   resolved     RESOLVED      FINALIZING   A's operator has taken B for lost, which is back, and has not heard of that
#   diverged     DIVERGED      DIVERGED     so he has, of one that B had taken, and both know of it
#
# An operator who is wrong while B serves its program makes two owners, which is not tried here. CONNECTING has nothing of the region.
#
# All pairs with REGIONFS_SOAK (make soak-migrate-faults), COUNT times; else each state and each fault some times. STATES and FAULTS name some of them.
# timeout: 600
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl counters ss python3
mkdir -p "$work/b.state"
must mount -t tmpfs -o size=40M tmpfs "$work/b.state"
later umount -l "$work/b.state"
memory_hosts 1ms 20mbit
size=$((4 << 20))

read -ra states <<< "${STATES:-pulling suspending handed unheard behind refused resolved diverged}"
read -ra faults <<< "${FAULTS:-kill_a kill_b kill_ab cut cut_ab cut_ba reset full_b abort_b lose_a lose_b gone_a gone_b}"

# ---- the program on A, and what stops and starts it ----

cat > "$work/suspend" <<-END
	#!/bin/bash
	$(hook_end_counters)
	touch $work/suspended
	while [ -e $work/hold ]; do sleep 0.02; done
END
cat > "$work/resume" <<-END
	#!/bin/bash
	setsid counters $a/\$REGIONFS_REGION 2 100 >> $work/steps 2>> $work/errors < /dev/null &
	echo \$! > $work/program
END
chmod +x "$work/suspend" "$work/resume"

# ---- who serves ----

# serves INSTANCE: programs get at it there, as its kernel says
serves() { regionctl stat --instance "$1" "$db" --json 2>/dev/null | jq -e '.flags and [.flags[] | select(. == ("frozen", "moved", "locked"))] == []' > /dev/null; }

# Once B serves it A never may again: looked at in that order. It ends with the file.
watch_owners() {
	while [ -e "$work/watching" ]; do
		serves b && serves a && echo "$case: both serve it" >> "$work/both"
		sleep 0.05
	done
}

state_on() { stat_of "$1" "$db" .handover.state; }
is_owned() { case $(state_on b) in owned | complete) ;; *) return 1 ;; esac; }
is_gone() { ! on "$1" stat "$db"; }
is_handed() { case $(state_on a) in 'handed off' | 'in doubt') ;; *) return 1 ;; esac; }
are_diverged() { [ "$(state_on a),$(state_on b)" = diverged,diverged ]; }
has_some() { [ "$(stat_of b "$db" '.handover.bytes > 200000')" = true ]; }

# ---- states ----

begin() {
	db=r$((n += 1))
	rm -f "$work/suspended"
	: > "$work/steps"
	must on a add "$db" --size $size
	must dd if="$work/random" of="$a/$db" bs=1M conv=notrunc status=none
	start_counters "$a/$db" 2 100
	must on a seed "$db" --listen 10.11.0.1:7001 "${tls[@]}" --suspend "$work/suspend" --resume "$work/resume" --detach
	must on b leech "$db" peer://10.11.0.1:7001/"$db" "${tls[@]}" --local-source "file:$work/b.state/$db" --detach
}

finalize() { within 120 regionctl finalize --instance b "$db" > "$work/final" 2>&1 & }
pulled() { [ "$(stat_of b "$db" '.handover.rounds >= 1')" = true ]; }
unhold() { rm -f "$work/hold"; }

reach_pulling() { must wait_for 20 has_some; }

reach_suspending() {
	must wait_for 60 pulled
	touch "$work/hold"
	finalize
	must wait_for 20 test -e "$work/suspended"
}

# The answer waits in the socket of a helper that is stopped
reach_handed() {
	reach_suspending
	stopped=$(helper_pid b)
	kill -STOP "$stopped"
	unhold
	must wait_for 20 is_handed
}

# What B says does not get there
reach_unheard() {
	reach_suspending
	lose_packets "$ns_b" 100%
	unhold
	must wait_for 20 is_owned
}

reach_behind() {
	must wait_for 20 has_some
	finalize
	must wait_for 20 is_owned
}

# A has said all, which B has not heard, and B has given up, which A has not heard
reach_refused() {
	reach_suspending
	lose_packets "$ns_a" 100%
	lose_packets "$ns_b" 100%
	unhold
	must wait_for 20 is_handed
	must within 30 regionctl abort --instance b "$db"
	must wait_for 20 is_gone b
}

# A's operator decides, as B is lost; and B is back
resolve_without_b() {
	kill_b
	unhold
	must on a resolve "$db" --i-own-it
	must start_helper_of "$ns_b" b
}

reach_resolved() {
	reach_handed
	lose_packets "$ns_a" 100%
	lose_packets "$ns_b" 100%
	resolve_without_b
}

reach_diverged() {
	reach_unheard
	resolve_without_b
	lose_packets "$ns_b" 0%
	must wait_for 60 are_diverged
}

# ---- faults ----

# lose_packets NAMESPACE SHARE: of what it sends
lose_packets() { tc -n "$1" qdisc change dev wire root netem delay 1ms limit 100000 rate 20mbit loss "$2"; }

cut_wire() { ip -n "$ns_a" link set wire down; }

# The helper of B that was stopped
go_on() {
	[ -z "$stopped" ] || kill -CONT "$stopped" 2> /dev/null
	stopped=
}

# All that stands in the way is taken away
clear_way() {
	unhold
	go_on
	ip -n "$ns_a" link set wire up
	lose_packets "$ns_a" 0%
	lose_packets "$ns_b" 0%
	rm -f "$work/b.state/filler"
}

mend() {
	clear_way
	kill -0 "$(helper_pid a)" 2> /dev/null || must start_helper_of "$ns_a" a
	kill -0 "$(helper_pid b)" 2> /dev/null || must start_helper_of "$ns_b" b
}

# One that is stopped does not tell its pid
kill_b() {
	local pid=${stopped:-$(helper_pid b)}
	stopped=
	kill -KILL "$pid"
	ended "$pid" 20 || bail "$case: the helper of B does not end"
}

fault_kill_a() { must kill_helper a; }
fault_kill_b() { kill_b; }
fault_kill_ab() { must kill_helper a; kill_b; }
# As long as A does not know what became of it, it keeps all out
fault_cut() {
	cut_wire
	unhold
	go_on
	sleep 1
	is_handed || return 0
	ok "$case: A is in doubt" wait_for 60 state_is a "$db" 'in doubt'
	ok "$case: and frozen" has_flag a "$db" frozen
}
fault_cut_ab() { lose_packets "$ns_a" 100%; unhold; go_on; sleep 1; }
fault_cut_ba() { lose_packets "$ns_b" 100%; unhold; go_on; sleep 1; }
fault_reset() {
	reset_connections > "$work/reset"
	case $case in
	resolved* | diverged*) note "$case: $(wc -l < "$work/reset") of its connections are reset" ;;	# there need not be any
	*) ok "$case: its connections are reset" test -s "$work/reset" ;;
	esac
}

fault_full_b() { dd if=/dev/zero of="$work/b.state/filler" bs=64k status=none 2> /dev/null; unhold; go_on; sleep 1; }

# The user on B gives up, at once; a helper that is stopped hears it when it goes on
fault_abort_b() {
	within 60 regionctl abort --instance b "$db" > "$work/aborted" 2>&1 & aborting=$!
	sleep 0.2
	go_on
	unhold
	ended "$aborting" 30 || bail "$case: abort on B does not end"
}

# A is lost; B's user gives up if he can. Then A comes back.
fault_lose_a() {
	must kill_helper a
	fault_abort_b
}

# B is lost, and the operator of A decides that it is his, if that is in doubt. Then B comes back.
fault_lose_b() {
	kill_b
	unhold
	! is_handed || must wait_for 10 on a resolve "$db" --i-own-it
}

# ---- a host is lost for good ----

# destroy HOST NAMESPACE: what runs there has been killed
destroy() {
	umount -i "$work/$1" || umount -i -l "$work/$1"
	ok "$case: host $1 is lost for good" within 40 nsenter "--net=/run/netns/$2" regionctl instance stop "$1" --discard
	rm -rf "$work/$1.state"/* "/run/regionfs/$1"
}

# replace HOST NAMESPACE: by a new one, for the next case
replace() {
	clear_way
	start_host "$2" "$1" source=memory:
}

# The operator of A makes it A's, where that is not clear
is_back_on_a() {
	case $(state_on a) in
	'handed off' | 'in doubt') on a resolve "$db" --i-own-it ;;
	diverged | resolved) on a resolve "$db" --keep ;;
	*) serves a; return ;;
	esac > /dev/null 2>&1
	return 1
}

gone_b() {
	kill_b
	unhold
	destroy b "$ns_b"
	if has_flag a "$db" moved; then
		note "$case: it is lost with B"
	else
		ok "$case: it is on A" wait_for 60 is_back_on_a
		end_program
		check_bytes "$a"
	fi
	on a abort "$db" --force > /dev/null 2>&1	# it has ended if B had all
	must wait_for 60 on a rm "$db" --discard
	replace b "$ns_b"
}

# What B has not got is lost; what it has is right
check_rest() {
	local lost
	[ "$(state_on b)" != owned ] || must within 30 regionctl resolve --instance b "$db" --source-lost
	must wait_for 30 serves b
	lost=$(stat_of b "$db" '.handover.lost_bytes // 0')
	note "$case: $lost bytes of it were lost with A"
	if [ "$lost" = 0 ]; then
		check_bytes "$b"
	else
		ok "$case: what has come is what it was" cmp "$work/random" <(within 60 python3 "$work/others" "$b/$db" "$work/random")
	fi
}

give_up_on_b() {
	ok "$case: it is lost with A, and B gives up" within 60 regionctl abort --instance b "$db"
	ok "$case: B has nothing of it" wait_for 30 is_gone b
}

# Nothing that A's helper or kernel say when they end gets to B
gone_a() {
	local pid
	cut_wire
	pid=$(helper_pid a) && kill -KILL "$pid"
	kill -KILL "$(cat "$work/program")" 2> /dev/null
	destroy a "$ns_a"
	unhold
	go_on
	case $state in
	unheard | behind) ok "$case: B has it" wait_for 30 is_owned && check_rest ;;
	handed) if wait_for 5 is_owned; then check_rest; else give_up_on_b; fi ;;	# the answer was on its way
	# the program went on on A
	diverged) must on b resolve "$db" --keep --force && ok "$case: it is on B" wait_for 30 serves b ;;
	refused) ok "$case: it is lost with A" is_gone b ;;
	*) give_up_on_b ;;
	esac
	is_gone b || must wait_for 30 on b rm "$db" --discard
	replace a "$ns_a"
}

# ---- the end ----

# Neither moves any more: one of them has it, or both know of each other
is_settled() {
	case $(state_on a),$(state_on b) in
	complete,complete | diverged,diverged) return ;;
	# who was killed when it had ended knows nothing of it any more
	null,complete | complete,null | null,null) return ;;
	esac
	[ "$(state_on b)" != pulling ] || on b finalize "$db" > /dev/null 2>&1
	is_gone b && serves a
}

# Two owners, as an operator has made it: he decides again
settle_divergence() {
	must on b resolve "$db" --discard
	must on a resolve "$db" --keep
}

check_bytes() {
	local mount=$1 steps
	steps=$(wc -l < "$work/steps")
	is "$(within 60 counters "$mount/$db" check 2>&1)" "$steps" "$case: its counters agree with its steps"
	ok "$case: every step once" cmp "$work/steps" <(seq 0 $((steps - 1)))
	ok "$case: all other bytes are what they were" cmp "$work/random" <(within 60 python3 "$work/others" "$mount/$db")
}

end_program() {
	kill "$(cat "$work/program")" 2> /dev/null
	ended "$(cat "$work/program")" 20 || bail "$case: the program does not end"
}

conclude() {
	local owner
	if ! wait_for 60 is_settled; then
		note "A: $(on a stat "$db" --json 2>&1 | jq -c .handover) B: $(on b stat "$db" --json 2>&1 | jq -c .handover)"
		bail "$case: it does not end"
	fi
	[ "$(state_on b)" != diverged ] || settle_divergence
	if is_gone b; then owner=a; else owner=b; fi
	note "$case: it is on $owner"
	end_program
	if [ $owner = a ]; then check_bytes "$a"; else check_bytes "$b"; fi
	[ "$(state_on a)" != resolved ] || must on a resolve "$db" --keep
	[ $owner = b ] || on a abort "$db" --force > /dev/null 2>&1
	[ $owner = a ] || must wait_for 30 on b rm "$db" --discard
	must wait_for 60 on a rm "$db" --discard
}

no_jobs() { [ -z "$(jobs -rp)" ]; }

run_case() {
	local state=$1 fault=$2
	case="$state $fault" stopped=
	begin
	rm -f "$work/both"
	# where the operator has made two owners it is looked at once they know of each other
	[ "$state" != diverged ] || "reach_$state"
	touch "$work/watching"
	watch_owners & watching=$!
	[ "$state" = diverged ] || "reach_$state"
	case $fault in
	gone_*) "$fault" ;;
	*) "fault_$fault" && mend && conclude ;;
	esac
	rm -f "$work/watching" "$work/b.state/$db"
	wait $watching 2> /dev/null
	ok "$case: never did both serve it" test ! -e "$work/both"
	ok "$case: commands have ended" wait_for 30 no_jobs
}

# The bytes of a region but the counters, as in random; with RANDOM, what cannot be read is as there
cat > "$work/others" <<-'END'
	import os, sys
	region = os.open(sys.argv[1], os.O_RDONLY)
	lost = open(sys.argv[2], 'rb').read() if len(sys.argv) > 2 else None
	for page in range(0, os.fstat(region).st_size, 4096):
	    n = 8 if page else 24
	    try:
	        data = os.pread(region, 4096, page)
	    except OSError:
	        if lost is None:
	            raise
	        data = lost[page:page + 4096]
	    sys.stdout.buffer.write(bytes(n) + data[n:])
END

# Random bytes, but where the program has its counters
python3 -c '
import os, sys
for page in range(int(sys.argv[1]) // 4096):
	sys.stdout.buffer.write((bytes(64) if page else bytes(4096)) + os.urandom(4032 if page else 0))
' $size > "$work/random"
n=0
touch "$work/errors"
begin_at=${SEED:-0}
for ((round = 0; round < ${COUNT:-1}; round++)); do
	for s in "${!states[@]}"; do
		for f in "${!faults[@]}"; do
			[ -n "${REGIONFS_SOAK:-}" ] || [ $(((s * 5 + f + begin_at) % 6)) -eq 0 ] || continue
			run_case "${states[s]}" "${faults[f]}"
		done
	done
done
done_testing
