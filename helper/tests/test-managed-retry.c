// SPDX-License-Identifier: GPL-2.0
/* A managed region that can't be opened is tried again though nobody asks for it; and whoever waits for one that is removed hears of it. */
#include "fake-helper.h"
#include "../barrier.h"
#include "../region-private.h"
#include "until.h"

#define SIZE 65536

static struct barriers barriers;
static int destroyed = 1, opened = 1;

static void on_destroyed(struct backend_req *req, int error)
{
	destroyed = error;
	loop_stop(regiond.loop);
}

static void on_open(struct region *region, int error, void *arg)
{
	opened = error;
}

static void over(struct loop_timer *timer)
{
	loop_stop(regiond.loop);
}

static void pass(unsigned int ms)
{
	struct loop_timer timer = { .fire = over };

	loop_timer_set(regiond.loop, &timer, ms);
	turn();
	loop_timer_cancel(regiond.loop, &timer);
}

int main(void)
{
	struct backend_req destroy = { .op = BACKEND_DESTROY, .done = on_destroyed };
	struct region *region;
	char policy[128], command[96];

	if (helper_dir())
		return 99;
	barriers_init(&barriers);
	regiond.barriers = &barriers;
	config.run_dir = dir;
	helper_open(SIZE);
	unlink(file);
	tap_ok(request(BACKEND_READ, 0, 4096, 0) < 0, "there is no source");
	region = region_find(regiond.regions, FAKE_REGION);
	snprintf(policy, sizeof(policy), "local=file:%s/store durability=local", dir);
	region_set_policy(region, policy, false);
	region->retry_at = 0;
	region_open_managed(region);
	until(atomic_load(&region->state) == REGION_FAILED && region->managed_retry.slot);
	tap_number(atomic_load(&region->state), REGION_FAILED, "it is managed now, and can't be opened");
	close(open(file, O_CREAT | O_TRUNC | O_RDWR, 0600));
	until(atomic_load(&region->state) == REGION_READY);
	tap_number(atomic_load(&region->state), REGION_READY, "with the source it opens by itself");
	tap_number(region->managed_retry.slot, 0, "and is not tried again");

	destroy.loop = regiond.loop;
	region_submit(regiond.regions, FAKE_REGION, &destroy);
	while (atomic_load(&region->state) == REGION_READY)
		settle();
	if (atomic_load(&region->state) != REGION_GONE)
		region_open(region, on_open, NULL);
	if (destroyed > 0)
		turn();
	if (opened > 0)
		region_open(region, on_open, NULL);
	tap_number(destroyed, 0, "it is removed");
	tap_number(opened, -ENOENT, "whoever waits for it hears that it is gone");
	helper_free(region);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) ? 99 : tap_end();
}
