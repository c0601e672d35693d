#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Looks at the style, runs the unit tests and, in one VM for each kernel, the selftests; prove's closing lines tell of them all.
# What they need has been built: make check does that first. With several kernels, each has a share of the selftests that are about the helpers
# (run.sh --share); with one kernel it runs them all.
#
#   check.sh [--unit] [KERNEL]...    KERNEL as for vm.sh; TESTS="NAME..." runs only these selftests
#
# Each test's own TAP stays in build/tap/unit and build/tap/KERNEL.
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
out=$top/build/tap
units='' kernels=()

style() {
	"$here/check-style.sh" 2>&1 | sed 's/^/# /'
	[ "${PIPESTATUS[0]}" -eq 0 ] && echo 'ok 1 - nothing to complain about' || echo 'not ok 1 - see above'
	echo 1..1
}

# unit NAME COMMAND...: keeps its TAP, and shows it when it failed
unit() {
	local name=$1 log=$out/unit/$1.tap rc
	shift
	"$@" < /dev/null > "$log" 2>&1
	rc=$?
	echo "# exit status: $rc" >> "$log"
	if [ "$rc" -eq 4 ] && grep -q '^1\.\.0 # SKIP' "$log"; then
		echo "# unit: $name was skipped: $(sed -n 's/^1\.\.0 # SKIP //p' "$log")"
	elif [ "$rc" -eq 0 ] && ! grep -q '^not ok' "$log"; then
		echo "# unit: $name passed"
	else
		echo "# unit: $name failed"
		sed 's/^/# /' "$log"
	fi
}

# The model needs one CPU, for minutes; so it goes beside all the rest
unit_tests() {
	mkdir -p "$out/unit"
	unit model timeout -k 5 2400 "$top/selftests/model/run.sh" &
	unit style style
	unit uapi "$here/check-uapi.py"
	# they wait more than they work: side by side
	find "$top/build/tests" -name 'test-*' -type f -executable -print0 | sort -z |
		xargs -0 -r -n 1 -P "$(nproc)" "$here/check.sh" --one
}

# A VM that did not end well is a failure of its own, whatever its tests have said
vm_ended() {
	local log=$out/$1/vm.tap
	if [ "$2" -le 1 ]; then
		printf '1..1\nok 1 - the VM ended well\n# exit status: 0\n' > "$log"
	else
		printf '1..1\nnot ok 1 - the VM ended well\n# vm.sh gave %s\n# exit status: 1\n' "$2" > "$log"
	fi
}

selftests() {
	local kernel=$1 limit=2400 options=() tests=(--share "$2")
	[ "$kernel" = debug ] && limit=7200 options=(--kmemleak)
	[ -z "${TESTS:-}" ] || read -ra tests <<< "$TESTS"
	rm -rf "${out:?}/$kernel"
	echo "# kernel $kernel: $("$here/vm.sh" release "$kernel")"
	"$here/vm.sh" run --kernel "$kernel" --timeout "$limit" "${options[@]}" --out "$out/$kernel" -- \
		"$top/selftests/run.sh" --tap /out "${tests[@]}"
	vm_ended "$kernel" $?
}

# For prove: shows a kept log, and ends as the test did
if [ "${1:-}" = --replay ]; then
	# one test that bails out must not end prove
	sed 's/^Bail out!/# bailed out:/' "$2"
	rc=$(sed -n 's/^# exit status: //p' "$2" | tail -1)
	# 4 is kselftest's "skipped", which the plan says as well
	[ "${rc:-1}" -eq 4 ] && exit 0
	exit "${rc:-1}"
fi

# For xargs: one unit test program
if [ "${1:-}" = --one ]; then
	unit "$(basename "$2")" timeout -k 5 300 "$2"
	exit 0
fi

for a in "$@"; do
	case $a in --unit) units=1 ;; *) kernels+=("$a") ;; esac
done
cd "$top" || exit 1
mkdir -p "$out"
logs=()
if [ -n "$units" ]; then
	rm -rf "$out/unit"
	unit_tests
	logs+=("$out"/unit/*.tap)
fi
for i in "${!kernels[@]}"; do
	selftests "${kernels[i]}" "$((i + 1))/${#kernels[@]}"
	logs+=("$out/${kernels[i]}"/*.tap)
done
wait	# for the model
cd "$out" && prove --exec "$here/check.sh --replay" "${logs[@]#"$out"/}"
