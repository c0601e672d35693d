# SPDX-License-Identifier: GPL-2.0
# Reads the lines of JSON that run.sh prints, and writes the scripts of two plots (plot.awk): what an access takes, and throughput. Each measure is a
# group of bars, regionfs first and tmpfs, which is not a peer but the limit, last; bars are medians over the rounds that count.
#
#   awk -v dir=... -v name=... -f json.awk -f plot.awk -f plot-run.awk RESULTS.jsonl

function peer_is(peer, title, colour) {
	peers[++nr_peers] = peer
	title_of[peer] = title
	colour_of[peer] = colour
}

function measure_is(measure, words, figure) {
	words_of[measure] = words
	figure_of[measure] = figure
}

BEGIN {
	peer_is("regionfs", "regionfs", ours)
	peer_is("regionfs-asked", "regionfs, helper asked", ours_lighter)
	peer_is("fuse", "FUSE", blue)
	peer_is("fuse-mt", "FUSE, threads", "#004c77")
	peer_is("nbd", "NBD", sky)
	peer_is("nbd-1", "NBD, 1 connection", "#a9d8f5")
	peer_is("ublk", "ublk", green)
	peer_is("uffd-4k", "userfaultfd, 4 KiB", "#8f3f6c")
	peer_is("uffd-4k-process", "the same, a process", "#5e2446")
	peer_is("uffd-64k", "userfaultfd, 64 KiB", purple)
	peer_is("uffd-1m", "userfaultfd, 1 MiB", "#e8bdd4")
	peer_is("nfs", "NFS", yellow)
	peer_is("sshfs", "sshfs", black)
	peer_is("tmpfs", "tmpfs, has its pages", "#bbbbbb")
	measure_is("random", "random\\ncold page,\\nMADV_RANDOM", "us")
	measure_is("threads", "threads\\nthe same,\\nby 8 threads", "us")
	measure_is("lone", "lone\\none cold page\\nin each 2 MiB", "us")
	measure_is("scatter", "scatter\\nrandom pages,\\ndefault advice", "us")
	measure_is("direct", "direct\\nO_DIRECT read\\nof 4 KiB", "us")
	measure_is("direct8", "direct8\\nthe same,\\n8 in flight", "us")
	measure_is("seq", "seq\\ncold, mapped,\\nin order", "mib_s")
	measure_is("read", "read\\ncold read()\\nof 1 MiB", "mib_s")
	measure_is("msync", "msync\\na store to each\\npage, then msync", "mib_s")
	measure_is("fsync", "fsync\\nwrite() of 1 MiB,\\nthen fsync", "mib_s")
}

/"clock":/ {
	setting = "Linux " text("kernel") ", " several(number("cpus"), "CPU")
	rounds = number("rounds")
	icount = text("clock") == "icount"
	meaning = (rounds == 1 ? "One round" : "Medians of " rounds " rounds, smallest to largest") ", a file of " number("size_mib") \
		" MiB in memory" (icount ? "; times are guest instructions: 1 µs is 1000 of them" : "; wall clock")
}

# As report.awk judges it. An msync on tmpfs does nothing
/"measure":/ && number("round") > 0 {
	m = text("measure")
	if (m in figure_of && !(m == "msync" && text("peer") == "tmpfs"))
		all[m, text("peer")] = all[m, text("peer")] " " \
			(figure_of[m] == "mib_s" ? number("mib_s") : number(by_mean(m) ? "mean_ns" : "median_ns") / 1000)
}

# The bars of a measure; those that have none leave no gap
function group(measure,	i, p, value, first) {
	first = x
	for (i = 1; i <= nr_peers; i++) {
		p = peers[i]
		if (!((measure, p) in all))
			continue
		value = median(all[measure, p])
		range_has(value)
		range_has(high)
		bars[p] = bars[p] sprintf("%g %g %g %g %s\n", x, value, low, high, short(value))
		if (high > low)
			spreads = spreads sprintf("%g %g %g %g\n", x, value, low, high)
		x++
	}
	if (x == first)
		return
	ticks = ticks (ticks == "" ? "" : ", ") sprintf("\"%s\" %g", words_of[measure], (first + x - 1) / 2)
	x += 1.5
}

function draw(	i, p, list) {
	for (i = 1; i <= nr_peers; i++) {
		p = peers[i]
		if (bars[p] == "")
			continue
		block("peer" i, bars[p])
		list = list (list == "" ? "plot " : ", \\\n\t") sprintf("$peer%d using 1:2:(0.9) with boxes linecolor rgb '%s' title %s", i,
			colour_of[p], quoted(title_of[p]))
	}
	if (spreads != "") {
		block("spreads", spreads)
		list = list ", \\\n\t" whiskers("spreads", "#222222")
	}
	for (i = 1; i <= nr_peers; i++)
		if (bars[peers[i]] != "")
			list = list sprintf(", \\\n\t$peer%d using 1:4:5 with labels rotate left offset 0,0.4 font %s notitle", i,
				peers[i] ~ /^regionfs/ ? "bold_small" : "small")
	say(list)
}

function bars_of(measures, what, title, unit,	i, n, list) {
	split("", bars)
	spreads = ticks = ""
	x = 1
	range_none()
	n = split(measures, list, " ")
	for (i = 1; i <= n; i++)
		group(list[i])
	if (ticks == "")
		return
	begin(what, title, 1080, 498)
	area(64, 200, 62, 84)
	y_axis(unit, 0.12)
	say(sprintf("set xrange [0:%g]", x - 1))
	say("set xtics (" ticks ") scale 0")
	say("set style fill solid 1 noborder")
	say("set errorbars small")
	say("set key at screen " x_at(width - 190) "," y_at(62) " left top Left reverse samplen 1.5")
	draw()
	finish()
}

END {
	bars_of("random threads lone scatter direct direct8", "latency", "What an access takes (less is better)", icount ? "µs (1000 instructions)" : "µs")
	bars_of("seq read msync fsync", "throughput", "Throughput (more is better)", "MiB/s")
}
