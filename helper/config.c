// SPDX-License-Identifier: GPL-2.0
/* config: see config.h. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/regionfs.h>

#include "backend.h"
#include "config.h"
#include "ini.h"
#include "units.h"

/* The leak sanitizer looks into the process as a debugger does. */
#ifdef __SANITIZE_ADDRESS__
#define CONFINE	false
#else
#define CONFINE	true
#endif

enum config_option {
	OPT_INSTANCE, OPT_SOURCE, OPT_STATE, OPT_RUN, OPT_CONFIG, OPT_CREDENTIALS, OPT_QUEUES, OPT_DEPTH, OPT_MAX_REQUEST,
	OPT_CHUNK, OPT_TAKEBACK, OPT_DIRTY_RATIO, OPT_LOCAL_READ, OPT_POLL, OPT_CONFINE, OPT_ANY_FILE, OPT_ALLOW_GROUP, OPT_MANAGED,
	OPT_POLICY,			/* the first of policy_keys */
	OPT_POLICY_LAST = OPT_POLICY + 11,
	OPT_READY_FD, OPT_FOREGROUND, OPT_VERBOSE, OPT_HELP,
	OPT_VERSION, NR_OPTIONS,
};

static const struct option options[] = {
	{ "instance", required_argument, NULL, OPT_INSTANCE },
	{ "source", required_argument, NULL, OPT_SOURCE },
	{ "state", required_argument, NULL, OPT_STATE },
	{ "run", required_argument, NULL, OPT_RUN },
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "credentials", required_argument, NULL, OPT_CREDENTIALS },
	{ "queues", required_argument, NULL, OPT_QUEUES },
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "max-request", required_argument, NULL, OPT_MAX_REQUEST },
	{ "chunk", required_argument, NULL, OPT_CHUNK },
	{ "takeback", required_argument, NULL, OPT_TAKEBACK },
	{ "dirty-ratio", required_argument, NULL, OPT_DIRTY_RATIO },
	{ "local-read", required_argument, NULL, OPT_LOCAL_READ },
	{ "poll", required_argument, NULL, OPT_POLL },
	{ "confine", required_argument, NULL, OPT_CONFINE },
	{ "any-file", required_argument, NULL, OPT_ANY_FILE },
	{ "allow-group", required_argument, NULL, OPT_ALLOW_GROUP },
	{ "managed", optional_argument, NULL, OPT_MANAGED },
	{ "local", required_argument, NULL, OPT_POLICY },
	{ "local-size", required_argument, NULL, OPT_POLICY + 1 },
	{ "pull-order", required_argument, NULL, OPT_POLICY + 2 },
	{ "pull-rate", required_argument, NULL, OPT_POLICY + 3 },
	{ "durability", required_argument, NULL, OPT_POLICY + 4 },
	{ "push-order", required_argument, NULL, OPT_POLICY + 5 },
	{ "push-interval", required_argument, NULL, OPT_POLICY + 6 },
	{ "max-unpushed", required_argument, NULL, OPT_POLICY + 7 },
	{ "on-before-open", required_argument, NULL, OPT_POLICY + 8 },
	{ "on-after-pull", required_argument, NULL, OPT_POLICY + 9 },
	{ "on-before-sync", required_argument, NULL, OPT_POLICY + 10 },
	{ "on-after-sync", required_argument, NULL, OPT_POLICY + 11 },
	{ "ready-fd", required_argument, NULL, OPT_READY_FD },
	{ "foreground", no_argument, NULL, OPT_FOREGROUND },
	{ "verbose", no_argument, NULL, OPT_VERBOSE },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

const char *config_usage(void)
{
	return "regiond: serves the regions of one regionfs instance\n"
	       "\n"
	       "usage: regiond --instance NAME [OPTION]...\n"
	       "\n"
	       "  --instance NAME       the instance; made when there is none\n"
	       "  --source URI          where files made in the mount live (default: memory:)\n"
	       "  --state DIR           what outlives a reboot (default: /var/lib/regionfs/NAME)\n"
	       "  --run DIR             control socket and memory regions (default: /run/regionfs/NAME)\n"
	       "  --config FILE         default: /etc/regionfs/NAME.conf\n"
	       "  --credentials DIR     default: /etc/regionfs/credentials\n"
	       "  --queues N            threads that take requests (default: 2)\n"
	       "  --depth N             requests that each of them holds at once (default: 16)\n"
	       "  --max-request SIZE    the longest request (default: 1M)\n"
	       "  --chunk SIZE          for new sources that have chunks\n"
	       "  --takeback TIME       after which the kernel takes back what is not answered (default: 10s)\n"
	       "  --dirty-ratio PERCENT of the dirty limit for this instance (default: 20)\n"
	       "  --local-read YES|NO   the kernel reads what is on this host itself (default: yes)\n"
	       "  --poll YES|NO         look for requests for a moment before sleeping (default: yes)\n"
	       "  --confine YES|NO      give up capabilities and most system calls (default: yes)\n"
	       "  --any-file YES|NO     but keep the right to other users' files (default: no)\n"
	       "  --allow-group GROUP   may use the read-only commands of the control socket\n"
	       "  --managed[=YES|NO]    regions are managed, by the options that follow\n"
	       "  --local WHERE         their store: cache (none), memory or file:DIR (default: cache)\n"
	       "  --local-size SIZE     what it may hold (default: no limit)\n"
	       "  --pull-order ORDER    sequential, edges, list:FILE, profile:FILE or none\n"
	       "  --pull-rate SIZE      a second, at most\n"
	       "  --durability WHERE    fsync waits for the source (remote) or the store (local)\n"
	       "  --push-order ORDER    barrier or any\n"
	       "  --push-interval TIME  after which what was written is pushed (default: 5s)\n"
	       "  --max-unpushed SIZE   near which writers are slowed (default: 1G)\n"
	       "  --on-before-open, --on-after-pull, --on-before-sync, --on-after-sync COMMAND\n"
	       "  --ready-fd N          a byte is written there when all is up\n"
	       "  --foreground          don't go to the background\n"
	       "  --verbose             log each step\n"
	       "  --help, --version\n";
}

bool config_name_ok(const char *name)
{
	size_t len = strlen(name);

	return len && len <= REGIONFS_NAME_MAX && isalnum((unsigned char)*name) &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

const char *config_from_name(enum config_from from)
{
	static const char *const names[] = { "default", "/etc", "state", "command line" };

	return names[from];
}

/* ---- values ---- */

static int take_string(char **to, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

static int take_number(uint32_t *to, uint64_t min, uint64_t max, const char *value)
{
	uint64_t number;
	int err = regionfs_number_parse(value, min, max, &number);

	if (!err)
		*to = (uint32_t)number;
	return err;
}

static int take_size(uint32_t *to, uint64_t min, uint64_t max, const char *value)
{
	uint64_t size;
	int err = regionfs_size_parse(value, &size);

	if (!err && (size < min || size > max || (size & (size - 1))))
		err = -ERANGE;
	if (!err)
		*to = (uint32_t)size;
	return err;
}

static int take_time(uint32_t *to, const char *value)
{
	uint64_t ms;
	int err = regionfs_duration_parse(value, &ms);

	if (!err && ms > UINT32_MAX)
		err = -ERANGE;
	if (!err)
		*to = (uint32_t)ms;
	return err;
}

static int take_bool(bool *to, const char *value)
{
	static const char *const yes[] = { "", "yes", "true", "on", "1" }, *const no[] = { "no", "false", "off", "0" };

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (!strcasecmp(value, yes[i])) {
			*to = true;
			return 0;
		}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (!strcasecmp(value, no[i])) {
			*to = false;
			return 0;
		}
	return -EINVAL;
}

static int take_group(uint32_t *to, const char *value)
{
	struct group *group = getgrnam(value);

	if (!group)
		return take_number(to, 0, UINT32_MAX - 1, value);
	*to = group->gr_gid;
	return 0;
}

static int take_user(uint32_t *to, const char *value)
{
	struct passwd *user = getpwnam(value);

	if (!user)
		return take_number(to, 0, UINT32_MAX - 1, value);
	*to = user->pw_uid;
	return 0;
}

static int take_source(char **to, const char *value, char *why, size_t why_len)
{
	int err = backend_check(value, why, why_len);

	return err ? err : take_string(to, value);
}

/* ---- options, from either place ---- */

static int take_option(struct config *config, enum config_option option, const char *value, char *why, size_t why_len)
{
	if (option >= OPT_POLICY && option <= OPT_POLICY_LAST)
		return policy_set(&config->policy, policy_keys[option - OPT_POLICY], value, why, why_len);
	switch (option) {
	case OPT_INSTANCE:
		return config_name_ok(value) ? take_string(&config->name, value) : -EINVAL;
	case OPT_SOURCE:
		return take_source(&config->source, value, why, why_len);
	case OPT_STATE:
		return *value == '/' ? take_string(&config->state_dir, value) : -EINVAL;
	case OPT_RUN:
		return *value == '/' ? take_string(&config->run_dir, value) : -EINVAL;
	case OPT_CONFIG:
		config->file_given = true;
		return take_string(&config->file, value);
	case OPT_CREDENTIALS:
		return *value == '/' ? take_string(&config->credentials, value) : -EINVAL;
	case OPT_POLL:
		return take_bool(&config->poll, value);
	case OPT_CONFINE:
		return take_bool(&config->confine, value);
	case OPT_ANY_FILE:
		return take_bool(&config->any_file, value);
	case OPT_LOCAL_READ:
		return take_bool(&config->local_read, value);
	case OPT_QUEUES:
		return take_number(&config->queues, 1, REGIONFS_QUEUES_MAX, value);
	case OPT_DEPTH:
		return take_number(&config->depth, 1, REGIONFS_DEPTH_MAX, value);
	case OPT_MAX_REQUEST:
		return take_size(&config->max_request, REGIONFS_REQUEST_MIN, REGIONFS_REQUEST_MAX, value);
	case OPT_CHUNK:
		return take_size(&config->chunk, 4096, 16 << 20, value);
	case OPT_TAKEBACK:
		return take_time(&config->takeback, value);
	case OPT_DIRTY_RATIO:
		return take_number(&config->dirty_ratio, 1, 100, value);
	case OPT_ALLOW_GROUP:
		config->have_group = true;
		return take_group(&config->allow_group, value);
	case OPT_MANAGED:
		return take_bool(&config->managed, value);
	case OPT_READY_FD:
		return take_number((uint32_t *)&config->ready_fd, 0, 1 << 20, value);
	case OPT_FOREGROUND:
		return take_bool(&config->foreground, value);
	case OPT_VERBOSE:
		return take_bool(&config->verbose, value);
	default:
		return -EINVAL;
	}
}

static int option_error(int err, const char *name, const char *value, char *why, size_t why_len)
{
	if (err == -ENOMEM)
		snprintf(why, why_len, "out of memory");
	else if (!*why)
		snprintf(why, why_len, "\"%s\" is not a value for %s%s", value, name,
			 err == -ERANGE ? ": out of range" : "");
	return err;
}

int config_parse(struct config *config, int argc, char **argv, char *why, size_t why_len)
{
	int option, err;

	memset(config, 0, sizeof(*config));
	*config = (struct config){ .queues = 2, .depth = 16, .local_read = true, .poll = true, .confine = CONFINE, .ready_fd = -1 };
	policy_init(&config->policy);
	*why = '\0';
	opterr = 0;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == OPT_HELP || option == 'h')
			return CONFIG_HELP;
		if (option == OPT_VERSION)
			return CONFIG_VERSION;
		if (option == '?') {
			snprintf(why, why_len, "there is no option %s, or its value is missing: see regiond --help", argv[optind - 1]);
			return -EINVAL;
		}
		err = take_option(config, option, optarg ? optarg : "", why, why_len);
		if (err)
			return option_error(err, options[option].name, optarg, why, why_len);
		config->given |= 1ULL << option;
	}
	if (optind < argc)
		snprintf(why, why_len, "regiond takes only options, not \"%s\"", argv[optind]);
	else if (!config->name)
		snprintf(why, why_len, "--instance NAME is missing");
	if (config->source)
		config->source_from = FROM_COMMAND;
	return *why ? -EINVAL : 0;
}

/* ---- NAME.conf ---- */

static struct config_region *declared(struct config *config, const char *path)
{
	struct config_region **at = &config->regions, *region;

	for (; *at; at = &(*at)->next)
		if (!strcmp((*at)->path, path))
			return *at;
	region = calloc(1, sizeof(*region));
	if (!region)
		return NULL;
	region->path = strdup(path);
	if (!region->path) {
		free(region);
		return NULL;
	}
	region->mode = 0644;
	policy_init(&region->policy);
	*at = region;
	return region;
}

/* -ENOENT: the key is not one of a policy. */
static int take_policy(struct config_region *region, const char *key, const char *value, char *why, size_t why_len)
{
	int err;

	for (unsigned int i = 0; policy_keys[i]; i++) {
		if (strcmp(policy_keys[i], key))
			continue;
		err = policy_set(&region->policy, key, value, why, why_len);
		if (!err)
			region->policy_given |= 1u << i;
		return err;
	}
	return -ENOENT;
}

static int take_managed(struct config_region *region, const char *value)
{
	bool managed;
	int err = take_bool(&managed, value);

	if (!err)
		region->managed = managed ? MANAGED_YES : MANAGED_NO;
	return err;
}

static int take_region(struct config *config, const char *path, const char *key, const char *value, char *why, size_t why_len)
{
	struct config_region *region;
	int err;

	if (!*path || *path == '/') {
		snprintf(why, why_len, "a region is declared as [region PATH], with its path below the mount");
		return -EINVAL;
	}
	region = declared(config, path);
	if (!region)
		return -ENOMEM;
	if (!strcmp(key, "source"))
		return take_source(&region->source, value, why, why_len);
	if (!strcmp(key, "size"))
		return regionfs_size_parse(value, &region->size);
	if (!strcmp(key, "mode"))
		return regionfs_mode_parse(value, &region->mode);
	if (!strcmp(key, "uid") || !strcmp(key, "user"))
		return take_user(&region->uid, value);
	if (!strcmp(key, "gid") || !strcmp(key, "group"))
		return take_group(&region->gid, value);
	if (!strcmp(key, "timeout"))
		return take_time(&region->timeout, value);
	if (!strcmp(key, "chunk"))
		return take_size(&region->chunk, 4096, 16 << 20, value);
	if (!strcmp(key, "read-only"))
		return take_bool(&region->read_only, value);
	if (!strcmp(key, "fixed-size"))
		return take_bool(&region->fixed_size, value);
	if (!strcmp(key, "managed"))
		return take_managed(region, value);
	err = take_policy(region, key, value, why, why_len);
	if (err != -ENOENT)
		return err;
	snprintf(why, why_len, "there is no key \"%s\" for a region", key);
	return -EINVAL;
}

static int take_key(struct config *config, const char *key, const char *value, char *why, size_t why_len)
{
	for (int i = 0; options[i].name; i++) {
		if (strcmp(options[i].name, key) || i == OPT_INSTANCE || i == OPT_CONFIG || i >= OPT_READY_FD)
			continue;
		if (config->given & (1ULL << i))
			return 0;
		if (i == OPT_SOURCE)
			config->source_from = FROM_FILE;
		return take_option(config, (enum config_option)i, value, why, why_len);
	}
	snprintf(why, why_len, "there is no key \"%s\" here", key);
	return -EINVAL;
}

static int take_line(void *arg, const char *section, const char *key, const char *value, char *why, size_t why_len)
{
	int err;

	if (!*section || !strcmp(section, "instance"))
		err = take_key(arg, key, value, why, why_len);
	else if (!strncmp(section, "region ", 7))
		err = take_region(arg, section + 7 + strspn(section + 7, " "), key, value, why, why_len);
	else
		return snprintf(why, why_len, "there is no [%s]", section), -EINVAL;
	return err ? option_error(err, key, value, why, why_len) : 0;
}

static int default_path(char **to, const char *before, const char *name, const char *after)
{
	if (*to)
		return 0;
	return asprintf(to, "%s%s%s", before, name, after) < 0 ? -ENOMEM : 0;
}

/* ---- what a region's policy is in the end ---- */

static int inherit(struct config_region *region, const struct policy *from, char *why, size_t why_len)
{
	int err = 0;

	for (unsigned int i = 0; policy_keys[i] && !err; i++) {
		char *value = region->policy_given & 1u << i ? NULL : policy_show(from, policy_keys[i]);

		if (value)
			err = policy_set(&region->policy, policy_keys[i], value, why, why_len);
		free(value);
	}
	return err;
}

static int settle_region(const struct config *config, struct config_region *region, char *why, size_t why_len)
{
	char wrong[512];
	int err;

	if (region->managed == MANAGED_NO && region->policy_given) {
		snprintf(why, why_len, "%s: region %s can't have options of managed regions and managed=no", config->file, region->path);
		return -EINVAL;
	}
	if (region->managed == MANAGED_DEFAULT)
		region->managed = config->managed || region->policy_given ? MANAGED_YES : MANAGED_NO;
	if (region->managed == MANAGED_NO)
		return 0;
	err = inherit(region, &config->policy, wrong, sizeof(wrong));
	if (!err)
		err = policy_check(&region->policy, wrong, sizeof(wrong));
	if (err)
		snprintf(why, why_len, "%s: region %s: %s", config->file, region->path, wrong);
	return err;
}

static int settle_policies(struct config *config, char *why, size_t why_len)
{
	int err = config->managed ? policy_check(&config->policy, why, why_len) : 0;

	for (struct config_region *region = config->regions; region && !err; region = region->next)
		err = settle_region(config, region, why, why_len);
	return err;
}

int config_read(struct config *config, char *why, size_t why_len)
{
	int err = default_path(&config->file, "/etc/regionfs/", config->name, ".conf");

	*why = '\0';
	if (!err)
		err = ini_read(config->file, take_line, config, why, why_len);
	if (err == -ENOENT && !config->file_given)
		err = 0;
	if (!err)
		err = default_path(&config->state_dir, "/var/lib/regionfs/", config->name, "");
	if (!err)
		err = default_path(&config->run_dir, "/run/regionfs/", config->name, "");
	if (!err)
		err = default_path(&config->credentials, "/etc/regionfs/credentials", "", "");
	if (!err)
		err = default_path(&config->source, "memory:", "", "");
	return err ? err : settle_policies(config, why, why_len);
}

void config_free(struct config *config)
{
	while (config->regions) {
		struct config_region *region = config->regions;

		config->regions = region->next;
		free(region->path);
		free(region->source);
		policy_free(&region->policy);
		free(region);
	}
	free(config->name);
	free(config->source);
	free(config->state_dir);
	free(config->run_dir);
	free(config->credentials);
	free(config->file);
	policy_free(&config->policy);
}
