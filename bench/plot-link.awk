# SPDX-License-Identifier: GPL-2.0
# Reads the lines of JSON that managed.sh or migrate.sh prints, and writes the scripts of plots against RTT (plot.awk), some for each rate: throughput of a
# managed mount; how long a program stands still when its region moves, and how long all of that takes, with a panel for each amount of what
# the program changes.
#
#   awk -v dir=... -v name=... -f json.awk -f table.awk -f plot.awk -f plot-link.awk RESULTS.jsonl

# -plain is the same line, dashed
function line_is(variant, title, colour, point) {
	title_of[variant] = title
	colour_of[variant] = colour
	point_of[variant] = point
}

BEGIN {
	line_is("managed", "regionfs, managed", ours, 7)
	line_is("memory", "managed, local memory", ours_lighter, 5)
	line_is("file", "managed, local file", purple, 9)
	line_is("direct", "regionfs, direct", blue, 11)
	line_is("ours", "regionfs", ours, 7)
	line_is("hook", "regionfs, by a hook", ours_lighter, 5)
	line_is("throttle", "regionfs, throttled", yellow, 9)
	line_is("postcopy", "post-copy alone", green, 9)
	line_is("precopy", "pre-copy alone", blue, 11)
	line_is("rsync", "rsync twice", purple, 5)
	line_is("stop", "stop and copy", sky, 13)
	line_is("nbd", "NBD, no TLS", sky, 13)
	line_is("tcp", "one TCP stream", grey, 1)
	legend_width = 240
	is_ours["managed"] = is_ours["ours"] = 1
}

function bare(variant) {
	sub(/ .*/, "", variant)
	return variant
}

function base(variant) {
	variant = bare(variant)
	sub(/-plain$/, "", variant)
	return variant
}

function title_is(variant) {
	return (base(variant) in title_of ? title_of[base(variant)] : base(variant)) (bare(variant) ~ /-plain$/ ? ", no TLS" : "")
}

function line_style(variant,	b) {
	b = base(variant)
	return sprintf("with linespoints linewidth %s dashtype %s pointtype %d pointsize 0.8 linecolor rgb '%s'", bare(variant) in is_ours ? "3" : "1.5",
		bare(variant) ~ /-plain$/ ? "(8,5)" : "1", b in point_of ? point_of[b] : 4, b in colour_of ? colour_of[b] : black)
}

/"kernel":/ {
	setting = "Linux " text("kernel") ", " several(number("cpus"), "CPU")
	migrates = has("order")
	if (!migrates && !has("write_mib"))
		other = 1
	meaning = (number("rounds") == 1 ? "One round" : "Medians of " number("rounds") " rounds, smallest to largest") ", " number("size_mib") \
		" MiB" (migrates ? ", pages are written in " text("order") " order" : ", cold and in order, from the command that adds it to the last byte")
}

/"measure":/ {
	rate = text("rate")
	rtt = number("rtt")
	variant = text("variant")
}

/"measure":"seq"/ && !has("backend") && !migrates && !other { keep("mib_s", number("mib_s")) }

migrates && /"total_ns":/ {
	if (variant != "tcp") {
		once(dirt, number("dirty"))
		variant = variant " " number("dirty") "%"
	}
	keep("total", number("total_ns") / 1e9)
	if (has("downtime_ns"))
		keep("down", number("downtime_ns") / 1e6)
}

# Zero has a place on this axis, too
function place(rtt) {
	return log(1 + rtt)
}

function sort_numbers(list,	i, j, t) {
	for (i = 2; i <= list[0]; i++)
		for (j = i; j > 1 && list[j] < list[j - 1]; j--) {
			t = list[j]
			list[j] = list[j - 1]
			list[j - 1] = t
		}
}

function x_axis(rate,	i, ticks, last) {
	for (i = 1; i <= rtts[0]; i++)
		if (column(rate, rtts[i])) {
			ticks = ticks (ticks == "" ? "" : ", ") sprintf("\"%s\" %.4f", rtts[i], place(rtts[i]))
			last = place(rtts[i])
		}
	say("set xtics (" ticks ") scale 0.5")
	say("set xlabel 'RTT in ms, logarithmic' offset 0,0.3 textcolor rgb '#222222'")
	say(sprintf("set xrange [%.4f:%.4f]", -(last + 1) / 12, last + (last + 1) / 12))
}

# points(FIGURE, RATE, VARIANT): x, value, low, high and what is written there. The text is of downtime alone: nothing else is below it
function points(figure, rate, variant,	i, value, data) {
	for (i = 1; i <= rtts[0]; i++)
		if (known(figure, rate, rtts[i], variant)) {
			value = of(figure, rate, rtts[i], variant)
			data = data sprintf("%.4f %g %g %g %s\n", place(rtts[i]), value, low, high, short(value))
		}
	return data
}

# The variants of a panel: of what the program changes, where that is known
function in_panel(variant, dirty) {
	return dirty == "" || variant == "tcp" || variant ~ (" " dirty "%$")
}

# Of how long it may stand still, when next to nothing is changed
function wanted(figure, dirty) {
	return figure == "down" && dirty <= 1
}

function panel(figure, rate, dirty, nr,	i, v, id, list, more) {
	for (i = 1; i <= variants[0]; i++) {
		v = variants[i]
		if (!any(figure, rate, v) || !in_panel(v, dirty))
			continue
		id = "panel" nr "_" i
		block(id, points(figure, rate, v))
		list = list ", \\\n\t" whiskers(id, colour_of[base(v)]) ", \\\n\t$" id " using 1:2 " line_style(v) " notitle"
		if (figure == "down" && bare(v) in is_ours)
			more = more ", \\\n\t$" id " using 1:3:5 with labels center offset 0,-0.9 font bold_small textcolor rgb ours notitle"
	}
	if (wanted(figure, dirty))
		list = list ", \\\n\t2 * (exp(x) - 1) + 50 with lines dashtype 3 linewidth 1.5 linecolor rgb '#333333' notitle"
	return list more
}

# Each name once, though it is in several panels
function legend(figure, rate,	i, v, list, seen) {
	split("", seen)
	for (i = 1; i <= variants[0]; i++) {
		v = variants[i]
		if (!any(figure, rate, v) || bare(v) in seen)
			continue
		seen[bare(v)] = 1
		list = list ", \\\n\tkeyentry " line_style(v) " title " quoted(title_is(v))
	}
	if (figure == "down")
		list = list ", \\\n\tkeyentry with lines dashtype 3 linewidth 1.5 linecolor rgb '#333333' title 'wanted: 2 RTT + 50 ms'"
	return list
}

function y_range(figure, rate,	i, j) {
	range_none()
	for (i = 1; i <= variants[0]; i++)
		for (j = 1; j <= rtts[0]; j++)
			if (known(figure, rate, rtts[j], variants[i])) {
				of(figure, rate, rtts[j], variants[i])
				range_has(low)
				range_has(high)
			}
}

function panel_title(dirty) {
	return dirty == "" ? "" : dirty == 0 ? "the program changes nothing" : "it changes " dirty " % of the link"
}

# 200mbit is how tc has it
function bits(rate) {
	sub(/mbit$/, " Mbit/s", rate)
	sub(/gbit$/, " Gbit/s", rate)
	return rate
}

# lines(WHAT, TITLE, UNIT, FIGURE, RATE, N): a panel for each of the N amounts in dirt, or one
function lines(what, title, unit, figure, rate, n,	i, each_width, dirty) {
	y_range(figure, rate)
	if (!most || !n)
		return
	each_width = n == 1 ? 560 : n == 2 ? 300 : 230
	begin(what "-" rate, title (rate == "unlimited" ? ", a link without a limit" : ", a link of " bits(rate)), 64 + n * each_width + legend_width, 420)
	say("ours = '" ours "'")
	x_axis(rate)
	y_axis(unit, 0.06)
	say("unset key\nset samples 50\nset multiplot")
	for (i = 1; i <= n; i++) {
		dirty = n == 1 && !dirt[0] ? "" : dirt[i]
		area(64 + (i - 1) * each_width, legend_width + (n - i) * each_width + (i < n ? 14 : 0), 86, 60)
		say("set title " quoted(panel_title(dirty)) " offset 0,-0.4 font small")
		if (i == n)
			say("set key at screen " x_at(width - legend_width + 8) "," y_at(86) " left top Left reverse samplen 2.5")
		say("plot " substr(panel(figure, rate, dirty, i) (i == n ? legend(figure, rate) : ""), 6))
		say("unset label\nset format y ''\nset ytics scale 0")
	}
	say("unset multiplot")
	finish()
}

END {
	if (other)
		print "no plots of this one"
	sort_numbers(rtts)
	sort_numbers(dirt)
	for (r = 1; r <= rates[0]; r++) {
		lines("seq", "A cold sequential read (more is better)", "MiB/s", "mib_s", rates[r], 1)
		lines("downtime", "A region moves: the program stands still (less is better)", "milliseconds", "down", rates[r], dirt[0])
		lines("total", "A region moves: until all is there (less is better)", "seconds", "total", rates[r], dirt[0])
	}
}
