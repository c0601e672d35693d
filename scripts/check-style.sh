#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Looks at the sources as their readers do, and builds them with every warning on.
#
#   check-style.sh          the quick checks: SPDX lines, sizes, shellcheck, kernel versions in one place
#   check-style.sh --all    checkpatch, the module with W=1 and sparse on 6.1 and 6.12, the helper with clang too (make lint)
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top" || exit 1
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# check WHAT COMMAND...: COMMAND must succeed and print nothing
check() {
	local what=$1
	shift
	if "$@" > "$log" 2>&1 && [ ! -s "$log" ]; then return; fi
	echo "check-style.sh: $what:" >&2
	sed 's/^/  /' "$log" | head -60 >&2
	failed=1
}

sources() { git ls-files --cached --others --exclude-standard -- "$@"; }

spdx() {
	local f
	sources '*.c' '*.h' '*.sh' '*.py' '*.pml' '*Makefile' '*Kbuild' '*Kconfig' '*.yaml' | while read -r f; do
		[ -e "$f" ] && ! head -3 "$f" | grep -q 'SPDX-License-Identifier: GPL-2.0' && echo "$f"
	done
	return 0
}

too_long() {
	sources '*.c' '*.h' '*.sh' '*.pml' | xargs -r wc -l 2>/dev/null | awk '$2 != "total" && $1 > 800 {print $2 ": " $1 " lines"}'
}

# compat.h is the only place that asks for a kernel's version
versions() { sources 'kmod/*' | grep -v compat.h | xargs -r grep -ln LINUX_VERSION_CODE; return 0; }

trailing_blanks() { sources '*.c' '*.h' '*.sh' '*.pml' '*.md' '*Makefile' | xargs -r grep -nE '[ 	]+$'; return 0; }

shell() {
	{ sources '*.sh'; echo .ci/run; } | xargs -r shellcheck
}

# The kernel's checkpatch, from the debugging kernel's tree or Debian's headers, where there is one
checkpatch() {
	local script
	script=$(find "${REGIONFS_CACHE:-/var/cache/regionfs}" /usr/src -maxdepth 5 -name checkpatch.pl 2>/dev/null | head -1)
	[ -n "$script" ] || return 0
	sources 'kmod/*.c' 'kmod/*.h' | xargs -r perl "$script" --no-tree --terse --quiet --no-summary -f --max-line-length=120 \
		--ignore FILE_PATH_CHANGES,LINUX_VERSION_CODE,SPDX_LICENSE_TAG,EMBEDDED_FILENAME,MACRO_ARG_REUSE,CONSTANT_COMPARISON
}

# module_with WHAT RELEASE FLAG...: builds it anew, beside the usual build, and gives what the tools say
module_with() {
	local what=$1 release=$2
	shift 2
	rm -rf "build/lint/$what/$release"
	make -s module "BUILD=$top/build/lint/$what" "KREL=$release" "KFLAGS=$*" 2>&1 |
		grep -E 'warning|error|Error' | grep -vE 'the compiler differs|Skipping BTF|vmlinux'
	return 0
}

helper_with_clang() {
	make -s -C helper "BUILD=$top/build/lint/clang" CC=clang programs 2>&1 | grep -E 'warning:|error:|Error'
	return 0
}

all() {
	local k release
	check checkpatch checkpatch
	for k in 6.1 6.12; do
		release=$(scripts/vm.sh release $k) || continue
		check "W=1 on $k" module_with w1 "$release" W=1
		check "sparse on $k" module_with sparse "$release" C=2 CF=-D__CHECK_ENDIAN__
	done
	check 'the helper with clang' helper_with_clang
}

check 'files without an SPDX line' spdx
check 'files over 800 lines: split them by noun' too_long
check 'kernel versions are asked for outside kmod/compat.h' versions
check 'blanks at the end of lines' trailing_blanks
check shellcheck shell
[ "${1:-}" = --all ] && all
[ "$failed" -eq 0 ] && echo 'check-style.sh: nothing to complain about'
exit "$failed"
