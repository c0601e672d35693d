// SPDX-License-Identifier: GPL-2.0
/*
 * A hole is punched into a large folio in which a device is writing to a pinned page, so that the folio can't be split and stays: what the
 * device writes then is written back as what the mapping shows, and FREEZE, if it says that nobody writes any more, is right.
 */
#include "lib/app.h"
#include "lib/env.h"
#include "lib/pin.h"

#define AT	(2 * MiB)	/* where a large folio begins, once a sequential read has come there */
#define HOLE	(AT + 16 * KiB)
#define LENGTH	(48 * KiB)
#define PINNED	(AT + 32 * KiB)

static struct env e, other;
static uint64_t id, other_id;
static char path[128];
static char *map;
static int fd;

/* A device, the other instance, writes to the page, which has been stored to. */
static pid_t write_by_device(uint64_t at)
{
	map[at] = 1;
	return pin(&other, REGIONFS_OP_READ, map + at);
}

static void device_ends(pid_t pid)
{
	is(unpin(&other, pid), 0, "the direct read ends");
}

/* When a device's READ ends a page may be found locked, and is dirtied a moment later, by a work: so fsync may have to be said again. */
static bool comes_to_source(void *arg)
{
	char shown[4096], got[4096];
	uint64_t at = *(uint64_t *)arg;

	memcpy(shown, map + at, sizeof(shown));
	must(!fsync(fd));
	fh_pread(e.fh, id, got, sizeof(got), at);
	return !memcmp(shown, got, sizeof(got));
}

static void punch(void)
{
	is(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, HOLE, LENGTH), 0, "the hole is punched");
}

/* In order, so that there are large folios */
static void read_all(void)
{
	char part[16 * KiB];

	must(env_long(&e, REGIONFS_CMD_INVALIDATE, id) == 0);
	for (loff_t at = 0; at < (loff_t)(4 * MiB); at += sizeof(part))
		must(pread(fd, part, sizeof(part), at) == sizeof(part));
}

/* @beside: another page of the folio is dirty too, so that the folio is not dirty whole. */
static void written(bool beside)
{
	uint64_t at = PINNED;
	pid_t pid;

	read_all();
	if (beside)
		is(app_run(path, APP_WRITE, AT + 4096, 4096, 2), 0, "a page beside is dirtied");
	pid = write_by_device(PINNED);
	punch();
	is(fsync(fd), 0, "fsync");
	device_ends(pid);
	ok(wait_until(comes_to_source, &at, SOON), "the source gets what the mapping shows");
}

/* Written back it is clean, and a folio that is clean is easily dropped: whole, with the page beside the hole that is being written. */
static void beside(bool truncate)
{
	uint64_t at = AT + 4096;
	char source[4096];
	pid_t pid;

	read_all();
	pid = write_by_device(at);
	is(fsync(fd), 0, "the page beside the hole is written back while it is pinned");
	if (truncate)
		is(ftruncate(fd, HOLE), 0, "the file is cut behind it");
	else
		punch();
	device_ends(pid);
	fh_pread(other.fh, other_id, source, sizeof(source), 0);
	ok(!memcmp(source, map + AT + 4096, sizeof(source)), "the mapping shows what the device wrote");
	ok(wait_until(comes_to_source, &at, SOON), "and the source gets it");
	if (truncate)
		is(ftruncate(fd, 4 * MiB), 0, "the file is as long as before");
}

static void frozen(void)
{
	char before[4096];
	pid_t pid;
	int rc;

	read_all();
	pid = write_by_device(PINNED);
	punch();
	is(fsync(fd), 0, "fsync");
	memcpy(before, map + PINNED, sizeof(before));
	env_ask(&e, REGIONFS_CMD_FREEZE, id);
	nlq_u32(&e.q, REGIONFS_A_DEADLINE, 1000);
	rc = env_call_long(&e);
	ok(!rc || rc == -EBUSY, "FREEZE succeeds, or tells of the pin");
	device_ends(pid);
	ok(rc || !memcmp(before, map + PINNED, sizeof(before)), "if it succeeds, nothing changes any more");
	env_simple(&e, REGIONFS_CMD_THAW, id);
}

int main(void)
{
	tap_start(300);
	env_start(&e, "punch");
	env_start(&other, "other");
	id = env_filled(&e, "r", 4 * MiB, 1);
	other_id = env_filled(&other, "r", MiB, 7);
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	map = mmap(NULL, 4 * MiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(map != MAP_FAILED);
	written(true);
	written(false);
	beside(false);
	beside(true);
	frozen();
	munmap(map, 4 * MiB);
	close(fd);
	return tap_done();
}
