#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs a command in a throw-away VM whose root is this machine's, copy-on-write, in the current directory,
# with regionfs.ko loaded and build/bin on PATH.
#
#   vm.sh run [OPTION]... -- COMMAND...     one argument is a shell command, more are a program and its arguments
#   vm.sh release [KERNEL]                  prints the release that --kernel KERNEL stands for
#   vm.sh probe                             prints the accelerator that will be used: kvm or tcg
#
#   --kernel K        6.1 (default), 6.12, debug (scripts/kernel.sh), a full release, or host: no VM at all
#   --mem M           memory, default 4G
#   --cpus N          default 2
#   --timeout S       default 600
#   --icount          one CPU, virtual time counts instructions: figures that repeat to the digit
#   --disk NAME=SIZE  a disk at /dev/regionfs-disk/NAME that keeps its bytes between runs, in build/disks.
#                     It has a volatile write cache: what was not flushed is lost by vm-power-cut (see below)
#   --out DIR         DIR, writable, at /out
#   --no-module       does not load regionfs.ko
#   --kmemleak        scans for leaks in regionfs at the end (--kernel debug)
#   --append ARGS     more kernel parameters
#   -v                the kernel's log on stderr, as it comes
#
# REGIONFS_BIN names a directory with other programs than build/bin, an absolute path, e.g. build/asan/bin.
# In the VM, vm-power-cut ends it at once, and the disks lose what was not flushed. REGIONFS_*, COUNT, SEED,
# TESTS and CI are handed on to the command.
#
# Exit status: the command's; 120 after vm-power-cut, 124 after the time-out, 125 when the VM didn't get as
# far as the command, 126 when the kernel's log shows a splat. In the last three cases the log is printed.
#
# Needs root, and what scripts/deps.sh installs. KVM is used where a probe has shown that it works.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
cache=${REGIONFS_CACHE:-/var/cache/regionfs}
disks=${REGIONFS_DISKS:-$top/build/disks}

kernel=6.1 mem=4G cpus=2 limit=600 icount='' out='' module=1 kmemleak='' append='' verbose=''
disk_list=()
work='' qemu=''
helpers=()
# What is started here ends with this script, however that ends
tied=(setpriv --pdeathsig KILL --)

# What tells of a bug in a kernel's log
splats=$top/selftests/splats

say() { echo "vm.sh: $*" >&2; }
die() { say "$*"; exit 125; }

usage() { sed -n '3,/^set -u/{/^set -u/d;s/^# \{0,1\}//;p}' "$0"; }

# The newest installed cloud kernel of a version such as 6.1
newest() {
	local image
	image=$(find /boot -maxdepth 1 -name "vmlinuz-$1.*" | grep -v -- '-dbg' | sort -V | tail -1)
	[ -n "$image" ] || die "no kernel $1 is installed: run scripts/deps.sh"
	echo "${image#/boot/vmlinuz-}"
}

release_of() {
	case $1 in
	6.1 | 6.12) newest "$1" ;;
	debug) "$here/kernel.sh" release ;;
	host) uname -r ;;
	*) [ -e "/boot/vmlinuz-$1" ] || die "no kernel $1 in /boot"; echo "$1" ;;
	esac
}

image_of() {
	case $1 in
	debug) "$here/kernel.sh" image ;;
	*) echo "/boot/vmlinuz-$2" ;;
	esac
}

# Whether the log of the kernel in $1 shows a splat; prints its first lines with what stands around them
show_splat() {
	grep -aqEf "$splats" "$1" || return 1
	say "the kernel's log shows a splat:"
	grep -aEf "$splats" -m 3 -B 3 -A 60 "$1" | tr -d '\r' | head -200 >&2
}

show_log() {
	[ -s "$work/console" ] || return 0
	say "the end of the kernel's log:"
	tail -n 100 "$work/console" | tr -d '\r' >&2
}

cleanup() {
	trap - EXIT
	local pid
	for pid in "$qemu" "${helpers[@]}"; do
		[ -n "$pid" ] && kill -KILL "$pid"
		[ -n "$pid" ] && wait "$pid"
	done 2>/dev/null
	[ -n "$work" ] && rm -rf "$work"
}

# ---------------------------------------------------------------------------------------------- accelerator

# An initrd for the probe: its init says that it runs, and ends
probe_initrd() {
	local dir=$1/probe
	mkdir -p "$dir/bin" "$dir/dev"
	cp /bin/busybox "$dir/bin/"
	printf '#!/bin/busybox sh\necho REGIONFS-PROBE-OK\n/bin/busybox poweroff -f\n' > "$dir/init"
	chmod +x "$dir/init"
	(cd "$dir" && find . | cpio -o -H newc --quiet) > "$1/probe.cpio"
}

# Boots a kernel with KVM, for ten seconds at most: that /dev/kvm exists says little
kvm_works() {
	[ -w /dev/kvm ] || return 1
	local dir ok=1
	dir=$(mktemp -d) || return 1
	probe_initrd "$dir"
	(timeout -k 1 10 qemu-system-x86_64 -nodefaults -display none -serial stdio -no-reboot -m 512M \
		-accel kvm -cpu host -kernel "/boot/vmlinuz-$(newest 6.1)" -initrd "$dir/probe.cpio" \
		-append 'console=ttyS0 panic=-1 quiet' < /dev/null > "$dir/log"; true) 2> /dev/null
	grep -aq REGIONFS-PROBE-OK "$dir/log" && ok=0
	rm -rf "$dir"
	return $ok
}

# The answer holds until the next boot of this machine
accelerator() {
	local answer
	answer=$cache/accel-$(cat /proc/sys/kernel/random/boot_id)
	if [ ! -s "$answer" ]; then
		mkdir -p "$cache"
		rm -f "$cache"/accel-*
		if kvm_works; then echo kvm; else echo tcg; fi > "$answer.$$"
		mv "$answer.$$" "$answer"
	fi
	cat "$answer"
}

# ---------------------------------------------------------------------------------------------- the parts of a VM

# The modules without which there is no root; nothing is asked for where they are built in
add_modules() {
	local dir=$1 m f name
	: > "$dir/mods/order"
	[ -d "/lib/modules/$release" ] || return 0
	for m in virtio_pci virtiofs overlay; do
		modprobe -S "$release" --show-depends "$m" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p'
	done | awk '!seen[$0]++' | while read -r f; do
		name=$(basename "$f")
		name=${name%.xz} name=${name%.zst}
		case $f in
		*.xz) xz -dc "$f" > "$dir/mods/$name" ;;
		*.zst) zstd -qdc "$f" > "$dir/mods/$name" ;;
		*) cp "$f" "$dir/mods/$name" ;;
		esac
		echo "$name" >> "$dir/mods/order"
	done
}

# What scripts/vm-guest.sh has to know
write_setup() {
	local v
	printf 'vm_dir=%q\nvm_top=%q\nvm_release=%q\n' "$PWD" "$top" "$release"
	printf 'vm_module=%q\nvm_out=%q\nvm_token=%q\n' "$module" "$out" "$token"
	printf 'vm_limit=%q\nvm_kmemleak=%q\n' "${icount:+0}${icount:-$limit}" "$kmemleak"
	[ "$kernel" = debug ] && printf 'vm_tree=%q\n' "$("$here/kernel.sh" tree)"
	for v in $(compgen -e | grep -E '^(REGIONFS_.*|COUNT|SEED|TESTS|CI)$'); do
		printf 'export %s=%q\n' "$v" "${!v}"
	done
}

make_initrd() {
	local dir=$work/ird
	mkdir -p "$dir"/{bin,mods,proc,sys,dev,newroot,lower,rw}
	cp /bin/busybox "$dir/bin/"
	cp "$here/vm-init.sh" "$dir/init"
	cp "$here/vm-guest.sh" "$dir/guest"
	chmod +x "$dir/init"
	add_modules "$dir"
	write_setup > "$dir/setup"
	if [ $# -eq 1 ]; then printf '%s\n' "$1"; else printf '%q ' "$@"; echo; fi > "$dir/command"
	(cd "$dir" && find . | cpio -o -H newc --quiet) > "$work/initrd"
}

# share TAG DIRECTORY CACHE: a virtiofsd, and the device for it
share() {
	local daemon sock=$work/$1.sock i
	daemon=$(PATH=$PATH:/usr/lib/qemu:/usr/libexec command -v virtiofsd) || die "no virtiofsd: run scripts/deps.sh"
	"${tied[@]}" "$daemon" --socket-path="$sock" -o source="$2" -o sandbox=chroot -o cache="$3" > "$work/$1.log" 2>&1 &
	helpers+=($!)
	for ((i = 0; i < 100; i++)); do
		[ -S "$sock" ] && break
		sleep 0.05
	done
	[ -S "$sock" ] || { cat "$work/$1.log" >&2; die "virtiofsd for $2 didn't start"; }
	args+=(-chardev "socket,id=$1,path=$sock" -device "vhost-user-fs-pci,queue-size=1024,chardev=$1,tag=$1")
}

# disk NAME=SIZE: nbdkit's cache filter keeps writes to itself until a flush, so that killing it is a power cut
disk() {
	local name=${1%%=*} size=${1#*=} image sock i
	[[ $name =~ ^[A-Za-z0-9_-]{1,20}$ && $1 == *=* ]] || die "--disk wants NAME=SIZE, with a name of up to 20 letters"
	image=$disks/$name.img sock=$work/disk-$name.sock
	mkdir -p "$disks"
	[ -e "$image" ] || truncate -s "$size" "$image" || die "cannot make $image"
	TMPDIR=$disks "${tied[@]}" nbdkit -f -U "$sock" --filter=cache file "$image" cache=writeback > "$work/disk-$name.log" 2>&1 &
	helpers+=($!)
	for ((i = 0; i < 100; i++)); do
		[ -S "$sock" ] && break
		sleep 0.05
	done
	[ -S "$sock" ] || { cat "$work/disk-$name.log" >&2; die "nbdkit for $image didn't start"; }
	args+=(-drive "file=nbd+unix:///?socket=$sock,if=none,id=disk-$name,format=raw,cache=none,discard=unmap"
		-device "virtio-blk-pci,drive=disk-$name,serial=$name")
}

# shellcheck disable=SC2054 # the commas are qemu's
machine_args() {
	args=(-nodefaults -display none -no-reboot -m "$mem" -object "memory-backend-memfd,id=mem,size=$mem,share=on")
	args+=(-machine "q35,memory-backend=mem")
	if [ -n "$icount" ]; then
		args+=(-smp 1 -accel tcg,thread=single -icount "shift=0,sleep=off" -cpu max,-erms,-fsrm,-cx16)
	elif [ "$accel" = kvm ]; then
		args+=(-smp "$cpus" -accel kvm -cpu host)
	else
		args+=(-smp "$cpus" -accel tcg,thread=multi -cpu max,-erms,-fsrm,-cx16)
	fi
	args+=(-chardev "file,id=console,path=$work/console" -serial chardev:console)
	args+=(-chardev "file,id=output,path=$work/output" -serial chardev:output)
	args+=(-kernel "$(image_of "$kernel" "$release")" -initrd "$work/initrd")
	local line="console=ttyS0 panic=-1 loglevel=5 oops=panic $append"
	[ "$accel" = kvm ] && [ -z "$icount" ] || line+=" tsc=reliable watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120"
	# for selftests/fail-requests.c; it checks nothing more than before
	[ "$kernel" = debug ] && line+=" slub_debug=A,regionfs_request"
	args+=(-append "$line")
}

# Ends qemu and the disks the hard way as soon as the kernel's log asks for it
watch_power_cut() {
	tail -n +1 -f --pid="$qemu" "$work/console" 2>/dev/null | grep -aq -m 1 "regionfs-vm $token: power cut" || return
	: > "$work/power-cut"
	kill -KILL "${helpers[@]}" "$qemu"
}

# ---------------------------------------------------------------------------------------------- run

check_module() {
	[ -n "$module" ] || return 0
	module=$top/build/$release/regionfs.ko
	[ -e "$module" ] || die "$module is missing: run make KREL=$release, or give --no-module"
}

# What the run came to, from the kernel's log
verdict() {
	local rc
	rc=$(sed -n "s/.*regionfs-vm $token: exit \([0-9]*\).*/\1/p" "$work/console" | tail -1)
	show_splat "$work/console" && return 126
	[ -n "$rc" ] && return "$rc"
	[ -e "$work/power-cut" ] && return 120
	show_log
	if [ -e "$work/timed-out" ]; then
		say "timed out after $limit s"
		return 124
	fi
	cat "$work/qemu.log" >&2
	say "the VM did not get as far as the command"
	return 125
}

# For qemu to end, or the time to be up
wait_for_end() {
	local first
	"${tied[@]}" sleep "$limit" &
	helpers+=($!)
	wait -n -p first "$qemu" $!
	[ "$first" = "$qemu" ] && return
	: > "$work/timed-out"
	kill -KILL "$qemu"
	wait "$qemu"
}

run_vm() {
	local streams=() f
	accel=$(accelerator)
	token=$RANDOM$RANDOM
	work=$(mktemp -d "${TMPDIR:-/tmp}/regionfs-vm.XXXXXX")
	trap 'exit 143' TERM INT HUP
	trap cleanup EXIT
	make_initrd "$@"
	machine_args
	share rootfs / always
	[ -n "$out" ] && { mkdir -p "$out" && share out "$(realpath "$out")" none; }
	for f in "${disk_list[@]}"; do disk "$f"; done

	mkfifo "$work/output"
	"${tied[@]}" cat "$work/output" &
	streams+=($!)
	: > "$work/console"
	if [ -n "$verbose" ]; then "${tied[@]}" tail -f "$work/console" >&2 & helpers+=($!); fi
	"${tied[@]}" qemu-system-x86_64 "${args[@]}" < /dev/null > "$work/qemu.log" 2>&1 &
	qemu=$!
	if [ ${#disk_list[@]} -gt 0 ]; then watch_power_cut 2>/dev/null & helpers+=($!); fi
	wait_for_end 2>/dev/null
	# where qemu never opened it, cat still waits for the other end
	: <> "$work/output"
	wait "${streams[@]}"
	verdict
}

# No VM: this machine's own kernel, which must be able to load modules
run_host() {
	local rc mark loaded=
	mark=$(dmesg | wc -l)
	if [ -n "$module" ] && [ ! -d /sys/module/regionfs ]; then
		insmod "$module" || die "this machine's kernel doesn't load modules: use a VM"
		loaded=1
	fi
	if [ $# -eq 1 ]; then set -- bash -c "$1"; fi
	PATH=$top/build/bin:$PATH timeout -k 5 "$limit" "$@"
	rc=$?
	[ -n "$loaded" ] && rmmod regionfs
	work=$(mktemp -d)
	trap cleanup EXIT
	dmesg | tail -n "+$((mark + 1))" > "$work/console"
	show_splat "$work/console" && return 126
	return "$rc"
}

options() {
	while [ $# -gt 0 ]; do
		case $1 in
		--kernel) kernel=$2; shift ;;
		--mem) mem=$2; shift ;;
		--cpus) cpus=$2; shift ;;
		--timeout) limit=$2; shift ;;
		--disk) disk_list+=("$2"); shift ;;
		--out) out=$2; shift ;;
		--append) append=$2; shift ;;
		--icount) icount=1 ;;
		--no-module) module= ;;
		--kmemleak) kmemleak=1 ;;
		-v) verbose=1 ;;
		--) shift; break ;;
		*) die "unknown option $1 (see vm.sh --help)" ;;
		esac
		shift
	done
	[ $# -gt 0 ] || die "no command (see vm.sh --help)"
	command=("$@")
}

main_run() {
	options "$@"
	[ "$(id -u)" -eq 0 ] || exec sudo -n -- "$0" run "$@" || die "needs root: virtiofsd shows the VM all of this machine's files"
	release=$(release_of "$kernel") || exit 125
	check_module
	if [ "$kernel" = host ]; then run_host "${command[@]}"; else run_vm "${command[@]}"; fi
}

case ${1:-} in
run) shift; main_run "$@" ;;
release) release_of "${2:-6.1}" ;;
probe) accelerator ;;
-h | --help) usage ;;
*) usage >&2; exit 125 ;;
esac
