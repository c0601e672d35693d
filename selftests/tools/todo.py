#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""A TODO list in a mapped file; knows nothing of what file that is.

  todo.py LIST add COUNT    puts items at the end of the list
  todo.py LIST work NAME    does the items in their order, each under NAME, says its number, and puts a new one at the end, until
                            SIGTERM, which lets it end the item that it is at
  todo.py LIST show         prints "NUMBER NAME" for each item that was done; fails where the list makes no sense
"""
import mmap
import signal
import struct
import sys
import time

HEAD = struct.Struct("<QQ")  # items in the list, items done
ITEM = struct.Struct("<Q16s232s")  # number + 1, who did it, what
PAUSE = 0.01

ended = False


def on_term(signum, frame):
    global ended
    ended = True


class List:
    def __init__(self, path):
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)

    def counts(self):
        return HEAD.unpack_from(self.map, 0)

    def place(self, number):
        return (number + 1) * ITEM.size

    def read(self, number):
        number1, who, what = ITEM.unpack_from(self.map, self.place(number))
        return number1 - 1, who.rstrip(b"\0").decode(), what.rstrip(b"\0").decode()

    def write(self, number, who):
        ITEM.pack_into(self.map, self.place(number), number + 1, who.encode(), text(number).encode())

    def add(self):
        items, done = self.counts()
        self.write(items, "")
        HEAD.pack_into(self.map, 0, items + 1, done)

    def do(self, who):
        items, done = self.counts()
        if self.read(done) != (done, "", text(done)):
            raise SystemExit(f"item {done} is {self.read(done)}")
        self.write(done, who)
        HEAD.pack_into(self.map, 0, items, done + 1)
        return done


def text(number):
    return f"{number}: water the plants"


def work(todo, who):
    signal.signal(signal.SIGTERM, on_term)
    while not ended:
        print(todo.do(who), flush=True)
        todo.add()
        time.sleep(PAUSE)


def show(todo):
    items, done = todo.counts()
    for number in range(items):
        number_there, who, what = todo.read(number)
        if (number_there, what) != (number, text(number)) or (who == "") != (number >= done):
            raise SystemExit(f"item {number} is {todo.read(number)}, and {done} of {items} are done")
        if who:
            print(number, who)


def main():
    path, what = sys.argv[1:3]
    todo = List(path)
    if what == "add":
        for _ in range(int(sys.argv[3])):
            todo.add()
    elif what == "work":
        work(todo, sys.argv[3])
    else:
        show(todo)


main()
