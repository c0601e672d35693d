#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# That plot.sh draws what was measured: from a few lines of each script, the figures in gnuplot's scripts, and in the SVG where there is gnuplot.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/regionfs-plot-test.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
failed=0

# has FILE WORDS...: a line of it is, or with grep's option -e has, these
has() {
	local file=$work/$1
	shift
	grep -qF "$@" "$file" && return
	echo "plot-test.sh: ${file##*/} lacks $*" >&2
	failed=1
}

lacks() {
	grep -qF -e "$2" "$work/$1" || return 0
	echo "plot-test.sh: $1 has $2" >&2
	failed=1
}

# touch PEER MEASURE ROUND MEDIAN-NS MEAN-NS MIB-S, as bench-touch prints it
touch_() {
	printf '{"peer":"%s","measure":"%s","round":%s,"samples":9,"seed":1,"median_ns":%s,"p10_ns":1,"mean_ns":%s,"total_ns":9,"bytes":4096,"mib_s":%s}\n' "$@"
}

# Round 0 does not count, random goes by medians and threads by means; a table stands below
run_lines() {
	echo '{"command":"vm.sh -- bench/run.sh --peers '\''fuse regionfs'\''","commit":"abc1234","machine":"some CPU"}'
	echo '{"kernel":"6.1.0-test","cpus":1,"clock":"icount","rounds":3,"size_mib":64,"pages":300,"seed":1}'
	echo '{"peer":"nbd","skipped":"no nbdkit or nbd-client"}'
	touch_ regionfs random 0 99000 99000 99
	touch_ regionfs random 1 7100 1 1
	touch_ regionfs random 2 7200 1 1
	touch_ regionfs random 3 7900 1 1
	touch_ fuse random 1 21500 1 1
	touch_ regionfs threads 1 1 8300 1
	touch_ regionfs seq 1 1 1 2105.5
	touch_ fuse seq 1 1 1 824
	touch_ tmpfs msync 1 1 1 284278
	printf '\nrandom: a cold 4 KiB page\n'
}

managed_lines() {
	echo '{"kernel":"6.1.0-test","cpus":2,"rounds":2,"size_mib":256,"write_mib":32,"segments":1}'
	printf '{"variant":"%s","rtt":%s,"rate":"%s","round":%s,"measure":"seq","bytes":1,"total_ns":1,"mib_s":%s}\n' \
		managed 10 200mbit 1 20.25 managed 10 200mbit 2 21.25 managed 0 200mbit 1 19.5 tcp 0 200mbit 1 22.5 managed 0 unlimited 1 88.5
	echo '{"variant":"managed","rtt":0,"rate":"none","round":1,"backend":"file","measure":"seq","mib_s":777}'
}

migrate_lines() {
	echo '{"kernel":"6.1.0-test","cpus":2,"rounds":1,"size_mib":256,"order":"seq","segments":1}'
	echo '{"variant":"tcp","rtt":10,"rate":"200mbit","round":1,"dirty":0,"measure":"seq","total_ns":11400000000,"mib_s":22.4}'
	printf '{"variant":"%s","rtt":10,"rate":"200mbit","round":1,"dirty":%s,"measure":"migrate","total_ns":%s,"downtime_ns":%s}\n' \
		ours 0 12500000000 28400000 ours 50 42100000000 533000000 ours-plain 0 11900000000 27000000
}

run_lines > "$work/run.log"
managed_lines > "$work/managed.jsonl"
migrate_lines > "$work/migrate.jsonl"
draw() { "$here/plot.sh" --results "$work/run.log $work/managed.jsonl $work/migrate.jsonl" --note 'a\note' "$@" > "$work/said" || failed=1; }

draw --out "$work" --scripts
# where, median, smallest, largest, and what is written there
has run-latency.gp -x '1 7.2 7.1 7.9 7.20'
has run-latency.gp -x '2 21.5 21.5 21.5 21.5'
has run-latency.gp -x '4.5 8.3 8.3 8.3 8.30'
has run-latency.gp "'\$ vm.sh -- bench/run.sh --peers ''fuse regionfs'''"
has run-latency.gp "'Linux 6.1.0-test, 1 CPU; some CPU; commit abc1234'"
has run-latency.gp "'a\note'"
has run-throughput.gp -x '1 2105.5 2105.5 2105.5 2106'
lacks run-throughput.gp 284278
has managed-seq-200mbit.gp -x '2.3979 20.75 20.25 21.25 20.8'
has managed-seq-unlimited.gp -x '0.0000 88.5 88.5 88.5 88.5'
lacks managed-seq-unlimited.gp 777
has migrate-downtime-200mbit.gp -x '2.3979 28.4 28.4 28.4 28.4'
has migrate-downtime-200mbit.gp -x '2.3979 533 533 533 533'
has migrate-total-200mbit.gp -x '2.3979 11.4 11.4 11.4 11.4'
has migrate-total-200mbit.gp -x '2.3979 42.1 42.1 42.1 42.1'

if type gnuplot > /dev/null 2>&1; then
	draw --out "$work/plots"
	has plots/run-latency.svg -x '<title>What an access takes (less is better)</title>'
	has plots/run-latency.svg '<text>7.20</text>'
	has plots/run-latency.svg '<text>8.30</text>'
	has plots/run-throughput.svg '<text>2106</text>'
	has plots/managed-seq-200mbit.svg '<text>regionfs, managed</text>'
	has plots/migrate-downtime-200mbit.svg '<text>28.4</text>'
	has plots/migrate-total-200mbit.svg '<text>regionfs, no TLS</text>'
	[ "$(find "$work/plots" -name '*.png' -size +0 | wc -l)" = 6 ] || { echo 'plot-test.sh: not all plots are there as PNG' >&2; failed=1; }
	draw --out "$work/again"
	diff -r "$work/plots" "$work/again" || failed=1
else
	echo 'plot-test.sh: there is no gnuplot: only its scripts were looked at'
fi
exit $failed
