// SPDX-License-Identifier: GPL-2.0
/* regionctl stat: all that is known of one region. */
#include "cmd.h"

static void show_parts(const json_t *region)
{
	const json_t *backend = json_object_get(region, "backend");
	const json_t *stats = json_object_get(region, "stats");
	const json_t *handover = json_object_get(region, "handover");
	const json_t *managed = json_object_get(region, "managed");
	const json_t *export = json_object_get(region, "export");

	show_fields(region, show_region_fields, NULL);
	if (json_is_object(export))
		show_fields(export, show_export_fields, "export");
	if (json_is_object(handover))
		show_handover_parts(handover, "hand-over");
	if (json_is_object(managed))
		show_managed(managed, json_integer_value(json_object_get(region, "size")));
	if (json_is_object(backend))
		show_fields(backend, show_backend_fields, "backend");
	if (json_is_object(stats))
		show_fields(stats, show_stats_fields, "counters");
}

static int run(struct cmd_context *ctx)
{
	json_t *region;
	int code = cmd_call(ctx, "stat", &region);

	if (code)
		return code;
	if (ctx->json)
		show_json(region, true);
	else
		show_parts(region);
	json_decref(region);
	return CMD_OK;
}

const struct cmd cmd_stat = {
	.name = "stat",
	.summary = "show a region: state, where its bytes are, backend, counters",
	.operands = CMD_ONE_REGION,
	.run = run,
};
