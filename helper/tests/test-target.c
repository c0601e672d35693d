// SPDX-License-Identifier: GPL-2.0
/* An exported region and the kernel: in which order a peer's requests and claims ask for what, and what they wait for. */
#include "fake-helper.h"
#include "../target.h"

static struct target *target;
static bool claim_told;
static int claim_error;
static char claim_why[256];

static void target_open(uint64_t size)
{
	struct netlink_attrs attrs = { .asked_ns = 0 };

	helper_open(size);
	netlink_set(&attrs, REGION, region, FAKE_REGION);
	netlink_set(&attrs, PATH, path, "db");
	netlink_set(&attrs, SIZE, size, size);
	netlink_set(&attrs, SOURCE, source, source);
	if (target_region(&target, region_update(regiond.regions, &attrs)))
		exit(97);
}

static void target_end(void)
{
	target->ops->close(target);
	helper_end();
}

static void on_claim(void *arg, int error, const char *why)
{
	claim_told = true;
	claim_error = error;
	snprintf(claim_why, sizeof(claim_why), "%s", why);
	loop_stop(regiond.loop);
}

static void claim(void)
{
	claim_told = false;
	fake.log[0] = '\0';
	target->ops->claim(target, on_claim, NULL);
}

/* Until nothing is to be done any more but what the kernel holds. */
static void settle(void)
{
	for (int i = 0; i < 50; i++) {
		struct loop_task stop = { .run = stop_now };

		loop_post(regiond.loop, &stop);
		turn();
	}
}

/* ---- the first writer ---- */

static void test_claim(void)
{
	target_open(8192);
	fake.hold = 1u << REGIONFS_CMD_WRITEBACK;
	claim();
	settle();
	tap_ok(!claim_told, "a peer is not let in before what programs here wrote is at the backend");
	tap_ok(fake.flags & REGIONFS_REGION_READ_ONLY, "while programs here are kept out");
	fake_release();
	settle();
	tap_ok(claim_told && !claim_error, "then it is");
	tap_is(fake.log, " get read-only writeback+sync", "the order is the right one");
	target->ops->release(target);
	settle();
	tap_ok(!(fake.flags & REGIONFS_REGION_READ_ONLY), "programs here write again after it");

	fake.error[REGIONFS_CMD_WRITEBACK] = -EIO;
	claim();
	settle();
	tap_number(claim_error, -EIO, "what can't be written here keeps a peer out");
	tap_ok(!(fake.flags & REGIONFS_REGION_READ_ONLY), "and the region goes back to programs here");
	fake.error[REGIONFS_CMD_WRITEBACK] = 0;
	fake.writers = 1;
	claim();
	settle();
	tap_number(claim_error, -EBUSY, "a writer here keeps a peer out");
	target_end();
}

int main(void)
{
	char command[96];

	if (helper_dir())
		return 99;
	test_claim();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) ? 99 : tap_end();
}
