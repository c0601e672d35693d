// SPDX-License-Identifier: GPL-2.0
/* regionctl instance detach: end regiond alone. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	return cmd_call_quiet(ctx, "detach");
}

const struct cmd cmd_instance_detach = {
	.name = "instance detach",
	.summary = "end regiond alone; regions and dirty bytes stay in the kernel",
	.details =
		"Programs wait for bytes that aren't here until 'regionctl instance start NAME': so\n"
		"regiond can be replaced under them.\n",
	.run = run,
};
