# SPDX-License-Identifier: GPL-2.0
# Reads the lines of JSON that scale.sh prints, and prints tables.
#
#   awk -f json.awk -f scale.awk RESULTS.jsonl

function has(key) {
	return index($0, "\"" key "\":") > 0
}

function head(line) {
	if (line != last)
		printf "\n%s\n", line
	last = line
}

/"kernel":/ && /"rounds":/ && !part {
	printf "\nkernel %s, %d CPU(s), %d rounds, %d MiB\n", text("kernel"), number("cpus"), number("rounds"), number("size_mib")
}

/"failed":/ { printf "  %s failed: %s\n", text("failed"), text("why"); next }

# ---- huge and many: memory against what it was before, and times, in the order in which they came

function grown(key) {
	return number(key) - before[key]
}

/"slab":/ {
	kind = text("measure") ", " text("kind") (has("regions") ? ", " number("regions") " regions" : "")
	n = has("regions") ? number("regions") : 1
	head(kind)
	if (text("step") == "before") {
		before["slab"] = number("slab")
		before["vmallocused"] = number("vmallocused")
		before["percpu"] = number("percpu")
		before["memavailable"] = number("memavailable")
		before["vmrss"] = number("vmrss")
		before["descriptors"] = number("descriptors")
		next
	}
	kernel = grown("slab") + grown("vmallocused") + grown("percpu")
	printf "  %-22s kernel %8d KiB, regiond %8d KiB (has %d) and %d descriptors, available %8d KiB less", text("step"), kernel, grown("vmrss"), number("vmrss"),
		grown("descriptors"), -grown("memavailable")
	if (n > 1)
		printf "; for each %d and %d bytes", kernel * 1024 / n, grown("vmrss") * 1024 / n
	print ""
	next
}

/"on_disk":/ {
	chunks = number("here") / 65536
	printf "  %-22s %d bytes long, %d on the disk, for %d bytes that are here (in %d on the disk)\n", text("step"), number("bytes"), number("on_disk"), number("here"),
		number("store_on_disk")
	next
}

/"measure":"(huge|many)"/ && has("ms") { printf "  %-22s %d ms, %d ms of CPU\n", text("step"), number("ms"), number("cpu_ms"); next }

/"measure":"(huge|many)"/ && has("count") {
	printf "  %-22s %d of %.1f us each (median %.1f, p99 %.1f)", text("step"), number("count"), number("total_ns") / number("count") / 1e3,
		number("median_ns") / 1e3, number("p99_ns") / 1e3
	if (has("msync_ns"))
		printf ", msync %.1f ms: %.1f us each", number("msync_ns") / 1e6, number("msync_ns") / number("count") / 1e3
	print ""
	next
}

# ---- threads and cpus: bench-touch's lines, by the number of CPUs that were on line

/"part":/ { part = text("part") }
/"clock":/ { cpus = number("cpus") }

/"measure":"(threads|processes):/ && number("round") {
	peer = text("peer")
	split(text("measure"), how, ":")
	key = part SUBSEP cpus SUBSEP how[1]
	if (!(key in keys)) {
		keys[key]
		order[++nr_keys] = key
	}
	if (!((key, how[2]) in seen)) {
		seen[key, how[2]]
		workers[key] = workers[key] " " how[2]
	}
	if (!((key, peer) in seen)) {
		seen[key, peer]
		peers[key] = peers[key] " " peer
	}
	faults[key, how[2], peer] = faults[key, how[2], peer] " " number("samples") * 1e9 / number("total_ns")
}

function table(key,	at, list, cols, n, m, i, j) {
	split(key, at, SUBSEP)
	n = split(workers[key], list, " ")
	m = split(peers[key], cols, " ")
	printf "\n%s: cold pages a second by %s, %d CPU(s), medians\n  %-6s", at[1], at[3], at[2], ""
	for (j = 1; j <= m; j++)
		printf " %15s", cols[j]
	print ""
	for (i = 1; i <= n; i++) {
		printf "  %-6d", list[i]
		for (j = 1; j <= m; j++)
			printf " %15d", median(faults[key, list[i], cols[j]])
		print ""
	}
}

# What more than one CPU brings
function gain(	i, j, at, m, cols, one, key) {
	for (i = 1; i <= nr_keys; i++) {
		split(order[i], at, SUBSEP)
		one = at[1] SUBSEP 1 SUBSEP at[3]
		if (at[1] != "cpus" || at[2] == 1 || !(one in keys))
			continue
		printf "\ncpus: 8 %s on %d CPUs, times what they do on one\n", at[3], at[2]
		m = split(peers[order[i]], cols, " ")
		for (j = 1; j <= m; j++)
			if (faults[one, 8, cols[j]] != "")
				printf "  %-16s %.2f\n", cols[j], median(faults[order[i], 8, cols[j]]) / median(faults[one, 8, cols[j]])
	}
}

# ---- locks

/"measure":"locks"/ {
	who = text("peer") ", 64 " text("how")
	head("locks, " who)
}

/"record":"lock"/ { of_ns[who] = number("ns"); printf "  %d faults in %.2f s\n", number("faults"), number("ns") / 1e9 }

/"contended":/ {
	printf "  waited %6d times, %9.2f ms in all, %8.1f us at most: %-10s by %s\n", number("contended"), number("wait_ns") / 1e6, number("max_ns") / 1e3, text("type"), text("caller")
}

/"spinning":/ { printf "  %d of %d samples spin in a lock\n", number("spinning"), number("samples") }
/"spin":/ { printf "    %5.2f %% in %s for %s\n", number("of") ? 100 * number("in") / number("of") : 0, text("spin"), text("caller") }

# ---- pulls

/"measure":"pulls"/ {
	which = text("variant") ", " number("regions") " region(s)"
	if (!(which in rate))
		pulls[++nr_pulls] = which
	rate[which] = rate[which] " " number("mib") * 1e9 / number("total_ns")
	cpu[which] = cpu[which] " " number("cpu_ms") / 1e3 * 1024 / number("mib")
	fair[which] = fair[which] " " number("max_ns") / number("min_ns")
	rss[which] = rss[which] " " number("helper_kib") / 1024
}

END {
	for (i = 1; i <= nr_keys; i++)
		table(order[i])
	gain()
	if (nr_pulls)
		printf "\npulls: medians\n  %-28s %10s %14s %18s %14s\n", "", "MiB/s", "CPU s/GiB", "slowest/fastest", "regiond, MiB"
	for (i = 1; i <= nr_pulls; i++)
		printf "  %-28s %10.1f %14.2f %18.2f %14.1f\n", pulls[i], median(rate[pulls[i]]), median(cpu[pulls[i]]), median(fair[pulls[i]]), median(rss[pulls[i]])
}
