# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the whole machine does while something is measured, the helpers', the kernel's and the other host's part too, as members of JSON.
#
#   . hosts.sh; . usage.sh      after hosts_up: usage_up
#   usage_begin
#   ...
#   usage_end                   "cpu_ns":N,"switches":N,"network_bytes":N
#
# CPU time comes in ticks of 10 ms, sampled by the kernel's timer: a measure of less than a second says little. Network bytes are those that
# have come through the link, both ways, with their headers; what netem has lost is not among them.

usage_pid=''

# A process of the far host, whose /proc/PID/net/dev is read without starting anything
usage_up() {
	behind sleep infinity
	usage_pid=$!
}

# Sets usage_ticks, usage_switches, usage_bytes
usage_now() {
	local cpu user nice system idle iowait irq softirq word rest device received sent
	{
		read -r cpu user nice system idle iowait irq softirq rest
		while read -r word rest; do
			[ "$word" != ctxt ] || usage_switches=$rest
		done
	} < /proc/stat
	: "$cpu" "$idle" "$iowait"
	usage_ticks=$((user + nice + system + irq + softirq))
	while read -r device received _ _ _ _ _ _ _ sent _; do
		[ "$device" != wire: ] || usage_bytes=$((received + sent))
	done < "/proc/$usage_pid/net/dev"
}

usage_begin() {
	usage_now
	usage_before=("$usage_ticks" "$usage_switches" "$usage_bytes")
}

usage_end() {
	usage_now
	printf '"cpu_ns":%s,"switches":%s,"network_bytes":%s' $(((usage_ticks - usage_before[0]) * 10000000)) \
		$((usage_switches - usage_before[1])) $((usage_bytes - usage_before[2]))
}
