// SPDX-License-Identifier: GPL-2.0
/* regionctl pull: bring bytes near before anyone asks for them. */
#include "cmd.h"
#include "units.h"

/* Of what it goes on with, once it was paused or limited: no more than a word. */
static void show_state(const json_t *result)
{
	char text[REGIONFS_UNITS_TEXT];
	json_int_t rate = json_integer_value(json_object_get(result, "rate"));

	printf("%s", json_string_value(json_object_get(result, "state")));
	if (rate > 0)
		printf(", %s/s", regionfs_size_format((uint64_t)rate, text));
	putchar('\n');
}

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
	else if (json_is_string(json_object_get(result, "state")))
		show_state(result);
	else
		printf("pulled %s\n", regionfs_size_format((uint64_t)bytes, text));
	json_decref(result);
	return CMD_OK;
}

const struct cmd cmd_pull = {
	.name = "pull",
	.summary = "bring a region's bytes near",
	.details =
		"A direct region's come into the page cache. A managed one is pulled anyway: this waits\n"
		"until all is here that its order names. --pause, --resume and --rate change how that\n"
		"goes on, and don't wait. With --offset or --length the page cache is filled, and the\n"
		"store on the way; so it is without them where the order is none, or the source is on\n"
		"this host and there is no store.\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_SIZE, "offset", NULL, "SIZE", "from here" },
		{ CMD_SIZE, "length", NULL, "SIZE", "so many bytes (default: to the end)" },
		{ CMD_TRUE, "pause", NULL, NULL, "of a managed region: nothing is pulled until --resume" },
		{ CMD_TRUE, "resume", NULL, NULL, "undoes --pause" },
		{ CMD_SIZE, "rate", NULL, "SIZE", "so much a second at most; 0: no limit" },
		CMD_OPTIONS_END,
	},
	.run = run,
};
