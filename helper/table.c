// SPDX-License-Identifier: GPL-2.0
/* Tables for people: aligned columns, as wide as their widest cell. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

struct regionfs_table {
	size_t columns;
	const char *const *headings;
	size_t *widths;
	char **cells;
	size_t count;
	size_t room;
};

size_t regionfs_text_width(const char *text)
{
	size_t width = 0;

	/* A continuation byte of UTF-8 (10xxxxxx) takes no column of its own. */
	for (; *text; text++)
		if (((unsigned char)*text & 0xc0) != 0x80)
			width++;
	return width;
}

static bool is_right(const char *heading)
{
	return heading[0] == '>';
}

static const char *heading_text(const char *heading)
{
	return heading + is_right(heading);
}

struct regionfs_table *regionfs_table_new(const char *const *columns)
{
	struct regionfs_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->headings = columns;
	while (columns[table->columns])
		table->columns++;
	table->widths = calloc(table->columns, sizeof(*table->widths));
	if (!table->widths) {
		free(table);
		return NULL;
	}
	for (size_t i = 0; i < table->columns; i++)
		table->widths[i] = regionfs_text_width(heading_text(columns[i]));
	return table;
}

static int make_room(struct regionfs_table *table)
{
	size_t room = table->room ? table->room * 2 : 64;
	char **cells;

	if (table->count < table->room)
		return 0;
	cells = realloc(table->cells, room * sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	table->cells = cells;
	table->room = room;
	return 0;
}

/* Names come from anywhere: a newline or an escape sequence in one must not reach the terminal. */
static char *printable_copy(const char *text)
{
	char *copy = strdup(text);

	for (char *at = copy; copy && *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	return copy;
}

int regionfs_table_cell(struct regionfs_table *table, const char *text)
{
	size_t column = table->count % table->columns;
	size_t width;
	char *copy;

	if (make_room(table))
		return -ENOMEM;
	copy = printable_copy(text && *text ? text : "-");
	if (!copy)
		return -ENOMEM;
	width = regionfs_text_width(copy);
	if (width > table->widths[column])
		table->widths[column] = width;
	table->cells[table->count++] = copy;
	return 0;
}

static void pad(FILE *to, size_t n)
{
	while (n--)
		putc_unlocked(' ', to);
}

static void print_cell(const struct regionfs_table *table, size_t column, const char *text,
		       FILE *to)
{
	size_t room = table->widths[column] - regionfs_text_width(text);
	bool right = is_right(table->headings[column]);
	bool last = column + 1 == table->columns;

	if (right)
		pad(to, room);
	fputs_unlocked(text, to);
	if (last)
		putc_unlocked('\n', to);
	else
		pad(to, right ? 2 : room + 2);
}

void regionfs_table_print(const struct regionfs_table *table, FILE *to)
{
	for (size_t i = 0; i < table->columns; i++)
		print_cell(table, i, heading_text(table->headings[i]), to);
	for (size_t i = 0; i < table->count; i++)
		print_cell(table, i % table->columns, table->cells[i], to);
}

void regionfs_table_free(struct regionfs_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table->widths);
	free(table);
}
