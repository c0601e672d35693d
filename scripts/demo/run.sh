#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make demo: a real SQLite database, used over the network, then moved to another host under its writer. In a throw-away VM
# (scripts/vm.sh), or on this machine with DEMO_KERNEL=host.
#
#   DEMO_MB=100     size of the database
#   DEMO_KERNEL=6.1 as --kernel of vm.sh
set -eu
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top"
exec scripts/vm.sh run --kernel "${DEMO_KERNEL:-6.1}" --mem 4G --timeout 1200 -- \
	env DEMO_MB="${DEMO_MB:-100}" TERM="${TERM:-dumb}" scripts/demo/demo.sh
