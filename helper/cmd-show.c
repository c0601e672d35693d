// SPDX-License-Identifier: GPL-2.0
/* How answers look: tables and fields for people, JSON for programs. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "table.h"
#include "units.h"

const struct show_field show_region_fields[] = {
	{ SHOW_TEXT, "path", "region" },
	{ SHOW_NUMBER, "id", "id" },
	{ SHOW_TEXT, "source", "source" },
	{ SHOW_SIZE, "size", "size" },
	{ SHOW_MODE, "mode", "mode" },
	{ SHOW_NUMBER, "uid", "uid" },
	{ SHOW_NUMBER, "gid", "gid" },
	{ SHOW_TIME, "mtime", "modified" },
	{ SHOW_TEXT, "state", "state" },
	{ SHOW_TEXT, "error", "error" },
	{ SHOW_TEXT, "policy", "managed" },
	{ SHOW_LIST, "flags", "flags" },
	{ SHOW_NUMBER, "epoch", "epoch" },
	{ SHOW_TEXT, "lineage", "lineage" },
	{ SHOW_MS, "timeout", "timeout" },
	{ SHOW_SIZE, "write_rate", "slowed" },
	{ SHOW_NUMBER, "opens", "opens" },
	{ SHOW_NUMBER, "writers", "writers" },
	{ SHOW_NUMBER, "nlink", "links" },
	{ SHOW_END, NULL, NULL },
};

const struct show_field show_export_fields[] = {
	{ SHOW_TEXT, "listen", "listening on" },
	{ SHOW_BOOL, "read_only", "read-only" },
	{ SHOW_LIST, "allow", "allowed" },
	{ SHOW_END, NULL, NULL },
};

const struct show_field show_backend_fields[] = {
	{ SHOW_TEXT, "scheme", "scheme" },
	{ SHOW_SIZE, "size", "size" },
	{ SHOW_SIZE, "chunk", "chunk" },
	{ SHOW_SIZE, "align", "alignment" },
	{ SHOW_SIZE_LIMIT, "max_request", "largest request" },
	{ SHOW_LIMIT, "parallel", "requests at once" },
	{ SHOW_TEXT, "fence", "fence" },
	{ SHOW_TEXT, "durability", "durable after" },
	{ SHOW_BOOL, "read_only", "read-only" },
	{ SHOW_END, NULL, NULL },
};

const struct show_field show_stats_fields[] = {
	{ SHOW_NUMBER, "reads", "reads" },
	{ SHOW_SIZE, "read_bytes", "read" },
	{ SHOW_NUMBER, "demand_reads", "demand reads" },
	{ SHOW_NUMBER, "writes", "writes" },
	{ SHOW_SIZE, "write_bytes", "written" },
	{ SHOW_NUMBER, "syncs", "syncs" },
	{ SHOW_NUMBER, "discards", "discards" },
	{ SHOW_SIZE, "stored_bytes", "stored ahead" },
	{ SHOW_SIZE, "local_bytes", "read by the kernel" },
	{ SHOW_NUMBER, "errors", "errors" },
	{ SHOW_NUMBER, "taken_back", "taken back" },
	{ SHOW_NUMBER, "late_commits", "late answers" },
	{ SHOW_NUMBER, "outstanding", "outstanding" },
	{ SHOW_NUMBER, "wait_count", "waits of programs" },
	{ SHOW_PAGES, "cached_pages", "cached" },
	{ SHOW_SIZE, "dirty_bytes", "dirty" },
	{ SHOW_END, NULL, NULL },
};

static const char *format_list(const json_t *list, char *text, size_t room)
{
	const json_t *item;
	size_t i, used = 0;

	text[0] = '\0';
	json_array_foreach(list, i, item) {
		used += (size_t)snprintf(text + used, room - used, "%s%s", i ? "," : "",
					 json_string_value(item) ? json_string_value(item) : "?");
		if (used >= room)
			break;
	}
	return text;
}

static const char *format_time(json_int_t ns, char *text, size_t room)
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm parts;

	if (!localtime_r(&seconds, &parts) || !strftime(text, room, "%Y-%m-%d %H:%M:%S", &parts))
		text[0] = '\0';
	return text;
}

static const char *format_number(json_int_t number, enum show_kind kind, char *text, size_t room)
{
	uint64_t value = number > 0 ? (uint64_t)number : 0;

	switch (kind) {
	case SHOW_SIZE:
		return regionfs_size_format(value, text);
	case SHOW_SIZE_LIMIT:
		return value == UINT32_MAX ? strcpy(text, "any") : regionfs_size_format(value, text);
	case SHOW_LIMIT:
		snprintf(text, room, value ? "%" PRIu64 : "any", value);
		return text;
	case SHOW_PAGES:
		return regionfs_size_format(value * (uint64_t)sysconf(_SC_PAGESIZE), text);
	case SHOW_MODE:
		return regionfs_mode_format((uint32_t)value, text);
	case SHOW_MS:
		return value ? regionfs_duration_format(value, text) : strcpy(text, "none");
	case SHOW_TIME:
		return format_time(number, text, room);
	default:
		snprintf(text, room, "%" JSON_INTEGER_FORMAT, number);
		return text;
	}
}

static const char *show_as(const json_t *value, enum show_kind kind, char text[SHOW_TEXT_MAX])
{
	text[0] = '\0';
	if (json_is_array(value))
		return format_list(value, text, SHOW_TEXT_MAX);
	if (json_is_string(value))
		snprintf(text, SHOW_TEXT_MAX, "%s", json_string_value(value));
	else if (json_is_boolean(value))
		strcpy(text, json_is_true(value) ? "yes" : "no");
	else if (json_is_real(value))
		snprintf(text, SHOW_TEXT_MAX, "%g", json_real_value(value));
	else if (json_is_integer(value))
		return format_number(json_integer_value(value), kind, text, SHOW_TEXT_MAX);
	return text;
}

const char *show_value(const json_t *object, const struct show_field *field,
		       char text[SHOW_TEXT_MAX])
{
	return show_as(json_object_get(object, field->key), field->kind, text);
}

static int widest_label(const struct show_field *fields)
{
	size_t width = 0;

	for (; fields->kind != SHOW_END; fields++)
		if (strlen(fields->label) > width)
			width = strlen(fields->label);
	return (int)width;
}

void show_fields(const json_t *object, const struct show_field *fields, const char *title)
{
	int width = widest_label(fields);
	char text[SHOW_TEXT_MAX];

	if (title)
		printf("%s\n", title);
	for (; fields->kind != SHOW_END; fields++) {
		if (!*show_value(object, fields, text))
			continue;
		printf("%s%s:%*s  %s", title ? "  " : "", fields->label,
		       width - (int)strlen(fields->label), "", text);
		/* Who looks at one region may want the exact size, too. */
		if (fields->kind == SHOW_SIZE &&
		    json_integer_value(json_object_get(object, fields->key)) >= 1024)
			printf(" (%" JSON_INTEGER_FORMAT ")",
			       json_integer_value(json_object_get(object, fields->key)));
		putchar('\n');
	}
}

static struct regionfs_table *new_table(const struct show_field *fields, const char *headings[32])
{
	size_t n = 0;

	for (; fields[n].kind != SHOW_END && n + 1 < 32; n++)
		headings[n] = fields[n].label;
	headings[n] = NULL;
	return regionfs_table_new(headings);
}

static int fill_table(struct regionfs_table *table, const json_t *array, const struct show_field *fields)
{
	char text[SHOW_TEXT_MAX];
	const json_t *row, *value;
	int err = 0;
	size_t i, f;

	json_array_foreach(array, i, row)
		for (f = 0; !err && fields[f].kind != SHOW_END; f++) {
			value = json_is_array(row) ? json_array_get(row, f) : json_object_get(row, fields[f].key);
			err = regionfs_table_cell(table, show_as(value, fields[f].kind, text));
		}
	return err;
}

int show_table(const json_t *array, const struct show_field *fields)
{
	const char *headings[32];
	struct regionfs_table *table = new_table(fields, headings);
	int err = table ? fill_table(table, array, fields) : -ENOMEM;

	if (!err)
		regionfs_table_print(table, stdout);
	else
		fputs("regionctl: out of memory\n", stderr);
	regionfs_table_free(table);
	return err;
}

static void new_line(int depth)
{
	putchar_unlocked('\n');
	while (depth-- > 0)
		fwrite_unlocked("  ", 1, 2, stdout);
}

/* From its first quote to behind its last. */
static const char *show_string(const char *text)
{
	const char *end = text + 1;

	for (; *end && *end != '"'; end++)
		end += *end == '\\' && end[1];
	end += *end == '"';
	fwrite_unlocked(text, 1, (size_t)(end - text), stdout);
	return end;
}

static const char *show_mark(const char *text, int *depth)
{
	bool empty = (*text == '{' && text[1] == '}') || (*text == '[' && text[1] == ']');

	if (*text == '}' || *text == ']')
		new_line(--*depth);
	putchar_unlocked(*text);
	if (empty)
		putchar_unlocked(text[1]);
	else if (*text == '{' || *text == '[')
		new_line(++*depth);
	else if (*text == ',')
		new_line(*depth);
	else if (*text == ':')
		putchar_unlocked(' ');
	return text + 1 + empty;
}

void show_json_text(const char *text)
{
	int depth = 0;

	while (*text)
		text = *text == '"' ? show_string(text) : show_mark(text, &depth);
	putchar('\n');
}

void show_json(const json_t *value, bool indent)
{
	/* 0.1, and not all that a double has of it */
	json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15) | (indent ? JSON_INDENT(2) : JSON_COMPACT));
	putchar('\n');
}

int show_result(const struct cmd_context *ctx, json_t *result, const struct show_field *fields)
{
	if (ctx->json)
		show_json(result, true);
	else
		show_fields(result, fields, NULL);
	json_decref(result);
	return CMD_OK;
}
