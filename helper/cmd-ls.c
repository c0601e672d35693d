// SPDX-License-Identifier: GPL-2.0
/* regionctl ls: the regions of an instance. */
#include <stdlib.h>

#include "cmd.h"

static const struct show_field columns[] = {
	{ SHOW_TEXT, "path", "REGION" },
	{ SHOW_SIZE, "size", ">SIZE" },
	{ SHOW_MODE, "mode", "MODE" },
	{ SHOW_TEXT, "state", "STATE" },
	{ SHOW_LIST, "flags", "FLAGS" },
	{ SHOW_NUMBER, "opens", ">OPENS" },
	{ SHOW_TEXT, "source", "SOURCE" },
	{ SHOW_END, NULL, NULL },
};

static void show_names(const json_t *rows)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
		puts(json_string_value(json_array_get(row, 0)) ?: "?");
}

static int run_json(struct cmd_context *ctx)
{
	char *text;
	int code = cmd_call_text(ctx, "ls", &text);

	if (!code && text)
		show_json_text(text);
	free(text);
	return code;
}

/* The keys of the columns, for regiond. */
static json_t *wanted_fields(bool names)
{
	char keys[256] = "path";
	size_t used = 4;

	for (size_t i = 1; !names && columns[i].kind != SHOW_END; i++)
		used += (size_t)snprintf(keys + used, sizeof(keys) - used, " %s", columns[i].key);
	return json_string(keys);
}

static int run(struct cmd_context *ctx)
{
	bool names = cmd_take_flag(ctx, "names");
	const json_t *rows;
	json_t *result;
	int code;

	if (ctx->json)
		return run_json(ctx);
	json_object_set_new(ctx->args, "fields", wanted_fields(names));
	code = cmd_call(ctx, "ls", &result);
	if (code)
		return code;
	rows = json_object_get(result, "rows");
	if (names)
		show_names(rows);
	else if (show_table(rows, columns))
		code = CMD_FAILED;
	json_decref(result);
	return code;
}

const struct cmd cmd_ls = {
	.name = "ls",
	.summary = "list the regions",
	.details = "With PATH, only those at or below it.\n",
	.operands = (const struct cmd_operand[]) {
		{ CMD_REGION, "path", "PATH", true },
		CMD_OPERANDS_END,
	},
	.options = (const struct cmd_option[]) {
		{ CMD_TRUE, "names", NULL, NULL, "names alone, one a line" },
		CMD_OPTIONS_END,
	},
	.run = run,
};
