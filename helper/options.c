// SPDX-License-Identifier: GPL-2.0
/* Mount options: which go to mount(2) as flags or data, and which to the helper. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "options.h"
#include "units.h"

struct flag_option {
	const char *name;
	unsigned long set;
	unsigned long clear;
};

static const struct flag_option flag_options[] = {
	{ "ro", MS_RDONLY, 0 },			{ "rw", 0, MS_RDONLY },
	{ "nosuid", MS_NOSUID, 0 },		{ "suid", 0, MS_NOSUID },
	{ "nodev", MS_NODEV, 0 },		{ "dev", 0, MS_NODEV },
	{ "noexec", MS_NOEXEC, 0 },		{ "exec", 0, MS_NOEXEC },
	{ "sync", MS_SYNCHRONOUS, 0 },		{ "async", 0, MS_SYNCHRONOUS },
	{ "dirsync", MS_DIRSYNC, 0 },		{ "silent", MS_SILENT, 0 },
	{ "noatime", MS_NOATIME, 0 },		{ "atime", 0, MS_NOATIME },
	{ "nodiratime", MS_NODIRATIME, 0 },	{ "diratime", 0, MS_NODIRATIME },
	{ "relatime", MS_RELATIME, 0 },		{ "norelatime", 0, MS_RELATIME },
	{ "strictatime", MS_STRICTATIME, 0 },	{ "nostrictatime", 0, MS_STRICTATIME },
	{ "lazytime", MS_LAZYTIME, 0 },		{ "nolazytime", 0, MS_LAZYTIME },
	{ "remount", MS_REMOUNT, 0 },		{ "loud", 0, MS_SILENT },
};

/*
 * Meant for mount(8), systemd or nobody; they have no meaning here, and a helper is handed them
 * all the same.
 */
static const char *const ignored_options[] = {
	"defaults", "auto", "noauto", "nofail", "_netdev", "user", "nouser", "users",
	"owner", "group",
};

/* Handed to regiond as --NAME=VALUE when it is started. */
static const char *const helper_options[] = {
	"source", "state", "config", "credentials", "queues", "depth", "max-request", "chunk",
	"takeback", "dirty-ratio", "local-read", "poll", "confine", "any-file", "allow-group", "managed", "local", "local-size", "pull-order",
	"pull-rate", "durability", "push-order", "push-interval", "max-unpushed", "on-before-open",
	"on-after-pull", "on-before-sync", "on-after-sync",
};

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

void regionfs_options_init(struct regionfs_options *options)
{
	memset(options, 0, sizeof(*options));
	options->drain_ms = REGIONFS_DRAIN_DEFAULT_MS;
}

void regionfs_options_free(struct regionfs_options *options)
{
	for (size_t i = 0; i < options->nr_args; i++)
		free(options->args[i]);
	options->nr_args = 0;
}

static bool add_flag(struct regionfs_options *options, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(flag_options); i++) {
		if (!strcmp(text, flag_options[i].name)) {
			options->flags &= ~flag_options[i].clear;
			options->flags |= flag_options[i].set;
			return true;
		}
	}
	return false;
}

static bool is_ignored(const char *text)
{
	if (!strncmp(text, "x-", 2) || !strncmp(text, "comment=", 8))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(ignored_options); i++)
		if (!strcmp(text, ignored_options[i]))
			return true;
	return false;
}

/* The value of "name=value" when text is that, else NULL. */
static const char *value_of(const char *text, const char *name)
{
	size_t length = strlen(name);

	return !strncmp(text, name, length) && text[length] == '=' ? text + length + 1 : NULL;
}

static int add_own(struct regionfs_options *options, const char *text, char *message, size_t room)
{
	const char *value = value_of(text, "drain");

	if (value) {
		options->has_drain = true;
		if (!regionfs_duration_parse(value, &options->drain_ms))
			return 1;
		snprintf(message, room, "option '%s' is no duration: write drain=60s", text);
		return -EINVAL;
	}
	value = value_of(text, "helper");
	if (!value)
		return 0;
	options->no_helper = !strcmp(value, "none");
	if ((size_t)snprintf(options->helper, sizeof(options->helper), "%s", value) >=
	    sizeof(options->helper)) {
		snprintf(message, room, "the path in option 'helper=' is too long");
		return -ENAMETOOLONG;
	}
	return 1;
}

static int add_argument(struct regionfs_options *options, const char *text, char *message,
			size_t room)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(helper_options); i++)
		if (value_of(text, helper_options[i]) ||
		    (!strcmp(text, "managed") && !strcmp(helper_options[i], text)))
			break;
	if (i == ARRAY_SIZE(helper_options))
		return 0;
	/* The last place stays NULL: the list is an argv. */
	if (options->nr_args + 1 >= REGIONFS_HELPER_ARGS) {
		snprintf(message, room, "too many options for the helper (at most %d)",
			 REGIONFS_HELPER_ARGS - 1);
		return -E2BIG;
	}
	if (asprintf(&options->args[options->nr_args], "--%s", text) < 0) {
		snprintf(message, room, "out of memory");
		return -ENOMEM;
	}
	options->nr_args++;
	return 1;
}

/*
 * What nobody here knows is for the file system: an old mount.regionfs must not stand in a new
 * module's way.
 */
static int add_data(struct regionfs_options *options, const char *text, char *message, size_t room)
{
	size_t used = strlen(options->data);
	size_t left = sizeof(options->data) - used;

	if ((size_t)snprintf(options->data + used, left, "%s%s", used ? "," : "", text) < left)
		return 0;
	options->data[used] = '\0';
	snprintf(message, room, "the mount options are too long (at most %zu bytes)",
		 sizeof(options->data) - 1);
	return -E2BIG;
}

static int add_one(struct regionfs_options *options, const char *text, char *message, size_t room)
{
	int ret;

	if (!*text || is_ignored(text) || add_flag(options, text))
		return 0;
	ret = add_own(options, text, message, room);
	if (!ret)
		ret = add_argument(options, text, message, room);
	if (!ret)
		return add_data(options, text, message, room);
	return ret < 0 ? ret : 0;
}

/*
 * Cuts the next option off *text in place, as mount(8) does: a comma in "quotes" is part of the
 * value, the quotes aren't.
 */
static char *next_option(char **text)
{
	char *start = *text, *from = *text, *to = *text;
	bool quoted = false;

	for (; *from && (quoted || *from != ','); from++) {
		if (*from == '"')
			quoted = !quoted;
		else
			*to++ = *from;
	}
	*text = *from ? from + 1 : NULL;
	*to = '\0';
	return start;
}

int regionfs_options_add(struct regionfs_options *options, const char *text, char *message,
			 size_t room)
{
	char *copy = strdup(text), *rest = copy;
	int err = 0;

	if (!copy) {
		snprintf(message, room, "out of memory");
		return -ENOMEM;
	}
	while (rest && !err)
		err = add_one(options, next_option(&rest), message, room);
	free(copy);
	return err;
}
