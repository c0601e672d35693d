// SPDX-License-Identifier: GPL-2.0
/* state: the log of regions in the state directory: reading it, and what is known from it. state-write.c writes it. */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dirs.h"
#include "state-private.h"

/* ---- what was read ---- */

static int compare_ids(const void *a, const void *b)
{
	uint64_t left = ((const struct state_entry *)a)->info.id, right = ((const struct state_entry *)b)->info.id;

	return left < right ? -1 : left > right;
}

static void entry_free(void *data)
{
	struct state_entry *entry = data;

	free(entry->info.path);
	free(entry->info.source);
	free(entry->info.seed);
	free(entry->info.resume);
	free(entry->info.handover);
	free(entry->info.behind);
	free(entry->info.policy);
	free(entry);
}

static struct state_entry *entry_find(struct state *state, uint64_t id)
{
	struct state_entry key = { .info.id = id };
	void *found = tfind(&key, &state->entries, compare_ids);

	return found ? *(struct state_entry **)found : NULL;
}

void state_drop_entry(struct state *state, uint64_t id)
{
	struct state_entry *entry = entry_find(state, id);

	if (!entry)
		return;
	tdelete(entry, &state->entries, compare_ids);
	entry_free(entry);
}

void state_drop_entries(struct state *state)
{
	tdestroy(state->entries, entry_free);
	state->entries = NULL;
}

/* Takes the record's strings. */
static int entry_add(struct state *state, struct record *record)
{
	struct state_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return -ENOMEM;
	state_drop_entry(state, record->info.id);
	entry->info = record->info;
	entry->unlinked = record->unlinked;
	record->info.path = record->info.source = NULL;
	record->info.seed = record->info.resume = record->info.policy = NULL;
	record->info.handover = record->info.behind = NULL;
	if (tsearch(entry, &state->entries, compare_ids))
		return 0;
	entry_free(entry);
	return -ENOMEM;
}

const struct region_info *state_find(struct state *state, uint64_t id)
{
	struct state_entry *entry = entry_find(state, id);

	return entry ? &entry->info : NULL;
}

struct walk {
	int (*fn)(const struct region_info *info, bool unlinked, void *arg);
	void *arg;
	int res;
};

static void walk_entry(const void *node, VISIT which, void *closure)
{
	const struct state_entry *entry = *(struct state_entry *const *)node;
	struct walk *walk = closure;

	if (!walk->res && (which == postorder || which == leaf))
		walk->res = walk->fn(&entry->info, entry->unlinked, walk->arg);
}

int state_each(struct state *state, int (*fn)(const struct region_info *info, bool unlinked, void *arg), void *arg)
{
	struct walk walk = { fn, arg, 0 };

	twalk_r(state->entries, walk_entry, &walk);
	return walk.res;
}

uint64_t state_instance(const struct state *state)
{
	return state->instance;
}

uint64_t state_damaged(const struct state *state)
{
	return state->damaged;
}

/* ---- settings ---- */

const char *state_setting(const struct state *state, const char *key)
{
	for (size_t i = 0; i < state->nr_settings; i++)
		if (!strcmp(state->setting[i].key, key))
			return state->setting[i].value;
	return NULL;
}

int state_keep_setting(struct state *state, const char *key, const char *value)
{
	char *copy = strdup(value), *name;

	for (size_t i = 0; copy && i < state->nr_settings; i++) {
		if (strcmp(state->setting[i].key, key))
			continue;
		free(state->setting[i].value);
		state->setting[i].value = copy;
		return 0;
	}
	name = copy && state->nr_settings < STATE_SETTINGS_MAX ? strdup(key) : NULL;
	if (!name) {
		free(copy);
		return -ENOMEM;
	}
	state->setting[state->nr_settings].key = name;
	state->setting[state->nr_settings++].value = copy;
	return 0;
}

/* ---- reading the log ---- */

static int take_record(struct state *state, enum record_kind kind, struct record *record)
{
	switch (kind) {
	case RECORD_REGION:
		return entry_add(state, record);
	case RECORD_FORGET:
		state_drop_entry(state, record->info.id);
		return 0;
	case RECORD_INSTANCE:
		state_drop_entries(state);
		state->instance = record->info.id;
		return 0;
	case RECORD_SETTING:
		return state_keep_setting(state, record->key, record->value);
	default:
		return 0;
	}
}

static int take_line(struct state *state, char *line, bool *bad)
{
	struct record record;
	enum record_kind kind = record_parse(&record, line);
	int err = kind == RECORD_BAD ? 0 : take_record(state, kind, &record);

	*bad = kind == RECORD_BAD;
	record_free(&record);
	return err;
}

/* Up to the end or the first line that isn't whole. */
static int read_lines(struct state *state, FILE *file)
{
	char *line = NULL;
	size_t max = 0;
	ssize_t len;
	bool bad = false;
	int err = 0;

	while (!err && (len = getline(&line, &max, file)) > 0) {
		bad = line[len - 1] != '\n' || memchr(line, 0, (size_t)len);
		line[len - 1] = '\0';
		if (!bad)
			err = take_line(state, line, &bad);
		if (bad)
			break;
		state->length += (uint64_t)len;
	}
	free(line);
	return err;
}

static int copy_rest(const struct state *state, int fd)
{
	char buf[65536];
	uint64_t at = state->length;
	ssize_t n;

	while ((n = pread(state->fd, buf, sizeof(buf), (off_t)at)) > 0) {
		if (write(fd, buf, (size_t)n) != n)
			return -EIO;
		at += (uint64_t)n;
	}
	return n < 0 || fsync(fd) ? -errno : 0;
}

/*
 * What can't be read is kept for people to look at; the log goes on where it was whole. Where it can't be kept, the log is left as
 * it is until it has been written anew.
 */
static int put_aside(struct state *state, uint64_t size)
{
	int fd = openat(state->dir_fd, "regions.log.damaged", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int err = fd < 0 ? -errno : copy_rest(state, fd);

	if (fd >= 0)
		close(fd);
	state->damaged = size - state->length;
	state->rewrite = err != 0;
	if (err)
		return 0;
	return ftruncate(state->fd, (off_t)state->length) ? -errno : 0;
}

static int read_log(struct state *state)
{
	struct stat st;
	FILE *file;
	int fd, err;

	state->fd = openat(state->dir_fd, "regions.log", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	fd = state->fd < 0 ? -1 : fcntl(state->fd, F_DUPFD_CLOEXEC, 0);
	file = fd < 0 ? NULL : fdopen(fd, "r");
	if (!file)
		return -errno;
	err = read_lines(state, file);
	if (!err && fstat(state->fd, &st))
		err = -errno;
	/* what a killed helper has written, and not synced, is acted upon from here on */
	if (!err && fdatasync(state->fd))
		err = -errno;
	fclose(file);
	if (!err && (uint64_t)st.st_size > state->length)
		err = put_aside(state, (uint64_t)st.st_size);
	return err;
}

/* ---- life ---- */

static int take_dir(struct state *state, const char *dir)
{
	int err = dirs_make(dir, 0700);

	if (err)
		return err;
	state->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state->dir_fd < 0)
		return -errno;
	state->lock_fd = openat(state->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (state->lock_fd < 0)
		return -errno;
	return flock(state->lock_fd, LOCK_EX | LOCK_NB) ? (errno == EWOULDBLOCK ? -EBUSY : -errno) : 0;
}

static void state_free(struct state *state)
{
	state_drop_entries(state);
	for (size_t i = 0; i < state->nr_settings; i++) {
		free(state->setting[i].key);
		free(state->setting[i].value);
	}
	text_free(&state->pending);
	text_free(&state->writing);
	if (state->fd >= 0)
		close(state->fd);
	if (state->lock_fd >= 0)
		close(state->lock_fd);
	if (state->dir_fd >= 0)
		close(state->dir_fd);
	free(state);
}

int state_open(struct state **out, const char *dir, char *why, size_t why_len)
{
	struct state *state = calloc(1, sizeof(*state));
	int err;

	if (!state)
		return -ENOMEM;
	state->fd = -1;
	state->dir_fd = -1;
	state->lock_fd = -1;
	list_init(&state->waiting);
	list_init(&state->waiting_now);
	err = take_dir(state, dir);
	if (!err)
		err = read_log(state);
	if (!err) {
		*out = state;
		return 0;
	}
	if (err == -EBUSY)
		snprintf(why, why_len, "the state directory %s is in use by another regiond", dir);
	else
		snprintf(why, why_len, "the state directory %s: %s", dir, strerror(-err));
	state_free(state);
	return err;
}

void state_close(struct state *state)
{
	state_write_rest(state);
	state_free(state);
}
