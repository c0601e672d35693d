// SPDX-License-Identifier: GPL-2.0
/*
 * The state log: what is put is there after any end of the process; a log that was cut at any byte, or has garbage in
 * it, gives what was whole before that, and goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"
#include "../region.h"
#include "../state-record.h"
#include "../state.h"

static char dir[] = "/tmp/test-state.XXXXXX";
static struct loop *loop;
static unsigned int live;	/* regions that snapshot() writes: 1 .. live */

static struct region_info example(uint64_t id)
{
	static char path[64], source[] = "file:/a b?x=%25", seed[] = "freezing", resume[] = "kill -CONT 7 && :";
	static char policy[] = "local=file:/a%20b on-after-pull=x%0A=";
	struct region_info info = {
		.id = id, .path = path, .source = source, .size = id * 4096, .mode = 0640, .uid = 7, .gid = 8,
		.epoch = UINT64_MAX, .lineage = 1ULL << 63, .flags = 3, .timeout = 9, .chunk = 65536,
		.seed = seed, .resume = resume, .policy = id % 2 ? policy : NULL,
	};

	snprintf(path, sizeof(path), "dir/re gion\n%%-%llu\xff", (unsigned long long)id);
	return info;
}

static void snapshot(void *arg, struct text *text)
{
	for (unsigned int i = 1; i <= live; i++) {
		struct region_info info = example(i);

		record_region(text, &info, false);
	}
}

static void failed(void *arg, int error)
{
	printf("# write failed: %s\n", strerror(-error));
}

static struct state *open_state(void)
{
	struct state *state = NULL;
	char why[256];
	int err = state_open(&state, dir, why, sizeof(why));

	if (err)
		printf("# %s\n", why);
	return state;
}

static void synced(struct state_waiter *waiter, int error)
{
	tap_number(error, 0, "it is on the disk");
	loop_stop(loop);
}

static void sync_state(struct state *state)
{
	struct state_waiter waiter = { .done = synced };

	state_sync(state, &waiter);
	loop_run(loop);
	loop_again(loop);
	tap_ok(state_clean(state), "nothing is waiting to be written");
}

static bool same(const struct region_info *a, const struct region_info *b)
{
	return a && a->path && a->source && !strcmp(a->path, b->path) && !strcmp(a->source, b->source) && a->size == b->size &&
	       a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->epoch == b->epoch &&
	       a->lineage == b->lineage && a->flags == b->flags && a->timeout == b->timeout && a->chunk == b->chunk &&
	       (a->policy && b->policy ? !strcmp(a->policy, b->policy) : a->policy == b->policy) && a->seed && !strcmp(a->seed, b->seed) && a->resume && !strcmp(a->resume, b->resume);
}

static int count(const struct region_info *info, bool unlinked, void *arg)
{
	++*(int *)arg;
	return 0;
}

static void check_round_trip(void)
{
	struct state *state = open_state();
	struct region_info info;
	int n = 0;

	state_start(state, loop, snapshot, failed, NULL);
	state_reset(state, 0x1234567812345678, false);
	state_complete(state);
	for (live = 0; live < 3; live++) {
		info = example(live + 1);
		state_put(state, &info, live == 2);
	}
	state_forget(state, 2);
	state_set(state, "source", "memory: 1");
	sync_state(state);
	state_close(state);
	state = open_state();
	info = example(1);
	tap_ok(same(state_find(state, 1), &info), "a region comes back as it was");
	tap_ok(state_instance(state) == 0x1234567812345678, "so does the instance");
	tap_is(state_setting(state, "source"), "memory: 1", "so does a setting");
	tap_ok(!state_setting(state, "other"), "what was not set is not");
	state_each(state, count, &n);
	tap_ok(n >= 2 && state_find(state, 3), "others, too");
	tap_number((long long)state_damaged(state), 0, "nothing is damaged");
	state_close(state);
}

static void check_lock(void)
{
	struct state *state = open_state(), *second = NULL;
	char why[256];

	tap_number(state_open(&second, dir, why, sizeof(why)), -EBUSY, why);
	state_close(state);
}

static size_t read_log(char *buf, size_t max)
{
	char path[256];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/regions.log", dir);
	fd = open(path, O_RDONLY);
	n = read(fd, buf, max);
	close(fd);
	return n > 0 ? (size_t)n : 0;
}

static void write_log(const char *buf, size_t len)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/regions.log", dir);
	fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);
	if (write(fd, buf, len) != (ssize_t)len)
		printf("# short write\n");
	close(fd);
}

static size_t lines_in(const char *buf, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += buf[i] == '\n';
	return n;
}

/* Every length that a crash may have left. */
static void check_cuts(void)
{
	static char log[65536];
	size_t len = read_log(log, sizeof(log));
	bool ok = len > 0;

	for (size_t cut = 0; cut <= len && ok; cut++) {
		struct state *state;
		size_t whole = 0;

		for (size_t i = 0; i < cut; i++)
			whole = log[i] == '\n' ? i + 1 : whole;
		write_log(log, cut);
		state = open_state();
		ok = state && state_damaged(state) == cut - whole && read_log(log, sizeof(log)) == whole;
		if (state)
			state_close(state);
		write_log(log, 0);
		if (!ok)
			printf("# cut at %zu of %zu\n", cut, len);
		/* the part that was read back is the same as what was there: go on with the whole */
	}
	tap_ok(ok, "a log cut at any of its %zu bytes (%zu lines) is read as far as it is whole", len, lines_in(log, len));
	write_log(log, len);
}

static void check_garbage(void)
{
	static char log[65536], bad[65536];
	size_t len = read_log(log, sizeof(log));
	bool ok = true;

	srandom(1);
	for (int i = 0; i < 500 && ok; i++) {
		struct state *state;

		memcpy(bad, log, len);
		for (int k = 0; k <= i % 5; k++)
			bad[(size_t)random() % len] = (char)random();
		write_log(bad, len);
		state = open_state();
		ok = state != NULL;
		if (state)
			state_close(state);
	}
	tap_ok(ok, "500 damaged logs: each is opened");
	for (size_t i = 0; i < sizeof(bad); i++)
		bad[i] = (char)random();
	write_log(bad, sizeof(bad));
	ok = false;
	{
		struct state *state = open_state();

		ok = state && state_damaged(state) == sizeof(bad) && !state_instance(state);
		if (state)
			state_close(state);
	}
	tap_ok(ok, "nothing but garbage is put aside whole");
}

/* Where what is damaged can't be put aside, it stays where it is. */
static void check_no_aside(void)
{
	static char log[65536];
	char path[256];
	size_t len = read_log(log, sizeof(log));
	struct state *state;

	snprintf(path, sizeof(path), "%s/regions.log.damaged", dir);
	unlink(path);
	mkdir(path, 0700);
	memcpy(log + len, "damaged", 7);
	write_log(log, len + 7);
	state = open_state();
	tap_ok(state && state_damaged(state) >= 7, "a log is opened though what is damaged can't be put aside");
	state_close(state);
	tap_ok(read_log(log, sizeof(log)) == len + 7, "which is left where it was");
	rmdir(path);
	write_log(log, 0);
}

static bool log_has(const char *name, const char *text)
{
	static char log[65536];
	char path[256];
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "r");
	n = file ? fread(log, 1, sizeof(log) - 1, file) : 0;
	if (file)
		fclose(file);
	log[n] = '\0';
	return strstr(log, text) != NULL;
}

static void pause_over(struct loop_timer *timer)
{
	loop_stop(loop);
}

static void not_synced(struct state_waiter *waiter, int error)
{
	tap_number(error, -EAGAIN, "nothing can be waited for until then");
}

/* The next life of an instance: at each instant the disk has the regions of one life or the other, whole. */
static void check_reset(void)
{
	struct loop_timer timer = { .fire = pause_over };
	struct state_waiter waiter = { .done = not_synced };
	struct state *state = open_state();
	struct region_info info = example(1);

	state_start(state, loop, snapshot, failed, NULL);
	state_reset(state, 7, false);
	state_complete(state);
	live = 2;
	sync_state(state);
	live = 0;
	state_reset(state, 8, true);
	state_put(state, &info, false);
	live = 1;
	state_sync(state, &waiter);
	loop_timer_set(loop, &timer, 500);
	loop_run(loop);
	loop_again(loop);
	tap_ok(log_has("regions.log", "instance id=7") && log_has("regions.log", "region id=2"),
	       "the older life's regions are on the disk until all of the next one's are known");
	state_complete(state);
	sync_state(state);
	tap_ok(log_has("regions.log", "instance id=8") && !log_has("regions.log", "region id=2"), "then the next one's are");
	tap_ok(log_has("regions.log.unrestored", "region id=2"), "what could not be restored is kept");
	state_close(state);
}

/* Many changes: the log is written anew now and then, and stays small. */
static void check_growth(void)
{
	struct state *state = open_state();
	struct region_info info = example(1);
	char path[256];
	struct stat st;

	live = 1;
	state_start(state, loop, snapshot, failed, NULL);
	state_reset(state, 5, false);
	state_complete(state);
	for (int round = 0; round < 40; round++) {
		struct state_waiter waiter = { .done = NULL };

		for (int i = 0; i < 1000; i++) {
			info.size++;
			state_put(state, &info, false);
		}
		waiter.done = synced;
		state_sync(state, &waiter);
		loop_run(loop);
		loop_again(loop);
	}
	state_close(state);
	snprintf(path, sizeof(path), "%s/regions.log", dir);
	tap_ok(!stat(path, &st) && st.st_size < 2 << 20, "40,000 changes of one region leave a log of %lld bytes",
	       (long long)st.st_size);
	state = open_state();
	tap_ok(state_find(state, 1) && state_instance(state) == 5, "and it is read");
	state_close(state);
}

int main(void)
{
	char command[300];

	if (!mkdtemp(dir) || loop_open(&loop, 0))
		return 99;
	check_round_trip();
	check_lock();
	check_cuts();
	check_garbage();
	check_no_aside();
	check_reset();
	check_growth();
	loop_close(loop);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		printf("# %s was not removed\n", dir);
	return tap_end();
}
