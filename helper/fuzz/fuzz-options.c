// SPDX-License-Identifier: GPL-2.0
/* A line of mount options, and lines that are the arguments of regiond's command line. */
#include <errno.h>
#include <getopt.h>
#include <grp.h>

#include "config.h"
#include "fuzz/fuzz-text.h"
#include "options.h"

#define ARGS 40

/* Nobody is known here but by number. */
struct group *getgrnam(const char *name)
{
	return NULL;
}

/* Whatever became of it, it can be used, and freed. */
static void check_mount(const char *line)
{
	struct regionfs_options options;
	char message[256] = "";
	int err;

	regionfs_options_init(&options);
	err = regionfs_options_add(&options, line, message, sizeof(message));
	CHECK(err <= 0 && !err == !*message);
	CHECK(options.nr_args < REGIONFS_HELPER_ARGS && !options.args[options.nr_args]);
	for (size_t i = 0; i < options.nr_args; i++)
		CHECK(!strncmp(options.args[i], "--", 2));
	CHECK(strlen(options.data) + strlen(options.helper) <= strlen(line));
	CHECK(options.has_drain || options.drain_ms == REGIONFS_DRAIN_DEFAULT_MS);
	regionfs_options_free(&options);
}

/* The same options, again: as when umount(8) reads what mount(8) has written. */
static void check_again(const char *line)
{
	struct regionfs_options options, again;
	char message[256];

	regionfs_options_init(&options);
	regionfs_options_init(&again);
	/* quotes are gone after the first time, and with them what commas meant */
	if (!strchr(line, '"') && !regionfs_options_add(&options, line, message, sizeof(message))) {
		CHECK(!regionfs_options_add(&again, options.data, message, sizeof(message)));
		CHECK(!strcmp(again.data, options.data) && !again.nr_args && !again.flags && !again.has_drain);
	}
	regionfs_options_free(&options);
	regionfs_options_free(&again);
}

static void check_policies(const struct policy *policy)
{
	char *text = policy_text(policy), why[512], *again;
	struct policy parsed;

	CHECK(text && !policy_parse(&parsed, text, why, sizeof(why)));
	again = policy_text(&parsed);
	CHECK(again && !strcmp(again, text));
	for (unsigned int i = 0; policy_keys[i]; i++) {
		char *value = policy_show(policy, policy_keys[i]);

		CHECK(!value || !policy_set(&parsed, policy_keys[i], value, why, sizeof(why)));
		free(value);
	}
	policy_free(&parsed);
	free(again);
	free(text);
}

static void check_command(char **argv, int argc)
{
	struct config config;
	char why[512] = "";
	int err;

	optind = 0;
	err = config_parse(&config, argc, argv, why, sizeof(why));
	CHECK(err < 0 ? *why : !*why);
	if (!err)
		CHECK(config_name_ok(config.name) && config.ready_fd >= -1 && config.ready_fd <= 1 << 20 && config.dirty_ratio <= 100);
	if (!err)
		CHECK(!config.source == (config.source_from == FROM_DEFAULT));
	check_policies(&config.policy);
	config_free(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char program[] = "regiond";
	char *text = fuzz_text(data, size), *argv[ARGS + 1] = { program }, *line;
	const char *rest = text;
	int argc = 1;

	line = fuzz_cut(&rest, "\n");
	check_mount(line);
	check_again(line);
	free(line);
	while (*rest && argc < ARGS)
		argv[argc++] = fuzz_cut(&rest, "\n");
	check_command(argv, argc);
	for (int i = 1; i < ARGS; i++)
		free(argv[i]);
	free(text);
	return 0;
}
