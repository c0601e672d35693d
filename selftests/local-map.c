// SPDX-License-Identifier: GPL-2.0
/*
 * LOCAL with a map: the kernel reads those pages of the file that the map speaks of, asks the helper for the others, and keeps nothing of what was copied
 * while the map took it back.
 */
#include "lib/app.h"
#include "lib/env.h"
#include "lib/local.h"

#define CHUNK	REGIONFS_LOCAL_CHUNK
#define PAGE	REGIONFS_LOCAL_PAGE
#define SIZE	(4 * MiB)
#define CHUNKS	(SIZE / CHUNK)
#define ALL	REGIONFS_LOCAL_PRESENT

static struct env e;
static uint64_t id;
static char path[128];
static struct local_map l;
static int fd;

static uint32_t word(unsigned int chunk)
{
	return __atomic_load_n(&l.map->word[chunk], __ATOMIC_SEQ_CST);
}

static void set_word(unsigned int chunk, uint32_t bits)
{
	__atomic_store_n(&l.map->word[chunk], bits, __ATOMIC_SEQ_CST);
}

static void give(void)
{
	for (unsigned int i = 0; i < CHUNKS; i++)
		set_word(i, ALL);
}

static unsigned int reads_since(uint32_t from)
{
	return fh_seen(e.fh, from, REGIONFS_OP_READ, id, 0, 0, NULL);
}

/* Whether a cold read of some pages came to the helper; the bytes must be right. */
static bool asked(uint64_t at, uint64_t length, enum app_what how)
{
	uint32_t from = fh_mark(e.fh);

	env_evict(fd);
	is(app_run(path, how, at, length, 1), 0, "the bytes at %llu are right", (unsigned long long)at);
	return reads_since(from) > 0;
}

static void served(void)
{
	static char bytes[SIZE];

	pattern_fill(bytes, SIZE, 0, 1);
	must(pwrite(l.bytes, bytes, SIZE, 0) == SIZE);
	is(fh_local_map(e.fh, id, 1, l.file, l.path, O_RDWR), 0, "LOCAL with a map is taken");
	ok(asked(0, CHUNK, APP_READ), "an empty map: the helper is asked");
	set_word(1, ALL);
	ok(!asked(CHUNK, CHUNK, APP_READ), "what it speaks of is read from the file");
	ok(word(1) & REGIONFS_LOCAL_USED, "and marked as used");
	ok(!(word(0) & REGIONFS_LOCAL_USED), "and nothing else");
	ok(!asked(CHUNK, CHUNK, APP_DIRECT_READ), "so it is with O_DIRECT");
	ok(asked(2 * CHUNK, CHUNK, APP_DIRECT_READ), "which asks for what is not there");
	set_word(1, ALL | REGIONFS_LOCAL_UNSURE);
	ok(asked(CHUNK, CHUNK, APP_READ), "what is unsure is asked for");
	set_word(1, ALL | 1u << 30);
	ok(!asked(CHUNK, CHUNK, APP_READ), "bits of the helper's own mean nothing");
	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	set_word(3, 1u << 4);
	ok(asked(3 * CHUNK + 3 * PAGE, PAGE, APP_READ), "a page that is not there is asked for");
	ok(!asked(3 * CHUNK + 4 * PAGE, PAGE, APP_READ), "the next one is not");
	posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL);
	give();
	ok(!asked(0, SIZE, APP_MAP_READ), "all of it is there");
}

static void refused(void)
{
	is(fh_local_map(e.fh, id, 1, l.file, l.path, O_RDONLY), -EBADF, "a map that can't be written is refused");
	is(fh_local_map(e.fh, id, 1, l.file, "/dev/shm", O_RDONLY | O_DIRECTORY), -EBADF, "a directory is, as a map");
	is(fh_local_map(e.fh, id, 1, l.file, path, O_RDWR), -EOPNOTSUPP, "so is a region");
	is(fh_local_map(e.fh, id, 1, path, l.path, O_RDWR), -EOPNOTSUPP, "also for the bytes");
	is(fh_local_map(e.fh, id, 1, "/proc/version", l.path, O_RDWR), -EOPNOTSUPP, "as is what is on no disk");
	is(fh_local_map(e.fh, id, 1, "", l.path, O_RDWR), -EINVAL, "a map without a file is refused");
	ok(!asked(0, CHUNK, APP_READ), "what was said before holds");
}

/* A map that is shorter than the region, or gone, speaks of nothing. */
static void cut(void)
{
	must(truncate(l.path, 0) == 0);
	ok(asked(0, CHUNK, APP_READ), "a map that was cut off: the helper is asked");
	must(truncate(l.path, l.length) == 0);
	ok(asked(0, CHUNK, APP_READ), "and there is nothing in it when it is longer again");
	give();
	ok(!asked(0, CHUNK, APP_READ), "until there is");
}

#define ROUNDS 200

/* What the file gets once the map has taken it back is seen by nobody, also not by who was copying it just then. */
static void races(void)
{
	static char right[SIZE], wrong[SIZE];
	pid_t pid = local_reader_start(path, 0, SIZE);
	uint64_t seen;
	int i;

	pattern_fill(right, SIZE, 0, 1);
	memset(wrong, 0xee, SIZE);
	for (i = 0; i < ROUNDS; i++) {
		must(pwrite(l.bytes, right, SIZE, 0) == SIZE);
		seen = env_stat(&e, id, REGIONFS_STAT_LOCAL_BYTES);
		give();
		if (!env_wait_stat(&e, id, REGIONFS_STAT_LOCAL_BYTES, seen + 1, SOON))
			break;	/* the reader has seen something wrong */
		local_map_take_back(&l, CHUNKS);
		must(pwrite(l.bytes, wrong, SIZE, 0) == SIZE);
	}
	is(i, ROUNDS, "it was read from the file in each round");
	is(local_reader_stop(pid), 0, "nothing was seen that came after it was taken back");
	must(pwrite(l.bytes, right, SIZE, 0) == SIZE);
	give();
}

static void ended(void)
{
	ok(!asked(0, CHUNK, APP_READ), "it is read from the file");
	is(fh_local(e.fh, id, 1, ""), 0, "LOCAL can be taken back");
	ok(asked(0, CHUNK, APP_READ), "the helper is asked");
	must(fh_local_map(e.fh, id, 1, l.file, l.path, O_RDWR) == 0);
	fh_kill(e.fh);
	must(fh_start(e.fh) == 0);
	ok(asked(0, CHUNK, APP_READ), "a new helper's map is another one");
}

int main(void)
{
	tap_start(300);
	env_start(&e, "map");
	id = env_filled(&e, "r", SIZE, 1);
	env_ask(&e, REGIONFS_CMD_REGION_SET, id);
	nlq_u64(&e.q, REGIONFS_A_EPOCH, 1);
	is(env_call(&e), 0, "the epoch can be set");
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	local_map_open(&l, SIZE);
	served();
	refused();
	cut();
	races();
	ended();
	close(fd);
	local_map_close(&l);
	return tap_done();
}
