#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# The first program in a VM of scripts/vm.sh: puts an overlay on a tmpfs over the host's root, which comes
# over virtiofs, and goes on with vm-guest.sh there.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r m; do insmod "/mods/$m"; done < /mods/order
mount -t virtiofs -o ro rootfs /lower || exit 1
mount -t tmpfs -o size=70% tmpfs /rw
mkdir -p /rw/upper /rw/work
mount -t overlay overlay -o lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work /newroot || exit 1
mkdir -p /newroot/run
mount -t tmpfs -o mode=755 run /newroot/run
mkdir -p /newroot/run/vm
cp /guest /setup /command /newroot/run/vm/
for d in proc sys dev; do mount --move /$d /newroot/$d; done
exec switch_root /newroot /bin/bash /run/vm/guest
