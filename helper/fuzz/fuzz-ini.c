// SPDX-License-Identifier: GPL-2.0
/* A NAME.conf: its lines, which are written anew, and what regiond understands of them. */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>

#include <linux/regionfs.h>

#include "config.h"
#include "fuzz/fuzz-text.h"
#include "ini.h"
#include "text.h"

/* Nobody is known here but by number. */
struct group *getgrnam(const char *name)
{
	return NULL;
}

struct passwd *getpwnam(const char *name)
{
	return NULL;
}

/* As a file that says the same. */
static int take(void *arg, const char *section, const char *key, const char *value, char *why, size_t why_len)
{
	struct text *text = arg;

	CHECK(*key && !strchr(key, '=') && *key != '[' && *key != '#' && *key != ';');
	CHECK(!strpbrk(section, "\n") && !strpbrk(key, "\n") && !strpbrk(value, "\n"));
	text_string(text, "[");
	text_string(text, section);
	text_string(text, "]\n");
	text_string(text, key);
	text_string(text, " = \"");
	text_string(text, value);
	text_string(text, "\"\n");
	return 0;
}

static int refuse(void *arg, const char *section, const char *key, const char *value, char *why, size_t why_len)
{
	return -EPROTO;
}

static void check_lines(const uint8_t *data, size_t size)
{
	struct text text = { .len = 0 }, again = { .len = 0 };
	const char *path = fuzz_file(data, size);
	char why[512] = "";
	int err = ini_read(path, take, &text, why, sizeof(why));

	CHECK(err ? err == -EINVAL && !strncmp(why, path, strlen(path)) : !*why);
	if (text.len) {
		CHECK(ini_read(path, refuse, NULL, why, sizeof(why)) == -EPROTO);
		fuzz_file(text.data, text.len);
		CHECK(!ini_read(path, take, &again, why, sizeof(why)));
		CHECK(again.len == text.len && !memcmp(again.data, text.data, text.len));
	}
	text_free(&text);
	text_free(&again);
}

static bool is_size(uint64_t size, uint64_t min, uint64_t max)
{
	return size >= min && size <= max && !(size & (size - 1));
}

static void check_region(const struct config_region *region)
{
	char why[512];

	CHECK(*region->path && *region->path != '/' && region->mode <= 07777 && region->managed != MANAGED_DEFAULT);
	CHECK(!region->chunk || is_size(region->chunk, 4096, 16 << 20));
	CHECK(region->managed == MANAGED_NO ? !region->policy_given : !policy_check(&region->policy, why, sizeof(why)));
	CHECK(region->uid != UINT32_MAX && region->gid != UINT32_MAX);
}

static void check_config(const struct config *config)
{
	CHECK(config->queues && config->queues <= REGIONFS_QUEUES_MAX && config->depth && config->depth <= REGIONFS_DEPTH_MAX);
	CHECK(!config->max_request || is_size(config->max_request, REGIONFS_REQUEST_MIN, REGIONFS_REQUEST_MAX));
	CHECK(!config->chunk || is_size(config->chunk, 4096, 16 << 20));
	CHECK(config->dirty_ratio <= 100 && config->ready_fd == -1 && !strcmp(config->name, "demo"));
	CHECK(*config->state_dir == '/' && *config->run_dir == '/' && *config->credentials == '/' && config->source);
	for (const struct config_region *region = config->regions; region; region = region->next)
		check_region(region);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char program[] = "regiond", instance[] = "--instance=demo", option[] = "--config";
	char why[512] = "", *argv[] = { program, instance, option, NULL, NULL };
	struct config config;
	int err;

	check_lines(data, size);
	argv[3] = (char *)fuzz_file(data, size);
	optind = 0;
	CHECK(!config_parse(&config, 4, argv, why, sizeof(why)));
	err = config_read(&config, why, sizeof(why));
	CHECK(!err == !*why);
	if (!err)
		check_config(&config);
	config_free(&config);
	return 0;
}
