// SPDX-License-Identifier: GPL-2.0
/* regionctl add: a region that stands for a source. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	json_t *region;
	int code = cmd_call(ctx, "add", &region);

	return code ? code : show_result(ctx, region, show_region_fields);
}

const struct cmd cmd_add = {
	.name = "add",
	.summary = "make a region that stands for a source's bytes",
	.details =
		"REGION is a path below the mount; directories on the way are made.\n\n"
		"Sources:\n"
		"  memory:SIZE              a file on a tmpfs: outlives regiond, not a reboot\n"
		"  file:PATH                one file\n"
		"  dir:PATH                 a directory, one file per chunk\n"
		"  peer://HOST:PORT/REGION  a region that another regiond exports, by TLS\n"
		"  peer+plain://...         the same in clear text\n"
		"  peer+unix:PATH           through a UNIX socket\n"
		"  peer+exec:COMMAND        through a command's input and output, so ssh works\n\n"
		"A managed region is pulled before anybody asks, and with a store (--local memory or\n"
		"file:DIR) goes on while its source is away, and is pushed behind the program's back. Any\n"
		"of the options from --local on makes it one; what they leave open is as the instance\n"
		"has it.\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_SOURCE, "source", NULL, "URI", "where the bytes are (default: the instance's)" },
		{ CMD_SIZE, "size", NULL, "SIZE", "the region's size (default: the source's)" },
		{ CMD_SIZE, "chunk", NULL, "SIZE", "what is moved at once, 4K to 16M" },
		{ CMD_MODE, "mode", NULL, "OCTAL", "permission bits (default: 644)" },
		{ CMD_USER, "uid", NULL, "USER", "owner" },
		{ CMD_GROUP, "gid", NULL, "GROUP", "group" },
		{ CMD_DURATION, "timeout", NULL, "TIME",
		  "accesses fail after it when no regiond answers (default: wait)" },
		{ CMD_TRUE, "read-only", NULL, NULL, "nobody can write, root neither" },
		{ CMD_TRUE, "fixed-size", NULL, NULL, "programs can't change its size" },
		{ CMD_TRUE, "exclusive", NULL, NULL, "fail also when an equal region exists" },
		{ CMD_TRUE, "managed", NULL, NULL, "a managed region, with what is usual" },
		{ CMD_TRUE, "direct", NULL, NULL, "each miss goes to the source, though the instance is managed" },
		CMD_POLICY_OPTIONS,
		CMD_OPTIONS_END,
	},
	.run = run,
};
