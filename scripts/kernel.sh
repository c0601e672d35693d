#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds the debugging kernel: Debian's linux-source-6.1 with KASAN, UBSAN, lockdep, kmemleak and fault injection.
#
#   kernel.sh build    builds it unless it is there, prints its release
#   kernel.sh image    prints the path of its bzImage
#   kernel.sh tree     prints its build tree, to build modules against (make KDIR=...)
#   kernel.sh release  prints its release
#
# The result is kept in $REGIONFS_CACHE (default /var/cache/regionfs), under a name that has a hash of
# the sources' version and of the configuration, so a change of either builds anew.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${REGIONFS_CACHE:-/var/cache/regionfs}
source=/usr/src/linux-source-6.1.tar.xz

die() { echo "kernel.sh: $*" >&2; exit 1; }

[ -e "$source" ] || die "$source is missing: run scripts/deps.sh first"
version=$(dpkg-query -W -f '${Version}' linux-source-6.1 2>/dev/null || stat -c %s "$source")
key=$({ echo "$version"; cat "$here/kernel-debug.config"; } | sha256sum | cut -c1-12)
dir=$cache/debug-6.1-$key
tree=$dir/linux
image=$tree/arch/x86/boot/bzImage

build() {
	[ -e "$dir/done" ] && return
	local log=$dir/build.log
	mkdir -p "$dir"
	exec 9>"$dir/lock"
	flock 9
	[ -e "$dir/done" ] && return
	echo "kernel.sh: building the debugging kernel (once; log in $log)" >&2
	rm -rf "$tree" "$dir/unpack"
	mkdir "$dir/unpack"
	tar -C "$dir/unpack" -xf "$source"
	mv "$dir"/unpack/linux-source-* "$tree"
	rmdir "$dir/unpack"
	{
		make -C "$tree" ARCH=x86_64 tinyconfig
		cat "$here/kernel-debug.config" >> "$tree/.config"
		make -C "$tree" ARCH=x86_64 olddefconfig
		make -C "$tree" ARCH=x86_64 -j"$(nproc)" bzImage modules
	} > "$log" 2>&1 || { tail -20 "$log" >&2; die "the build failed, see $log"; }
	: > "$dir/done"
}

case ${1:-} in
build) build; make -s -C "$tree" kernelrelease ;;
image) [ -e "$dir/done" ] || die "not built: run kernel.sh build"; echo "$image" ;;
tree) [ -e "$dir/done" ] || die "not built: run kernel.sh build"; echo "$tree" ;;
release) [ -e "$dir/done" ] || die "not built: run kernel.sh build"; make -s -C "$tree" kernelrelease ;;
*) die "usage: kernel.sh build | image | tree | release" ;;
esac
