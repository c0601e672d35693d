// SPDX-License-Identifier: GPL-2.0
/* regionctl resolve: an operator's word on whose a region is. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	return cmd_call_quiet(ctx, "resolve");
}

const struct cmd cmd_resolve = {
	.name = "resolve",
	.summary = "say whose a region is that two hosts may have",
	.details =
		"After the hand-over, a seeder whose leecher does not come back is in doubt: it stays frozen,\n"
		"and waits. If it is sure that the other host does not have the region, and never will,\n"
		"--i-own-it puts it back into service here, in a new epoch. If the other host had taken it after\n"
		"all, both freeze it as soon as they meet, and keep what they have, until one of them is told\n"
		"--keep and the other --discard.\n"
		"Where the host that a region came from is lost before all of it has come, accesses to the rest\n"
		"wait for it. --source-lost says that they wait in vain: they fail from then on (EIO), until it is\n"
		"overwritten; all else goes on. Bytes that one of the --also of leech, or of this, has fail nobody.\n"
		"Of a group all regions are resolved, or none. --source-lost removes those that were not handed\n"
		"over before the other host was lost; the group goes on without them.\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_TRUE, "i-own-it", NULL, NULL, "the other host is off, or has never had it" },
		{ CMD_TRUE, "keep", NULL, NULL, "what is here is kept" },
		{ CMD_TRUE, "discard", NULL, NULL, "what is here is given up" },
		{ CMD_TRUE, "source-lost", NULL, NULL, "the host that it came from will never be back" },
		{ CMD_SOURCES, "also", NULL, "URI", "with --source-lost: look there for what is missing, as leech --also; may be repeated" },
		{ CMD_TRUE, "force", NULL, NULL, "with --keep: even where some of it was never fetched, which reads as zeroes, or as a source that moves with it has it" },
		CMD_OPTIONS_END,
	},
	.run = run,
};
