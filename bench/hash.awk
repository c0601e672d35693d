# SPDX-License-Identifier: GPL-2.0
# Reads the lines of JSON that bench-hash prints, and prints a table: medians, MB/s, a column for each size of a chunk.
#
#   awk -f json.awk -f hash.awk RESULTS.jsonl

/"measure":"hash"/ {
	name = text("algorithm")
	chunk = number("chunk")
	if (!(name in seen)) {
		seen[name] = 1
		names[++count] = name
	}
	if (!(chunk in column)) {
		column[chunk] = 1
		chunks[++columns] = chunk
	}
	all[name, chunk] = all[name, chunk] " " number("mb_s")
}

END {
	printf "hashing, MB/s (smallest-largest)\n  %-10s", ""
	for (j = 1; j <= columns; j++)
		printf " %24s", chunks[j] / 1024 " KiB"
	print ""
	for (i = 1; i <= count; i++) {
		printf "  %-10s", names[i]
		for (j = 1; j <= columns; j++) {
			value = median(all[names[i], chunks[j]])
			printf " %24s", sprintf("%.0f (%.0f-%.0f)", value, low, high)
		}
		print ""
	}
}
