#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures what grows: a huge region, many regions, many threads in one, many pulls at once; and on which locks they wait.
#
#   scale.sh [OPTION]...        as root, in a VM (scripts/vm.sh run -- bench/scale.sh) or on a machine of its own
#
#   --measures LIST default "huge many threads cpus locks pulls"
#   --rounds N      of threads, cpus and pulls (default 3)
#   --touch N       huge: random pages that are read, and a quarter as many that are written (default 4096)
#   --huge SIZE     huge: of the region (default 1T)
#   --count N       many: regions (default 10000)
#   --managed N     many: managed regions (default 1000)
#   --workers LIST  threads: default "1 2 4 8 16 64"
#   --pages N       threads, cpus: to touch, by all workers together (default 16384)
#   --pulls N       pulls: regions at once (default 32)
#   --size MIB      pulls, threads, locks: bytes, of all together (default 256)
#   --kinds LIST    huge, many: default "memory file managed"
#   --peers LIST    threads, cpus: default "tmpfs fuse fuse-mt regionfs-asked regionfs", as in run.sh
#   --bin DIR       where bench-scale and bench-touch are (default ../build/bench)
#
#   huge       a region of sparse bytes, from memory:, from file: and managed, from another host by TLS with a store on ext4: what adding it takes, what
#              the kernel and regiond have for it, before and after pages are touched and written, the store's map, regiond's restart
#   many       in one instance: what each takes, names, listings, a page in each of 1000, the end
#   threads    cold random pages by N threads of one program, and by N programs: those have no mmap_lock in common
#   cpus       the same by 8 of them with one CPU and with all: what a lock that doesn't scale would show
#   locks      64 threads fault; perf tells of all locks that were waited for, and of the samples that spin in one
#   pulls      N managed regions pulled at once from another host, against one of as many bytes
#
# Prints lines of JSON as results come in, then tables (scale.awk, which also reads the lines of an earlier run).
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
measures='huge many threads cpus locks pulls' rounds=3 touch=4096 huge=1T count=10000 managed=1000 workers='1 2 4 8 16 64' pages=16384 pulls=32 size=256
peers='tmpfs fuse fuse-mt regionfs-asked regionfs' kinds='memory file managed' bin=$here/../build/bench

# shellcheck source=bench/options.sh
. "$here/options.sh"
take_options 'measures rounds touch huge count managed workers pages pulls size peers kinds bin' "$@"

# shellcheck source=bench/hosts.sh
. "$here/hosts.sh"

# ---- what all need

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

failed() {
	say "$1 failed: $(tail -n 1 "$work/log")"
	record "{\"measure\":\"${1%% *}\",\"failed\":\"$1\",\"why\":\"$(tail -n 1 "$work/log" | tr -cd "[:alnum:] .,:;/_()'-")\"}"
}

# Milliseconds that all CPUs have worked, idle time and waiting left out
busy() { awk -v hz="$(getconf CLK_TCK)" '/^cpu / {print int(($2 + $3 + $4 + $7 + $8) * 1000 / hz)}' /proc/stat; }

# timed TAGS COMMAND...: a line with how long it took, and the work of all CPUs: programs and libraries may have to come from a disk first, and a clock
# that counts instructions (vm.sh --icount) runs wild while there are none
timed() {
	local tags=$1 begin before
	shift
	before=$(busy)
	begin=$(milliseconds)
	"$@" > "$work/log" 2>&1 || return
	record "{$tags,\"ms\":$(($(milliseconds) - begin)),\"cpu_ms\":$(($(busy) - before))}"
}

near_pid() { near instance stat --json | jq -e .pid; }

# The programs that the next steps start are in memory, with their libraries: what memory() drops would be read from a disk by the clock
warm() {
	{ near instance stat --json | jq .; date; find . -maxdepth 0 -type f | wc -l; umount --version; bench-scale; awk 1; } > /dev/null 2>&1 < /dev/null
}

# memory TAGS: a line with what the kernel and regiond have, in KiB, when what can go without loss is gone
memory() {
	sync
	echo 2 > /proc/sys/vm/drop_caches
	record "{$1,$(awk '/^(MemAvailable|Slab|VmallocUsed|PageTables|Percpu|Shmem|Cached):/ {
		sub(":", "", $1); printf "\"%s\":%d,", tolower($1), $2 }' /proc/meminfo)$(awk '/^(VmRSS|RssAnon|VmHWM):/ {
		sub(":", "", $1); printf "\"%s\":%d,", tolower($1), $2 }' "/proc/$(near_pid)/status")\"descriptors\":$(find "/proc/$(near_pid)/fd" -mindepth 1 | wc -l)}"
	warm
}

# scale TAGS COMMAND OPTION...
scale() {
	local tags=$1 command=$2 line
	shift 2
	line=$(timeout 500 bench-scale "$command" --tags "$tags" "$@" 2> "$work/log") || return
	record "$line"
}

# ---- huge

huge_source() {
	case $1 in
	memory) echo "memory:$huge" ;;
	file) echo "file:$work/far/own" ;;
	managed) echo "peer://$link_far:7000/sparse?psk=$work/key" ;;
	esac
}

# huge_map TAGS: the store's map: its size, what it takes on the disk; and how much is here
huge_map() {
	local map
	map=$(find "$work/near.store" -name map) || return
	[ -n "$map" ] || return 0
	record "{$1,\"bytes\":$(stat -c %s "$map"),\"on_disk\":$(($(stat -c '%b * %B' "$map"))),\"here\":$(near stat huge --json |
		jq '[.. | .present? // empty] | first // 0'),\"store_on_disk\":$(($(du -sk "$work/near.store" | cut -f1) * 1024))}"
}

# 64 MiB in one piece: its pages share what the scattered ones have each for itself. These bytes are zeroes, which a store has as holes
huge_dense() {
	[ "$1" = managed ] || return 0
	timed "$2,\"step\":\"pull\"" near pull huge --offset $((1 << 39)) --length 64M || return
	near drop huge > "$work/log" 2>&1
	memory "$2,\"step\":\"pulled\""
	huge_map "$2,\"step\":\"map, and a piece\""
}

# A new helper answers a page that nobody has touched
huge_restart() {
	near instance detach && near instance start bench-near --state "$work/near.state" --source memory: &&
		bench-scale touch --count 1 --seed 99 "$work/near/huge"
}

huge_steps() {
	local kind=$1 tags="\"measure\":\"huge\",\"kind\":\"$1\"" options=()
	[ "$kind" != managed ] || options=(--local "file:$work/near.store" --pull-order none)
	start_near || return
	memory "$tags,\"step\":\"before\""
	timed "$tags,\"step\":\"add\"" near add huge --source "$(huge_source "$kind")" "${options[@]}" || return
	memory "$tags,\"step\":\"added\""
	scale "$tags,\"step\":\"read\"" touch --count "$touch" "$work/near/huge" || return
	memory "$tags,\"step\":\"touched\""
	scale "$tags,\"step\":\"write\"" touch --count $((touch / 4)) --seed 2 --write "$work/near/huge" || return
	timed "$tags,\"step\":\"sync\"" near sync huge || return
	memory "$tags,\"step\":\"written\""
	huge_map "$tags,\"step\":\"map, scattered\""
	huge_dense "$kind" "$tags" || return
	timed "$tags,\"step\":\"restart\"" huge_restart || return
	memory "$tags,\"step\":\"restarted\""
	near drop huge > "$work/log" 2>&1 || return
	scale "$tags,\"step\":\"again\"" touch --count $((touch / 4)) --seed 2 "$work/near/huge" || return
	umount "$work/near"
	timed "$tags,\"step\":\"stop\"" near instance stop bench-near
}

run_huge() {
	local kind
	truncate -s "$huge" "$work/far/sparse" "$work/far/own"
	far export sparse --listen "$link_far:7000" --source "file:$work/far/sparse" --tls-psk "$work/key" > "$work/log" 2>&1 || failed 'huge export'
	truncate -s 3G "$work/far/disk"
	mkdir -p "$work/near.store"
	modprobe -q loop
	{ mkfs.ext4 -q -m 0 -E lazy_itable_init=1,nodiscard "$work/far/disk" && mount -o loop "$work/far/disk" "$work/near.store"; } > "$work/log" 2>&1 || failed 'huge disk'
	for kind in $kinds; do
		huge_steps "$kind" || failed "huge $kind"
		stop_near
	done
	far unexport sparse > /dev/null 2>&1
	umount "$work/near.store"
	rm "$work/far/disk" "$work/far/sparse" "$work/far/own"
}

# ---- many

# The log of the state directory is written, and all that regiond asks the kernel is answered
settle() { sleep 2; }

many_add() {
	case $1 in
	memory) scale "$2" add --count "$3" bench-near 'd%d/r%n' source=memory:1048576 ;;
	file) scale "$2" add --count "$3" bench-near 'd%d/r%n' "source=file:$work/far/many/%n" ;;
	managed) scale "$2" add --count "$3" bench-near 'd%d/r%n' "source=file:$work/far/many/%n" local=memory pull_order=none ;;
	esac
}

many_files() {
	local i
	mkdir -p "$work/far/many"
	for ((i = 0; i < $1; i++)); do : > "$work/far/many/$i"; done
	truncate -s 1M "$work/far/many/"*
}

many_list() { find "$work/near" -type f | wc -l; }

many_steps() {
	local kind=$1 n=$2 tags="\"measure\":\"many\",\"kind\":\"$1\",\"regions\":$2" first
	first=$((n < 1000 ? n : 1000))
	start_near || return
	memory "$tags,\"step\":\"before\""
	many_add "$kind" "$tags,\"step\":\"add\"" "$n" || return
	settle
	memory "$tags,\"step\":\"added\""
	timed "$tags,\"step\":\"find\"" many_list
	timed "$tags,\"step\":\"ls\"" near ls
	timed "$tags,\"step\":\"ls --json\"" near ls --json
	scale "$tags,\"step\":\"stat\"" stat --count "$n" "$work/near/d%d/r%n" || return
	timed "$tags,\"step\":\"regionctl stat\"" near stat d0/r0
	scale "$tags,\"step\":\"first\"" first --count "$first" "$work/near/d%d/r%n" "$n" || return
	memory "$tags,\"step\":\"touched\",\"touched\":$first"
	umount "$work/near"
	timed "$tags,\"step\":\"stop\"" near instance stop bench-near
}

run_many() {
	local kind n
	many_files "$count"
	for kind in $kinds; do
		n=$count
		[ "$kind" != managed ] || n=$managed
		many_steps "$kind" "$n" || failed "many $kind"
		stop_near
	done
	rm -r "$work/far/many"
}

# ---- threads, cpus

# side_by_side MEASURES: as run.sh does it, whose results are lines of ours
side_by_side() {
	"$here/run.sh" --rounds "$rounds" --size "$size" --pages "$pages" --peers "$peers" --measures "$1" --bin "$bin" 2> "$work/log" |
		grep --line-buffered '^{' | tee -a "$work/results"
}

run_threads() {
	local list='' n
	for n in $workers; do list="$list threads:$n processes:$n"; done
	record '{"part":"threads"}'
	side_by_side "$list"
}

# online 0|1: of all CPUs but the first
online() {
	local cpu
	for cpu in /sys/devices/system/cpu/cpu[1-9]*/online; do echo "$1" > "$cpu" || return; done
}

run_cpus() {
	record '{"part":"cpus"}'
	online 0 || { failed 'cpus: cannot take them off line'; return; }
	side_by_side 'threads:8 processes:8'
	online 1
	side_by_side 'threads:8 processes:8'
}

# ---- locks

# Tracepoints tell of no spinlock that a single CPU waits for: the first in line spins without them. So samples are taken, too (spins).
# contentions TAGS: perf lock prints "  12    1.20 ms    3.10 us    2.20 us    spinlock   caller+0x1"
contentions() {
	awk -v tags="$1" 'function ns(value, unit) { return value * (unit == "s" ? 1e9 : unit == "ms" ? 1e6 : unit == "us" ? 1e3 : unit == "m" ? 6e10 : 1) }
		$1 ~ /^[0-9]+$/ && NF >= 9 {
			printf "{%s,\"contended\":%d,\"wait_ns\":%.0f,\"max_ns\":%.0f,\"type\":\"%s\",\"caller\":\"%s\"}\n", tags, $1, ns($2, $3), ns($4, $5), $8, $9
		}' | head -n 15
}

# spins TAGS: perf script prints for each sample a line with the command, one for each frame, and an empty one. The lock's caller is the first frame that is no lock's.
spins() {
	awk -v tags="$1" 'function lock(sym) {
			return sym ~ /spin_lock|spin_unlock|spin_on_owner|osq_|rwsem_|down_read|down_write|mutex_lock|read_lock|write_lock|__lock_text|queued_/
		}
		function over() {
			if (!frames) return
			samples++
			if (leaf ~ /native_queued_spin_lock_slowpath|osq_lock|spin_on_owner|queued_(read|write)_lock_slowpath/) {
				spun++
				by[leaf " " caller]++
			}
			frames = 0; leaf = caller = ""
		}
		/^$/ { over(); next }
		/^[^ \t]/ { next }
		{ sym = $2; sub(/\+0x.*/, "", sym); if (!frames++) leaf = sym; if (caller == "" && !lock(sym)) caller = sym }
		END {
			over()
			printf "{%s,\"samples\":%d,\"spinning\":%d}\n", tags, samples, spun
			for (one in by) { split(one, part, " "); printf "{%s,\"spin\":\"%s\",\"caller\":\"%s\",\"in\":%d,\"of\":%d}\n", tags, part[1], part[2], by[one], samples }
		}'
}

locks_of() {
	local name=$1 file=$2 how=$3 tags="\"measure\":\"locks\",\"peer\":\"$1\",\"how\":\"$3\"" touch_it
	touch_it=(bench-touch "$how" --workers 64 --pages 0 --size "$((size << 20))" --label "$name")
	[ "$name" != tmpfs ] || touch_it+=(--warm)
	"${touch_it[@]}" "$file" > /dev/null 2> "$work/log" || return
	perf lock record -a -o "$work/far/perf" -- "${touch_it[@]}" "$file" > "$work/line" 2> "$work/log" || return
	record "{$tags,\"record\":\"lock\",\"faults\":$(jq -s 'map(.samples // empty) | first' < <(grep '^{' "$work/line")),\"ns\":$(grep '^{' "$work/line" | jq .total_ns)}"
	# its table is on stderr
	perf lock contention -i "$work/far/perf" 2>&1 | contentions "$tags" | tee -a "$work/results"
	perf record -q -e cpu-clock -F 997 -a -g -o "$work/far/perf" -- "${touch_it[@]}" "$file" > "$work/line" 2> "$work/log" || return
	perf script -i "$work/far/perf" -F comm,ip,sym 2> "$work/log" | spins "$tags" | tee -a "$work/results"
	rm -f "$work/far/perf"*
}

locks_mounted() {
	local name=$1 how
	shift
	start_near && umount "$work/near" && near instance stop bench-near > "$work/log" 2>&1
	mount.regionfs bench-locks "$work/near" -o "source=memory:,state=$work/locks.state${1:+,$1}" > "$work/log" 2>&1 || return
	fill "$work/near/data" "$size"
	for how in threads processes; do locks_of "$name" "$work/near/data" $how || failed "locks $name $how"; done
	umount "$work/near"
	regionctl instance stop bench-locks --discard > "$work/log" 2>&1
}

run_locks() {
	local how
	type perf > /dev/null 2>&1 || { failed 'locks: no perf'; return; }
	fill "$work/far/data" "$size"
	for how in threads processes; do locks_of tmpfs "$work/far/data" $how || failed "locks tmpfs $how"; done
	rm "$work/far/data"
	locks_mounted regionfs || failed 'locks regionfs'
	locks_mounted regionfs-asked local-read=no || failed 'locks regionfs-asked'
}

# ---- pulls

# pull_once VARIANT N: N regions of size / N, all at once
pull_once() {
	local variant=$1 n=$2 tags="\"measure\":\"pulls\",\"variant\":\"$1\",\"regions\":$2,\"round\":$round,\"mib\":$size" before line
	start_near || return
	before=$(busy)
	line=$(timeout 500 bench-scale pull --count "$n" --tags "$tags" bench-near 'r%n' "source=$(source_of "$variant" "of$n-%n")" local=memory 2> "$work/log") || return
	record "${line%\}},\"cpu_ms\":$(($(busy) - before)),\"helper_kib\":$(helper_kib near)}"
}

# Both sizes by both ways: an address is either for TLS or not
pulls_export() {
	local n i security=(--tls-psk "$work/key")
	[ "$1" != managed-plain ] || security=(--insecure)
	for n in 1 "$pulls"; do
		for ((i = 0; i < n; i++)); do
			[ -e "$work/far/of$n-$i" ] || fill "$work/far/of$n-$i" $((size / n))
			far "$2" "of$n-$i" ${3:+--listen "$link_far:7000" --source "file:$work/far/of$n-$i" "${security[@]}"} > "$work/log" 2>&1 || return
		done
	done
}

run_pulls() {
	local variant n
	link_set 0 unlimited
	for variant in managed-plain managed; do
		pulls_export $variant export yes || failed "pulls: export"
		for ((round = 1; round <= rounds; round++)); do
			for n in 1 "$pulls"; do
				pull_once $variant "$n" || failed "pulls $variant $n"
				stop_near
			done
		done
		pulls_export $variant unexport
	done
	rm -f "$work/far/of"*
}

# ---- the run

hosts_up "$bin"
cp "$bin/bench-scale" "$work" || die "$bin holds no bench-scale: run make"
record "{\"kernel\":\"$(uname -r)\",\"cpus\":$(nproc),\"rounds\":$rounds,\"size_mib\":$size}"
for one in $measures; do
	declare -F "run_$one" > /dev/null || die "no measure is named $one"
	"run_$one"
done
awk -f "$here/json.awk" -f "$here/scale.awk" "$work/results"
