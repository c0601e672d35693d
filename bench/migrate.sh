#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures how long a program stands still when its region moves to another host over a link, and how long all of that takes, beside
# copying the file while the program is stopped, rsync, and one bulk TCP stream over the same link.
#
#   migrate.sh [OPTION]...        as root, in a VM (scripts/vm.sh run -- bench/migrate.sh) or on a machine of its own
#
#   --rtts LIST     ms (default 10)
#   --rates LIST    (default 200mbit)
#   --dirty LIST    what the program changes, in distinct pages, in % of what the link carries (default "0 1 150"); without a rate that is
#                   what tcp had in that round
#   --order ORDER   of these pages: seq (default), 16 of which are a chunk, or random
#   --size MIB      of the file (default 256)
#   --rounds N      (default 1); variants alternate within a round
#   --variants LIST or "all" (default "stop rsync precopy postcopy ours ours-plain")
#   --max-downtime MS  that "ours" is given (default 2 RTT + 50)
#   --patience S    that "precopy" waits for its rounds to get small (default 30)
#   --state DEVICE  a disk that is formatted for what both helpers keep durably (default: the file system of $TMPDIR, where syncing may cost nothing)
#   --segments N    MTUs in a packet where there is a rate (default 1)
#   --bin DIR       where bench-io, bench-touch and bench-migrate are (default ../build/bench)
#
#   tcp        no program: the file once; always measured, each round
#   stop       the program is stopped, the file copied by TCP, the program started there
#   rsync      a pass of rsync while the program runs, another one while it is stopped, the program started there
#   precopy    seed and leech; handed over when all is there and rounds are small, or after --patience; the program there begins when
#              all has come
#   postcopy   seed and leech; handed over at once, all is fetched behind
#   ours       seed and leech --max-downtime; the program there is started before and waits
#   hook       the same, with a suspend hook that ends the program here; else the frozen region stops it
#   throttle   the same as ours, with --on-stall throttle
#
# -plain is without TLS. Downtime is from the last store that the program has made here to the first one there, by the clock of both.
# What it has written is compared with what is there in the end. Prints lines of JSON, then tables (migrate.awk).
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rtts=10 rates=200mbit dirties='0 1 150' order=seq size=256 rounds=1 max_downtime='' patience=30 segments=1 state='' bin=$here/../build/bench
variants='stop rsync precopy postcopy ours ours-plain'

# shellcheck source=bench/options.sh
. "$here/options.sh"
take_options 'rtts rates dirty=dirties order size rounds variants max-downtime=max_downtime patience segments state bin' "$@"
[ "$variants" != all ] || variants='stop rsync precopy postcopy ours hook throttle precopy-plain postcopy-plain ours-plain'

# shellcheck source=bench/hosts.sh
. "$here/hosts.sh"

bytes=$((size << 20))
declare -A program		# pid of each side's
declare -A said			# what it says comes from this descriptor
leech='' seeder=''

# ---- the program: a is here (far), b is there (near)

# program SIDE FILE [OPTION]...: starts it
program() {
	local side=$1 file=$2
	shift 2
	bench-migrate write --as "$side" --log "$work/far/log" --size $bytes --rate "$speed" --order "$order" "$@" "$file" \
		< "$work/gate" > "$work/says.$side" 2> "$work/program.$side" &
	program[$side]=$!
}

# says SIDE WORD [SECONDS]
says() {
	local word
	read -t "${3:-120}" -r -u "${said[$1]}" word && [ "$word" = "$2" ] && return
	tail -n 1 "$work/program.$1" > "$work/log"
	return 1
}

# What one has said that nobody has read is not for the next one
pipes_up() {
	local side fd
	for side in a b; do
		[ -z "${said[$side]:-}" ] || { fd=${said[$side]}; exec {fd}<&-; }
		rm -f "$work/says.$side"
		mkfifo "$work/says.$side"
		exec {fd}<> "$work/says.$side"
		said[$side]=$fd
	done
	[ -p "$work/gate" ] || mkfifo "$work/gate"
	[ -n "${gate:-}" ] || exec {gate}<> "$work/gate"
}

open_gate() { echo >&"$gate"; }

# stop_program SIDE: after a store of it
stop_program() {
	[ -n "${program[$1]:-}" ] || return 0
	kill "${program[$1]}" 2> /dev/null
	wait "${program[$1]}" 2> /dev/null
	program[$1]=''
}

# Whatever is left of a run that has failed
end_run() {
	local pid
	for pid in "${program[a]:-}" "${program[b]:-}" "$leech" "$seeder"; do
		[ -z "$pid" ] || { kill -KILL "$pid"; wait "$pid"; } 2> /dev/null
	done
	program=() leech='' seeder=''
}

# started FILE: the program runs on A, for long enough to have its rate
started() {
	rm -f "$work/far/log"
	pipes_up
	program a "$1"
	says a ready && says a going && sleep 1
}

# ---- results

tags() { printf '"variant":"%s","rtt":%s,"rate":"%s","round":%s,"dirty":%s' "$1" "$rtt" "$rate" "$round" "$dirty"; }

failed() {
	local why
	why=$(tail -n 1 "$work/log" | tr -cd "[:alnum:] .,:;/_()'-")
	say "$1 failed, $dirty %, $rtt ms: $why"
	record "{$(tags "$1"),\"failed\":\"migrate\",\"why\":\"$why\"}"
}

# shellcheck disable=SC2016 # awk's, not the shell's
wire_bytes() { in_far awk '/wire:/ { print $10 }' /proc/net/dev; }

# The clock of all of it begins; what TCP has learned is forgotten
begin() {
	link_forget
	wire=$(wire_bytes)
	since=$(bench-io now)
}

# result VARIANT TOTAL-NS FILE [MORE]: once the program is on B
result() {
	local sent line
	sent=$(($(wire_bytes) - wire))
	stop_program b
	line=$(bench-migrate report "$work/far/log" 2> "$work/log") && bench-migrate check "$work/far/log" "$3" 2> "$work/log" || return
	record "{$(tags "$1"),\"measure\":\"migrate\",\"size\":$bytes,\"speed\":$speed,\"total_ns\":$2,\"wire_bytes\":$sent,$line${4:-}}"
}

# ---- tcp, stop, rsync: a file

# Three, and the last one counts
run_tcp() {
	local i line
	for i in 1 2 3; do
		[ "$i" = 1 ] || link_forget
		line=$(in_near timeout 600 bench-io receive --tags "$(tags tcp)" "$link_far" 7100 2> "$work/log") || { failed tcp; return; }
	done
	record "$line"
	tcp_speed=$(jq '.bytes * 1000000000 / .total_ns | floor' <<< "$line")
}

renew() {
	rm -f "$work/far/copied"
	cp "$work/far/data" "$work/far/live"
	started "$work/far/live" && program b "$work/far/copied" --gate && says b ready
}

# What is left to do when the copy is there
go_on() {
	open_gate
	says b going || return
	result "$1" $(($(bench-io now) - since)) "$work/far/copied"
}

run_stop() {
	renew || return
	begin
	stop_program a
	in_near timeout 600 bench-io receive "$link_far" 7101 "$work/far/copied" > /dev/null 2> "$work/log" && go_on stop
}

# The size and the times of a file that is written through a mapping tell it nothing
pass() { in_near timeout 600 rsync -I --inplace --no-whole-file "rsync://$link_far:7873/far/live" "$work/far/copied" > "$work/log" 2>&1; }

run_rsync() {
	renew || return
	begin
	pass
	stop_program a
	pass && go_on rsync
}

# ---- a region

security_of() {
	case $1 in
	*-plain) echo --insecure ;;
	*) echo "--tls-psk $work/key" ;;
	esac
}

# leech_can WORD
leech_can() { regionctl leech --help | grep -q -- "--$1"; }

leech_options() {
	case $1 in
	throttle*) echo "--max-downtime ${max_downtime:-$((2 * rtt + 50))}ms --on-stall throttle" ;;
	ours* | hook*) ! leech_can max-downtime || echo "--max-downtime ${max_downtime:-$((2 * rtt + 50))}ms" ;;
	*) ! leech_can max-downtime || echo '--finalize manual' ;;
	esac
}

seed() {
	local i options=()
	case $1 in hook*) options=(--suspend "$work/suspend") ;; esac
	printf '#!/bin/sh\nkill %s\nwhile kill -0 %s 2> /dev/null; do sleep 0.01; done\n' "${program[a]}" "${program[a]}" > "$work/suspend"
	chmod +x "$work/suspend"
	# shellcheck disable=SC2046 # several options
	far seed live --listen "$link_far:7001" $(security_of "$1") "${options[@]}" --json > "$work/seeded" 2> "$work/log" &
	seeder=$!
	for ((i = 0; i < 200; i++)); do
		[ "$(far stat live --json | jq -r .handover.state)" = serving ] && return
		sleep 0.05
	done
	return 1
}

finalize() { near finalize live --json > "$work/finalized" 2> "$work/log"; }

# small SECONDS: until all is there, and a round brings little; or the time is up. Fails when leech has ended
small() {
	local end=$((SECONDS + $1)) was_rounds=0 was_bytes=0 rounds bytes missing
	while [ $SECONDS -lt "$end" ]; do
		kill -0 "$leech" || return
		read -r rounds bytes missing < <(near stat live --json 2> /dev/null |
			jq -r '.handover | "\(.rounds // 0) \(.bytes // 0) \(.total - .done)"' 2> /dev/null)
		if [ "${rounds:-0}" -gt "$was_rounds" ]; then
			[ "$was_rounds" -eq 0 ] || [ "$missing" -gt 0 ] ||
				[ $((bytes - was_bytes)) -gt $(((rounds - was_rounds) << 20)) ] || return 0
			was_rounds=$rounds was_bytes=$bytes
		fi
		sleep 0.1
	done
}

# Of regionctl's own words, the numbers
numbers() { jq -r 'with_entries(select(.value | type == "number")) | tostring | .[1:-1]' "$1"; }

# hand_over VARIANT: what makes it happen
hand_over() {
	says b ready || return
	case $1 in
	postcopy*) finalize ;;
	precopy*) small "$patience" && finalize ;;
	*) leech_can max-downtime || { small "$patience" && finalize; } ;;
	esac
}

region() {
	local variant=$1 total gated=''
	case $variant in precopy*) gated=--gate ;; esac
	start_far > "$work/log" 2>&1 && start_near || return
	far add live --size $bytes > "$work/log" 2>&1 && cp "$work/far/data" "$work/far.mnt/live" && far sync live > "$work/log" 2>&1 || return
	started "$work/far.mnt/live" || return
	# shellcheck disable=SC2086 # one option or none
	program b "$work/near/live" $gated
	seed "$variant" || return
	begin
	# shellcheck disable=SC2046 # several options
	near leech live "peer://$link_far:7001/live" $(security_of "$variant") $(leech_options "$variant") --json \
		> "$work/leeched" 2> "$work/log" &
	leech=$!
	hand_over "$variant" || return
	wait $leech || return
	total=$(($(bench-io now) - since))
	leech=''
	[ -z "$gated" ] || open_gate
	says b going || return
	result "$variant" "$total" "$work/near/live" \
		",$(numbers "$work/leeched"),\"helper_kib\":$(helper_kib near),\"seeder_kib\":$(helper_kib far)" || return
	wait $seeder
	seeder=''
}

run_region() {
	region "$1"
	local rc=$?
	end_run
	stop_near
	stop_far
	return $rc
}

# ---- all of it

declare -A told
possible() {
	local why=''
	case $1 in
	rsync) type rsync > /dev/null 2>&1 || why='no rsync: run scripts/deps.sh' ;;
	throttle*) leech_can on-stall || why='regionctl leech has no --on-stall' ;;
	esac
	[ -n "$why" ] || return 0
	[ -n "${told[$1]:-}" ] || record "{\"variant\":\"$1\",\"skipped\":\"$why\"}"
	told[$1]=1
	return 1
}

variant() {
	possible "$1" || return
	case $1 in
	stop | rsync) "run_$1" ;;
	*) run_region "$1" ;;
	esac || failed "$1"
	end_run
}

one_round() {
	local full
	dirty=0
	run_tcp
	full=$tcp_speed
	[ "$rate" = unlimited ] || full=$(($(link_bits "$rate") / 8))
	for dirty in $dirties; do
		speed=$((full * dirty / 100))
		for variant in $variants; do variant "$variant"; done
	done
}

link_segments=$segments
hosts_up "$bin" "$state"
stop_far
cp "$bin/bench-migrate" "$work" || die "$bin holds no bench-migrate: run make"
record "$(printf '{"kernel":"%s","cpus":%s,"rounds":%s,"size_mib":%s,"order":"%s","segments":%s,"state":"%s"}' \
	"$(uname -r)" "$(nproc)" "$rounds" "$size" "$order" "$segments" "${state:-tmp}")"
{ fill "$work/far/data" "$size" && cp "$work/far/data" "$work/far/live"; } || die "cannot fill $work/far/data"
behind bench-io send "$link_far" 7100 "$work/far/data"
behind bench-io send "$link_far" 7101 "$work/far/live"
printf 'uid=root\ngid=root\nuse chroot=no\n[far]\npath=%s\n' "$work/far" > "$work/rsyncd.conf"
! type rsync > /dev/null 2>&1 ||
	behind rsync --daemon --no-detach --address "$link_far" --port 7873 --config "$work/rsyncd.conf" --log-file "$work/rsyncd.log"
tcp_speed=0
for rate in $rates; do
	for rtt in $rtts; do
		link_set "$rtt" "$rate" || die 'cannot set the link'
		record "{\"link\":\"$(link_settings)\",\"rtt\":$rtt,\"rate\":\"$rate\"}"
		for ((round = 1; round <= rounds; round++)); do one_round; done
	done
done
awk -f "$here/json.awk" -f "$here/table.awk" -f "$here/migrate.awk" "$work/results"
