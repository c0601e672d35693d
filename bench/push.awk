# SPDX-License-Identifier: GPL-2.0
# After managed.awk: what push.sh measures.
#
#   awk -f json.awk -f table.awk -f managed.awk -f push.awk RESULTS.jsonl

/"file_mib":/ {
	printf "  a file of %d MiB, %d MTU(s) a packet\n", number("file_mib"), number("segments")
}

/"measure":"push"/ {
	keep("push_s", number("total_ns") / 1e9)
	keep("push_mib", number("network_bytes") / 1048576)
	keep("push_cpu", number("cpu_ns") / 1e9)
	keep("push_switches", number("switches") / 1000)
}

BEGIN {
	about["push_s"] = "push: from the first store until all is durable there, s"
	about["push_mib"] = "push: through the link, both ways, MiB"
	about["push_cpu"] = "push: CPU time of the whole machine, both hosts, s"
	about["push_switches"] = "push: context switches of the whole machine, thousands"
}

function against(rate, variant, other) {
	ratio("push_s", rate, variant, other, " s")
	ratio("push_mib", rate, variant, other, " bytes")
}

END {
	for (k = 1; k <= rates[0]; k++) {
		ratios(rates[k])
		for (n = 1; n <= variants[0]; n++)
			if (variants[n] ~ /^(direct|managed|memory)/) {
				against(rates[k], variants[n], "rsync")
				against(rates[k], variants[n], "rsync-inplace")
				against(rates[k], variants[n], "rsync-whole")
				against(rates[k], variants[n], "hash-4096")
			}
	}
}
