// SPDX-License-Identifier: GPL-2.0
/* regionctl bench: which region is meant, by its file or its name, and whether anything can be measured of it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmd-bench.h"
#include "mountinfo.h"
#include "units.h"

#define MOUNTS		"/proc/self/mountinfo"
#define SIZE_USUAL	(256 * MIB)	/* at most, of a region, unless somebody asks for more */
#define PATIENCE_S	3

int bench_ask(struct bench *bench, const char *command, json_t *args, json_t **result)
{
	struct regionfs_client client;
	int err = regionfs_client_open(&client, bench->instance);

	*result = NULL;
	if (!err)
		err = regionfs_client_call(&client, command, args, result);
	if (err)
		snprintf(bench->message, sizeof(bench->message), "%s", client.message);
	regionfs_client_close(&client);
	json_decref(args);
	return err;
}

/* ---- which one ---- */

/* By a file in a mount, which tells the instance, too. -ENOENT: it is none. */
static int find_by_file(struct bench *bench, const char *what)
{
	char source[PATH_MAX], inside[PATH_MAX];
	char *path = realpath(what, NULL);
	int err = path ? regionfs_mount_of(MOUNTS, path, source, inside, sizeof(source)) : -ENOENT;

	if (!err && (strlen(path) >= PATH_MAX || strlen(source) >= sizeof(bench->instance)))
		err = -ENAMETOOLONG;
	if (!err) {
		strcpy(bench->here.path, path);
		strcpy(bench->instance, source);
		bench->region = strdup(inside + (*inside == '/'));
		err = bench->region ? 0 : -ENOMEM;
	}
	free(path);
	return err;
}

/* By its name below the mount, as the other commands have it. */
static int find_by_name(struct bench *bench, const char *what)
{
	struct cmd_context *ctx = bench->ctx;
	int err = regionfs_client_pick(ctx->instance, bench->instance, bench->message, sizeof(bench->message));

	if (err) {
		cmd_fail(ctx, err, "%s", bench->message);
		return err == -EINVAL ? CMD_USAGE : CMD_NOT_FOUND;
	}
	bench->region = strdup(what + strspn(what, "/"));
	return bench->region ? CMD_OK : cmd_fail(ctx, -ENOMEM, "out of memory");
}

static int find_region(struct bench *bench, const char *what)
{
	struct cmd_context *ctx = bench->ctx;
	int err = find_by_file(bench, what);

	if (!err && ctx->instance && strcmp(ctx->instance, bench->instance))
		return cmd_fail(ctx, -ENOENT, "%s is a file of instance '%s', not of '%s'", what, bench->instance, ctx->instance);
	if (!err && !*bench->region)
		return cmd_fail(ctx, -EISDIR, "%s is where instance '%s' is mounted: name a file there", what, bench->instance);
	if (err != -ENOENT)
		return err ? cmd_fail(ctx, err, "%s: %s", what, strerror(-err)) : CMD_OK;
	/* a name may begin with '/', too, but whoever writes the path of a file that is there means that */
	if ((*what == '/' || *what == '.') && !access(what, F_OK))
		return cmd_fail(ctx, -ENOENT, "%s lies on no regionfs; to measure it beside a region, give it to --compare", what);
	return find_by_name(bench, what);
}

/* ---- what regiond says of it ---- */

static bool has_flag(const json_t *stat, const char *flag)
{
	const json_t *value;
	size_t i;

	json_array_foreach(json_object_get(stat, "flags"), i, value)
		if (!strcmp(json_string_value(value) ?: "", flag))
			return true;
	return false;
}

static bool part_is(const json_t *stat, const char *part, const char *state)
{
	const json_t *managed = json_object_get(stat, "managed");

	return !strcmp(json_string_value(json_object_get(json_object_get(managed, part), "state")) ?: "", state);
}

/* Nobody could read it, or not all of it, so nothing has to be tried. */
static int check_region(struct bench *bench, const json_t *stat)
{
	const char *region = bench->region;

	bench->here.size = (uint64_t)json_integer_value(json_object_get(stat, "size"));
	if (has_flag(stat, "moved"))
		return cmd_fail(bench->ctx, -ESTALE, "%s has moved to another host: measure it there", region);
	if (has_flag(stat, "locked"))
		return cmd_fail(bench->ctx, -EBUSY, "%s is locked, so that nobody can read it: 'regionctl unlock %s', or wait for "
				"the end of its hand-over", region, region);
	/* what is in the page cache might not be in its store */
	if (part_is(stat, "source", "away") && !part_is(stat, "pull", "complete"))
		return cmd_fail(bench->ctx, -EBUSY, "the source of %s is away, and not all of it is here: measure it when that is back",
				region);
	return CMD_OK;
}

static int find_helper(struct bench *bench)
{
	json_t *instance;
	int err = bench_ask(bench, "instance.stat", NULL, &instance);

	bench->helper = err ? 0 : (pid_t)json_integer_value(json_object_get(instance, "pid"));
	json_decref(instance);
	return err;
}

/* Its path, also where "#ID" was given. */
static int take_path(struct bench *bench, const json_t *stat)
{
	const char *path = json_string_value(json_object_get(stat, "path"));
	char *copy = path && *path ? strdup(path) : NULL;

	if (!copy)
		return cmd_fail(bench->ctx, -ENOENT, "%s has no path any more, and so no file to measure", bench->region);
	free(bench->region);
	bench->region = copy;
	return CMD_OK;
}

static int look_at_region(struct bench *bench)
{
	json_t *stat;
	int err = bench_ask(bench, "stat", json_pack("{s:s}", "region", bench->region), &stat);
	int code = err ? cmd_fail(bench->ctx, err, "%s", bench->message) : take_path(bench, stat);

	if (!code)
		code = check_region(bench, stat);
	json_decref(stat);
	if (!code)
		find_helper(bench);
	return code;
}

/* Where its file is, when its name was given. */
static int find_file(struct bench *bench)
{
	char target[PATH_MAX];
	int err;

	if (*bench->here.path)
		return CMD_OK;
	err = regionfs_mount_target(MOUNTS, bench->instance, target, sizeof(target));
	if (err)
		return cmd_fail(bench->ctx, err, "instance '%s' is mounted nowhere that can be seen from here: 'mount -t regionfs %s DIR'",
				bench->instance, bench->instance);
	if ((size_t)snprintf(bench->here.path, PATH_MAX, "%s/%s", target, bench->region) >= PATH_MAX)
		return cmd_fail(bench->ctx, -ENAMETOOLONG, "%s/%s is too long a path", target, bench->region);
	return CMD_OK;
}

int bench_find(struct bench *bench, const char *what)
{
	int code = find_region(bench, what);

	if (!code)
		code = look_at_region(bench);
	return code ? code : find_file(bench);
}

/* ---- can it be measured? ---- */

static int check_kind(struct bench *bench, struct bench_side *side, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return cmd_fail(bench->ctx, -errno, "%s: %s", side->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return cmd_fail(bench->ctx, -EINVAL, "%s is no file", side->path);
	side->size = (uint64_t)st.st_size;
	return CMD_OK;
}

int bench_probe(const struct bench_side *side)
{
	static char page[MEASURE_PAGE] __attribute__((aligned(MEASURE_PAGE)));
	int fd = open(side->path, O_RDONLY | O_CLOEXEC | (side->region ? O_DIRECT : 0)), err;

	if (fd < 0)
		return errno;
	err = pread(fd, page, sizeof(page), 0) < 0 ? errno : 0;
	close(fd);
	return err;
}

static void *probe(void *arg)
{
	return (void *)(intptr_t)bench_probe(arg);
}

/* A source that is away, or in somebody else's hands, may take for ever: whoever waits is told. */
static void say_waiting(struct bench *bench)
{
	const char *why;
	json_t *stat;

	bench_ask(bench, "stat", json_pack("{s:s}", "region", bench->region), &stat);
	why = json_string_value(json_object_get(stat, "error"));
	fprintf(stderr, "regionctl bench: waiting for the first bytes of %s%s%s; Ctrl-C ends it\n", bench->region, why ? ": " : "",
		why ? why : "");
	json_decref(stat);
}

/* errno, or 0. On a thread, since nothing else can be done while a read waits. */
static int read_patiently(struct bench *bench, struct bench_side *side)
{
	struct timespec limit;
	pthread_t thread;
	void *error;
	int err = pthread_create(&thread, NULL, probe, side);

	if (err)
		return err;
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += PATIENCE_S;
	if (!pthread_timedjoin_np(thread, &error, &limit))
		return (int)(intptr_t)error;
	if (side->region)
		say_waiting(bench);
	pthread_join(thread, &error);
	return (int)(intptr_t)error;
}

/* An error here is one, where later it would be a signal. */
static int read_first(struct bench *bench, struct bench_side *side)
{
	int err = read_patiently(bench, side);

	if (!err)
		return CMD_OK;
	if (side->region)
		return cmd_fail(bench->ctx, -err, "%s can't be read: %s; 'regionctl stat %s' may say why", side->path, strerror(err),
				bench->region);
	return cmd_fail(bench->ctx, -err, "%s can't be read: %s", side->path, strerror(err));
}

static int check_size(struct bench *bench, struct bench_side *side)
{
	char has[REGIONFS_UNITS_TEXT], wanted[REGIONFS_UNITS_TEXT];

	if (!side->size)
		return cmd_fail(bench->ctx, -ENODATA, "%s is empty: there is nothing to measure", side->path);
	if (side->size < MEASURE_PAGE)
		return cmd_fail(bench->ctx, -ENODATA, "%s has %" PRIu64 " bytes, less than a page: there is nothing to measure", side->path,
				side->size);
	if (side->size < bench->size)
		return cmd_fail(bench->ctx, -ENODATA, "%s has %s, less than the %s that shall be measured: say a smaller --size", side->path,
				regionfs_size_format(side->size, has), regionfs_size_format(bench->size, wanted));
	return CMD_OK;
}

static int check_side(struct bench *bench, struct bench_side *side)
{
	int fd = open(side->path, O_RDONLY | O_CLOEXEC), code;

	if (fd < 0)
		return cmd_fail(bench->ctx, -errno, "%s can't be opened: %s", side->path, strerror(errno));
	code = check_kind(bench, side, fd);
	close(fd);
	if (!code)
		code = check_size(bench, side);
	return code ? code : read_first(bench, side);
}

int bench_check(struct bench *bench)
{
	int code = check_side(bench, &bench->here);

	/* what nobody has said is what the region has, up to a limit */
	if (!code && !bench->size)
		bench->size = bench->here.size < SIZE_USUAL ? bench->here.size : SIZE_USUAL;
	bench->size -= bench->size % MEASURE_PAGE;
	return code || !*bench->other.path ? code : check_side(bench, &bench->other);
}
