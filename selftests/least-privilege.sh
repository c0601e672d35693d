#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Once it serves, regiond holds no capability in any thread and makes few system calls; all that users do still works then.
# That it makes no call which is refused, the kernel's log shows after every selftest (splats).
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need setpriv

# of_threads PID NAME: the values that its threads have, each once; one may end meanwhile
of_threads() { awk -v name="$2:" '$1 == name { print $2 }' "/proc/$1"/task/*/status 2> /dev/null | sort -u | paste -sd ' '; }

# confined PID WHAT [CAPABILITIES]
confined() {
	local pid=$1 what=$2 caps=${3:-0000000000000000} set
	note "$what: $(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l) threads"
	for set in Eff Prm; do is "$(of_threads "$pid" "Cap$set")" "$caps" "$what: Cap$set"; done
	for set in Inh Bnd Amb; do is "$(of_threads "$pid" "Cap$set")" 0000000000000000 "$what: Cap$set is empty"; done
	is "$(of_threads "$pid" NoNewPrivs)" 1 "$what: no new privileges"
	is "$(of_threads "$pid" Seccomp)" 2 "$what: system calls are filtered"
}

# A process of root without CAP_SYS_PTRACE, to which a dumpable process of root's would be open
bare() { setpriv --bounding-set -all --inh-caps -all "$@"; }

memory_hosts 1ms
pid=$(helper_pid a)
confined "$pid" 'at first'
fails 'another process of root does not see its memory' bare cat "/proc/$pid/maps"
fails 'nor its environment' bare cat "/proc/$pid/environ"
ok 'but the test could' cat "/proc/$pid/maps"
ok 'and that process its own' bare cat /proc/self/maps

ok 'a file is made and written' dd if=/dev/urandom of="$a/db" bs=64k count=32 conv=fsync
sum=$(sum_of "$a/db")
drop_caches
is "$(sum_of "$a/db")" "$sum" 'and read again'
ok 'a region is added' on a add new --size 1M
ok 'and its mode set' on a set new --mode 0640
ok 'and frozen' on a freeze new
ok 'and thawed' on a thaw new
ok 'and removed' on a rm new
must mkdir "$work/source"
must truncate -s 1M "$work/source/disk"
ok 'one is added with a managed store on a disk' on a add kept --source "file:$work/source/disk" --managed --local "file:$work/store" --durability local
ok 'and written' dd if=/dev/urandom of="$a/kept" bs=64k count=4 conv=notrunc,fsync
ok 'and pushed' on a sync kept
same "$a/kept" "$work/source/disk"
is $? 0 'its source has it'

ok 'a region is exported' on a export db --listen 10.11.0.1:7511 "${tls[@]}"
confined "$pid" 'while it exports'
ok 'and exported no more' on a unexport db

cat > "$work/hook" <<-END
	#!/bin/sh
	grep CapEff /proc/self/status > $work/hook-caps
END
chmod +x "$work/hook"
on a seed db --listen 10.11.0.1:7512 "${tls[@]}" --suspend "$work/hook" > "$work/seed.err" 2>&1 & seeder=$!
ok 'a region is seeded' wait_for 10 state_is a db serving
ok 'leeched' on b leech db peer://10.11.0.1:7512/db "${tls[@]}" --detach
ok 'pulled' wait_for 60 settled_on b db
ok 'and finalized' within 60 regionctl finalize db --instance b
ok 'the seeder ends' ended $seeder 60
is "$(sum_of "$b/db")" "$sum" 'it is whole on the other host'
ok 'the hook has run, with the rights that hooks may need' grep -q '[1-9a-f]' <(sed 's/.*://' "$work/hook-caps")
confined "$(helper_pid b)" 'after a migration'

must install -d -m 0700 -o nobody "$work/home"
must install -m 0600 -o nobody "$work/source/disk" "$work/home/disk"
must chmod 711 "$work"
fails "another user's file is not open to it" on a add theirs --source "file:$work/home/disk"
says '--any-file' 'which it tells the way out of'
start_instance any any-file=yes
mnt_any=$mnt
confined "$(helper_pid any)" '--any-file' 0000000000000002
ok "another user's file is, where that is asked for" on any add theirs --source "file:$work/home/disk"
is "$(sum_of "$mnt/theirs")" "$(sum_of "$work/source/disk")" 'and read'
start_instance bare confine=no
is "$(of_threads "$(helper_pid bare)" Seccomp)" 0 '--confine=no leaves all as it was'

if [ -e /proc/sys/kernel/io_uring_disabled ]; then
	later sysctl -q kernel.io_uring_disabled=0 kernel.io_uring_group=-1
	must sysctl -q kernel.io_uring_disabled=1
	fails 'where io_uring is restricted it does not serve' within 60 regionctl instance start ring --state "$work/ring.state"
	says 'kernel.io_uring_group' 'and says what helps'
	must sysctl -q kernel.io_uring_group=0
	instances+=(ring)
	ok 'with that it does' within 60 regionctl instance start ring --state "$work/ring.state"
	must sysctl -q kernel.io_uring_disabled=0 kernel.io_uring_group=-1
fi

pid=$(helper_pid any)
ok 'a file in memory' dd if=/dev/zero of="$mnt_any/file" bs=64k count=4
must rm "$mnt_any/file"
must umount "$mnt_any"
ok 'an instance ends' regionctl instance stop any
ok 'and its helper' ended "$pid" 20
fails 'and leaves nothing in /run' test -e /run/regionfs/any
fails 'which took an unmount' grep -q ' /run/regionfs/any/' /proc/mounts
done_testing
