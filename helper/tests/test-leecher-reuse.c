// SPDX-License-Identifier: GPL-2.0
/* A region moves from host A to host B, where other regions have much of it: that is not sent. And the way that it is sent. */
#include "two-hosts.h"

#define CHUNKS (SIZE / CHUNK)
#define TIB (1ULL << 40)

static void pattern(uint8_t bytes[CHUNK], unsigned int kind)
{
	for (unsigned int i = 0; i < CHUNK; i++)
		bytes[i] = (uint8_t)(kind * 37 + (i >> 8));
}

/* Each chunk of A's is another one. */
static void fill_a(void)
{
	static uint8_t bytes[CHUNK];

	for (unsigned int i = 0; i < CHUNKS; i++) {
		pattern(bytes, i);
		if (host_request(a, from->id, BACKEND_WRITE, i * CHUNK, CHUNK, bytes))
			printf("# A could not be written\n");
	}
}

static char path_of_old[160];

static int make_old(void)
{
	int fd;

	snprintf(path_of_old, sizeof(path_of_old), "%s/old-%s", dir, b->name);
	fd = open(path_of_old, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		exit(90);
	return fd;
}

static void put_chunk(int fd, unsigned int kind, uint64_t offset)
{
	static uint8_t bytes[CHUNK];

	pattern(bytes, kind);
	if (pwrite(fd, bytes, CHUNK, (off_t)offset) != CHUNK)
		exit(89);
}

static void add_old(uint64_t bytes)
{
	char source[200];

	snprintf(source, sizeof(source), "file:%s?direct=no", path_of_old);
	host_add(b, "old", source, bytes);
}

static bool is_whole(void)
{
	static uint8_t bytes[SIZE], chunk[CHUNK];

	if (host_request(b, to->id, BACKEND_READ, 0, SIZE, bytes))
		return false;
	for (unsigned int i = 0; i < CHUNKS; i++) {
		pattern(chunk, i);
		if (memcmp(bytes + i * CHUNK, chunk, CHUNK))
			return false;
	}
	return true;
}

/* It has three of four chunks, in other places, one of them nearly; and is sparse, and huge. */
static void test_reuse_from(void)
{
	struct user user;
	int fd;

	begin("from");
	fill_a();
	fd = make_old();
	put_chunk(fd, 2, 5 * CHUNK);
	put_chunk(fd, 0, TIB / 2);
	put_chunk(fd, 3, TIB - 8 * CHUNK);
	if (pwrite(fd, "x", 1, TIB - 8 * CHUNK + 12345) != 1 || ftruncate(fd, TIB))
		exit(88);
	close(fd);
	add_old(TIB);
	leech_with(&user, json_pack("{s:[s]}", "reuse_from", "old"));
	tap_ok(until(rounds() > 0), "a region comes to where another one has some of it, at other places, in a terabyte of holes");
	tap_number((long long)says("reused_bytes"), 2 * CHUNK, "two chunks are the same there");
	tap_number((long long)fetched(), 2 * CHUNK, "so two are sent");
	finish_move(&user);
	tap_ok(is_whole(), "all is there");
}

/* The other region is changed by a program between one look and the next. */
static void test_changed(void)
{
	struct user user;
	int fd;

	begin("changed");
	fill_a();
	fd = make_old();
	for (unsigned int i = 0; i < CHUNKS; i++)
		put_chunk(fd, i, i * CHUNK);
	add_old(SIZE);
	slow.hold = true;
	leech_with(&user, json_pack("{s:[s]}", "reuse_from", "old"));
	tap_ok(until(!list_empty(&slow.held)), "another region has been looked at, and A is asked what it has");
	put_chunk(fd, 50, CHUNK);
	close(fd);
	slow_release();
	tap_ok(until(rounds() > 0), "then a chunk of that region changes");
	tap_number((long long)says("reused_bytes"), SIZE - CHUNK, "it is not taken");
	tap_number((long long)fetched(), CHUNK, "but sent");
	finish_move(&user);
	tap_ok(is_whole(), "all is there");
}

/* ---- a region whose source never answers ---- */

static struct backend_ops hanging;

static void hang_submit(struct backend *backend, struct backend_req *req)
{
	(void)backend;
	(void)req;
}

static void test_hangs(void)
{
	struct user user, aborting;
	struct region *region;
	uint64_t before;
	uint8_t byte;
	int fd;

	begin("hangs");
	fd = make_old();
	put_chunk(fd, 1, 0);
	close(fd);
	add_old(CHUNK);
	region = region_find_path(b->regiond->regions, "old");
	tap_number(host_request(b, region->info.id, BACKEND_READ, 0, 1, &byte), 0, "a region is there");
	hanging = *region->backend->ops;
	hanging.submit = hang_submit;
	hanging.finds_data = true;
	region->backend->ops = &hanging;
	region_put(region);
	leech_with(&user, json_pack("{s:[s]}", "reuse_from", "old"));
	pass(200);
	tap_ok(!rounds() && !says("bytes"), "but its source does not answer who wants to know what it has");
	before = loop_now_ns();
	host_begin(b, &aborting, "abort", db());
	tap_ok(until(aborting.done) && !aborting.error, "nobody waits for that who gives up");
	tap_ok(until(user.done) && user.error == -ECANCELED && loop_now_ns() - before < 20000000000ULL, "it is given up at once: %s", user.said);
}

/* The name is of a region that is not there, or nobody can read. */
static void test_refused(void)
{
	struct user user, aborting;

	begin("norefuse");
	fill_a();
	host_begin(b, &user, "leech", json_pack("{s:s,s:s,s:s,s:[s]}", "region", "db", "source", "peer+unix:/x?region=db", "local_source", "memory:",
						"reuse_from", "nothing"));
	tap_ok(user.done && user.error == -ENOENT, "what is not there cannot be reused: %s", user.said);
	host_add(b, "away", "peer+unix:/nowhere?region=x", SIZE);
	leech_with(&user, json_pack("{s:[s]}", "reuse_from", "away"));
	pass(200);
	host_begin(b, &aborting, "abort", db());
	tap_ok(until(aborting.done) && !aborting.error, "one whose source is away does not stand in the way of giving up");
	tap_ok(until(user.done) && user.error == -ECANCELED, "it is given up: %s", user.said);
}

/* A is huge and empty: nothing of that is read. */
static void test_sparse(void)
{
	struct user user;
	int fd;

	size = 4ULL << 30;
	begin("sparse");
	size = SIZE;
	fill_a();
	fd = make_old();
	for (unsigned int i = 0; i < CHUNKS; i++)
		put_chunk(fd, i, i * CHUNK);
	close(fd);
	add_old(SIZE);
	slow.reads = 0;
	leech_with(&user, json_pack("{s:[s]}", "reuse_from", "old"));
	tap_ok(until(rounds() > 0), "4 GiB of holes, with a little that is here already");
	tap_number((long long)fetched(), 0, "need not be sent");
	tap_ok(slow.reads < 8, "nor read over there (%u READs)", slow.reads);
	finish_move(&user);
	tap_ok(is_whole(), "all is there");
}

/* The whole is in the local store's file from before, some of it out of date, and that in another region. */
static void test_both(void)
{
	struct user user;
	char path[160];
	int fd;

	begin("both");
	fill_a();
	snprintf(path, sizeof(path), "%s/bytes", b->run);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (unsigned int i = 0; i < CHUNKS; i++)
		put_chunk(fd, i == 1 ? 77 : i, i * CHUNK);
	close(fd);
	fd = make_old();
	put_chunk(fd, 1, 0);
	close(fd);
	add_old(CHUNK);
	leech_with(&user, json_pack("{s:b,s:s}", "reuse", 1, "reuse_from", "old"));
	tap_ok(until(rounds() > 0), "what the local store has of a region is one part, what another region has the other");
	tap_number((long long)says("reused_bytes"), SIZE, "together it is all");
	tap_number((long long)fetched(), 0, "nothing is sent");
	finish_move(&user);
	tap_ok(is_whole(), "all is there");
}

/* ---- compressed ---- */

static void test_compress(void)
{
	struct user user;

	begin("compress");
	fill_a();
	leech_with(&user, json_pack("{s:s}", "compress", "zstd"));
	tap_ok(until(rounds() > 0), "a region comes, shrunk on its way");
	tap_number((long long)says("bytes"), SIZE, "all of it");
	tap_ok(says("wire_bytes") > 0 && says("wire_bytes") < SIZE / 8, "by few bytes (%lld)", (long long)says("wire_bytes"));
	restart();
	tap_ok(until(host_is(b, "db", "pulling")) && strstr(to->source, "compress=zstd"), "the next helper goes on so");
	finish_move(&user);
	tap_ok(is_whole(), "all is there");
	begin("lzma");
	host_begin(b, &user, "leech", json_pack("{s:s,s:s,s:s,s:s}", "region", "db", "source", "peer+unix:/x?region=db", "local_source", "memory:",
						"compress", "lzma"));
	tap_ok(user.done && user.error == -EINVAL, "no other way is known: %s", user.said);
}

int main(void)
{
	if (!hosts_open())
		return 99;
	test_reuse_from();
	test_changed();
	test_refused();
	test_hangs();
	test_sparse();
	test_both();
	test_compress();
	return hosts_end();
}
