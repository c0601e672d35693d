// SPDX-License-Identifier: GPL-2.0
/*
 * STORE is refused where a write-back, direct write, punch, truncate, invalidate or change of epoch touched
 * the range since its token was taken; it never replaces bytes that are up to date or dirty.
 */
#include "lib/app.h"
#include "lib/env.h"

#define CHUNK	(64 * KiB)

static struct env e;
static uint64_t id, at, token;
static char path[128];
static int fd;
static char buf[CHUNK];

/* Each case has a chunk of its own. The source holds pattern 1, STOREs bring pattern 7. */
static void next_case(void)
{
	at += 4 * CHUNK;
	env_evict(fd);
	if (fh_token(e.fh, id, &token))
		tap_bail("TOKEN failed");
}

static long store(void)
{
	pattern_fill(e.fh->store_buf, CHUNK, at, 7);
	return fh_store(e.fh, id, at, CHUNK, token, 1);
}

static bool reads(uint64_t seed)
{
	return app_run(path, APP_READ, at, CHUNK, seed) == 0;
}

static void put(uint64_t seed)
{
	pattern_fill(buf, CHUNK, at, seed);
	must(pwrite(fd, buf, CHUNK, at) == CHUNK);
}

static void accepted(void)
{
	uint32_t from = fh_mark(e.fh);

	next_case();
	is(store(), CHUNK, "STORE of an absent range is taken");
	ok(reads(7), "and is what programs read");
	is(fh_seen(e.fh, from, REGIONFS_OP_READ, id, at, CHUNK, NULL), 0, "without a READ");
	is(store(), 0, "a second one changes nothing");
	next_case();
	at += 4 * MiB;
	put(3);
	must(fsync(fd) == 0);
	at -= 4 * MiB;
	is(store(), CHUNK, "a write elsewhere does not matter");
}

static void already_there(void)
{
	next_case();
	must(reads(1));
	is(store(), 0, "a range that is up to date is left alone");
	ok(reads(1), "and reads as before");
	next_case();
	put(2);
	is(store(), 0, "a dirty range is left alone");
	ok(reads(2), "and reads as written");
	must(fsync(fd) == 0);
}

static void touched(const char *by)
{
	is(store(), -ESTALE, "STORE is refused after a %s", by);
}

static void refused(void)
{
	next_case();
	put(2);
	must(fsync(fd) == 0);
	env_evict(fd);
	touched("write, write-back and eviction");
	ok(reads(2), "and the written bytes are read");

	next_case();
	must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, CHUNK) == 0);
	touched("punch");
	ok(reads(0), "and the hole reads zero");

	next_case();
	is(app_run(path, APP_DIRECT_WRITE, at, CHUNK, 4), 0, "an O_DIRECT write");
	touched("direct write");
	ok(reads(4), "and its bytes are read");

	next_case();
	env_ask(&e, REGIONFS_CMD_INVALIDATE, id);
	nlq_u64(&e.q, REGIONFS_A_OFFSET, at);
	nlq_u64(&e.q, REGIONFS_A_LENGTH, CHUNK);
	is(env_call_long(&e), 0, "INVALIDATE");
	touched("invalidate");
	ok(reads(1), "and the source's bytes are read");
}

static void truncated(void)
{
	struct stat st;

	next_case();
	must(fstat(fd, &st) == 0);
	must(ftruncate(fd, at) == 0 && ftruncate(fd, st.st_size) == 0);
	touched("truncate");
	ok(reads(0), "and the new bytes are zero");
}

static void epoch(void)
{
	next_case();
	env_ask(&e, REGIONFS_CMD_REGION_SET, id);
	nlq_u64(&e.q, REGIONFS_A_EPOCH, 5);
	is(env_call(&e), 0, "a newer epoch");
	touched("change of epoch");
	must(fh_token(e.fh, id, &token) == 0);
	is(store(), -ESTALE, "the old epoch is refused with a new token too");
	pattern_fill(e.fh->store_buf, CHUNK, at, 7);
	is(fh_store(e.fh, id, at, CHUNK, token, 5), CHUNK, "the new one is taken");
}

static void malformed(void)
{
	next_case();
	ok(fh_store(e.fh, id, at + 1, CHUNK, token, 1) == -EINVAL, "an unaligned offset is refused");
	ok(fh_store(e.fh, id, at, 2 * FH_REQUEST, token, 1) == -EINVAL, "too long a range is refused");
	ok(fh_store(e.fh, id + 100, at, CHUNK, token, 1) == -ENOENT, "an unknown region is refused");
	ok(reads(1), "and nothing was stored");
}

int main(void)
{
	tap_start(300);
	env_start(&e, "store");
	id = env_filled(&e, "r", 8 * MiB, 1);
	env_ask(&e, REGIONFS_CMD_REGION_SET, id);
	nlq_u64(&e.q, REGIONFS_A_EPOCH, 1);
	is(env_call(&e), 0, "the epoch can be set");
	snprintf(path, sizeof(path), "%s", env_path(&e, "r"));
	fd = env_path_fd(&e, "r", O_RDWR);
	must(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) == 0);
	accepted();
	already_there();
	refused();
	malformed();
	truncated();
	epoch();
	close(fd);
	return tap_done();
}
