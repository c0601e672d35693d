// SPDX-License-Identifier: GPL-2.0
/*
 * A region over a real file and a fake kernel: its size, as requests make it, gets to the state directory before a SYNC is
 * answered.
 */
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

static char dir[] = "/tmp/test-region.XXXXXX";
static char source[80], file[64];
static struct config config = { .name = (char *)"test", .source = (char *)"memory:" };
static struct regiond regiond = { .config = &config };

/* ---- the parts of a helper that a region needs ---- */

static int snapshot_region(struct region *region, void *arg)
{
	if (region->mirrored)
		record_region(arg, &region->info, region->unlinked);
	return 0;
}

static void snapshot(void *arg, struct text *text)
{
	region_each(regiond.regions, snapshot_region, text);
}

static void failed(void *arg, int error)
{
	tap_ok(false, "the state directory is written");
}

static void helper_open(uint64_t size)
{
	char why[256] = "";

	if (loop_open(&regiond.loop, 0) || state_open(&regiond.state, dir, why, sizeof(why)) ||
	    regions_open(&regiond.regions, &regiond))
		printf("# %s\n", why), exit(99);
	state_start(regiond.state, regiond.loop, snapshot, failed, NULL);
	fake_open(regiond.loop);
	fake.size = size;
	fake.source = source;
}

static void timed_out(struct loop_timer *timer)
{
	printf("# no end in sight\n");
	exit(98);
}

/* Until somebody calls loop_stop(). */
static void turn(void)
{
	struct loop_timer timer = { .fire = timed_out };

	loop_timer_set(regiond.loop, &timer, 20000);
	loop_run(regiond.loop);
	loop_timer_cancel(regiond.loop, &timer);
	loop_again(regiond.loop);
}

static void is_shut(struct region *region, void *arg)
{
	loop_post(regiond.loop, arg);
}

static void stop_now(struct loop_task *task)
{
	loop_stop(regiond.loop);
}

static void helper_end(void)
{
	struct region *region = region_find(regiond.regions, FAKE_REGION);
	struct loop_task stop = { .run = stop_now };

	region_shutdown(region, is_shut, &stop);
	turn();
	region_put(region);
	state_close(regiond.state);
	regions_close(regiond.regions);
	loop_close(regiond.loop);
}

/* ---- requests ---- */

static int last_error;

static void on_done(struct backend_req *req, int error)
{
	last_error = error;
	loop_stop(regiond.loop);
}

static int request(enum backend_op op, uint64_t offset, uint64_t length, uint64_t arg)
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

/* The size that a helper would restore, if this were the end. */
static long long kept_size(void)
{
	const struct region_info *info;
	long long size = -1;
	char copy[64], command[256], why[256];
	struct state *state;

	snprintf(copy, sizeof(copy), "%s.copy", dir);
	snprintf(command, sizeof(command), "rm -rf %s && cp -r %s %s", copy, dir, copy);
	if (system(command) || state_open(&state, copy, why, sizeof(why)))
		return -2;
	info = state_find(state, FAKE_REGION);
	if (info)
		size = (long long)info->size;
	state_close(state);
	return size;
}

static void empty_file(void)
{
	close(open(file, O_CREAT | O_TRUNC | O_RDWR, 0600));
}

static void test_grow(void)
{
	empty_file();
	helper_open(0);
	tap_number(request(BACKEND_WRITE, 0, 5000, 0), 0, "a WRITE makes an empty file grow");
	tap_number(request(BACKEND_SYNC, 0, 0, 0), 0, "it is synced");
	tap_number(kept_size(), 5000, "the size is on the disk when SYNC is answered");
	request(BACKEND_WRITE, 60000, 30000, 0);
	request(BACKEND_WRITE, 100, 100, 0);
	request(BACKEND_SYNC, 0, 0, 0);
	tap_number(kept_size(), 90000, "the farthest end counts");
	request(BACKEND_RESIZE, 0, 70000, 3000);
	request(BACKEND_SYNC, 0, 0, 0);
	tap_number(kept_size(), 70000, "and so does a smaller size");
	helper_end();
}

/* The kernel is asked for the region; before its answer is looked at, a WRITE makes the file longer. */
static void test_late_answer(void)
{
	struct netlink_attrs attrs = { .asked_ns = 0 };

	empty_file();
	helper_open(0);
	request(BACKEND_WRITE, 0, 5000, 0);
	netlink_set(&attrs, REGION, region, FAKE_REGION);
	netlink_set(&attrs, SIZE, size, 5000);
	attrs.asked_ns = loop_now_ns();
	request(BACKEND_WRITE, 5000, 5000, 0);
	region_update(regiond.regions, &attrs);
	request(BACKEND_SYNC, 0, 0, 0);
	tap_number(kept_size(), 10000, "an answer that is older than a WRITE does not undo its size");
	attrs.asked_ns = loop_now_ns();
	attrs.size = 20000;
	region_update(regiond.regions, &attrs);
	request(BACKEND_SYNC, 0, 0, 0);
	tap_number(kept_size(), 20000, "one that is newer is believed");
	helper_end();
}

int main(void)
{
	char command[96];

	if (!mkdtemp(dir))
		return 99;
	snprintf(file, sizeof(file), "%s/bytes", dir);
	snprintf(source, sizeof(source), "file:%s", file);
	test_grow();
	test_late_answer();
	snprintf(command, sizeof(command), "rm -rf %s %s.copy", dir, dir);
	return system(command) ? 99 : tap_end();
}
