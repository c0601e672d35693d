// SPDX-License-Identifier: GPL-2.0
/* regionctl instance ls: the instances of this network namespace. */
#include "cmd-kernel.h"

static const struct show_field columns[] = {
	{ SHOW_TEXT, "name", "INSTANCE" },
	{ SHOW_TEXT, "helper", "HELPER" },
	{ SHOW_NUMBER, "pid", ">PID" },
	{ SHOW_NUMBER, "mounts", ">MOUNTS" },
	{ SHOW_NUMBER, "regions", ">REGIONS" },
	{ SHOW_END, NULL, NULL },
};

/* A pid of 0 is a helper in another pid namespace: attached all the same. */
static void add_helper(json_t *instance)
{
	bool attached = json_integer_value(json_object_get(instance, "attach_gen"));

	json_object_set_new(instance, "helper", json_string(attached ? "attached" : "none"));
	if (!json_integer_value(json_object_get(instance, "pid")))
		json_object_del(instance, "pid");
}

static int run(struct cmd_context *ctx)
{
	json_t *instances, *instance, *result;
	int code = kernel_instances(ctx, &instances);
	size_t i;

	if (code)
		return code;
	json_array_foreach(instances, i, instance)
		add_helper(instance);
	if (ctx->json) {
		result = json_pack("{s:O}", "instances", instances);
		show_json(result, true);
		json_decref(result);
	} else if (show_table(instances, columns)) {
		code = CMD_FAILED;
	}
	json_decref(instances);
	return code;
}

const struct cmd cmd_instance_ls = {
	.name = "instance ls",
	.summary = "list the instances and whether a helper serves them",
	.details = "Asks the kernel, so it works without regiond, too.\n",
	.run = run,
};
