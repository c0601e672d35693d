# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A bounded wait, for the scripts that measure.

# until_ COMMAND...: true once it is, for ten seconds
until_() {
	local i
	for ((i = 0; i < 500; i++)); do
		"$@" && return 0
		sleep 0.02
	done
	return 1
}
