# SPDX-License-Identifier: GPL-2.0
# After managed.awk: what link-peers.sh measures beside it, and what is wanted there.
#
#   awk -f json.awk -f table.awk -f managed.awk -f link-peers.awk RESULTS.jsonl

/"measure":"start"/ {
	if (has("mount_ns"))
		keep("mount", number("mount_ns") / 1e6)
	if (has("add_ns"))
		keep("add", number("add_ns") / 1e6)
	keep("start_page", number("first_page_ns") / 1e6)
	keep("start_chunk", number("first_chunk_ns") / 1e6)
	keep("start_ten", number("first_10mb_ns") / 1e6)
	keep("start_near", number("near_at_start") / 1048576)
}

BEGIN {
	about["mount"] = "start: from the mount command (nbd: the connection) until it was through, ms"
	about["add"] = "start: until the region was added, ms"
	about["start_page"] = "start: until the first page was there, ms"
	about["start_chunk"] = "start: until the first MiB was there, ms"
	about["start_ten"] = "start: until the first 10 MB were there, ms"
	about["start_near"] = "start: in the page cache when the program began, MiB"
}

# want FIGURE RATE VARIANT FIGURE-OF-THE-OTHER OTHER LEAST: a line for each RTT
function want(figure, rate, variant, other, to, least,	i, j, list, value) {
	for (i = 1; i <= rtts[0]; i++) {
		if (!known(figure, rate, rtts[i], variant) || !known(other, rate, rtts[i], to))
			continue
		list = ""
		for (j = 1; j <= rounds; j++)
			if (each[figure, rate, rtts[i], variant, j] && each[other, rate, rtts[i], to, j])
				list = list " " each[figure, rate, rtts[i], variant, j] / each[other, rate, rtts[i], to, j]
		value = median(list)
		printf "  %-6s %s ms, %s: %s is %.2fx %s (%.2f-%.2f), wanted at least %.1fx\n", (value >= least) ? "ok" : "MISSED", rtts[i], rate,
			variant, value, to, low, high, least
	}
}

# fuse and nbd-late pay for no network and no second host; sshfs is a FUSE that does, by the same link
function wants(rate, variant,	direct) {
	direct = variant ~ /^direct/
	want(direct ? "read_mib_s" : "mib_s", rate, variant, "read_mib_s", "fuse", 3)
	want(direct ? "read_mib_s" : "mib_s", rate, variant, "read_mib_s", "fuse-1m", 3)
	want(direct ? "read_mib_s" : "mib_s", rate, variant, "read_mib_s", "nbd-late", 1)
	want(direct ? "read_mib_s" : "mib_s", rate, variant, "read_mib_s", "sshfs", rate == "unlimited" ? 3 : 1)
	if (rate != "unlimited")
		want("mib_s", rate, variant, "mib_s", "tcp", 0.9)
}

END {
	for (k = 1; k <= rates[0]; k++)
		for (n = 1; n <= variants[0]; n++)
			if (variants[n] ~ /^(direct|managed|memory|file|tmpfs)/)
				wants(rates[k], variants[n])
}
