# SPDX-License-Identifier: GPL-2.0
# What plot-run.awk and plot-link.awk have in common: gnuplot's scripts, one a plot, with the figures in them. Such a script is called with
# kind (svg or png) and file. After json.awk, with -v dir=WHERE -v name=WHAT-THE-FILES-BEGIN-WITH [-v command=...] [-v note=...]

# A text as gnuplot takes it literally
function quoted(words) {
	gsub(/'/, "''", words)
	return "'" words "'"
}

function file_name(words) {
	gsub(/[^A-Za-z0-9._-]/, "-", words)
	return words
}

function several(n, what) {
	return n " " what (n == 1 ? "" : "s")
}

# What a run says of itself, in front of its results
/^\{"command":/ {
	if (command == "")
		command = text("command")
	machine = text("machine")
	commit = text("commit")
}

# The caption: lines of at most so many characters as go into the width; what follows the first one of a command is indented
function caption_line(words, indent,	most, at) {
	most = int(width / 6.4)
	while (length(words) > most) {
		for (at = most; at > most / 2 && substr(words, at, 1) != " "; at--)
			;
		caption[++captions] = substr(words, 1, at)
		words = indent substr(words, at + 1)
	}
	caption[++captions] = words
}

function about_the_run() {
	captions = 0
	caption_line(setting (machine == "" ? "" : "; " machine) (commit == "" ? "" : "; commit " commit), "")
	caption_line(meaning, "")
	if (command != "")
		caption_line("$ " command, "    ")
	if (note != "")
		caption_line(note, "")
}

# The white ground is for readers whose pages are dark
function begin(what, title, w, h,	i) {
	width = w
	about_the_run()
	height = h + 15 * captions
	script = dir "/" file_name(name "-" what) ".gp"
	say("# " title)
	say("if (kind eq \"svg\") set terminal svg noenhanced size " width "," height " background '#ffffff' font 'sans-serif,12'")
	say("if (kind eq \"png\") set terminal pngcairo noenhanced size " width "," height " background '#ffffff' font 'sans-serif,9'")
	say("set output file")
	say("set encoding utf8")
	say("small = kind eq \"svg\" ? 'sans-serif,10' : 'sans-serif,7.5'")
	say("bold_small = kind eq \"svg\" ? 'sans-serif:Bold,10' : 'sans-serif:Bold,7.5'")
	say("large = kind eq \"svg\" ? 'sans-serif:Bold,15' : 'sans-serif:Bold,11.5'")
	say("set border 3 linecolor rgb '#555555'")
	say("set tics nomirror textcolor rgb '#222222'")
	say("set grid ytics linecolor rgb '#dddddd' linetype 1")
	say("set label 1 " quoted(title) " at screen " x_at(16) "," y_at(22) " left font large")
	for (i = 1; i <= captions; i++)
		say(sprintf("set label %d %s at screen %s,%s left font small textcolor rgb '#555555'", i + 1, quoted(caption[i]),
			x_at(16), y_at(height - 15 * (captions - i) - 14)))
}

function say(words) {
	print words > script
}

function finish() {
	close(script)
}

# Points from the left, and from the top
function x_at(points) {
	return sprintf("%.4f", points / width)
}

function y_at(points) {
	return sprintf("%.4f", 1 - points / height)
}

# The area between: points from each edge, those from below counted from above the caption
function area(left, right, top, bottom) {
	say(sprintf("set lmargin at screen %s\nset rmargin at screen %s\nset tmargin at screen %s\nset bmargin at screen %s",
		x_at(left), x_at(width - right), y_at(top), y_at(height - 15 * captions - bottom)))
}

# Begins to find out what an axis has to show
function range_none() {
	least = most = 0
}

function range_has(value) {
	if (value <= 0)
		return
	if (!least || value < least)
		least = value
	if (value > most)
		most = value
}

# A logarithmic axis where the small would not be seen beside the large; above is left free, of the whole
function y_axis(words, above,	low_end, log_scale) {
	log_scale = least && most / least > 20
	if (log_scale) {
		low_end = 10 ^ floor(log(least * 0.7) / log(10))
		say("set logscale y")
		say(sprintf("set yrange [%g:%g]", low_end, most * (most / low_end) ^ (above / (1 - above))))
	} else {
		say("unset logscale y")
		say(sprintf("set yrange [0:%g]", (most ? most : 1) / (1 - above)))
	}
	say("set format y '%.10g'")
	say("set label 20 " quoted(words (log_scale ? ", logarithmic" : "")) " at screen " x_at(16) "," y_at(46) " left textcolor rgb '#222222'")
}

function floor(x) {
	return int(x) - (x < int(x))
}

# Three digits or so
function short(value) {
	return sprintf(value >= 99.95 ? "%.0f" : value >= 9.995 ? "%.1f" : "%.2f", value)
}

# Data that gnuplot finds by an id
function block(id, data) {
	say("$" id " << END\n" data "END")
}

# What plots the whiskers of a block, whose columns are x, value, low and high: the usual error bars leave a gap where a point would be
function whiskers(id, colour) {
	return "$" id " using 1:3:(0):($4 - $3) with vectors heads size graph 0.004,90 nofilled linewidth 1.2 linecolor rgb '" colour "' notitle"
}

# Okabe and Ito's colours, which those who see few of them can tell apart; the strongest is that of regionfs
BEGIN {
	ours = "#d55e00"
	ours_lighter = "#f2a15f"
	blue = "#0072b2"
	sky = "#56b4e9"
	green = "#009e73"
	purple = "#cc79a7"
	yellow = "#f0e442"
	grey = "#999999"
	black = "#333333"
}
