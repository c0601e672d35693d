// SPDX-License-Identifier: GPL-2.0
/* regionctl export: let other hosts reach a region. */
#include "cmd.h"

static int run(struct cmd_context *ctx)
{
	json_t *result;
	int code = cmd_call(ctx, "export", &result);

	return code ? code : show_result(ctx, result, show_export_fields);
}

const struct cmd cmd_export = {
	.name = "export",
	.summary = "let other hosts reach a region (peer://)",
	.details =
		"Off loopback it needs --tls-psk, --tls-cert or the word --insecure. Who gets in may do all of it,\n"
		"but where there is --allow, only what that says.\n"
		"'regionctl unexport REGION' ends it.\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_TEXT, "listen", NULL, "ADDR:PORT", "where to listen; unix:PATH for a UNIX socket" },
		{ CMD_SOURCE, "source", NULL, "URI",
		  "bytes that are no region here, under the name REGION" },
		{ CMD_TRUE, "read-only", NULL, NULL, "others can only read" },
		CMD_ALLOW_OPTION("read, write or all"),
		CMD_TLS_OPTIONS,
		CMD_OPTIONS_END,
	},
	.run = run,
};
