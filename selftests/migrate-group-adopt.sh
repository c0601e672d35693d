#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Two managed regions of one program move from A to B as a group, and the source of each, which is C's, with it: B pushes to them what A had not.
# timeout: 200
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl
adopt_hosts 2ms
size=$((4 << 20))
managed=(--managed --durability local --push-interval 1h)
names=(db 'db wal')	# a space is not a URI's
source_of_one() { echo "peer+plain://10.11.0.1:7000/${1// /%20}"; }
for name in "${names[@]}"; do
	must on c add "$name" --size "$size"
	random_file "$c/$name" "$size"
	must on c export "$name" --listen 10.11.0.1:7000 --insecure
	must on a add "$name" --source "$(source_of_one "$name")" "${managed[@]}" --local "file:$work/store-a-${name// /-}"
done
is_pulled() { [ "$(stat_of a "$1" .managed.pull.state)" = complete ]; }
for name in "${names[@]}"; do ok "A has pulled $name" wait_for 30 is_pulled "$name"; done
# write HOST-DIR NAME BLOCK TEXT
write() { yes "$4" | dd of="$1/$2" bs=64k count=1 seek="$3" iflag=fullblock conv=notrunc,fsync status=none; }
for name in "${names[@]}"; do ok "a program on A writes $name" write "$a" "$name" 3 a; done

must on a seed "${names[@]}" --group shop --listen 10.11.0.1:7001 --insecure --detach
leech=(on b leech --group shop peer://10.11.0.1:7001 --insecure "${managed[@]}" --local "file:$work/store-b" --detach)
fails 'a source that B does not reach is refused' "${leech[@]}" --local-source 'peer+plain://10.11.0.1:7009/{region}'
ok 'B takes the group over, with the source of each' "${leech[@]}" --local-source 'peer+plain://10.11.0.1:7000/{region}'
for name in "${names[@]}"; do must wait_for 60 settled_on b "$name"; done
ok "B's helper is killed" kill_helper b
ok 'and started' start_helper_of "$ns_b" b
for name in "${names[@]}"; do must wait_for 60 settled_on b "$name"; done
ok 'it is finalized' within 60 regionctl finalize db --instance b
ok "A's helper is killed" kill_helper a
ok 'and started' start_helper_of "$ns_a" a
is_ours() { [ "$(stat_of b "$1" .source)" = "$(source_of_one "$1")" ]; }
for name in "${names[@]}"; do
	ok "all of $name is there, and its source is its own" wait_for 60 is_ours "$name"
	is "$(stat_of a "$name" .managed.push.state)" moved 'A says that it is not for it to push'
	ok 'the program goes on at B' write "$b" "$name" 5 b
	ok 'B pushes it' within 60 regionctl sync "$name" --instance b
	ok 'C has what B has' cmp "$b/$name" "$c/$name"
	ok 'what was written at A is in it' cmp <(yes a | head -c 65536) <(dd if="$c/$name" bs=64k skip=3 count=1 status=none)
	ok 'A lets go of it' wait_for 20 on a rm "$name"
done
done_testing
