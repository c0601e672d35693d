// SPDX-License-Identifier: GPL-2.0
/* An exported region and the kernel: in which order a peer's requests and claims ask for what, and what they wait for. */
#include "fake-helper.h"
#include "../crc32c.h"
#include "../backends/file-journal.h"
#include "../journal-private.h"
#include "../target.h"

static struct target *target;
static bool claim_told;
static int claim_error;
static char claim_why[256];

static void target_open_with(uint64_t size, uint32_t flags)
{
	struct netlink_attrs attrs = { .asked_ns = 0 };

	helper_open(size);
	fake.flags = flags;
	netlink_set(&attrs, FLAGS, flags, flags);
	netlink_set(&attrs, REGION, region, FAKE_REGION);
	netlink_set(&attrs, PATH, path, "db");
	netlink_set(&attrs, SIZE, size, size);
	netlink_set(&attrs, SOURCE, source, source);
	if (target_region(&target, region_update(regiond.regions, &attrs)))
		exit(97);
}

static void target_open(uint64_t size)
{
	target_open_with(size, 0);
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

/* A source is opened by other threads. */
static void claim_wait(void)
{
	for (int i = 0; i < 600000 && !claim_told; i++) {
		settle();
		usleep(100);
	}
}

static bool is_held(void)
{
	struct list *at;

	list_for_each(at, &fake.calls)
		if (fake.hold & 1u << list_entry(at, struct netlink_call, list)->cmd)
			return true;
	return false;
}

/* Until the kernel has something that it holds. */
static void wait_held(void)
{
	for (int i = 0; i < 600000 && !is_held(); i++) {
		settle();
		usleep(100);
	}
}

/* ---- the first writer ---- */

static void test_claim(void)
{
	target_open(8192);
	fake.hold = 1u << REGIONFS_CMD_REGION_SET;
	claim();
	wait_held();
	tap_ok(kept().claimed, "the state directory knows of a peer's claim before the kernel");
	fake.hold = 1u << REGIONFS_CMD_WRITEBACK;
	fake_post();
	while (!(fake.flags & REGIONFS_REGION_READ_ONLY))
		settle();
	wait_held();
	tap_ok(!claim_told, "a peer is not let in before what programs here wrote is at the backend");
	tap_ok(fake.flags & REGIONFS_REGION_READ_ONLY, "while programs here are kept out");
	fake_release();
	claim_wait();
	tap_ok(claim_told && !claim_error, "then it is");
	tap_is(fake.log, " get read-only writeback+sync", "the order is the right one");
	target->ops->release(target);
	settle();
	tap_ok(!(fake.flags & REGIONFS_REGION_READ_ONLY), "programs here write again after it");

	fake.error[REGIONFS_CMD_WRITEBACK] = -EIO;
	claim();
	claim_wait();
	tap_number(claim_error, -EIO, "what can't be written here keeps a peer out");
	tap_ok(!(fake.flags & REGIONFS_REGION_READ_ONLY), "and the region goes back to programs here");
	fake.error[REGIONFS_CMD_WRITEBACK] = 0;
	fake.writers = 1;
	claim();
	claim_wait();
	tap_number(claim_error, -EBUSY, "a writer here keeps a peer out");
	target_end();
}

/* ---- the next helper ---- */

/* As kill -9 does: what the target would undo stays. */
static void target_kill(void)
{
	fake.error[REGIONFS_CMD_REGION_SET] = -EIO;
	target_end();
}

static void test_restart(void)
{
	target_open(8192);
	claim();
	claim_wait();
	target_kill();
	target_open_with(8192, REGIONFS_REGION_READ_ONLY);
	claim();
	claim_wait();
	tap_number(claim_error, 0, "a peer's claim outlives the helper: the next one lets it in");
	tap_is(fake.log, " get writeback+sync", "as it finds it");
	target->ops->release(target);
	settle();
	tap_ok(!(fake.flags & REGIONFS_REGION_READ_ONLY), "and can give the region back");
	target_end();

	target_open_with(8192, REGIONFS_REGION_READ_ONLY);
	claim();
	claim_wait();
	tap_number(claim_error, -EROFS, "what a user has made read-only stays so");
	target_end();

	/* killed between what it writes down and what it tells the kernel, at either end of a claim */
	target_open(8192);
	claim();
	claim_wait();
	target_kill();
	target_open_with(8192, 0);
	target_end();
	target_open_with(8192, REGIONFS_REGION_READ_ONLY);
	claim();
	claim_wait();
	tap_number(claim_error, -EROFS, "a claim that was written down alone is forgotten");
	target_end();
}

/* ---- past the end ---- */

struct peer_req {
	struct backend_req req;
	bool told;
	int error;
};

static void on_peer_done(struct backend_req *req, int error)
{
	struct peer_req *peer = container_of(req, struct peer_req, req);

	peer->told = true;
	peer->error = error;
}

static void peer_start(struct peer_req *peer, enum backend_op op, uint64_t offset, uint64_t length, uint64_t arg)
{
	static char data[65536];

	memset(peer, 0, sizeof(*peer));
	peer->req = (struct backend_req){
		.op = op, .offset = offset, .length = length, .arg = arg, .data = data, .loop = regiond.loop,
		.done = on_peer_done,
	};
	target->ops->submit(target, &peer->req);
}

/* The backend works in threads of the kernel's. */
static void peer_wait(struct peer_req *peer)
{
	for (int i = 0; i < 600000 && !peer->told; i++) {
		settle();
		usleep(100);
	}
	settle();
}

static void peer_do(enum backend_op op, uint64_t offset, uint64_t length, uint64_t arg)
{
	struct peer_req peer;

	fake.log[0] = '\0';
	peer_start(&peer, op, offset, length, arg);
	peer_wait(&peer);
	tap_ok(peer.told && !peer.error, "it is answered");
}

static long long known_size(void)
{
	struct region *region = region_find(regiond.regions, FAKE_REGION);
	uint64_t size = atomic_load(&region->size);

	region_put(region);
	return (long long)size;
}

static void test_append(void)
{
	struct peer_req first, second;

	target_open(5000);
	claim();
	claim_wait();
	peer_do(BACKEND_WRITE, 0, 5000, 0);
	tap_is(fake.log, " invalidate", "a WRITE inside only drops its range");
	peer_do(BACKEND_WRITE, 5000, 3000, 0);
	tap_is(fake.log, " size=8000 invalidate", "a WRITE past the end tells the kernel of the size, then drops its range");
	peer_do(BACKEND_WRITE, 7000, 1000, 0);
	tap_is(fake.log, " invalidate", "once");
	peer_do(BACKEND_VERSION, 0, 0, 0);
	tap_is(fake.log, " writeback", "a version is of what programs here have written as well");
	fake.last_page_dirty = true;
	peer_do(BACKEND_WRITE, 8000, 1000, 0);
	tap_is(fake.log, " size=9000 writeback size=9000 invalidate", "a dirty last page is written back first");
	peer_do(BACKEND_RESIZE, 0, 4000, 4000);
	tap_is(fake.log, " size=4000 invalidate", "a RESIZE tells the kernel");
	peer_do(BACKEND_RESIZE, 0, 4000, 1000);
	tap_is(fake.log, " size=4000 invalidate", "also when it leaves the size as it was");

	fake.log[0] = '\0';
	fake.hold = 1u << REGIONFS_CMD_REGION_SET;
	peer_start(&first, BACKEND_WRITE, 4000, 2000, 0);
	peer_start(&second, BACKEND_WRITE, 6000, 2000, 0);
	for (int i = 0; i < 100; i++)
		settle();
	tap_ok(!first.told && !second.told, "nothing is answered before the kernel knows");
	fake_release();
	peer_wait(&first);
	peer_wait(&second);
	tap_ok(first.told && second.told && !first.error && !second.error && fake.size == 8000,
	       "of two, the farther end stands");
	tap_number(known_size(), 8000, "and the helper knows it");

	fake.error[REGIONFS_CMD_REGION_SET] = -EFBIG;
	peer_start(&first, BACKEND_WRITE, 10000, 2000, 0);
	peer_wait(&first);
	tap_number(first.error, -EFBIG, "what the kernel does not take is an error of the peer's");
	target_end();
}

/* ---- a batch of a peer's ---- */

static uint64_t batch_nr = 1;

static void batch_start(struct peer_req *peer, enum backend_op op, bool first, uint64_t offset, uint64_t length, uint64_t arg)
{
	static char data[65536];

	memset(peer, 0, sizeof(*peer));
	peer->req = (struct backend_req){
		.op = op, .flags = op == BACKEND_PUBLISH ? 0 : BACKEND_STAGED, .batch = batch_nr, .first = first, .offset = offset,
		.length = length, .arg = arg, .data = data, .loop = regiond.loop, .done = on_peer_done,
	};
	target->ops->submit(target, &peer->req);
}

static void batch_do(enum backend_op op, bool first, uint64_t offset, uint64_t length, uint64_t arg)
{
	struct peer_req peer;

	batch_start(&peer, op, first, offset, length, arg);
	peer_wait(&peer);
	tap_ok(peer.told && !peer.error, "it is answered");
}

static void test_publish(void)
{
	struct peer_req peer;
	struct wire_info info = { .size = 0 };

	target_open(5000);
	claim();
	claim_wait();
	target->ops->info(target, &info);
	tap_ok(info.flags & WIRE_INFO_PUBLISH, "a region on a file is published to");
	fake.log[0] = '\0';
	batch_do(BACKEND_WRITE, true, 100, 50, 0);
	batch_do(BACKEND_WRITE, false, 7000, 1000, 0);
	tap_is(fake.log, "", "of a staged request the kernel hears nothing");
	tap_number(known_size(), 5000, "nor is the size another one");
	fake.hold = 1u << REGIONFS_CMD_INVALIDATE;
	batch_start(&peer, BACKEND_PUBLISH, false, 0, 0, 0);
	wait_held();
	tap_ok(!peer.told, "PUBLISH is not answered before the kernel has dropped what has changed");
	fake_release();
	peer_wait(&peer);
	tap_ok(peer.told && !peer.error, "then it is");
	tap_is(fake.log, " size=8000 invalidate", "having told it of the size");
	tap_number(known_size(), 8000, "which the helper knows, too");

	batch_nr++;
	batch_do(BACKEND_RESIZE, true, 0, 3000, 2000);
	fake.log[0] = '\0';
	batch_do(BACKEND_PUBLISH, false, 0, 0, 0);
	tap_is(fake.log, " size=3000 invalidate", "a RESIZE comes with its batch");
	target_end();
}

/* A helper is killed between the decision and the source: what the next one finds. */
static void leave_decided(bool done)
{
	static struct backend backend;
	static char page[4096];
	struct journal_record record = {
		.batch = 50, .at = JOURNAL_START, .offset = 8192, .length = sizeof(page), .op = BACKEND_WRITE,
		.data_crc = crc32c(0, page, sizeof(page)),
	};
	struct journal journal = { .backend = &backend, .fd = -1, .batch = 50, .end = JOURNAL_START + sizeof(record) + sizeof(page),
				   .changed = { .offset = 8192, .length = sizeof(page), .size = 12288 } };
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s.regionfs-journal", file);
	unlink(path);
	journal.path = path;
	fd = open(file, O_RDONLY);
	if (fd < 0 || file_journal_identity(fd, journal.identity))
		exit(95);
	close(fd);
	record.crc = journal_record_crc(&record);
	if (journal_file_begin(&journal) || pwrite(journal.fd, &record, sizeof(record), JOURNAL_START) != sizeof(record) ||
	    pwrite(journal.fd, page, sizeof(page), JOURNAL_START + sizeof(record)) != sizeof(page) || journal_file_note(&journal, 50) ||
	    (done && journal_file_note(&journal, 0)))
		exit(95);
	close(journal.fd);
}

static void test_replayed(void)
{
	target_open(5000);
	leave_decided(false);
	claim();
	claim_wait();
	tap_number(claim_error, 0, "a region whose last helper had decided a batch is let in to");
	tap_is(fake.log, " get read-only writeback+sync size=12288 invalidate get", "when the kernel has heard of what that changed");
	peer_do(BACKEND_WRITE, 8000, 1000, 0);
	tap_is(fake.log, " invalidate", "and the size is known");
	target_end();
}

/* It was killed after the source, and before the kernel. */
static void test_replayed_before(void)
{
	target_open(5000);
	leave_decided(true);
	claim();
	claim_wait();
	tap_number(claim_error, 0, "a region whose last helper has done a batch");
	settle();
	tap_ok(strstr(fake.log, " invalidate get") != NULL, "of which the kernel may not have heard: it hears of it again");
	target_end();
}

int main(void)
{
	char command[96];

	if (helper_dir())
		return 99;
	test_claim();
	test_restart();
	test_append();
	test_publish();
	test_replayed();
	test_replayed_before();
	snprintf(command, sizeof(command), "rm -rf %s %s.copy", dir, dir);
	return system(command) ? 99 : tap_end();
}
