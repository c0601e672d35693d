# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Two hosts with a link between them: network namespaces "near" and "far", a veth pair, netem on both of its ends.
#
#   . link.sh
#   link_up
#   link_set 30 200mbit         an RTT of 30 ms, half of it each way; or "unlimited"
#   link_set 10 200mbit 0.1     0.1 % of the packets are lost, each way
#   in_near COMMAND...; in_far COMMAND...
#   link_down
#
# netem's queue counts packets, and holds what is on its way as well as what waits: 2 x BDP of them, each of a full MTU. It takes
# a segment of 64 KiB for one packet, so segmentation is left to TCP where there is a rate, or loss ($link_segments MTUs a packet).

link_near=10.11.1.2
link_far=10.11.1.1
link_segments=${link_segments:-1}
link_least=256			# packets, however small the BDP is

in_near() { nsenter --net=/run/netns/near "$@"; }
in_far() { nsenter --net=/run/netns/far "$@"; }

# Whether this kernel and this machine can; says what is missing
link_possible() {
	local m
	for m in ip tc nsenter; do type "$m" > /dev/null 2>&1 || { echo "no $m: run scripts/deps.sh"; return 1; }; done
	for m in veth sch_netem; do
		modprobe -q "$m" || [ -d "/sys/module/$m" ] || { echo "the kernel has no $m"; return 1; }
	done
}

link_up() {
	local host
	link_possible >&2 || return
	for host in near far; do ip netns add "$host" || return; done
	ip -n near link add wire type veth peer name wire netns far || return
	ip -n near addr add "$link_near/24" dev wire
	ip -n far addr add "$link_far/24" dev wire
	for host in near far; do
		ip -n "$host" link set lo up
		ip -n "$host" link set wire up || return
	done
}

link_down() {
	local host
	for host in near far; do ip netns del "$host"; done
}

# Bits a second: 200mbit, 1gbit
link_bits() {
	case $1 in
	*gbit) echo $((${1%gbit} * 1000000000)) ;;
	*mbit) echo $((${1%mbit} * 1000000)) ;;
	*) return 1 ;;
	esac
}

# link_packets RTT-MS RATE: 2 x BDP
link_packets() {
	local packets
	packets=$(($(link_bits "$2") * $1 * 2 / (8 * 1000 * 1500 * link_segments)))
	echo $((packets > link_least ? packets : link_least))
}

# link_set RTT-MS RATE [LOSS-%]: for connections that are made from now on
link_set() {
	local rtt=$1 rate=$2 loss=${3:-0} host delay limit=200000 segments=65535
	delay=$((rtt * 500))us
	[ "$loss" = 0 ] || segments=$link_segments
	if [ "$rate" != unlimited ]; then
		limit=$(link_packets "$rtt" "$rate") || return
		segments=$link_segments
	fi
	for host in near far; do
		tc -n "$host" qdisc del dev wire root 2> /dev/null
		ip -n "$host" link set dev wire gso_max_segs "$segments" || return
		[ "$rtt $rate $loss" = '0 unlimited 0' ] && continue
		# shellcheck disable=SC2046 # two arguments or none
		tc -n "$host" qdisc add dev wire root netem delay "$delay" limit "$limit" \
			$([ "$loss" = 0 ] || echo loss "$loss%") $([ "$rate" = unlimited ] || echo rate "$rate") || return
	done
	link_forget
}

# What TCP has learned of the path is not for the next one to profit from
link_forget() {
	local host
	for host in near far; do ip -n "$host" tcp_metrics flush; done
}

link_settings() { tc -n near qdisc show dev wire root | sed 's/ *$//' | tr -d '\n'; }
