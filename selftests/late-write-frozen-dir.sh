#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A write that is stuck in the file system below a dir: region as its helper is killed never lands on a newer one.
#
# timeout: 300
. "$(dirname "$0")/late-write-frozen.inc"
frozen dir "$work/fs/r/0"
done_testing
