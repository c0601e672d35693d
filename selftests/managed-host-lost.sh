#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A host is lost for good, COUNT times, in the middle of pushing what SQLite has committed there to its local store. On the source's host
# the database passes its integrity check, and holds the first so many transactions: none is missing before one that is there.
#
# timeout: 900
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
. "$(dirname "$0")/managed.inc"
need jq openssl sqlite3 stdbuf
count=${COUNT:-3}
RANDOM=${SEED:-1}
most=100000
modes=(wal truncate persist)
# the database's other file; no index of the log (-shm), for it is locked exclusively
declare -A other=([wal]=db-wal [truncate]=db-journal [persist]=db-journal)
stores=(memory "file:$work/store")

# Made on the source's host, with an empty log or journal, which SQLite would make itself only where it may
make_database() {
	sqlite3 "$a/db" "PRAGMA journal_mode=$1; CREATE TABLE t(n INTEGER PRIMARY KEY, pad BLOB);
		CREATE TABLE last(n INTEGER); INSERT INTO last VALUES(0);" && : > "$a/${other[$1]}"
}

# transactions MODE: tells each that is committed. Few pages between checkpoints, so that they are part of it
transactions() {
	local n
	echo "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=$1; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=20;"
	for ((n = 1; n <= most; n++)); do
		echo "BEGIN; INSERT INTO t VALUES($n, randomblob(3000)); UPDATE last SET n = $n; COMMIT; SELECT 'committed', $n;"
	done
}

some_committed() { grep -q '^committed' "$work/committed"; }

# Nothing of it is seen again, not even its store. The instance belongs to its namespace: end_instance would not find it
lose_host() {
	local pid
	pid=$(helper_pid b) && kill -KILL "$pid"
	cut_wire
	kill -KILL "$1"
	{ wait "$1"; } 2> /dev/null
	umount -i "$work/b" || umount -i -l "$work/b"
	ok "$2: the host is lost" within 40 nsenter "--net=/run/netns/$ns_b" regionctl instance stop b --discard
	rm -rf "$work/b.state" "$work/store"
}

# What is on the source's host, opened elsewhere: in another directory, with SQLite's own recovery
judge_database() {
	local mode=$1 what=$2 committed there
	rm -rf "$work/elsewhere"
	mkdir "$work/elsewhere"
	must cp "$a/db" "$a/${other[$mode]}" "$work/elsewhere/"
	is "$(sqlite3 "$work/elsewhere/db" 'PRAGMA integrity_check;' 2>&1)" ok "$what: integrity_check is content"
	there=$(sqlite3 "$work/elsewhere/db" 'SELECT n FROM last;')
	is "$(sqlite3 "$work/elsewhere/db" 'SELECT count(*), ifnull(max(n), 0) FROM t;')" "$there|$there" "$what: no transaction is missing between"
	# one may have been committed that did not come to tell
	committed=$(grep -c '^committed' "$work/committed")
	at_most "${there:-0}" $((committed + 1)) "$what: none is there that was not committed"
	note "$what: $there of $committed transactions have come to the source"
}

# once NUMBER
once() {
	local mode=${modes[$1 % ${#modes[@]}]} store=${stores[$1 % ${#stores[@]}]} what writer file
	what="$1, $mode, $store"
	start_host "$ns_b" b source=memory:
	ok "$what: a database is made" make_database "$mode"
	for file in db "${other[$mode]}"; do
		must on a export "$file" --listen 10.11.0.1:7000 --tls-psk "$work/key"
		must add_managed b "$file" "peer://10.11.0.1:7000/$file?psk=$work/key" --local "$store" --durability local --push-interval 100ms
	done
	: > "$work/committed"
	transactions "$mode" 2> /dev/null | stdbuf -oL sqlite3 -batch -bail "$work/b/db" > "$work/committed" 2> "$work/errors" & writer=$!
	ok "$what: transactions are committed" wait_for 30 some_committed
	pause 4
	lose_host $writer "$what"
	is "$(cat "$work/errors")" '' "$what: SQLite has seen no error"
	must mend_wire
	for file in db "${other[$mode]}"; do must on a unexport "$file"; done
	judge_database "$mode" "$what"
	rm -f "$a/db" "$a"/db-*
}

two_hosts 5ms
start_host "$ns_a" a source=memory:
a=$mnt
make_key "$work/key"
for ((i = 0; i < count; i++)); do once $i; done
done_testing
