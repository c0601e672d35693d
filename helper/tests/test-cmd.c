// SPDX-License-Identifier: GPL-2.0
/* From a command line to a request's arguments. */
#include "tap.h"

/* The subcommands' files belong to regionctl alone, so the one under test is taken in as it is. */
#include "../cmd-args.c"

static const struct cmd cmd_one = {
	.name = "add",
	.operands = (const struct cmd_operand[]) {
		CMD_OPERAND_REGION,
		{ CMD_SOURCE, "source", "URI", true },
		CMD_OPERANDS_END,
	},
	.options = (const struct cmd_option[]) {
		{ CMD_SIZE, "size", NULL, "SIZE", "" },
		{ CMD_MODE, "mode", NULL, "OCTAL", "" },
		{ CMD_TRUE, "read-only", NULL, NULL, "" },
		{ CMD_FALSE, "read-write", "read_only", NULL, "" },
		{ CMD_DURATION, "timeout", NULL, "TIME", "" },
		{ CMD_NUMBER, "queues", NULL, "N", "" },
		{ CMD_USER, "uid", NULL, "USER", "" },
		{ CMD_OWNER, "owner", NULL, "USER", "" },
		{ CMD_PATH, "tls-psk", NULL, "FILE", "" },
		{ CMD_WHERE, "pull-order", NULL, "ORDER", "" },
		{ CMD_COMMAND, "on-after-pull", NULL, "COMMAND", "" },
		{ CMD_SOURCES, "also", NULL, "URI", "" },
		{ CMD_TEXTS, "allow", NULL, "WHO=ACTIONS", "" },
		{ CMD_REGIONS, "reuse-from", NULL, "REGION,...", "" },
		CMD_OPTIONS_END,
	},
};

static const struct cmd cmd_two = { .name = "instance ls" };

const struct cmd *const cmd_table[] = { &cmd_one, &cmd_two, NULL };

static const struct cmd cmd_many = {
	.name = "seed",
	.operands = (const struct cmd_operand[]) {
		CMD_OPERAND_REGION,
		{ CMD_REGION_LIST, "more", "REGION...", true },
		CMD_OPERANDS_END,
	},
};

/* Parses the words of a line and compares args, or the sentence where it fails. */
static void check_of(const struct cmd *cmd, const char *line, const char *wanted)
{
	struct cmd_context ctx = { .cmd = cmd, .args = json_object() };
	char copy[256], *argv[16], *save = NULL, *got;
	int argc = 0;

	snprintf(copy, sizeof(copy), "add %s", line);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	argv[argc] = NULL;
	if (cmd_parse(&ctx, argc, argv))
		got = strdup(ctx.message);
	else
		got = json_dumps(ctx.args, JSON_COMPACT | JSON_SORT_KEYS);
	tap_is(got, wanted, line);
	free(got);
	json_decref(ctx.args);
}

static void check(const char *line, const char *wanted)
{
	check_of(&cmd_one, line, wanted);
}

static void check_many(void)
{
	check_of(&cmd_many, "db", "{\"region\":\"db\"}");
	check_of(&cmd_many, "db /log idx", "{\"more\":[\"log\",\"idx\"],\"region\":\"db\"}");
	check_of(&cmd_many, "db log /", "REGION... '/' is empty or no UTF-8");
	check_of(&cmd_many, "", "REGION is missing");
}

static void check_lines(void)
{
	check("db", "{\"region\":\"db\"}");
	check("/db", "{\"region\":\"db\"}");
	check("/", "REGION '/' is empty or no UTF-8");
	check("", "REGION is missing");
	check("db --pull-order edges", "{\"pull_order\":\"edges\",\"region\":\"db\"}");
	check("db --pull-order profile:/x,only", "{\"pull_order\":\"profile:/x,only\",\"region\":\"db\"}");
	check("db --pull-order=", "--pull-order '' is empty or no UTF-8");
	check("db --on-after-pull= --size 4K", "{\"on_after_pull\":\"\",\"region\":\"db\",\"size\":4096}");
	check("db --also file:/x --also=peer://h/r", "{\"also\":[\"file:/x\",\"peer://h/r\"],\"region\":\"db\"}");
	check("db --allow a=read --allow=*=all", "{\"allow\":[\"a=read\",\"*=all\"],\"region\":\"db\"}");
	check("db --allow=", "--allow '' is empty or no UTF-8");
	check("db --also=", "--also '' is empty or no UTF-8");
	check("db --reuse-from a,/dir/b --reuse-from c", "{\"region\":\"db\",\"reuse_from\":[\"a\",\"dir/b\",\"c\"]}");
	check("db --reuse-from a,,b", "--reuse-from '' is empty or no UTF-8");
	check("db file:/x extra", "'extra' is one argument too many");
	check("db file:/x", "{\"region\":\"db\",\"source\":\"file:/x\"}");
	check("--size 64K db --mode 640", "{\"mode\":416,\"region\":\"db\",\"size\":65536}");
	check("db --size=1.5G", "{\"region\":\"db\",\"size\":1610612736}");
	check("db --size big", "--size 'big' is no size: write 4096, 64K, 1.5G");
	check("db --size", "option '--size' needs a value");
	check("db --nothing", "there is no option '--nothing'");
	check("db --read-only", "{\"read_only\":true,\"region\":\"db\"}");
	check("db --read-write", "{\"read_only\":false,\"region\":\"db\"}");
	check("db --timeout 2s", "{\"region\":\"db\",\"timeout\":2000}");
	check("db --queues 4x", "--queues '4x' is no number");
	check("db --uid root", "{\"region\":\"db\",\"uid\":0}");
	check("db --uid 12", "{\"region\":\"db\",\"uid\":12}");
	check("db --uid nosuchuser", "--uid 'nosuchuser' is no user");
	check("db --owner 12", "{\"region\":\"db\",\"uid\":12}");
	check("db --owner root:34", "{\"gid\":34,\"region\":\"db\",\"uid\":0}");
	check("db --owner :root", "{\"gid\":0,\"region\":\"db\"}");
	check("db --owner nosuchuser:0", "--owner 'nosuchuser' is no user");
	check("db --owner 0:nosuchgroup", "--owner 'nosuchgroup' is no group");
	check("db --owner 0:", "--owner '' is no group");
	check("db --owner :", "--owner '' is no group");
	check("db --owner=", "--owner '' is no owner: write USER, USER:GROUP or :GROUP");
	check("db --owner 4294967295", "--owner '4294967295' is no user");
	check("db --tls-psk /k", "{\"region\":\"db\",\"tls_psk\":\"/k\"}");
	check("-- --db", "{\"region\":\"--db\"}");
	check("db \xff", "URI '\xff' is empty or no UTF-8");
}

static void check_relative(void)
{
	if (chdir("/tmp"))
		perror("/tmp");
	check("db file:x", "{\"region\":\"db\",\"source\":\"file:/tmp/x\"}");
	check("db dir:a/b", "{\"region\":\"db\",\"source\":\"dir:/tmp/a/b\"}");
	check("db memory:1M", "{\"region\":\"db\",\"source\":\"memory:1M\"}");
	check("db --tls-psk k", "{\"region\":\"db\",\"tls_psk\":\"/tmp/k\"}");
}

static void check_global(void)
{
	struct cmd_context ctx = { .cmd = &cmd_one, .args = json_object() };
	char add[] = "add", db[] = "db", instance[] = "--instance", demo[] = "demo", json[] = "--json";
	char *argv[] = { add, db, instance, demo, json, NULL };

	tap_number(cmd_parse(&ctx, 5, argv), 0, "global options behind the command");
	tap_ok(ctx.json && ctx.instance && !strcmp(ctx.instance, "demo") &&
	       json_object_size(ctx.args) == 1, "are not the request's");
	json_decref(ctx.args);
}

static void check_find(void)
{
	const char *words[] = { "instance", "ls", "x" };
	char name[32];
	int used = 0;

	tap_ok(cmd_find(words, 3, &used) == &cmd_two && used == 2, "a command of two words");
	tap_ok(!cmd_find(words, 1, &used), "one word of two is none");
	words[0] = "add";
	tap_ok(cmd_find(words, 3, &used) == &cmd_one && used == 1, "a command of one word");
	tap_ok(cmd_suggest("ad", name) && !strcmp(name, "add"), "a letter is missing");
	tap_ok(cmd_suggest("dad", name) && !strcmp(name, "add"), "letters are swapped");
	tap_ok(cmd_suggest("inst", name) && !strcmp(name, "instance"), "only the beginning");
	tap_ok(!cmd_suggest("frobnicate", name), "another word altogether");
	tap_ok(!cmd_suggest("x", name), "a letter");
}

int main(void)
{
	check_lines();
	check_many();
	check_relative();
	check_global();
	check_find();
	return tap_end();
}
