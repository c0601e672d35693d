// SPDX-License-Identifier: GPL-2.0
/* regionctl pull: bring bytes near before anyone asks for them. */
#include "cmd.h"
#include "units.h"

static int run(struct cmd_context *ctx)
{
	char text[REGIONFS_UNITS_TEXT];
	json_int_t bytes;
	json_t *result;
	int code = cmd_call(ctx, "pull", &result);

	if (code)
		return code;
	bytes = json_integer_value(json_object_get(result, "bytes"));
	if (ctx->json)
		show_json(result, true);
	else
		printf("pulled %s\n", regionfs_size_format((uint64_t)bytes, text));
	json_decref(result);
	return CMD_OK;
}

const struct cmd cmd_pull = {
	.name = "pull",
	.summary = "bring a region's bytes into the page cache",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_SIZE, "offset", NULL, "SIZE", "from here" },
		{ CMD_SIZE, "length", NULL, "SIZE", "so many bytes (default: to the end)" },
		CMD_OPTIONS_END,
	},
	.run = run,
};
