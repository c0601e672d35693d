#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Writes to an SQLite database in WAL mode, one row a transaction, and prints the number of each that was committed.

  commits.py DATABASE WHO   goes on from the largest number in the table t, which it makes where it is not there
"""
import os
import sqlite3
import sys


def main():
    path, who = sys.argv[1:3]
    db = sqlite3.connect(path, timeout=60, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE IF NOT EXISTS t(n INTEGER PRIMARY KEY, who TEXT, pad BLOB)")
    number = db.execute("SELECT coalesce(max(n), -1) + 1 FROM t").fetchone()[0]
    while True:
        db.execute("INSERT INTO t VALUES(?, ?, randomblob(3000))", (number, who))
        os.write(1, b"%d\n" % number)
        number += 1


main()
