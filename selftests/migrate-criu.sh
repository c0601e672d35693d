#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A process moves with its memory: CRIU dumps it on one host, where the suspend hook asks for that, and restores it on the other, in the
# resume hook. Its large memory is a region, mapped shared, of which CRIU keeps no more than the address; so what it dumps is small, and
# the time that it takes does not depend on the region's size. The process counts in the region and in memory of its own, and would
# notice if the two did not fit together. Before that the same fails once, and CRIU restores it where it was.
#
# To CRIU a mapped file is a path, so each host has a mount namespace of its own in which its instance is at the same place.
# timeout: 200
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl criu nsenter unshare setsid twice
[ -e /proc/sys/kernel/ns_last_pid ] || skip_all 'the kernel has no CONFIG_CHECKPOINT_RESTORE'
memory_hosts 5ms
at=$work/at
mkdir "$at" "$work/images"

# make_side NAMESPACE MOUNT: $side is a process there that keeps a mount namespace, where MOUNT is at $at as well
make_side() {
	nsenter "--net=/run/netns/$1" unshare -m sh -c "mount --bind '$2' '$at' && exec sleep 1000" & side=$!
	wait_for 10 nsenter -t $side -m mountpoint -q "$at" || bail "no mount namespace for $1"
}
make_side "$ns_a" "$a"
side_a=$side
make_side "$ns_b" "$b"
side_b=$side

steps() { twice "$1/db" check 2> /dev/null; }
steps_more() { [ "$(steps "$1")" -ge "$2" ]; }

# What CRIU has said when it did not go well, in a few lines
criu_said() { grep -hE 'Error|Warn' "$work"/images/*.log | tail -20 | sed 's/^/#   /'; }

ok 'a region is made on A' on a add db --size 32M
nsenter -t "$side_a" -m -n setsid twice "$at/db" 5 < /dev/null > /dev/null 2>&1 & pid=$!
criu=$(command -v criu)
cat > "$work/dump" <<-END
	#!/bin/bash
	# Fails once, after it has dumped
	rm -f $work/images/*
	nsenter -t $side_a -m -n $criu dump -t $pid -D $work/images -v4 -o dump.log --manage-cgroups=ignore || exit
	while kill -0 $pid 2>/dev/null; do sleep 0.02; done
	! mkdir $work/failed 2>/dev/null
END
cat > "$work/restore" <<-END
	#!/bin/bash
	nsenter -t \$1 -m -n $criu restore -d -D $work/images -v4 -o restore.log --manage-cgroups=ignore
END
chmod +x "$work/dump" "$work/restore"
ok 'the process counts' wait_for 20 steps_more "$a" 20
must on a seed db --listen 10.11.0.1:7001 "${tls[@]}" --suspend "$work/dump" --resume "$work/restore $side_a" --detach
ok 'B leeches the region' on b leech db peer://10.11.0.1:7001/db "${tls[@]}" --resume "$work/restore $side_b" --detach
must wait_for 60 settled_on b db

# ---- the hand-over fails ----
fails 'a suspend hook that fails keeps it on A' within 60 regionctl finalize --instance b db
ok 'the process had been dumped' test -e "$work/failed" || criu_said
before=$(steps "$a")
ok 'and goes on' wait_for 20 steps_more "$a" $((before + 20)) || criu_said
is "$(ip netns identify "$pid")" "$ns_a" 'on A'

# ---- it moves ----
before=$(steps "$a")
ok 'B finalizes' within 60 regionctl finalize --instance b db --json
note "downtime $(jq .downtime "$work/said") ms, of which the dump $(jq .suspend_ms "$work/said"); the restore after it $(jq .resume_ms "$work/said") ms"
at_most "$(du -sk "$work/images" | cut -f1)" 4096 'what CRIU has dumped is small, without the 32768 KiB of the region'
is "$(ip netns identify "$pid")" "$ns_b" 'the process is on B' || criu_said
after=$(steps "$b")
at_least "$after" "$before" 'its steps are there'
ok 'it goes on' wait_for 20 steps_more "$b" $((after + 20))
ok 'B has all of the region' wait_for 60 state_is b db complete
after=$(steps "$b")
ok 'and goes on' wait_for 20 steps_more "$b" $((after + 20))
kill "$pid"
ok 'until it is ended' ended "$pid" 20
drop_caches
ok 'what it has counted is right, and it has met no difference' twice "$b/db" check
fails 'A has the region no longer' head -c 1 "$a/db"
done_testing
