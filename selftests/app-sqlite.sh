#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# SQLite in WAL mode on regions with two processes; no committed row is missing after a restart of the helper.
# timeout: 600
. "$(dirname "$0")/common.sh"
need sqlite3
command -v regiond > /dev/null || skip_all 'regiond is not built'
rows=${COUNT:-40}
start_instance sqlite "source=${SOURCE:-memory:}"
db=$mnt/db
must sqlite3 "$db" 'PRAGMA journal_mode=WAL; CREATE TABLE t(who, n, fill, PRIMARY KEY(who, n));'
is "$(sqlite3 "$db" 'PRAGMA journal_mode')" wal 'the journal is a WAL'

# Each process keeps its connection, and says which rows were committed
writer() {
	local who=$1 n
	for ((n = 1; n <= rows; n++)); do
		echo "INSERT INTO t VALUES('$who', $n, hex(randomblob(500)));"
		echo "SELECT 'done', $n;"
	done | sqlite3 -cmd '.timeout 60000' "$db" > "$work/said.$who" 2>&1
}
writer a & a=$!
writer b & b=$!
wait $a; is $? 0 'one process wrote' || note "$(tail -3 "$work/said.a")"
wait $b; is $? 0 'another wrote' || note "$(tail -3 "$work/said.b")"
is "$(sqlite3 "$db" 'SELECT count(*) FROM t')" $((2 * rows)) 'all rows are there'
ok 'the helper is killed' kill_helper sqlite
ok 'and started' start_helper sqlite
drop_caches
is "$(sqlite3 "$db" 'PRAGMA integrity_check')" ok 'integrity'
is "$(sqlite3 "$db" 'SELECT count(*) FROM t')" $((2 * rows)) 'all rows are there still'
is "$(sqlite3 "$db" 'PRAGMA wal_checkpoint(TRUNCATE)' | cut -d'|' -f1)" 0 'a checkpoint'
is "$(sqlite3 "$db" 'PRAGMA integrity_check')" ok 'integrity after it'
done_testing
