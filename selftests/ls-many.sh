#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# COUNT regions: all are listed, by path, as JSON and as a table. What it costs is told: the processor's work, not time, beside what
# jq needs to print the same.
#
# timeout: 300
. "$(dirname "$0")/common.sh"
need jq
count=${COUNT:-2000}
hz=$(getconf CLK_TCK)

make_all() {
	local i
	for ((i = 0; i < count; i++)); do
		((i % 100)) || mkdir "$mnt/d$((i / 100))" || return
		: > "$mnt/d$((i / 100))/r$i" || return
	done
}

# What regiond has used so far, in milliseconds
used() { awk -v hz="$hz" '{print int(($14 + $15) * 1000 / hz)}' "/proc/$pid/stat"; }

# costs COMMAND...: milliseconds of the processor, its own and regiond's
costs() {
	local before own TIMEFORMAT='%3U %3S'
	before=$(used)
	own=$({ time "$@" > "$work/out" 2> "$work/err"; } 2>&1 | awk '{print int(($1 + $2) * 1000)}')
	echo $(($(used) - before + own))
}

# least COMMAND...: the least of three numbers that it prints
least() { for _ in 1 2 3; do "$@"; done | sort -n | head -1; }

settled() { local before; before=$(used); sleep 0.5; [ $(($(used) - before)) -le 20 ]; }

start_instance many "source=file:$work/many.files/"
pid=$(helper_pid many)
ok "$count regions are made" make_all
ok 'regiond has heard of them' wait_for 60 settled
least=$(least costs regionctl ls --instance many --json)
cp "$work/out" "$work/json"
is "$(jq '.regions | length' "$work/json")" "$count" 'all are listed'
is "$(jq -r '.regions[].path' "$work/json" | LC_ALL=C sort -c && echo sorted)" sorted 'by path'
note "ms as JSON: $least, by jq: $(least costs jq . "$work/json"), as a table: $(least costs regionctl ls --instance many)"
regionctl ls --instance many > "$work/out"
is "$(wc -l < "$work/out")" $((count + 1)) 'the table has all of them'
done_testing
