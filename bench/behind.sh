#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures how long a program waits for what it touches after an early hand-over, while the rest of its region comes over a narrow link.
#
#   behind.sh [OPTION]...         as root, in a VM (scripts/vm.sh run -- bench/behind.sh) or on a machine of its own
#
#   --rtts LIST     ms (default 2)
#   --rates LIST    (default 20mbit)
#   --size MIB      of the region (default 64)
#   --seconds S     that the program touches random pages (default 12)
#   --every-ms N    from one to the next (default 20)
#   --rounds N      (default 1)
#   --bin DIR       where bench-io and bench-touch are (default ../build/bench)
#
# A page that took less than 2 ms was there already. Prints lines of JSON, then a table; link_ms is what a chunk of 64 KiB alone takes.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rtts=2 rates=20mbit size=64 seconds=12 every=20 rounds=1 bin=$here/../build/bench

# shellcheck source=bench/options.sh
. "$here/options.sh"
take_options 'rtts rates size seconds every-ms=every rounds bin' "$@"

# shellcheck source=bench/hosts.sh
. "$here/hosts.sh"

tags() { printf '"variant":"behind","rtt":%s,"rate":"%s","round":%s' "$rtt" "$rate" "$round"; }

bytes_here() { near stat live --json | jq .handover.bytes; }
is_seeded() { [ "$(far stat live --json | jq -r .handover.state)" = serving ]; }

region() {
	local before line link_ms
	start_far && start_near || return
	far add live --size $((size << 20)) && cp "$work/far/data" "$work/far.mnt/live" && far sync live || return
	far seed live --listen "$link_far:7001" --tls-psk "$work/key" --detach && until_ is_seeded || return
	near leech live "peer://$link_far:7001/live" --tls-psk "$work/key" --finalize manual --detach && near finalize live || return
	before=$(bytes_here)
	line=$(bench-io random --tags "$(tags)" --pages $((size << 8)) --seconds "$seconds" --every-ms "$every" --floor-us 2000 "$work/near/live") || return
	link_ms=$((rtt + 65536 * 8 * 1000 / $(link_bits "$rate")))
	echo "${line%\}},\"link_ms\":$link_ms,\"fetched\":$(($(bytes_here) - before))}"
}

one() {
	if region > "$work/out" 2> "$work/log"; then
		record "$(tail -n 1 "$work/out")"
	else
		record "{$(tags),\"failed\":\"behind\",\"why\":\"$(tail -n 1 "$work/log" | tr -cd "[:alnum:] .,:;/_()'-")\"}"
	fi
	stop_near
	stop_far
}

hosts_up "$bin"
stop_far
fill "$work/far/data" "$size" || die "cannot fill $work/far/data"
record "$(printf '{"kernel":"%s","cpus":%s,"rounds":%s,"size_mib":%s}' "$(uname -r)" "$(nproc)" "$rounds" "$size")"
for rtt in $rtts; do
	for rate in $rates; do
		link_set "$rtt" "$rate"
		for ((round = 1; round <= rounds; round++)); do one; done
	done
done
jq -rs '["rtt", "rate", "waited", "median ms", "90 %", "99 %", "longest", "a chunk", "MB/s behind"],
	(.[] | select(.samples) | [.rtt, .rate, .samples, (.median_ns, .p90_ns, .p99_ns, .max_ns | . / 1e5 | round / 10), .link_ms, (.fetched / .total_ns * 1e4 | round / 10)])
	| @tsv' "$work/results"
