# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The command line of the scripts that measure. Their help is the comment at their top.
#
#   . options.sh
#   size=256 gate=0 downtime=''
#   take_options 'size max-downtime=downtime gate=gate:1' "$@"

say() { echo "$(basename "$0"): $*" >&2; }
die() { say "$*"; exit 2; }
usage() { sed -n '3,/^set -u/{/^set -u/d;s/^# \{0,1\}//;p}' "$0"; }

# take_options OPTIONS ARG...: each of OPTIONS, in one word list, is NAME, where --NAME VALUE sets the variable of that name;
# NAME=VARIABLE, where it sets that one; or NAME=VARIABLE:VALUE, where --NAME alone does
take_options() {
	local known=" $1 " option to
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help) usage; exit 0 ;;
		--?*) option=${1#--} ;;
		*) die "unknown option $1 (see --help)" ;;
		esac
		case $known in
		*" $option="*) to=${known#*" $option="} to=${to%% *} ;;
		*" $option "*) to=$option ;;
		*) die "unknown option $1 (see --help)" ;;
		esac
		case $to in
		*:*) printf -v "${to%%:*}" %s "${to#*:}" ;;
		*)
			[ $# -gt 1 ] || die "$1 takes a value (see --help)"
			printf -v "$to" %s "$2"
			shift
			;;
		esac
		shift
	done
}
