#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A region of another host, mapped: reads see what was written there, one side writes at a time, TLS is demanded.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl
memory_hosts 1ms
size=$((4 << 20))
random_file "$work/data" $size

# ---- who may listen ----
ok 'a region is made on A' on a add db --size $size
must cp "$work/data" "$a/db"
fails 'off loopback an export needs TLS' on a export db --listen 10.11.0.1:7000
says --insecure 'the refusal says how'
ok 'with a key it is exported' on a export db --listen 10.11.0.1:7000 --tls-psk "$work/key" --read-only
fails 'a second time is refused' on a export db --listen 10.11.0.1:7001 --tls-psk "$work/key"

# ---- reading ----
make_key "$work/wrong"
fails 'the wrong key is refused' on b add db --source "peer://10.11.0.1:7000/db?psk=$work/wrong"
fails 'clear text is refused' on b add db --source peer+plain://10.11.0.1:7000/db
ok 'B adds it' on b add db --source "peer://10.11.0.1:7000/db?psk=$work/key"
ok 'all bytes are the same' same "$work/data" "$b/db"
fails 'and B cannot write' dd if=/dev/zero of="$b/db" bs=4096 count=1 conv=notrunc

# What a program on A has written but not synced is seen by a READ that comes after it
dd if=/dev/urandom of="$a/db" bs=4096 seek=10 count=5 conv=notrunc 2>/dev/null
must on b drop db
ok 'what is dirty on A is seen on B' same "$a/db" "$b/db"
ok 'A ends the export' on a unexport db
must on b rm db

# ---- writing ----
ok 'it is exported for writing' on a export db --listen 10.11.0.1:7000 --tls-psk "$work/key"
source="peer://10.11.0.1:7000/db?psk=$work/key"
exec 9<> "$a/db"
fails 'a writer on A keeps B from writing' on b add db --source "$source" --timeout 3s
exec 9>&-
ok 'B adds it for writing' on b add db --source "$source"
must cat "$a/db"
ok 'B writes' dd if=/dev/urandom of="$b/db" bs=64k seek=3 count=7 conv=notrunc,fsync
ok 'A sees what B has written' same "$a/db" "$b/db"
fails 'A cannot write meanwhile' dd if=/dev/zero of="$a/db" bs=4096 count=1 conv=notrunc
ok 'B makes it larger' truncate -s $((size + 123456)) "$b/db"
sync "$b/db"
is "$(stat -c %s "$a/db")" $((size + 123456)) 'A knows of that'
must tail -c 1000 "$a/db"
ok 'B appends' dd if=/dev/urandom of="$b/db" bs=10000 count=3 oflag=append conv=notrunc,fsync
is "$(stat -c %s "$a/db")" $((size + 153456)) 'A knows of that, too'
ok 'and sees the bytes' same "$a/db" "$b/db"
ok 'B truncates' truncate -s $((size + 100)) "$b/db"
must sync "$b/db"
is "$(stat -c %s "$a/db")" $((size + 100)) 'A knows'
ok 'B appends little by little' dd if=/dev/urandom of="$b/db" bs=777 count=5 oflag=append conv=notrunc,fsync
ok 'A has all of it' same "$a/db" "$b/db"

# ---- the helper of B is killed with dirty bytes, and the next one writes them ----
dd if=/dev/urandom of="$b/db" bs=64k seek=20 count=10 conv=notrunc 2>/dev/null
cp "$b/db" "$work/copy"
ok 'the helper of B is killed' kill_helper b
ok 'and started' start_helper_of "$ns_b" b
ok 'what was dirty is written' within 30 sync "$b/db"
ok 'A has all of it' same "$work/copy" "$a/db"

# ---- the wire is cut and mended ----
# The writer stands still once the instance's share of dirty pages is used up, so it is not waited for
must ip -n "$ns_a" link set wire down
(dd if=/dev/urandom of="$b/db" bs=64k count=10 conv=notrunc,fsync 2>/dev/null; cp "$b/db" "$work/copy") & writing=$!
sleep 3
must ip -n "$ns_a" link set wire up
ok 'a write that waited for the wire ends' ended $writing 60
ok 'A has all of it, again' same "$work/copy" "$a/db"

# ---- the helper of A is killed while B may write ----
ok 'the helper of A is killed' kill_helper a
ok 'and started' start_helper_of "$ns_a" a
fails 'A cannot write meanwhile' dd if=/dev/zero of="$a/db" bs=4096 count=1 conv=notrunc
ok 'it is exported again' on a export db --listen 10.11.0.1:7000 --tls-psk "$work/key"
ok 'B goes on' within 60 dd if=/dev/urandom of="$b/db" bs=64k seek=30 count=3 conv=notrunc,fsync
must cp "$b/db" "$work/copy"
ok 'A has all of it, once more' same "$work/copy" "$a/db"
must on b rm db
ok 'A can write again when B has let go' wait_for 20 dd if=/dev/zero of="$a/db" bs=4096 count=1 conv=notrunc
dd if=/dev/zero of="$work/copy" bs=4096 count=1 conv=notrunc 2>/dev/null
must dd if="$work/data" of="$a/db" bs=1000 count=1 oflag=append conv=notrunc
must dd if="$work/data" of="$work/copy" bs=1000 count=1 oflag=append conv=notrunc
drop_caches
ok 'and appends behind what B has appended' same "$work/copy" "$a/db"

# ---- the helper of A is stopped in order while B may write ----
ok 'B writes again' on b add db --source "$source"
ok 'and does so' dd if=/dev/urandom of="$b/db" bs=64k count=3 conv=notrunc,fsync
pid=$(helper_pid a)
ok 'the helper of A stops' regionctl --instance a instance detach
ok 'and ends' ended "$pid" 20
ok 'and is started' start_helper_of "$ns_a" a
ok 'its exports are over: A writes' dd if=/dev/zero of="$a/db" bs=4096 count=1 conv=notrunc
done_testing
