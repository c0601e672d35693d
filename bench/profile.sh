#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Measures what a recorded profile saves: a program is started out of a region whose bytes are far away, with demand paging alone,
# then anew with the profile of the first start played back. The background pulls nothing else in either.
#
#   profile.sh [OPTION]...            as root, in a VM (scripts/vm.sh run -- bench/profile.sh) or on a machine of its own
#   profile.sh --prepare DIR [--db MIB]    makes what is started: a database and an image with a compiler; outside, since it takes long
#
#   --data DIR      what --prepare has made
#   --rtts LIST     ms (default 30)
#   --rates LIST    (default 200mbit)
#   --rounds N      (default 3)
#   --programs LIST default "sqlite compiler"
#   --lookups N     that the query makes (default 200), before it reads 2 % of the table in order
#   --bin DIR       where bench-io and bench-touch are (default ../build/bench)
#
#   sqlite    a query over the database, which the region is
#   compiler  compiles and links a program; compiler, headers and libraries are in an ext4 image, loop-mounted, which the region is
#
# Variants: direct (no --managed), demand (--managed --pull-order none), played (--pull-order profile:FILE,only); each again while
# all is in memory (-warm). The clock begins before "regionctl add". Prints lines of JSON, then a table (managed.awk).
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
rtts=30 rates=200mbit rounds=3 programs='sqlite compiler' lookups=200 bin=$here/../build/bench data='' prepare='' db_mib=500

# shellcheck source=bench/options.sh
. "$here/options.sh"
take_options 'prepare db=db_mib data rtts rates rounds programs lookups bin' "$@"

# ---- what is started

# A row has 1000 bytes, and its key is found by an index
make_database() {
	local rows=$((db_mib * 1000))
	rm -f "$1"
	sqlite3 "$1" <<-END
		PRAGMA journal_mode=OFF;
		PRAGMA synchronous=OFF;
		CREATE TABLE t(id INTEGER PRIMARY KEY, key INTEGER, pad BLOB);
		WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < $rows - 1)
			INSERT INTO t SELECT i, (i * 7919) % $rows, randomblob(960) FROM n;
		CREATE INDEX by_key ON t(key);
	END
}

# with_libraries PROGRAM...: and the shared libraries that it needs
with_libraries() {
	printf '%s\n' "$@"
	ldd "$@" 2> /dev/null | grep -o '/[^ :]*' | grep -v ':$'
}

compiler_files() {
	local gcc as ld parts
	gcc=$(readlink -f "$(command -v gcc)") as=$(readlink -f "$(command -v as)") ld=$(readlink -f "$(command -v ld)")
	parts=$(dirname "$(gcc -print-prog-name=cc1)")
	with_libraries "$gcc" "$as" "$ld" "$parts/cc1" "$parts/collect2"
	find "$parts" -maxdepth 1 -type f \( -name 'crt*' -o -name 'libgcc*' -o -name 'liblto_plugin*' \)
	find "$(dirname "$(gcc -print-file-name=libgcc.a)")" -maxdepth 1 -name 'libgcc*'
	echo /lib/x86_64-linux-gnu/libgcc_s.so.1
	find "$parts/include" /usr/include -type f -name '*.h'
	find /usr/lib/x86_64-linux-gnu -maxdepth 1 \( -name '*crt*.o' -o -name 'libc.*' -o -name 'libc_nonshared.a' \)
}

# A root with what a compiler needs, and room for what it does not
make_image() {
	local tree
	tree=$(mktemp -d)
	compiler_files | sort -u | tar -C / -chf - --transform 's,^/,,' -P -T - 2> /dev/null | tar -C "$tree" -xf -
	mkdir -p "$tree"/{tmp,dev,src,usr/bin}
	ln -s "$(readlink -f "$(command -v gcc)")" "$tree/usr/bin/cc"
	ln -s "$(basename "$(readlink -f "$(command -v as)")")" "$tree/usr/bin/as"
	ln -s "$(basename "$(readlink -f "$(command -v ld)")")" "$tree/usr/bin/ld"
	cp "$top/selftests/tools/counters.c" "$tree/src/"
	truncate -s $(($(du -sm "$tree" | cut -f1) * 3 / 2 + 32))M "$1"
	mkfs.ext4 -q -F -d "$tree" "$1" > /dev/null && rm -rf "$tree"
}

do_prepare() {
	mkdir -p "$prepare"
	[ "$(cat "$prepare/db.mib" 2> /dev/null)" = "$db_mib" ] || {
		rm -f "$prepare/sqlite"
		make_database "$prepare/sqlite" && echo "$db_mib" > "$prepare/db.mib"
	} || die 'cannot make the database'
	[ -e "$prepare/compiler" ] || {
		make_image "$prepare/compiler.new" && mv "$prepare/compiler.new" "$prepare/compiler"
	} || die 'cannot make the image'
}

[ -z "$prepare" ] || { do_prepare; exit; }
[ -n "$data" ] || die 'give --data DIR, with what profile.sh --prepare DIR has made'

# shellcheck source=bench/hosts.sh
. "$here/hosts.sh"

# ---- how it is started: prints what it came to, which has to be the same each time

start_sqlite() {
	local rows
	rows=$(($(cat "$data/db.mib") * 1000))
	sqlite3 -readonly "$work/near/sqlite" <<-END
		PRAGMA mmap_size=2000000000;
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $lookups)
			SELECT count(*), sum(t.id) FROM n JOIN t ON t.key = (n.i * 104729) % $rows;
		SELECT sum(length(pad)) FROM t WHERE id BETWEEN $rows / 2 AND $rows / 2 + $rows / 50;
	END
}

start_compiler() {
	local root=$work/root rc
	mkdir -p "$root"
	mountpoint -q "$root" || mount -o loop,ro "$work/near/compiler" "$root" || return
	mount -t tmpfs tmp "$root/tmp" || return
	chroot "$root" /usr/bin/cc -O2 -D_GNU_SOURCE -o /tmp/counters /src/counters.c && stat -c %s "$root/tmp/counters"
	rc=$?
	umount "$root/tmp"
	return $rc
}

# What stays mounted between a cold run and a warm one
end_compiler() { umount "$work/root"; }
end_sqlite() { :; }

# ---- runs

# timed PROGRAM VARIANT SINCE
timed() {
	local program=$1 variant=$2 since=$3 got
	got=$("start_$program" 2> "$work/log") || return
	record "{\"variant\":\"$variant\",\"rtt\":$rtt,\"rate\":\"$rate\",\"round\":$round,\"measure\":\"profile\",\"program\":\"$program\",\"total_ns\":$(($(bench-io now) - since)),\"result\":\"$(tr '\n' ' ' <<< "$got")\",\"helper_kib\":$(helper_kib near)}"
	[ "$got" = "${result:=$got}" ] || say "$program says something else with $variant: $got"
}

# twice PROGRAM VARIANT OPTION-OF-ADD...: a cold run and a warm one
twice() {
	local program=$1 variant=$2 since
	shift 2
	far_serve "$program" "$variant" > "$work/log" 2>&1 || return
	start_near || return
	since=$(bench-io now)
	near add "$program" --source "$(source_of "$variant" "$program")" --read-only "$@" > "$work/log" 2>&1 || return
	timed "$program" "$variant" "$since" || return
	[ "$variant" != demand ] || near record "$program" "$work/profile" > "$work/log" 2>&1 || return
	timed "$program" "$variant-warm" "$(bench-io now)"
}

variant() {
	twice "$@" || record "{\"variant\":\"$2\",\"rtt\":$rtt,\"rate\":\"$rate\",\"failed\":\"$1\",\"why\":\"$(tail -n 1 "$work/log" | tr -cd '[:alnum:] .,:;/_()-')\"}"
	"end_$1" 2> /dev/null
	stop_near
	link_forget
}

all_variants() {
	variant "$1" direct
	near_can managed || { record '{"variant":"demand","skipped":"regionctl add has no --managed"}'; return; }
	variant "$1" demand --managed --pull-order none
	variant "$1" played --managed --pull-order "profile:$work/profile,only"
}

hosts_up "$bin"
record "$(printf '{"kernel":"%s","cpus":%s,"rounds":%s,"lookups":%s,"db_mib":%s}' "$(uname -r)" "$(nproc)" "$rounds" "$lookups" \
	"$(cat "$data/db.mib")")"
modprobe -q loop
# What else a program needs is in memory before
sqlite3 :memory: 'SELECT 1;' > /dev/null
for program in mount umount chroot losetup regionctl; do "$program" --version > /dev/null 2>&1; done
for program in $programs; do
	cp "$data/$program" "$work/far/" || die "$data has no $program"
	result=''
	for rate in $rates; do
		for rtt in $rtts; do
			link_set "$rtt" "$rate" || die 'cannot set the link'
			for ((round = 1; round <= rounds; round++)); do all_variants "$program"; done
		done
	done
	rm "$work/far/$program"
done
awk -f "$here/json.awk" -f "$here/table.awk" -f "$here/managed.awk" "$work/results"
