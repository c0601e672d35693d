#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A Python program with its data in a region, through the mmap module, moves to another host. It is already running there before
# the hand-over, and waits in its first look at the list. Each item of the list is done once, in order.
# timeout: 120
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl python3
todo=$SELF/tools/todo.py
memory_hosts 5ms

ok 'a region is made on A' on a add todo --size 16M
ok 'and a list in it' "$todo" "$a/todo" add 20000
nsenter "--net=/run/netns/$ns_a" "$todo" "$a/todo" work A > "$work/done.a" 2> "$work/errors.a" & on_a=$!
suspend=$(hook_end $on_a)
begin_group a 10.11.0.1:7001 b todo
nsenter "--net=/run/netns/$ns_b" "$todo" "$b/todo" work B > "$work/done.b" 2> "$work/errors.b" & on_b=$!
ok 'the program on B waits for the list' wait_for 20 waits_for_region $on_b
ok 'the one on A has done items meanwhile' wait_for 20 test -s "$work/done.a"
is "$(cat "$work/done.b")" '' 'that on B none'
ok 'B finalizes' within 60 regionctl finalize --instance b todo
ok 'the program on A has ended' gone $on_a
wait $on_a
is $? 0 'by itself, as the hook has asked for'
ok 'that on B goes on' wait_for 20 test -s "$work/done.b"
whole_group b todo
before=$(wc -l < "$work/done.b")
ok 'and on' wait_for 20 more_than "$work/done.b" $((before + 20))
kill $on_b
ok 'until it is ended' ended $on_b 20

cat "$work/done.a" "$work/done.b" > "$work/done"
ok 'each item was done once, in order' cmp "$work/done" <(seq 0 $(($(wc -l < "$work/done") - 1)))
(sed 's/$/ A/' "$work/done.a"; sed 's/$/ B/' "$work/done.b") > "$work/list"
drop_caches
ok 'and the list says so' "$todo" "$b/todo" show
cp "$work/said" "$work/shown"
ok 'who did it, too' cmp "$work/shown" "$work/list"
is "$(cat "$work/errors.a" "$work/errors.b")" '' 'the program has met no error'
note "A has done $(wc -l < "$work/done.a") items, B $(wc -l < "$work/done.b")"
done_testing
