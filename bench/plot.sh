#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Draws what run.sh, managed.sh and migrate.sh have measured: each plot as SVG, and as PNG for terminals that show it. Needs gnuplot (scripts/deps.sh).
#
#   plot.sh [OPTION]...
#
#   --results LIST  files of JSON lines, as make keeps them and the scripts print them, tables and all (default ../build/bench/*.jsonl)
#   --out DIR       where plots go (default ../build/bench/plots); a file's are named after it
#   --command TEXT  that was run, for the caption, where the results don't say it
#   --note TEXT     a line more in the caption
#   --scripts       gnuplot's scripts, which have the figures, and no plots; needs no gnuplot
#   --show          shows the plots in a terminal that can do that (kitty, Ghostty, iTerm2, WezTerm); else says where they are
#
# Of run.sh: NAME-latency and NAME-throughput. Of managed.sh, for each rate: NAME-seq-RATE. Of migrate.sh: NAME-downtime-RATE and
# NAME-total-RATE. The same results make the same bytes. Results of profile.sh have no plots.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
results='' out=$here/../build/bench/plots command='' note='' scripts=0 show=0

# shellcheck source=bench/options.sh
. "$here/options.sh"
take_options 'results out command note scripts=scripts:1 show=show:1' "$@"

# awk takes a backslash in -v for the beginning of an escape
literal() { printf '%s' "${1//\\/\\\\}"; }

# scripts_of FILE: into $work
scripts_of() {
	local name=${1##*/} programs=(json.awk plot.awk plot-run.awk)
	name=${name%.*}
	grep -q '^{.*"clock":' "$1" || programs=(json.awk table.awk plot.awk plot-link.awk)
	grep '^{' "$1" | awk -v dir="$work" -v name="$name" -v command="$(literal "$command")" -v note="$(literal "$note")" \
		"${programs[@]/#/-f$here/}"
}

# svg SCRIPT: what gnuplot makes of it, with its title, and less than half as long: what is so anyway need not be said of each line, and groups of
# nothing are none. gnuplot's SVG knows no bold font
svg() {
	gnuplot -e "kind = 'svg'; file = '$work/svg'" "$1" || return
	sed -z -E -e "s|<title>[^<]*|<title\n>$(sed -n '1s/^# //p' "$1")|; s|<title>[^<]*</title>||g; s|<title\n>|<title>|" \
		-e 's/<svg/& font-family="sans-serif" color="black"/; s/(<g [^>]*) color="black"/\1/g' \
		-e 's/ font-family="sans-serif:Bold"/ font-weight="bold"/g; s/ font-family="sans-serif" +font-size/ font-size/g' \
		-e 's/ stroke-linecap="butt" stroke-linejoin="miter"//g; s/ id="gnuplot_plot_[^"]*" *//g; s/rgb\( *([0-9]+), *([0-9]+), */rgb(\1,\2,/g' \
		-e 's/[ \t]*\n[ \t]*/\n/g; s/ +(\x27?\/>)/\1/g; s/<g [^>]*>\n<\/g>\n//g; s/\n+/\n/g' "$work/svg"
}

draw() {
	local script plot
	for script in "$work"/*.gp; do
		[ -e "$script" ] || return 0
		plot=$out/$(basename "$script" .gp)
		svg "$script" > "$work/smaller" && cp "$work/smaller" "$plot.svg" && gnuplot -e "kind = 'png'; file = '$plot.png'" "$script" || return
		plots+=("$plot")
	done
}

# By the protocols of kitty, 4096 characters at a time, and of iTerm2
show_kitty() {
	local chunk more control='f=100,a=T,'
	base64 -w 4096 "$1" | {
		read -r chunk
		while [ -n "$chunk" ]; do
			more=''
			read -r more
			printf '\e_G%sm=%d;%s\e\x5c' "$control" $((${#more} > 0)) "$chunk"
			chunk=$more control=''
		done
	}
	echo
}

show_iterm() { printf '\e]1337;File=inline=1;size=%d:%s\a\n' "$(stat -c %s "$1")" "$(base64 -w 0 "$1")"; }

# Which of them this terminal has; a multiplexer lets neither through
protocol() {
	[ -t 1 ] && [ -z "${TMUX:-}${STY:-}" ] || return
	case ${KITTY_WINDOW_ID:+kitty}${TERM_PROGRAM:-} in
	kitty* | ghostty) by=kitty ;;
	iTerm.app | WezTerm) by=iterm ;;
	*) return 1 ;;
	esac
}

tell() {
	local plot by=''
	[ $show = 0 ] || protocol || say "standard output is no terminal that is known to show pictures"
	for plot in "${plots[@]}"; do
		[ -z "$by" ] || "show_$by" "$plot.png"
		printf '%s\n' "$plot.svg" "$plot.png"
	done
}

if [ -z "$results" ]; then
	results=$(find "$here/../build/bench" -maxdepth 1 -name '*.jsonl' ! -name '*-profile.jsonl' | sort)
	[ -n "$results" ] || die "build/bench has no results: run make -C bench bench, bench-icount, bench-managed or bench-migrate"
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/regionfs-plot.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
plots=()
mkdir -p "$out" || exit 2
for file in $results; do
	[ -r "$file" ] || die "cannot read $file"
	scripts_of "$file" || die "cannot make sense of $file"
done
if [ $scripts = 1 ]; then
	cp "$work"/*.gp "$out"
elif ! type gnuplot > /dev/null 2>&1; then
	say "nothing is drawn: there is no gnuplot, which is in Debian's gnuplot-nox (scripts/deps.sh installs it)"
else
	draw || die "gnuplot failed"
	tell
fi
