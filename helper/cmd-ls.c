// SPDX-License-Identifier: GPL-2.0
/* regionctl ls: the regions of an instance. */
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

static void show_names(const json_t *regions)
{
	const json_t *region;
	size_t i;

	json_array_foreach(regions, i, region)
		puts(json_string_value(json_object_get(region, "path")) ?: "?");
}

static int run(struct cmd_context *ctx)
{
	bool names = cmd_take_flag(ctx, "names");
	json_t *result;
	const json_t *regions;
	int code = cmd_call(ctx, "ls", &result);

	if (code)
		return code;
	regions = json_object_get(result, "regions");
	if (ctx->json)
		show_json(result, true);
	else if (names)
		show_names(regions);
	else if (show_table(regions, columns))
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
