// SPDX-License-Identifier: GPL-2.0
/*
 * A region over a real file and a fake kernel: its size, as requests make it, gets to the state directory before a SYNC is
 * answered.
 */
#include "fake-helper.h"

static void test_grow(void)
{
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

/* The backend was opened while the region was read-only; now it is not any more. */
static void test_read_only(void)
{
	struct netlink_attrs attrs = { .asked_ns = 0 };
	struct stat st;

	helper_open(0);
	fake.flags = REGIONFS_REGION_READ_ONLY;
	tap_number(request(BACKEND_READ, 0, 4096, 0), 0, "a read-only region is read");
	tap_number(request(BACKEND_WRITE, 0, 4096, 0), 0, "what was dirty before it became read-only is written");
	tap_ok(!stat(file, &st) && st.st_size == 4096, "and lands");
	helper_end();

	helper_open(0);
	fake.flags = REGIONFS_REGION_READ_ONLY;
	request(BACKEND_READ, 0, 4096, 0);
	fake.flags = 0;
	netlink_set(&attrs, REGION, region, FAKE_REGION);
	netlink_set(&attrs, FLAGS, flags, 0);
	region_update(regiond.regions, &attrs);
	tap_number(request(BACKEND_RESIZE, 0, 10000, 0), 0, "one that is not read-only any more is resized");
	tap_number(request(BACKEND_WRITE, 4096, 4096, 0), 0, "and written");
	tap_number(request(BACKEND_DISCARD, 0, 4096, 0), 0, "and punched");
	tap_number(request(BACKEND_READ, 0, 4096, 0), 0, "and read");
	helper_end();
}

int main(void)
{
	char command[96];

	if (helper_dir())
		return 99;
	test_grow();
	test_late_answer();
	test_read_only();
	snprintf(command, sizeof(command), "rm -rf %s %s.copy", dir, dir);
	return system(command) ? 99 : tap_end();
}
