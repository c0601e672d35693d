#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A CA in two commands, and what its certificates are good for between two hosts: each is let do what --allow says, and nothing else; who comes
# by another CA, by a certificate that is over, or for what it may not do, is told so. Nothing of that disturbs who is served.
# timeout: 300
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/peer.inc"
need jq openssl
memory_hosts 1ms
size=$((1 << 20))
random_file "$work/data" $size
ca=$work/ca

# uri PORT NAME [CA]: how B calls A's region as NAME
uri() { echo "peer://10.11.0.1:$1/db?cert=$work/$2/$2.crt&key=$work/$2/$2.key&ca=${3:-$work/$2}/ca.crt"; }

# tls NAME: the same as options
tls() { echo --tls-cert "$work/$1/$1.crt" --tls-key "$work/$1/$1.key" --tls-ca "$work/$1/ca.crt"; }

# expired NAME: a certificate of that CA that is over when it is there
expired() {
	mkdir "$work/$1"
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$work/$1/$1.key" -out "$work/$1/csr" 2> /dev/null &&
		openssl x509 -req -in "$work/$1/csr" -CA "$ca/ca.crt" -CAkey "$ca/ca.key" -CAcreateserial -days 0 -out "$work/$1/$1.crt" 2> /dev/null &&
		chmod 600 "$work/$1/$1.key" && cp "$ca/ca.crt" "$work/$1" && sleep 2
}

# is_served WHO: what B has from A goes on
is_served() {
	ok "$1 is not disturbed" dd if=/dev/urandom of="$b/db" bs=64k seek=3 count=2 conv=notrunc,fsync
	ok 'and A has what was written' same "$a/db" "$b/db"
}

# ---- the CA ----
ok 'a CA is made' regionctl pki init "$ca"
ok 'the server gets its certificate' regionctl pki issue "$ca" srv --host 10.11.0.1 --out "$work/srv"
for name in writer reader mover watcher stranger; do must regionctl pki issue "$ca" "$name" --out "$work/$name"; done
is "$(stat -c %a "$ca/ca.key" "$work/reader/reader.key" | xargs)" '600 600' 'keys are their owner'"'"'s'
cp "$work/reader/reader.key" "$work/copy"
fails 'a second one of that name is refused' regionctl pki issue "$ca" reader --out "$work/reader"
says 'is there already' 'and why is said'
ok 'and the first one is what it was' cmp "$work/copy" "$work/reader/reader.key"
must regionctl pki init "$work/other-ca"
must regionctl pki issue "$work/other-ca" writer --out "$work/forged"
mkdir "$work/fake"
cp "$work/forged/writer.crt" "$work/fake/fake.crt"
cp "$work/forged/writer.key" "$work/fake/fake.key"
must expired old

# ---- an export ----
ok 'a region is made on A' on a add db --size $size
must cp "$work/data" "$a/db"
# shellcheck disable=SC2046 # words
{
	fails 'a rule that makes no sense is refused' on a export db --listen 10.11.0.1:7000 $(tls srv) --allow reader=look
	says 'is no action' 'and why is said'
	fails 'so is one for a migration' on a export db --listen 10.11.0.1:7000 $(tls srv) --allow reader=leech
	says 'others can read, write' 'with what there is'
	fails 'and a name where there is a shared key' on a export db --listen 10.11.0.1:7000 "${tls[@]}" --allow reader=read
	says 'write psk:' 'with how to say it'
	ok 'it is exported' on a export db --listen 10.11.0.1:7000 $(tls srv) --allow reader=read --allow writer=write --allow old=all
}
is "$(stat_of a db '.export.allow | join(" ")')" 'reader=read writer=read,write old=read,write' 'stat tells for whom'

ok 'who may write adds it' on b add db --source "$(uri 7000 writer)"
ok 'all bytes are the same' same "$work/data" "$b/db"
is_served 'who writes'
ok 'who may read adds it, too' on b add copy --source "$(uri 7000 reader)"
ok 'and reads it' same "$a/db" "$b/copy"
fails 'but does not write' dd if=/dev/zero of="$b/copy" bs=4096 count=1 conv=notrunc
fails 'who is not named is refused' on b add no --source "$(uri 7000 stranger)"
says 'stranger may not write db here, it is allowed to: nothing' 'and why is said'
fails 'so is who comes by another CA, under a name that is allowed' on b add no --source "$(uri 7000 fake "$ca")"
says 'the other side does not know the CA that signed it' 'and why is said'
fails 'and who trusts another CA' on b add no --source "$(uri 7000 writer "$work/other-ca")"
says 'not signed by the CA that this side trusts' 'and why is said'
fails 'and one whose certificate is over' on b add no --source "$(uri 7000 old)"
says 'it has expired' 'and why is said'
fails 'and one who comes for a region that is not offered for that' on b leech no "$(uri 7000 writer)"
says 'writer may not leech db here, it is allowed to: read, write' 'and why is said'
is_served 'who writes'
must on b rm copy
must on b rm db
ok 'the export ends' on a unexport db

# ---- a shared key ----
ok 'with a key, who has it is named by that' on a export db --listen 10.11.0.1:7001 "${tls[@]}" --allow psk:test=read
ok 'and let do what it may' on b add db --source "peer://10.11.0.1:7001/db?psk=$work/key"
ok 'which it does' same "$a/db" "$b/db"
fails 'and no more' dd if=/dev/zero of="$b/db" bs=4096 count=1 conv=notrunc
must on b rm db
must on a unexport db

# ---- one that is seeded ----
# shellcheck disable=SC2046 # words
{
	ok 'A seeds it' on a seed db --listen 10.11.0.1:7002 $(tls srv) --allow mover=leech --allow watcher=follow --detach
	fails 'who may follow does not leech it' within 30 regionctl leech --instance b no peer://10.11.0.1:7002/db $(tls watcher)
	says 'watcher may not leech db here, it is allowed to: read, follow' 'and why is said'
	fails 'who is not named does not follow it' within 30 regionctl leech --instance b no peer://10.11.0.1:7002/db $(tls stranger) --follow
	says 'stranger may not follow db here' 'and why is said'
	ok 'who may follow it does' within 30 regionctl leech --instance b seen peer://10.11.0.1:7002/db $(tls watcher) --follow --max-age 600ms
	fails 'but is not promoted' within 30 regionctl promote --instance b seen
	says 'watcher may not leech db here' 'and why is said'
	must dd if=/dev/urandom of="$a/db" bs=64k seek=1 count=2 conv=notrunc,fsync status=none
	ok 'it follows as before' wait_for 20 same "$a/db" "$b/seen"
	ok 'the helper of A is killed' kill_helper a
	ok 'and started' start_helper_of "$ns_a" a
	is "$(stat_of a db '.handover.allow | join(" ")')" 'mover=read,follow,leech watcher=read,follow' 'the next one knows for whom'
	fails 'and refuses, too' within 30 regionctl leech --instance b no peer://10.11.0.1:7002/db $(tls watcher)
	says 'watcher may not leech db here' 'with the same words'
	must cp "$a/db" "$work/data"
	ok 'who may leech it does' within 60 regionctl leech --instance b moved peer://10.11.0.1:7002/db $(tls mover) --finalize auto
	ok 'and has all of it' within 20 cmp "$work/data" "$b/moved"
}
done_testing
