#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Files copied into a file region in every way read back bit for bit.
. "$(dirname "$0")/roundtrip.inc"
mkdir "$work/store"
roundtrip file "file:$work/store/"
done_testing
