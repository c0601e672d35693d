#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Files copied into a dir region in every way read back bit for bit.
. "$(dirname "$0")/roundtrip.inc"
mkdir "$work/store"
roundtrip dir "dir:$work/store/"
done_testing
