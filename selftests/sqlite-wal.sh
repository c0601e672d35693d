#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# SQLite in WAL mode with its database, log and index in regions: two processes write at once, the helper is
# killed and started again meanwhile, and no committed row is missing.
#
# timeout: 600
. "$(dirname "$0")/common.sh"
need sqlite3

rows=${COUNT:-40}

# writer WHO: one transaction a row; tells each that was committed
writer() {
	local i
	for ((i = 0; i < rows; i++)); do
		sqlite3 -bail -cmd '.timeout 60000' "$mnt/db" "INSERT INTO t VALUES('$1', $i, hex(randomblob(500)));" &&
			echo "$1|$i" >> "$work/committed.$1"
	done
}

start_instance wal
ok 'a database in WAL mode' within 60 sqlite3 "$mnt/db" \
	'PRAGMA journal_mode=WAL; CREATE TABLE t(who TEXT, n INTEGER, pad TEXT);'
says wal 'SQLite has taken WAL mode'
writer one & one=$!
writer two & two=$!
sleep 2
ok 'the helper is killed' kill_helper wal
ok 'and started again' start_helper wal
ok 'the first writer ends' ended $one 200
ok 'the second writer ends' ended $two 200
sort "$work/committed.one" "$work/committed.two" > "$work/committed"
is "$(wc -l < "$work/committed")" $((2 * rows)) 'all rows were committed'
drop_caches
sqlite3 "$mnt/db" "SELECT who || '|' || n FROM t;" | sort > "$work/there"
ok 'all committed rows are there' cmp "$work/committed" "$work/there"
is "$(sqlite3 "$mnt/db" 'PRAGMA integrity_check;')" ok 'integrity_check is content'
done_testing
