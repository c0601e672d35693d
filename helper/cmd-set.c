// SPDX-License-Identifier: GPL-2.0
/* regionctl set: change what a region is allowed and where it comes from. */
#include <errno.h>

#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	json_t *region;
	int code;

	if (json_object_size(ctx->args) < 2) {
		cmd_fail(ctx, -EINVAL, "nothing to set; see 'regionctl set --help'");
		return CMD_USAGE;
	}
	code = cmd_call(ctx, "set", &region);
	return code ? code : show_result(ctx, region, show_region_fields);
}

const struct cmd cmd_set = {
	.name = "set",
	.summary = "change a region's mode, owner, policy or source",
	.details =
		"--read-only revokes write access at once, also from open files, mappings and root,\n"
		"and writes what is dirty; --read-write gives it back.\n\n"
		"Of a managed region, local and durability stay as they were added. --push-order any lets\n"
		"the others go on that wait for a region whose source is away: its changes are not kept\n"
		"in order with theirs any more.\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_TRUE, "read-only", "read_only", NULL, "nobody can write from now on" },
		{ CMD_FALSE, "read-write", "read_only", NULL, "undoes --read-only" },
		{ CMD_MODE, "mode", NULL, "OCTAL", "permission bits" },
		{ CMD_OWNER, "owner", NULL, "USER[:GROUP]", "names or numbers; :GROUP for the group alone" },
		{ CMD_TRUE, "fixed-size", "fixed_size", NULL, "programs can't change its size" },
		{ CMD_FALSE, "resizable", "fixed_size", NULL, "undoes --fixed-size" },
		{ CMD_DURATION, "timeout", NULL, "TIME",
		  "accesses fail after it when no regiond answers; 0: they wait" },
		{ CMD_SOURCE, "source", NULL, "URI", "the same bytes are at this address now" },
		{ CMD_SIZE, "size", NULL, "SIZE", "the size that the source has" },
		CMD_POLICY_OPTIONS,
		CMD_OPTIONS_END,
	},
	.run = run,
};
