# SPDX-License-Identifier: GPL-2.0
# The regression record of bench-icount: regionfs's figures in guest instructions, a line each. With -v record=FILE it is compared with
# the results, and the exit status is 1 when something takes more than slack per cent (3) longer than it did; else the new record is printed.
#
#   awk -f json.awk -f record.awk [-v record=icount/6.1.tsv] RESULTS.jsonl

/^{"peer":"regionfs/ && /"measure":/ && number("round") > 0 {
	key = text("peer") "\t" text("measure")
	if (!(key in all))
		keys[++nr] = key
	all[key] = all[key] " " number(by_mean(text("measure")) ? "mean_ns" : "median_ns")
}

function load(	line, f) {
	while ((getline line < record) > 0) {
		if (line ~ /^#/ || split(line, f, "\t") != 3)
			continue
		was[f[1] "\t" f[2]] = f[3]
	}
	if (!length(was)) {
		printf "record: %s holds nothing\n", record
		exit 2
	}
}

function compare(	i, now, bad, key) {
	load()
	for (i = 1; i <= nr; i++) {
		now = int(median(all[keys[i]]))
		if (!(keys[i] in was)) {
			printf "record: %s is new: %d\n", keys[i], now
			continue
		}
		seen[keys[i]] = 1
		if (now > was[keys[i]] * (1 + slack / 100))
			bad++
		if (now > was[keys[i]] * (1 + slack / 100) || now < was[keys[i]] * (1 - slack / 100))
			printf "record: %s %d, was %d (%+.1f %%)\n", keys[i], now, was[keys[i]], (now / was[keys[i]] - 1) * 100
	}
	for (key in was)
		if (!(key in seen)) {
			printf "record: %s was not measured\n", key
			bad++
		}
	printf "record: %d figures, %d of them worse than in %s, or missing\n", nr, bad, record
	return bad ? 1 : 0
}

BEGIN {
	if (slack == "")
		slack = 3
}

END {
	if (!nr) {
		print "record: no figures of regionfs"
		exit 2
	}
	if (record != "")
		exit compare()
	print "# instructions (1 us = 1000) of one access, or of one MiB; make bench-icount compares, make bench-record writes it anew"
	for (i = 1; i <= nr; i++)
		printf "%s\t%d\n", keys[i], median(all[keys[i]])
}
