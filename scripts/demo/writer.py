#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""An ordinary program that writes orders into an SQLite database. It knows nothing of regionfs.

writer.py DATABASE LOG

Goes on after the last order that the database has. Each commit is noted in LOG, after it has succeeded: time and order.
SIGTERM ends it after the transaction that it is in.
"""
import signal
import sqlite3
import sys
import time

ended = False


def on_term(number, frame):
    global ended
    ended = True


def main():
    database, log_name = sys.argv[1:3]
    signal.signal(signal.SIGTERM, on_term)
    with open(log_name, "w", buffering=1, encoding="ascii") as log:
        connection = sqlite3.connect(database, isolation_level=None, timeout=60)
        connection.execute("PRAGMA journal_mode=MEMORY")
        order = connection.execute("SELECT coalesce(max(id), 0) FROM orders").fetchone()[0]
        customers = connection.execute("SELECT max(id) FROM customers").fetchone()[0]
        while not ended:
            order += 1
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO orders VALUES(?, ?, hex(randomblob(100)))", (order, order))
            # customers all over the file, so that pages are dirty everywhere
            connection.execute("UPDATE customers SET orders = orders + 1 WHERE id = ?",
                               (order * 7919 % customers + 1,))
            connection.execute("COMMIT")
            log.write(f"{time.clock_gettime(time.CLOCK_MONOTONIC):.6f} {order}\n")
            time.sleep(0.02)
        connection.close()


main()
