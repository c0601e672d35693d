#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A Redis server moves to another host while a client sets keys. Its append-only file is a directory of three regions, made by Redis
# itself through the mount: the manifest, the base, and the one that grows. The suspend hook shuts the server down; another one
# is running on the other host already, and waits in its first look at the manifest. Every SET that was acknowledged is there.
# timeout: 120
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl redis-server redis-cli redis-check-aof
memory_hosts 5ms
aof=redis/appendonlydir/appendonly.aof
regions=("$aof.manifest" "$aof.1.base.rdb" "$aof.1.incr.aof")
# What it has acknowledged is in its file, and that is never rewritten
server=(redis-server --port 6379 --protected-mode no --save '' --appendonly yes --appendfsync always
	--auto-aof-rewrite-percentage 0 --logfile '')

cat > "$work/setter" <<-'END'
	#!/bin/bash
	# setter ADDRESS FIRST: sets one key after the other, and prints the number of each that was acknowledged
	exec 3<> "/dev/tcp/$1/6379" || exit 1
	for ((i = $2; ; i++)); do
		printf 'SET key:%d value-%01000d\r\n' "$i" "$i" >&3
		read -r -u 3 answer && [ "$answer" = $'+OK\r' ] || exit 0
		echo "$i"
	done
END
chmod +x "$work/setter"

# answers ON ADDRESS
answers() { "$1" redis-cli -h "$2" PING | grep -q PONG; }

# b_has_keys WHAT NUMBERS: each of these keys has its value
b_has_keys() {
	sed 's/.*/GET key:&/' "$2" | in_b redis-cli -h 10.11.0.2 > "$work/values"
	ok "$1" cmp "$work/values" <(xargs printf 'value-%01000d\n' < "$2")
}

ok 'a directory is made on A' mkdir "$a/redis"
nsenter "--net=/run/netns/$ns_a" "${server[@]}" --bind 10.11.0.1 --dir "$a/redis" > "$work/log.a" & on_a=$!
ok 'Redis answers on A' wait_for 20 answers in_a 10.11.0.1
nsenter "--net=/run/netns/$ns_a" "$work/setter" 10.11.0.1 0 > "$work/set.a" 2> /dev/null & setter=$!
ok 'keys are set' wait_for 20 more_than "$work/set.a" 100
is "$(cd "$a/redis/appendonlydir" && echo *)" "$(basename -a "${regions[@]}" | sort | xargs)" 'its file is these regions'

suspend=$(hook_end $on_a)
begin_group a 10.11.0.1:7001 b "${regions[@]}"
nsenter "--net=/run/netns/$ns_b" "${server[@]}" --bind 10.11.0.2 --dir "$b/redis" > "$work/log.b" & on_b=$!
ok 'the Redis on B waits for the regions' wait_for 20 waits_for_region $on_b
before=$(wc -l < "$work/set.a")
ok 'keys are set on A meanwhile' wait_for 20 more_than "$work/set.a" $((before + 20))
end_group b "${regions[@]}"
ok 'the Redis on A has ended' gone $on_a
wait $on_a
is $? 0 'in order'
ok 'its client as well' ended $setter 20

ok 'Redis answers on B' wait_for 20 answers in_b 10.11.0.2
next=$(wc -l < "$work/set.a")
nsenter "--net=/run/netns/$ns_b" "$work/setter" 10.11.0.2 "$next" > "$work/set.b" 2> /dev/null & setter=$!
whole_group b "${regions[@]}"
ok 'keys are set there' wait_for 20 more_than "$work/set.b" 100
b_has_keys 'B has all keys that A has acknowledged' "$work/set.a"
kill $on_b
ok 'the Redis on B is ended' ended $on_b 20
ok 'and its client' ended $setter 20

drop_caches
ok 'its file is sound' redis-check-aof "$b/$aof.manifest"
nsenter "--net=/run/netns/$ns_b" "${server[@]}" --bind 10.11.0.2 --dir "$b/redis" >> "$work/log.b" & on_b=$!
ok 'Redis starts anew on B' wait_for 20 answers in_b 10.11.0.2
cat "$work/set.a" "$work/set.b" > "$work/set"
ok 'no key was left out' cmp "$work/set" <(seq 0 $(($(wc -l < "$work/set") - 1)))
b_has_keys 'and has all keys that it or A has acknowledged' "$work/set"
note "A has acknowledged $(wc -l < "$work/set.a"), B $(wc -l < "$work/set.b")"
done_testing
