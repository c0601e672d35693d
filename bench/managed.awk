# SPDX-License-Identifier: GPL-2.0
# Reads the lines of JSON that managed.sh prints, and prints tables (table.awk), then what the measures are judged by. profile.sh's lines
# have a table of their own.
#
#   awk -f json.awk -f table.awk -f managed.awk RESULTS.jsonl

function is_managed(variant) {
	return variant ~ /^(managed|memory|file|tmpfs)/
}

function judge(rate,	i, v) {
	if (!any("mib_s", rate, "tcp") && !any("mib_s", rate, "nbd") && !any("mib_s", rate, "direct") && !any("miss", rate, "direct") && !any("write_mib_s", rate, "direct"))
		return
	ratios(rate)
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
	if (text("clock") == "icount")
		printf ", times are instructions (1 us = 1000)"
	if (has("db_mib"))
		printf ", a database of %d MiB, %d lookups", number("db_mib"), number("lookups")
	print ""
}

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

# What it has cost, for each GiB of the file
/"cpu_ns":/ && number("bytes") {
	gib = number("bytes") / 1073741824
	keep("cpu", number("cpu_ns") / 1e9 / gib)
	keep("switches", number("switches") / 1000 / gib)
	keep("network", number("network_bytes") / number("bytes"))
}

/"measure":"seq"/ {
	keep("mib_s", number("mib_s"))
	if (has("read_mib_s"))
		keep("read_mib_s", number("read_mib_s"))
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
	about["read_mib_s"] = "seq: the same from the mapping on, MiB/s"
	about["cpu"] = "CPU time of the whole machine, both hosts, seconds for each GiB"
	about["switches"] = "context switches of the whole machine, thousands for each GiB"
	about["network"] = "bytes that came through the link for each byte of the file"
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
