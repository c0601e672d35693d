/* SPDX-License-Identifier: GPL-2.0 */
/* Tables for people: aligned columns, as wide as their widest cell. */
#ifndef REGIONFS_TABLE_H
#define REGIONFS_TABLE_H

#include <stdio.h>

struct regionfs_table;

/*
 * columns: the headings, ended by NULL; one that begins with '>' is aligned to the right, and
 * loses the '>'. NULL when memory is short.
 */
struct regionfs_table *regionfs_table_new(const char *const *columns);

/* Puts a copy of text into the next cell, row by row; NULL and "" print as "-". 0 or -ENOMEM. */
int regionfs_table_cell(struct regionfs_table *table, const char *text);

/*
 * Prints headings and rows; no blanks at a line's end. A row that is not full is an error of the
 * caller.
 */
void regionfs_table_print(const struct regionfs_table *table, FILE *to);

void regionfs_table_free(struct regionfs_table *table);

/* How many terminal columns a text takes: code points of UTF-8, control characters not counted. */
size_t regionfs_text_width(const char *text);

#endif
