#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# SQLite in WAL mode moves to another host under load: the database and its log are two regions. Its writer is killed by the suspend
# hook in the middle of what it is doing, so that the log has what the database has not; on the other host SQLite recovers from it.
# Every commit that was acknowledged is there. The index (db-shm) stays: SQLite makes it anew from the log.
#
# The writer on the other host is started before the hand-over, and waits in its first look at the database. When it is let in there, the log has the size
# that it had in the end, since both move as one. Else SQLite would ask for the log's size, which does not wait, and is what it was
# when the log began to be pulled; what the log has grown by since would not be recovered.
#
# With a rollback journal instead of the log this does not work: db-journal is a new file in each transaction, which cannot be seeded
# before it is there, and a database without its hot journal is lost. A writer that ends its transaction first (SIGTERM) leaves none.
# timeout: 120
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl python3 sqlite3
commits=$SELF/tools/commits.py
memory_hosts 5ms

nsenter "--net=/run/netns/$ns_a" "$commits" "$a/db" A > "$work/committed.a" 2> "$work/errors.a" & on_a=$!
ok 'a database is written on A' wait_for 20 more_than "$work/committed.a" 100
suspend=$(hook_end $on_a -KILL)
begin_group a 10.11.0.1:7001 b db db-wal
nsenter "--net=/run/netns/$ns_b" "$commits" "$b/db" B > "$work/committed.b" 2> "$work/errors.b" & on_b=$!
disown
ok 'a writer on B waits for the database' wait_for 20 waits_for_region $on_b
before=$(wc -l < "$work/committed.a")
ok 'A commits meanwhile' wait_for 20 more_than "$work/committed.a" $((before + 20))
before_b=$(cat "$work/committed.b")
end_group b db db-wal
ok 'the writer on A has been killed' ended $on_a 20
wait $on_a 2> /dev/null
is $? 137 'in the middle of something'
is "$before_b" '' 'and that on B had committed nothing before'
fails 'A has no database any more' sqlite3 "$a/db" 'SELECT count(*) FROM t;'

ok 'B goes on with it' wait_for 20 more_than "$work/committed.b" 20
whole_group b db db-wal
before=$(wc -l < "$work/committed.b")
ok 'and on' wait_for 20 more_than "$work/committed.b" $((before + 20))
kill -KILL $on_b
ok 'until it is killed' ended $on_b 20

drop_caches
is "$(sqlite3 "$b/db" 'PRAGMA integrity_check;')" ok 'integrity_check is content'
sqlite3 "$b/db" 'SELECT n, who FROM t ORDER BY n;' > "$work/there"
(sed 's/$/|A/' "$work/committed.a"; sed 's/$/|B/' "$work/committed.b") > "$work/committed"
comm -23 <(sort "$work/committed") <(sort "$work/there") > "$work/lost"
is "$(cat "$work/lost")" '' 'all acknowledged commits are there'
# a commit may have been killed before it could be told
at_most "$(wc -l < "$work/there")" $(($(wc -l < "$work/committed") + 2)) 'and nothing else'
ok 'in their order' cmp <(cut -d'|' -f1 "$work/there") <(seq 0 $(($(wc -l < "$work/there") - 1)))
is "$(cat "$work/errors.a" "$work/errors.b")" '' 'no writer has met an error'
note "A has committed $(wc -l < "$work/committed.a"), B $(wc -l < "$work/committed.b")"
done_testing
