# SPDX-License-Identifier: GPL-2.0
# Reads the lines of JSON that migrate.sh prints, and prints tables (table.awk), then what a migration is judged by. A row is a variant with
# what the program changes, in % of the link.
#
#   awk -f json.awk -f table.awk -f migrate.awk RESULTS.jsonl

# What is not told is no figure
function keep_if(figure, key, divisor) {
	if (has(key))
		keep(figure, number(key) / divisor)
}

# The same program, moved otherwise
function other(variant, way) {
	return way " " dirt[variant] "%"
}

function compare(rate,	i, v) {
	if (!any("total", rate, "tcp"))
		return
	ratios(rate)
	for (i = 1; i <= variants[0]; i++) {
		v = variants[i]
		if (v != "tcp")
			ratio("total", rate, v, "tcp", " total")
		if (name[v] ~ /^(ours|hook|throttle)/) {
			ratio("down", rate, v, other(v, "stop"), " downtime")
			ratio("down", rate, v, other(v, "rsync"), " downtime")
			ratio("down", rate, v, other(v, "precopy"), " downtime")
			ratio("down", rate, v, other(v, "postcopy"), " downtime")
		}
	}
}

function verdict(ok, words) {
	printf "  %-6s %s\n", ok ? "ok" : "MISSED", words
}

# A program that changes next to nothing
function judge(rate, rtt, v,	value) {
	if (name[v] !~ /^ours/ || dirt[v] > 1 || !known("down", rate, rtt, v))
		return
	value = of("down", rate, rtt, v)
	verdict(value <= 2 * rtt + 50, sprintf("%s, %s ms, %s: stands still for %.1f ms, wanted at most %d", v, rtt, rate, value, 2 * rtt + 50))
	value = median(quotients("total", rate, rtt, v, "tcp"))
	if (value)
		verdict(value <= 1.3, sprintf("%s, %s ms, %s: all of it takes %.2fx tcp, wanted at most 1.3x", v, rtt, rate, value))
}

/"kernel":/ {
	printf "\nkernel %s, %d CPU(s), %d rounds, %d MiB, pages are written in %s order, %d MTU(s) a packet\n", text("kernel"),
		number("cpus"), number("rounds"), number("size_mib"), text("order"), number("segments")
}

/"measure":/ {
	rate = text("rate")
	rtt = number("rtt")
	variant = text("variant")
	if (variant != "tcp")
		variant = variant " " number("dirty") "%"
	name[variant] = text("variant")
	dirt[variant] = number("dirty")
	keep_if("total", "total_ns", 1e9)
}

/"measure":"migrate"/ {
	keep_if("down", "downtime_ns", 1e6)
	keep_if("said", "downtime", 1)
	if (name[variant] ~ /^hook/)
		keep("suspend", number("suspend_ms"))
	keep_if("freeze", "freeze_ms", 1)
	keep_if("pulled", has("pull_bytes") ? "pull_bytes" : "pulled_bytes", 1048576)
	keep_if("rounds", "round_bytes", 1048576)
	keep_if("final", "final_bytes", 1048576)
	keep_if("behind", "behind_bytes", 1048576)
	keep_if("wire", "wire_bytes", 1048576)
	keep_if("count", "rounds", 1)
	keep_if("faults", "faults", 1)
	keep_if("wait", "fault_wait_us", 1000)
	keep_if("longest", "fault_wait_max_us", 1000)
	keep_if("store", "longest_store_ns", 1e6)
	keep_if("dirtied", "dirtied_mib_s", 1)
	keep_if("helper", "helper_kib", 1024)
	keep_if("seeder", "seeder_kib", 1024)
}

BEGIN {
	about["down"] = "downtime, hooks included: from the last store on A to the first on B, ms"
	about["said"] = "downtime, as regionctl says, ms"
	about["suspend"] = "the suspend hook, ms; until it has killed the program that goes on, so not all of this is downtime"
	about["freeze"] = "the freeze, in which all that is dirty is written, ms"
	about["total"] = "from the beginning until all is on B, s"
	about["pulled"] = "bytes of the first pull (with those of rounds, where there is no table of them), MiB"
	about["rounds"] = "bytes of the rounds, MiB"
	about["final"] = "bytes while the program stood still, MiB"
	about["behind"] = "bytes after that, MiB"
	about["wire"] = "bytes on the wire, all layers, MiB"
	about["count"] = "rounds"
	about["faults"] = "faults on B that had to wait for the link"
	about["wait"] = "how long, on average, ms"
	about["longest"] = "how long, at most, ms"
	about["store"] = "the longest store of the program on B, ms"
	about["dirtied"] = "what the program changed on A, MiB/s"
	about["helper"] = "the most memory that the helper of B had, MiB"
	about["seeder"] = "the most memory that the helper of A had, MiB"
}

END {
	for (i = 1; i <= split("down suspend said freeze total pulled rounds final behind wire count faults wait longest store dirtied helper seeder", order, " "); i++)
		for (j = 1; j <= rates[0]; j++)
			table(order[i], rates[j])
	for (j = 1; j <= rates[0]; j++)
		compare(rates[j])
	print ""
	for (j = 1; j <= rates[0]; j++)
		for (k = 1; k <= rtts[0]; k++)
			for (i = 1; i <= variants[0]; i++)
				judge(rates[j], rtts[k], variants[i])
}
