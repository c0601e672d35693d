// SPDX-License-Identifier: GPL-2.0
/* regionctl drain: nothing is left to write. */
#include <inttypes.h>

#include "cmd.h"
#include "units.h"

static int run(struct cmd_context *ctx)
{
	char text[REGIONFS_UNITS_TEXT];
	json_int_t left;
	json_t *result;
	int code = cmd_call(ctx, "drain", &result);

	if (code)
		return code;
	left = json_integer_value(json_object_get(result, "dirty_bytes"));
	if (ctx->json)
		show_json(result, true);
	else if (left > 0)
		printf("%s were dirtied meanwhile\n", regionfs_size_format((uint64_t)left, text));
	left = json_integer_value(json_object_get(result, "unpushed_bytes"));
	if (!ctx->json && left > 0)
		printf("%s that were written meanwhile, or handed to another host, are not at their sources\n", regionfs_size_format((uint64_t)left, text));
	json_decref(result);
	return CMD_OK;
}

const struct cmd cmd_drain = {
	.name = "drain",
	.summary = "write, sync and push all regions of the instance",
	.details =
		"What umount does first. When it does not get done in time, nothing is lost: the\n"
		"bytes stay dirty, or in the local store, and the exit status is 4.\n",
	.options = (const struct cmd_option[]) {
		{ CMD_DURATION, "timeout", NULL, "TIME", "wait no longer" },
		CMD_OPTIONS_END,
	},
	.flags = CMD_DETACHES,
	.run = run,
};
