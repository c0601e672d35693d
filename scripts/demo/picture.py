#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Draws what a migration did, as text: commits on A and on B, and bytes on the wire, over time.

picture.py SAMPLES LOG-A LOG-B
SAMPLES: lines of time and bytes that have left A so far.
"""
import sys

WIDTH = 72
BARS = " ▁▂▃▄▅▆▇█"


def read(name):
    with open(name, encoding="ascii") as lines:
        return [(float(a), int(b)) for a, b in (line.split() for line in lines)]


def bar(values):
    most = max(values) or 1
    return "".join(BARS[min(8, -(-8 * int(v * 1000) // int(most * 1000)))] for v in values), most


def main():
    samples, on_a, on_b = (read(name) for name in sys.argv[1:4])
    start, end = samples[0][0], samples[-1][0]
    step = (end - start) / WIDTH

    def column(when):
        return min(WIDTH - 1, max(0, int((when - start) / step)))

    commits = {"A": [0] * WIDTH, "B": [0] * WIDTH}
    for host, log in (("A", on_a), ("B", on_b)):
        for when, _ in log:
            if start <= when <= end:
                commits[host][column(when)] += 1
    wire = [0.0] * WIDTH
    for (t0, b0), (t1, b1) in zip(samples, samples[1:]):
        first, last = column(t0), column(t1)
        for i in range(first, last + 1):
            wire[i] += (b1 - b0) / (last - first + 1)
    print()
    for name, values, unit in (("commits on A", commits["A"], "/s"), ("commits on B", commits["B"], "/s"),
                               ("A sends", wire, " MB/s")):
        text, most = bar(values)
        scale = most / step / (1e6 if "MB" in unit else 1)
        print(f"  {name:>12} ▕{text}▏ up to {scale:.1f}{unit}")
    pause = " " * column(on_a[-1][0]) + "^" + "~" * max(0, column(on_b[0][0]) - column(on_a[-1][0]) - 1)
    print(f"  {'':>12}  {pause} A stops, B goes on")
    print(f"  {'':>12}  0 s{'':{WIDTH - 9}}{end - start:4.1f} s")
    print(f"\n  downtime, from A's last commit to B's first: {1000 * (on_b[0][0] - on_a[-1][0]):.0f} ms")


main()
