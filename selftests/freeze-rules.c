// SPDX-License-Identifier: GPL-2.0
/*
 * Freeze: when it has returned every dirty byte is at the helper, and no one writes until thaw; names and
 * attributes answer EBUSY at once. Pinned pages make it fail, named, unless forced; what they dirty later
 * raises an event.
 */
#include "lib/app.h"
#include "lib/env.h"
#include "lib/pin.h"

#define PINNED	(256 * KiB)
#define READ_FROM	(768 * KiB)	/* never written */

static struct env e, other;
static uint64_t id;
static char path[128];
static char *map;
static int fd;

static bool backing_is(uint64_t offset, uint64_t seed)
{
	char buf[4096];

	fh_pread(e.fh, id, buf, sizeof(buf), offset);
	return pattern_check(buf, sizeof(buf), offset, seed) < 0;
}

static bool frozen(void)
{
	return env_region_u32(&e, id, REGIONFS_A_FLAGS) & REGIONFS_REGION_FROZEN;
}

static void flushes(void)
{
	uint32_t from = fh_mark(e.fh);

	is(app_run(path, APP_WRITE, 0, 4096, 2), 0, "a write");
	pattern_fill(map + 8192, 4096, 8192, 3);
	is(env_long(&e, REGIONFS_CMD_FREEZE, id), 0, "FREEZE");
	ok(backing_is(0, 2) && backing_is(8192, 3), "all dirty bytes are at the helper");
	ok(fh_seen(e.fh, from, REGIONFS_OP_SYNC, id, 0, 0, NULL) > 0, "and synced");
	ok(frozen(), "the region says that it is frozen");
	is(env_long(&e, REGIONFS_CMD_FREEZE, id), 0, "a second FREEZE changes nothing");
}

/* Everything that would change the region. */
static void refuses(const char *state)
{
	char to[160];

	snprintf(to, sizeof(to), "%s-other", path);
	is(app_run(path, APP_TRUNCATE, 4096, 0, 0), EBUSY, "%s: truncate", state);
	is(unlink(path) ? errno : 0, EBUSY, "%s: unlink", state);
	is(rename(path, to) ? errno : 0, EBUSY, "%s: rename", state);
	is(chmod(path, 0600) ? errno : 0, EBUSY, "%s: chmod", state);
}

static void blocks_writers(void)
{
	static const enum app_what how[] = { APP_WRITE, APP_MAP_WRITE, APP_DIRECT_WRITE };
	pid_t pid[3], punch, doomed;
	uint32_t from = fh_mark(e.fh);

	for (int i = 0; i < 3; i++)
		pid[i] = app_start(path, how[i], (i + 4) * 64 * KiB, 4096, 4);
	punch = app_start(path, APP_PUNCH, 512 * KiB, 4096, 0);
	doomed = app_start(path, APP_MAP_WRITE, 0, 4096, 9);
	for (int i = 0; i < 3; i++)
		ok(wait_asleep(pid[i], SOON), "frozen: a %s waits", app_name(how[i]));
	ok(wait_asleep(punch, SOON), "frozen: a punch waits");
	ok(wait_asleep(doomed, SOON) && kill_in_time(doomed, SOON), "frozen: a store dies by kill -9");
	is(app_run(path, APP_READ, 0, 4096, 2), 0, "frozen: reads go on");
	is(app_run(path, APP_MAP_READ, 8192, 4096, 3), 0, "frozen: loads go on");
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "frozen: fsync has nothing to do");
	is(fh_seen(e.fh, from, REGIONFS_OP_WRITE, id, 0, 0, NULL), 0, "frozen: nothing was written");
	is(env_simple(&e, REGIONFS_CMD_THAW, id), 0, "THAW");
	for (int i = 0; i < 3; i++)
		is(reap(pid[i], SOON), 0, "thawed: the %s goes on", app_name(how[i]));
	is(reap(punch, SOON), 0, "thawed: the punch goes on");
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "fsync");
	for (int i = 0; i < 3; i++)
		ok(backing_is((i + 4) * 64 * KiB, 4), "its bytes have arrived");
	ok(!frozen(), "the region is no longer frozen");
}

static bool late_dirty(struct nl *events)
{
	static struct nlr r;
	int what;

	do {
		what = nl_event(events, &r, SOON);
	} while (what > 0 && what != REGIONFS_EVENT_LATE_DIRTY);
	return what == REGIONFS_EVENT_LATE_DIRTY;
}

static void pinned(void)
{
	struct nl events;
	uint64_t count, first;
	pid_t pid;

	must(!nl_open(&events) && !nl_subscribe(&events));
	map[PINNED] = 1;
	pid = pin(&other, REGIONFS_OP_READ, map + PINNED);
	is(app_run(path, APP_FSYNC, 0, 0, 0), 0, "a pinned page is written");
	env_ask(&e, REGIONFS_CMD_FREEZE, id);
	nlq_u32(&e.q, REGIONFS_A_DEADLINE, 1000);
	is(env_call_long(&e), -EBUSY, "pinned, it makes FREEZE fail, though it is clean");
	count = nlr_u64(&e.r, REGIONFS_A_COUNT);
	first = nlr_u64(&e.r, REGIONFS_A_OFFSET);
	ok(count > 0 && first <= PINNED && PINNED < first + count * 4096,
	   "it counts %llu pages from %llu on", (unsigned long long)count,
	   (unsigned long long)first);
	ok(!frozen(), "the region is thawed again");
	env_ask(&e, REGIONFS_CMD_FREEZE, id);
	nlq_u32(&e.q, REGIONFS_A_DEADLINE, 1000);
	nlq_flag(&e.q, REGIONFS_A_FORCE);
	is(env_call_long(&e), 0, "by force it is frozen");
	is(unpin(&other, pid), 0, "the direct read ends");
	ok(late_dirty(&events), "its dirty page raises an event");
	is(env_simple(&e, REGIONFS_CMD_THAW, id), 0, "THAW");
	nl_close(&events);
}

static void pinned_to_read(void)
{
	pid_t pid = pin(&other, REGIONFS_OP_WRITE, map + READ_FROM);

	env_ask(&e, REGIONFS_CMD_FREEZE, id);
	nlq_u32(&e.q, REGIONFS_A_DEADLINE, 1000);
	is(env_call_long(&e), 0, "a page that is pinned, but that nobody could write, does not stand in FREEZE's way");
	is(env_simple(&e, REGIONFS_CMD_THAW, id), 0, "THAW");
	is(unpin(&other, pid), 0, "the direct write ends");
}

int main(void)
{
	tap_start(600);
	env_start(&e, "freeze");
	env_start(&other, "other");
	id = env_filled(&e, "r", MiB, 1);
	must(env_filled(&other, "r", MiB, 1));
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	map = mmap(NULL, MiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(map != MAP_FAILED);
	flushes();
	refuses("frozen");
	blocks_writers();
	pinned();
	pinned_to_read();
	munmap(map, MiB);
	close(fd);
	return tap_done();
}
