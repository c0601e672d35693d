/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of a helper that a region needs, over a fake kernel and one real file: for unit tests. */
#ifndef REGIONFS_TESTS_FAKE_HELPER_H
#define REGIONFS_TESTS_FAKE_HELPER_H

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"
#include "fake-kernel.h"
#include "../config.h"
#include "../region.h"
#include "../regiond.h"
#include "../state-record.h"
#include "../state.h"

static char dir[] = "/tmp/fake-helper.XXXXXX";
static char source[80], file[64];
static struct config config = { .name = (char *)"test", .source = (char *)"memory:" };
static struct regiond regiond = { .config = &config };

/* The kernel of these tests does not end its instance, and its channel does not break. */
void regiond_gone(struct regiond *of)
{
	(void)of;
	abort();
}

void regiond_broken(struct regiond *of, int error)
{
	(void)of;
	(void)error;
	abort();
}

/* Once, at first. */
static inline int helper_dir(void)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/bytes", dir);
	snprintf(source, sizeof(source), "file:%s", file);
	return 0;
}

static inline int snapshot_region(struct region *region, void *arg)
{
	if (region->mirrored)
		record_region(arg, &region->info, region->unlinked);
	return 0;
}

static inline void snapshot(void *arg, struct text *text)
{
	region_each(regiond.regions, snapshot_region, text);
}

static inline void failed(void *arg, int error)
{
	tap_ok(false, "the state directory is written");
}

/* One region, FAKE_REGION, of that size, over an empty file. */
static inline void helper_open(uint64_t size)
{
	char why[256] = "";

	close(open(file, O_CREAT | O_TRUNC | O_RDWR, 0600));
	if (loop_open(&regiond.loop, 0) || state_open(&regiond.state, dir, why, sizeof(why)) ||
	    regions_open(&regiond.regions, &regiond))
		printf("# %s\n", why), exit(99);
	state_start(regiond.state, regiond.loop, snapshot, failed, NULL);
	fake_open(regiond.loop);
	fake.size = size;
	fake.source = source;
}

static inline void timed_out(struct loop_timer *timer)
{
	printf("# no end in sight\n");
	exit(98);
}

/* Until somebody calls loop_stop(). */
static inline void turn(void)
{
	struct loop_timer timer = { .fire = timed_out };

	loop_timer_set(regiond.loop, &timer, 20000);
	loop_run(regiond.loop);
	loop_timer_cancel(regiond.loop, &timer);
	loop_again(regiond.loop);
}

static inline void is_shut(struct region *region, void *arg)
{
	loop_post(regiond.loop, arg);
}

static inline void stop_now(struct loop_task *task)
{
	loop_stop(regiond.loop);
}

/* Until nothing is to be done any more but what the kernel holds. */
static inline void settle(void)
{
	for (int i = 0; i < 50; i++) {
		struct loop_task stop = { .run = stop_now };

		loop_post(regiond.loop, &stop);
		turn();
	}
}

/* Its only region has been closed, or is gone. */
static inline void helper_free(struct region *region)
{
	settle();
	if (region->size_timer.slot) {
		loop_timer_cancel(regiond.loop, &region->size_timer);
		region_put(region);
	}
	region_put(region);
	state_close(regiond.state);
	regions_close(regiond.regions);
	loop_close(regiond.loop);
}

static inline void helper_end(void)
{
	struct region *region = region_find(regiond.regions, FAKE_REGION);
	struct loop_task stop = { .run = stop_now };

	region_shutdown(region, is_shut, &stop);
	turn();
	helper_free(region);
}

static int last_error;

static inline void on_done(struct backend_req *req, int error)
{
	last_error = error;
	loop_stop(regiond.loop);
}

static inline int request(enum backend_op op, uint64_t offset, uint64_t length, uint64_t arg)
{
	static char data[65536];
	struct backend_req req = {
		.op = op, .offset = offset, .length = length, .arg = arg, .data = data, .loop = regiond.loop,
		.done = on_done,
	};

	memset(data, 'x', sizeof(data));
	region_submit(regiond.regions, FAKE_REGION, &req);
	turn();
	return last_error;
}

/* What a helper would find in the state directory, if this were the end; strings are gone. */
static inline struct region_info kept(void)
{
	struct region_info info = { .size = UINT64_MAX };
	char copy[64], command[256], why[256];
	const struct region_info *found;
	struct state *state;

	snprintf(copy, sizeof(copy), "%s.copy", dir);
	snprintf(command, sizeof(command), "rm -rf %s && cp -r %s %s", copy, dir, copy);
	if (system(command) || state_open(&state, copy, why, sizeof(why)))
		exit(95);
	found = state_find(state, FAKE_REGION);
	if (found)
		info = *found;
	state_close(state);
	return info;
}

static inline long long kept_size(void)
{
	return (long long)kept().size;
}

#endif
