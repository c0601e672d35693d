# SPDX-License-Identifier: GPL-2.0
# Reads the lines of JSON that managed.sh prints, and prints tables of medians (smallest-largest where a round count is above one),
# a column for each RTT, then what the measures are judged by. profile.sh's lines have a table of their own.
#
#   awk -f json.awk -f managed.awk RESULTS.jsonl

function has(key) {
	return index($0, "\"" key "\":") > 0
}

function median(list,	n) {
	n = sorted(list)
	low = n ? v[1] : 0
	high = n ? v[n] : 0
	return n % 2 ? v[(n + 1) / 2] : n ? (v[n / 2] + v[n / 2 + 1]) / 2 : 0
}

function keep(figure, value) {
	all[figure, rate, rtt, variant] = all[figure, rate, rtt, variant] " " value
	each[figure, rate, rtt, variant, number("round")] = value
	if (number("round") > rounds)
		rounds = number("round")
	once(figures, figure)
	once(rates, rate)
	once(rtts, rtt)
	columns[rate, rtt] = 1
	once(variants, variant)
}

# A list that is also a set
function once(list, value,	i) {
	for (i = 1; i <= list[0]; i++)
		if (list[i] == value)
			return
	list[++list[0]] = value
}

function known(figure, rate, rtt, variant) {
	return (figure, rate, rtt, variant) in all
}

function of(figure, rate, rtt, variant) {
	return median(all[figure, rate, rtt, variant])
}

# Is there anything of this rate and RTT?
function column(rate, rtt) {
	return (rate, rtt) in columns
}

function any(figure, rate, variant,	i) {
	for (i = 1; i <= rtts[0]; i++)
		if (known(figure, rate, rtts[i], variant))
			return 1
	return 0
}

function row(figure, rate, variant,	i, value) {
	printf "  %-16s", variant
	for (i = 1; i <= rtts[0]; i++) {
		if (!column(rate, rtts[i]))
			continue
		if (!known(figure, rate, rtts[i], variant)) {
			printf " %20s", "-"
			continue
		}
		value = of(figure, rate, rtts[i], variant)
		printf " %20s", sprintf("%.1f (%.1f-%.1f)", value, low, high)
	}
	print ""
}

function table(figure, rate,	i, rows) {
	for (i = 1; i <= variants[0]; i++)
		rows += any(figure, rate, variants[i])
	if (!rows)
		return
	printf "\n%s; %s\n  %-16s", about[figure], rate == "none" ? "no link" : rate, ""
	for (i = 1; i <= rtts[0]; i++)
		if (column(rate, rtts[i]))
			printf " %20s", rtts[i] " ms"
	print ""
	for (i = 1; i <= variants[0]; i++)
		if (any(figure, rate, variants[i]))
			row(figure, rate, variants[i])
}

# The quotients with another variant, of each round where both were measured: what a busy machine does to one it does to the other
function quotients(figure, rate, rtt, variant, to,	i, list) {
	for (i = 1; i <= rounds; i++)
		if (each[figure, rate, rtt, variant, i] && each[figure, rate, rtt, to, i])
			list = list " " each[figure, rate, rtt, variant, i] / each[figure, rate, rtt, to, i]
	return list
}

# A row of their medians
function ratio(figure, rate, variant, to, words,	i, list) {
	if (!any(figure, rate, variant) || !any(figure, rate, to))
		return
	printf "  %-44s", variant " / " to words
	for (i = 1; i <= rtts[0]; i++) {
		if (!column(rate, rtts[i]))
			continue
		list = quotients(figure, rate, rtts[i], variant, to)
		printf " %8s", list == "" ? "-" : sprintf("%.2f", median(list))
	}
	print ""
}

function is_managed(variant) {
	return variant ~ /^(managed|memory|file)/
}

function judge(rate,	i, v) {
	if (!any("mib_s", rate, "tcp") && !any("mib_s", rate, "direct") && !any("miss", rate, "direct") && !any("write_mib_s", rate, "direct"))
		return
	printf "\nratios (medians of those of each round), %s\n  %-44s", rate, ""
	for (i = 1; i <= rtts[0]; i++)
		if (column(rate, rtts[i]))
			printf " %8s", rtts[i] " ms"
	print ""
	for (i = 1; i <= variants[0]; i++) {
		v = variants[i]
		if (v != "tcp")
			ratio("mib_s", rate, v, "tcp", " MiB/s")
		if (v != "tcp" && v != "nbd") {
			ratio("mib_s", rate, v, "nbd", " MiB/s")
			ratio("miss", rate, v, "nbd", " miss, median")
		}
		if (is_managed(v)) {
			ratio("mib_s", rate, v, v ~ /-plain/ ? "direct-plain" : "direct", " MiB/s")
			ratio("miss", rate, v, v "-nopull", " miss, median")
			ratio("miss99", rate, v, v "-nopull", " miss, p99")
			ratio("write_mib_s", rate, v, "direct", " written MiB/s")
		}
	}
}

/"kernel":/ {
	printf "\nkernel %s, %d CPU(s), %d rounds", text("kernel"), number("cpus"), number("rounds")
	if (has("size_mib"))
		printf ", %d MiB read, %d MiB written, %d MTU(s) a packet", number("size_mib"), number("write_mib"), number("segments")
	if (has("db_mib"))
		printf ", a database of %d MiB, %d lookups", number("db_mib"), number("lookups")
	print ""
}

/"skipped":/ { printf "  %s left out: %s\n", text("variant"), text("skipped") }
/"failed":/ { printf "  %s failed at %s, %s ms, %s: %s\n", text("variant"), text("failed"), number("rtt"), text("rate"), text("why") }

/"measure":/ {
	rate = text("rate")
	rtt = number("rtt")
	variant = text("variant")
	if (has("backend"))
		variant = text("backend") " " variant
	measure = text("measure")
	if (has("helper_kib"))
		keep("helper", number("helper_kib") / 1024)
}

/"measure":"seq"/ {
	keep("mib_s", number("mib_s"))
	if (has("first_page_ns")) {
		keep("page", number("first_page_ns") / 1e6)
		keep("chunk", number("first_chunk_ns") / 1e6)
		keep("ten", number("first_10mb_ns") / 1e6)
	}
}

/"measure":"random"/ && number("samples") {
	keep("miss", number("median_ns") / 1e6)
	keep("miss99", number("p99_ns") / 1e6)
	keep("misses", number("samples"))
}

/"measure":"write"/ {
	keep("msync", number("median_ns") / 1e6)
	keep("msync99", number("p99_ns") / 1e6)
	keep("write_mib_s", number("mib_s"))
}

/"measure":"profile"/ {
	keep(text("program"), number("total_ns") / 1e9)
	programs[text("program")] = 1
}

BEGIN {
	about["mib_s"] = "seq: cold sequential mmap read, MiB/s"
	about["page"] = "seq: to the first page, ms"
	about["chunk"] = "seq: to the first MiB, ms"
	about["ten"] = "seq: to the first 10 MB, ms"
	about["miss"] = "random: a page that had to wait, median, ms"
	about["miss99"] = "random: a page that had to wait, p99, ms"
	about["misses"] = "random: how many had to wait"
	about["msync"] = "write: a page and its msync, median, ms"
	about["msync99"] = "write: a page and its msync, p99, ms"
	about["write_mib_s"] = "write: the whole file and one msync, MiB/s"
	about["helper"] = "the most memory that the helper had, MiB"
}

# What a program waited for: a run's time less that of a warm one
function lost(program, rate, rtt, variant,	warm) {
	warm = of(program, rate, rtt, variant "-warm")
	return of(program, rate, rtt, variant) - warm
}

function judge_profile(	p, i, j, demand) {
	for (p in programs)
		for (i = 1; i <= rates[0]; i++)
			for (j = 1; j <= rtts[0]; j++) {
				if (!known(p, rates[i], rtts[j], "played") || !known(p, rates[i], rtts[j], "demand"))
					continue
				demand = lost(p, rates[i], rtts[j], "demand")
				printf "  %s, %s ms, %s: lost to waiting %.2f s by demand, %.2f s with the profile played back: %.2f\n",
					p, rtts[j], rates[i], demand, lost(p, rates[i], rtts[j], "played"),
					demand ? lost(p, rates[i], rtts[j], "played") / demand : 0
			}
}

END {
	for (i = 1; i <= figures[0]; i++) {
		if (figures[i] in programs)
			about[figures[i]] = figures[i] ": the whole run, s"
		for (j = 1; j <= rates[0]; j++)
			table(figures[i], rates[j])
	}
	for (j = 1; j <= rates[0]; j++)
		if (rates[j] != "none")
			judge(rates[j])
	for (i = 1; i <= variants[0]; i++)
		if (split(variants[i], part, " ") == 2 && part[2] != "direct")
			ratio("mib_s", "none", variants[i], part[1] " direct", " MiB/s")
	print ""
	judge_profile()
}
