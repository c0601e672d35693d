# SPDX-License-Identifier: GPL-2.0
# What managed.awk and migrate.awk have in common: figures of each rate, RTT, variant and round; tables of medians (smallest-largest where a
# round count is above one), a column for each RTT; quotients. After json.awk: awk -f json.awk -f table.awk -f ...

function has(key) {
	return index($0, "\"" key "\":") > 0
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
	printf "  %-20s", variant
	for (i = 1; i <= rtts[0]; i++) {
		if (!column(rate, rtts[i]))
			continue
		if (!known(figure, rate, rtts[i], variant)) {
			printf " %20s", "-"
			continue
		}
		value = of(figure, rate, rtts[i], variant)
		printf " %20s", sprintf(high < 10 ? "%.2f (%.2f-%.2f)" : "%.1f (%.1f-%.1f)", value, low, high)
	}
	print ""
}

function table(figure, rate,	i, rows) {
	for (i = 1; i <= variants[0]; i++)
		rows += any(figure, rate, variants[i])
	if (!rows)
		return
	printf "\n%s; %s\n  %-20s", about[figure], rate == "none" ? "no link" : rate, ""
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

# What stands above rows of ratios
function ratios(rate,	i) {
	printf "\nratios (medians of those of each round), %s\n  %-44s", rate, ""
	for (i = 1; i <= rtts[0]; i++)
		if (column(rate, rtts[i]))
			printf " %8s", rtts[i] " ms"
	print ""
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

/"skipped":/ { printf "  %s left out: %s\n", text("variant"), text("skipped") }
/"failed":/ { printf "  %s failed at %s, %s ms, %s: %s\n", text("variant"), text("failed"), number("rtt"), text("rate"), text("why") }
