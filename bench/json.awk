# SPDX-License-Identifier: GPL-2.0
# What report.awk, record.awk, managed.awk and migrate.awk have in common: the members of a line of JSON, and lists of numbers. Before them:
# awk -f json.awk -f ...

function text(key,	at, rest) {
	at = index($0, "\"" key "\":\"")
	if (!at)
		return ""
	rest = substr($0, at + length(key) + 4)
	return substr(rest, 1, index(rest, "\"") - 1)
}

function number(key,	at) {
	at = index($0, "\"" key "\":")
	return at ? substr($0, at + length(key) + 3) + 0 : 0
}

# Values are kept as strings of numbers, one a round
function sorted(list,	n, i, j, t) {
	n = split(list, v, " ")
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j] + 0 < v[j - 1] + 0; j--) {
			t = v[j]
			v[j] = v[j - 1]
			v[j - 1] = t
		}
	return n
}

# Leaves the smallest and the largest in low and high
function median(list,	n) {
	n = sorted(list)
	low = n ? v[1] : 0
	high = n ? v[n] : 0
	return n % 2 ? v[(n + 1) / 2] : n ? (v[n / 2] + v[n / 2 + 1]) / 2 : 0
}

# Of bench-touch's measures: what is done by several at once, and what mixes faults with pages that another's fault has mapped
function by_mean(measure) {
	return measure ~ /^(scatter|threads|pulled|direct8)$/
}
