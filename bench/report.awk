# SPDX-License-Identifier: GPL-2.0
# Reads the lines of JSON that run.sh prints, and prints tables with ratios, and how regionfs stands against
# its targets. Round 0 only warms up. With -v gate=1 the exit status is 1 when a target is missed.
#
#   awk -f json.awk -f report.awk RESULTS.jsonl

function spread(list,	n) {
	n = sorted(list)
	return sprintf("%.1f-%.1f", v[1], v[n])
}

function add(measure, peer, what, value) {
	all[measure, peer, what] = all[measure, peer, what] " " value
}

# Those whose figure is MiB/s, and more is better
function is_rate(measure) {
	return measure ~ /^(seq|pulled-seq|warm|read|msync|fsync)$/
}

# What a measure is judged by: throughput; the mean, where by_mean() says so; else medians
function figure(measure) {
	return is_rate(measure) ? "mib_s" : by_mean(measure) ? "mean" : "median"
}

function of(measure, peer) {
	return median(all[measure, peer, figure(measure)])
}

function have(measure, peer) {
	return (measure, peer, "median") in all
}

function head(measure,	about) {
	about["random"] = "random: a cold 4 KiB page, MADV_RANDOM; us"
	about["scatter"] = "scatter: random 4 KiB pages, default advice, hits among them; us on average"
	about["lone"] = "lone: one cold page in each 2 MiB, default advice; us"
	about["seq"] = "seq: cold sequential mmap read; MiB/s, then us for a MiB"
	about["pulled"] = "pulled: random 4 KiB pages, MADV_RANDOM, all there and none mapped, hits among them; us on average"
	about["pulled-seq"] = "pulled-seq: sequential mmap read of what is there and not mapped; MiB/s, then us for a MiB"
	about["threads"] = "threads: cold 4 KiB pages by 8 threads, MADV_RANDOM; us for each on average, all together"
	about["warm"] = "warm: sequential access to what is mapped; MiB/s, then us for a MiB"
	about["read"] = "read: cold read() of 1 MiB, in order; MiB/s, then us for a MiB"
	about["msync"] = "msync: a store to each page, then msync; MiB/s, then us for a MiB"
	about["fsync"] = "fsync: write() of 1 MiB, in order, then fsync; MiB/s, then us for a MiB"
	about["direct"] = "direct: O_DIRECT reads of 4 KiB at random; us"
	about["direct8"] = "direct8: the same, 8 in flight; us for each on average, all together"
	printf "\n%s\n", measure in about ? about[measure] : measure
	printf "  %-16s %10s %7s  %-21s %9s %9s %9s %9s %9s\n", "", is_rate(measure) ? "MiB/s" : "us", "x fuse",
		"rounds", "p10 us", "p90 us", "p99 us", "in MiB", "cpu s/GiB"
}

function row(measure, peer,	value, fuse) {
	value = of(measure, peer)
	fuse = have(measure, "fuse") ? of(measure, "fuse") : 0
	printf "  %-16s %10.1f %7s  %-21s %9.1f %9.1f %9.1f %9.1f %9.1f\n", peer, value,
		fuse ? sprintf("%.2f", value / fuse) : "-", spread(all[measure, peer, figure(measure)]),
		median(all[measure, peer, "p10"]), median(all[measure, peer, "p90"]),
		median(all[measure, peer, "p99"]), median(all[measure, peer, "resident"]), median(all[measure, peer, "cpu"])
}

# tmpfs is the limit and not a peer, nor is ext4; userfaultfd with copies of 1 MiB has no 4 KiB fault to compare with
function judged(name, measure) {
	return name !~ /^tmpfs/ && name !~ /^(regionfs|ext4)/ && have(measure, name) && name !~ /^uffd-1m/
}

function best(measure, sign,	i, value) {
	best_peer = ""
	for (i = 1; i <= peers; i++) {
		if (!judged(peer[i], measure))
			continue
		value = of(measure, peer[i])
		if (best_peer == "" || (value - best_value) * sign > 0) {
			best_peer = peer[i]
			best_value = value
		}
	}
	return best_peer != ""
}

function verdict(ok, words) {
	printf "  %-6s %s\n", ok ? "ok" : "MISSED", words
	if (!ok)
		missed++
}

# name against the best peer, or against one: at least, or at most, limit times as much
function want(measure, name, limit, against,	ratio, least) {
	least = is_rate(measure)
	if (!have(measure, name) || (against ? !have(measure, against) : !best(measure, least ? 1 : -1)))
		return
	ratio = of(measure, name) / (against ? of(measure, against) : best_value)
	verdict(least ? ratio >= limit : ratio <= limit, sprintf("%s, %s: %.2fx %s, wanted at %s %.2fx", measure, name, ratio,
		against ? against : best_peer, least ? "least" : "most", limit))
}

# A fault that the kernel answers is cheaper than any peer's that a program does
function judge_random(	ratio, i) {
	for (i = 1; i <= peers && have("random", "regionfs"); i++) {
		if (!judged(peer[i], "random") || peer[i] ~ /^fuse/)
			continue
		ratio = of("random", "regionfs") / of("random", peer[i])
		verdict(ratio < 1, sprintf("random: %.3fx %s, wanted below 1x", ratio, peer[i]))
	}
}

# Where there is a clock, no further from tmpfs than that is from itself, at most, in a round
function judge_warm(	limit, ratio, n, i, one, two) {
	limit = 0.98
	n = have("warm", "tmpfs-again") ? split(all["warm", "tmpfs", "mib_s"], one, " ") : 0
	split(all["warm", "tmpfs-again", "mib_s"], two, " ")
	for (i = 1; i <= n && clock != "icount"; i++) {
		ratio = one[i] < two[i] ? one[i] / two[i] : two[i] / one[i]
		limit = ratio < limit ? ratio : limit
	}
	want("warm", "regionfs", limit, "tmpfs")
}

# By the sums of all rounds: a round's CPU time comes in ticks of 10 ms
function judge_cpu(measure, limit,	ratio) {
	if (!have_cpu(measure, "regionfs"))
		return
	ratio = per_gib(measure, "regionfs") / per_gib(measure, "fuse")
	verdict(ratio <= limit, sprintf("%s: %.2fx the CPU time of fuse, wanted at most %.2fx (%.2f and %.2f s/GiB; context switches %.2fx)", measure, ratio,
		limit, per_gib(measure, "regionfs"), per_gib(measure, "fuse"), switches[measure, "regionfs"] / switches[measure, "fuse"]))
}

function have_cpu(measure, name) {
	return have(measure, name) && have(measure, "fuse") && cpu_ns[measure, "fuse"]
}

function per_gib(measure, peer) {
	return cpu_ns[measure, peer] / 1e9 / (cpu_bytes[measure, peer] / 1073741824)
}

function judge() {
	want("seq", "regionfs", 2)
	want("seq", "regionfs", 0.3, "tmpfs")
	want("read", "regionfs", 1.5)
	want("random", "regionfs-asked", 0.9, "fuse")
	want("random", "regionfs", clock == "icount" ? 1.0 : 1.15, "fuse")
	judge_random()
	want("threads", "regionfs-asked", 0.5, "fuse")
	want("lone", "regionfs", 0.3, "fuse")
	want("pulled", "regionfs", 1.25, "tmpfs")
	want("pulled-seq", "regionfs", 0.8, "tmpfs")
	want("msync", "regionfs", 2)
	want("fsync", "regionfs", 2)
	want("direct", "regionfs", 0.95)
	want("direct8", "regionfs", 0.8)
	judge_warm()
	want("random", "regionfs-store-cached", 2.5, "tmpfs")
	want("seq", "regionfs-store", 0.8, "ext4")
	judge_cpu("seq", 0.6)
	judge_cpu("read", 0.6)
}

function note_cpu(measure) {
	if (have_cpu(measure, "regionfs-asked"))
		printf "  %-6s %s, helper asked: %.2fx the CPU time of fuse (%.2f s/GiB)\n", "note", measure,
			per_gib(measure, "regionfs-asked") / per_gib(measure, "fuse"), per_gib(measure, "regionfs-asked")
}

# Beside what is judged: what it costs where the helper answers each miss, say
function note_asked(	i) {
	if (have("seq", "regionfs") && have("seq", "uffd-1m"))
		printf "  %-6s seq: %.2fx userfaultfd with copies of 1 MiB\n", "note", of("seq", "regionfs") / of("seq", "uffd-1m")
	if (have("seq", "regionfs-asked") && best("seq", 1))
		printf "  %-6s seq, helper asked: %.2fx the best peer (%s)\n", "note", of("seq", "regionfs-asked") / best_value, best_peer
	note_cpu("seq")
	note_cpu("read")
	for (i = 1; i <= peers && have("random", "regionfs-asked"); i++)
		if (judged(peer[i], "random"))
			printf "  %-6s random, helper asked: %.3fx %s\n", "note", of("random", "regionfs-asked") / of("random", peer[i]), peer[i]
}

/"clock":/ {
	clock = text("clock")
	printf "\nkernel %s, %d CPU(s), %s, %d rounds, %d MiB, %d pages%s\n", text("kernel"), number("cpus"),
		clock == "icount" ? "times are instructions (1 us = 1000)" : "wall clock", number("rounds"),
		number("size_mib"), number("pages"), number("delay_ms") ? ", each answer of a peer of that kind " number("delay_ms") " ms late" : ""
}

/"skipped":/ {
	printf "  %s left out: %s\n", text("peer"), text("skipped")
	if (text("peer") == "regionfs")
		missed++
}

/"unsupported":/ {
	printf "  %s can not do %s\n", text("peer"), text("unsupported")
}

/"failed":/ {
	printf "  %s failed at %s\n", text("peer"), text("failed")
	missed++
}

/"measure":/ && number("round") > 0 {
	m = text("measure")
	p = text("peer")
	if (!(m in seen_measure)) {
		seen_measure[m] = 1
		measure[++measures] = m
	}
	if (!(p in seen_peer)) {
		seen_peer[p] = 1
		peer[++peers] = p
	}
	add(m, p, "median", number("median_ns") / 1000)
	add(m, p, "p10", number("p10_ns") / 1000)
	add(m, p, "p90", number("p90_ns") / 1000)
	add(m, p, "p99", number("p99_ns") / 1000)
	add(m, p, "mean", number("mean_ns") / 1000)
	add(m, p, "mib_s", number("mib_s"))
	add(m, p, "resident", number("resident") / 1048576)
	cpu_ns[m, p] += number("cpu_ns")
	cpu_bytes[m, p] += number("bytes")
	switches[m, p] += number("switches")
	add(m, p, "cpu", number("bytes") ? number("cpu_ns") / 1e9 / (number("bytes") / 1073741824) : 0)
}

END {
	for (i = 1; i <= measures; i++) {
		head(measure[i])
		for (j = 1; j <= peers; j++)
			if (have(measure[i], peer[j]))
				row(measure[i], peer[j])
	}
	print ""
	judge()
	note_asked()
	exit gate && missed ? 1 : 0
}
