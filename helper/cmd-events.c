// SPDX-License-Identifier: GPL-2.0
/* regionctl events: what happens to an instance, as it happens. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

/*
 * "size=1048576": what belongs to the event besides its name, instance and region, where it is
 * anything.
 */
static void show_details(const json_t *event)
{
	const char *key;
	json_t *value;
	char *text;

	json_object_foreach((json_t *)event, key, value) {
		if (!strcmp(key, "event") || !strcmp(key, "instance") || !strcmp(key, "path") ||
		    !strcmp(key, "region") || (json_is_array(value) && !json_array_size(value)))
			continue;
		text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		printf("  %s=%s", key, text ? text : "?");
		free(text);
	}
}

/* Its path, or "#ID" where the kernel does not tell it; either can be given to regionctl. */
static void show_name(const json_t *event)
{
	const char *path = json_string_value(json_object_get(event, "path"));
	const json_t *id = json_object_get(event, "region");

	if (path)
		printf(" %s", path);
	else if (json_is_integer(id))
		printf(" #%" JSON_INTEGER_FORMAT, json_integer_value(id));
}

static void show_event(struct cmd_context *ctx, const json_t *event)
{
	const char *name = json_string_value(json_object_get(event, "event"));

	if (ctx->json) {
		show_json(event, false);
	} else {
		printf("%-12s", name ? name : "?");
		show_name(event);
		show_details(event);
		putchar('\n');
	}
	/* Whoever reads this through a pipe wants each line when it happens. */
	fflush(stdout);
}

static int run(struct cmd_context *ctx)
{
	json_t *result;
	int code = cmd_call_lines(ctx, "events", show_event, &result);

	json_decref(result);
	/* Ctrl-C is how watching is ended. */
	return code == CMD_DETACHED ? CMD_OK : code;
}

const struct cmd cmd_events = {
	.name = "events",
	.summary = "print events until Ctrl-C",
	.details =
		"One line each; with --json one object a line. Events are hints: after a burst some may\n"
		"be missing, so look at 'regionctl ls' for what is true.\n",
	.flags = CMD_WATCHES,
	.run = run,
};
