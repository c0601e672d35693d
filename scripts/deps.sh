#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Installs what building and testing needs and this machine lacks. Debian 12, as root.
#
#   deps.sh          installs; quick, and without any network, when all is there
#   deps.sh --list   prints what is missing
set -euo pipefail

tools=(
	gcc make perl pkg-config bc bison flex libelf-dev dwarves xz-utils zstd
	liburing-dev libnl-3-dev libnl-genl-3-dev libssl-dev libjansson-dev libzstd-dev libfuse3-dev libsqlite3-dev
	clang libclang-rt-14-dev sparse shellcheck spin
	qemu-system-x86 qemu-system-common qemu-utils busybox-static cpio kmod
	e2fsprogs attr iproute2 iputils-ping fio python3 python3-yaml sqlite3 nbdkit nbd-client fuse3 gnuplot-nox
	sshfs openssh-server nfs-kernel-server libxxhash-dev
	strace psmisc procps rsync socat jq openssl git
	redis-server redis-tools criu
)

die() { echo "deps.sh: $*" >&2; exit 1; }

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Whether any cloud kernel of this version is here with its headers
have_kernel() {
	local image
	for image in /boot/vmlinuz-"$1".*-cloud-amd64; do
		[ -e "$image" ] && [ -d "/lib/modules/${image#/boot/vmlinuz-}/build" ] && return
	done
	return 1
}

missing() {
	local p
	for p in "${tools[@]}"; do
		installed "$p" || echo "$p"
	done
	have_kernel 6.1 || printf '%s\n' linux-image-cloud-amd64 linux-headers-cloud-amd64
	[ -e /usr/src/linux-source-6.1.tar.xz ] || echo linux-source-6.1
}

# The 6.12 kernel by its own name: the meta package of backports would take the place of that of 6.1
backports_kernel() {
	local image
	image=$(apt-cache search --names-only '^linux-image-6\.12.*-cloud-amd64$' | cut -d' ' -f1 | sort -V | tail -1)
	[ -n "$image" ] || die "bookworm-backports has no linux-image-6.12*-cloud-amd64"
	printf '%s\n' "$image" "${image/image/headers}"
}

add_backports() {
	apt-cache policy | grep -q bookworm-backports && return
	echo 'deb http://deb.debian.org/debian bookworm-backports main' > /etc/apt/sources.list.d/regionfs-backports.list
	apt-get -q update
}

main() {
	local want wanted_kernel=''
	want=$(missing)
	have_kernel 6.12 || wanted_kernel=1
	if [ "${1:-}" = --list ]; then
		printf '%s\n' "$want" ${wanted_kernel:+'linux-image-6.12*-cloud-amd64 (backports)'}
		return
	fi
	[ -n "$want$wanted_kernel" ] || return 0
	[ "$(id -u)" -eq 0 ] || die "needs root to install:" "$want" ${wanted_kernel:+'and the 6.12 kernel of backports'}
	export DEBIAN_FRONTEND=noninteractive
	apt-get -q update
	if [ -n "$wanted_kernel" ]; then
		add_backports
		want+=$'\n'$(backports_kernel)
	fi
	# shellcheck disable=SC2086 # one word each
	apt-get -q -y --no-install-recommends install $want
}

main "$@"
