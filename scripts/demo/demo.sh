#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The demo itself; run.sh starts it where regionfs.ko is loaded and the tools are on PATH.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mb=${DEMO_MB:-100}
work=$(mktemp -d "${TMPDIR:-/tmp}/regionfs-demo.XXXXXX")
ns_a=demo-a ns_b=demo-b
rows=$((mb * 1000))

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
tell() { printf '  %s\n' "$@"; }
die() { echo "demo: $*" >&2; exit 1; }
mib() { awk -v b="$1" 'BEGIN { printf "%.2f MiB", b / 1048576 }'; }
on() { local name=$1 command=$2; shift 2; regionctl "$command" --instance "$name" "$@"; }
# shellcheck disable=SC2016 # awk's, not the shell's
sent_by() { nsenter "--net=/run/netns/$1" awk '/wire:/ { print $10 }' /proc/net/dev; }
state_of() { on "$1" stat shop.db --json | jq -r '.handover.state // "none"'; }

clean_up() {
	local rc=$? name
	trap - EXIT
	set +e
	{
		# shellcheck disable=SC2046 # one word each
		kill -KILL $(jobs -p)
		for name in a b; do
			fuser -s -k -m "$work/$name"
			timeout 10 umount "$work/$name" || umount -i -l "$work/$name"
			timeout 40 regionctl instance stop "demo-$name" --discard
		done
		ip netns del $ns_a
		ip netns del $ns_b
		[ $rc -eq 0 ] || tail -n 5 "$work"/*.err >&3
		rm -rf "$work"
	} 3>&2 > /dev/null 2>&1
	exit $rc
}
trap clean_up EXIT

# ---- two hosts, 10 ms apart ----
modprobe -aq veth sch_netem || true
for ns in $ns_a $ns_b; do ip netns add "$ns"; done
ip -n $ns_a link add wire type veth peer name wire netns $ns_b
n=1
for ns in $ns_a $ns_b; do
	ip -n "$ns" addr add "10.12.0.$n/24" dev wire
	ip -n "$ns" link set lo up
	ip -n "$ns" link set wire up
	tc -n "$ns" qdisc add dev wire root netem delay 5ms limit 100000
	n=$((n + 1))
done
for name in a b; do
	mkdir -p "$work/$name"
	nsenter "--net=/run/netns/demo-$name" mount -t regionfs \
		-o "source=memory:,state=$work/$name.state" "demo-$name" "$work/$name"
done
(umask 077; echo "demo:$(openssl rand -hex 32)" > "$work/key")
a=$work/a/shop.db b=$work/b/shop.db

say "Host A: a database of some $mb MB in a region"
sqlite3 "$a" > /dev/null <<-END
	PRAGMA page_size=4096; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-64000;
	CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT, orders INTEGER, about TEXT);
	CREATE TABLE orders(id INTEGER PRIMARY KEY, number INTEGER, what TEXT);
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $rows)
	INSERT INTO customers SELECT i, 'customer ' || i, 0, hex(randomblob(480)) FROM n;
END
sync "$a"
size=$(stat -c %s "$a")
tell "$rows customers, $(mib "$size")"

# ---- reading over the network ----
say 'Host B: opens it over the network (TLS, 10 ms away) and asks for three customers'
on demo-a export shop.db --listen 10.12.0.1:7346 --tls-psk "$work/key" --read-only > /dev/null
on demo-b add shop.db --source "peer://10.12.0.1/shop.db?psk=$work/key" --read-only > /dev/null
before=$(sent_by $ns_a)
began=$(date +%s%N)
sqlite3 "file:$b?immutable=1" \
	"SELECT '  ' || id || ': ' || name FROM customers WHERE id IN (7, $((rows / 2)), $((rows - 7)))"
tell "took $((($(date +%s%N) - began) / 1000000)) ms and $(mib $(($(sent_by $ns_a) - before))), of $(mib "$size")"
on demo-b rm shop.db > /dev/null
on demo-a unexport shop.db > /dev/null

# ---- moving it under its writer ----
cat > "$work/suspend" <<-END
	#!/bin/bash
	kill -TERM \$(cat $work/writer)
	while kill -0 \$(cat $work/writer) 2> /dev/null; do sleep 0.01; done
END
chmod +x "$work/suspend"

sample() {
	while sleep 0.2; do
		echo "$(cut -d' ' -f1 /proc/uptime) $(sent_by $ns_a)"
	done > "$work/samples"
}

say 'A program writes on A; B takes the database over while it does'
/usr/bin/python3 "$here/writer.py" "$a" "$work/log.a" 2> "$work/writer-a.err" &
echo $! > "$work/writer"
sleep 2
before=$(sent_by $ns_a)
sample & sampling=$!
on demo-a seed shop.db --listen 10.12.0.1:7346 --tls-psk "$work/key" --suspend "$work/suspend" --json \
	> "$work/seed" 2> "$work/seed.err" & seeding=$!
until [ "$(state_of demo-a)" = serving ]; do sleep 0.1; done
on demo-b leech shop.db peer://10.12.0.1/shop.db --tls-psk "$work/key" --json \
	> "$work/leech" 2> "$work/leech.err" & leeching=$!
until [ -e "$b" ]; do sleep 0.1; done
/usr/bin/python3 "$here/writer.py" "$b" "$work/log.b" 2> "$work/writer-b.err" & writer_b=$!
tell 'the same program is started on B: it waits in its first touch of the locked region'
until [ "$(on demo-b stat shop.db --json | jq -r '.handover.rounds // 0')" -ge 2 ]; do sleep 0.2; done
pulled=$(sent_by $ns_a)
tell "pulled while A went on writing: $(mib $((pulled - before)))"
on demo-b finalize shop.db --json > "$work/final"
wait $leeching || die "the leecher failed: $(tail -1 "$work/leech.err")"
wait $seeding || die "the seeder failed: $(tail -1 "$work/seed.err")"
tell "changed at the end, fetched behind: $(mib "$(jq .dirty_bytes "$work/leech")"); the seeder has ended"
sleep 3
kill -TERM $writer_b
wait $writer_b
kill $sampling
"$here/picture.py" "$work/samples" "$work/log.a" "$work/log.b"
jq -r '"  of these: suspend hook \(.suspend_ms) ms, freeze and flush \(.freeze_ms) ms; faults on B that waited for A: \(.faults)"' \
	"$work/leech"

# ---- is it all there? ----
say 'Host B: is anything missing?'
integrity=$(sqlite3 "$b" 'PRAGMA integrity_check')
last_a=$(tail -1 "$work/log.a" | cut -d' ' -f2)
last_b=$(tail -1 "$work/log.b" | cut -d' ' -f2)
have=$(sqlite3 "$b" "SELECT count(*) || ' ' || coalesce(max(id), 0) FROM orders")
updates=$(sqlite3 "$b" 'SELECT sum(orders) FROM customers')
tell "integrity_check: $integrity"
tell "committed on A: $last_a orders; then on B: $((last_b - last_a)); in the database: ${have% *}"
[ "$integrity" = ok ] || die 'the database is damaged'
[ "$(sed -n 1p "$work/log.b" | cut -d' ' -f2)" = $((last_a + 1)) ] || die 'B did not go on where A had stopped'
[ "$have" = "$last_b $last_b" ] || die 'a committed row is missing'
[ "$updates" = "$last_b" ] || die 'a committed update is missing'
if head -c 1 "$a" > /dev/null 2>&1; then die 'A can read it still'; fi
tell 'no committed row is missing; A has given it away'
