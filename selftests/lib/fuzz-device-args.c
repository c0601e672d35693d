// SPDX-License-Identifier: GPL-2.0
/* What the commands of the device are given: addresses, structs, files. Right mostly, and wrong in one place at a time. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "fuzz-device.h"

#define LOCAL_BYTES	(8u << 20)

#define GUARD		(2ull * REGIONFS_REQUEST_MAX)

/* With nothing behind it for as long as a request may be: who answers from there has no other memory's bytes. */
static void *room(size_t len, int fd)
{
	char *p = mmap(NULL, len + GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		_exit(1);
	p = mmap(p, len, PROT_READ | PROT_WRITE, MAP_FIXED | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED), fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

/* Of the prey itself, where a helper must not look, or of another one's, whose helper may be looking at ours. */
static char *window(void)
{
	char path[96];
	int fd;
	char *p;

	snprintf(path, sizeof(path), "%s/%s", fuzz_dir(fuzz_below(FUZZ_MOUNTED)), fuzz_rel());
	fd = open(path, O_RDWR);
	if (fd < 0)
		return NULL;
	p = room(FD_BUF, fd);
	close(fd);
	return p;
}

void fd_memory(struct fd_helper *h)
{
	h->desc = room(1 << 20, -1);
	h->buf = room(FD_TAGS * FD_BUF, -1);
	h->args = room(64 << 10, -1);
	h->trap = room(3 * 4096, -1);
	memset(h->buf, FUZZ_BYTE, FD_TAGS * FD_BUF / 2);
	memset(h->trap, FUZZ_BYTE, 3 * 4096);
	munmap(h->trap + 4096, 4096);
	mprotect(h->trap + 2 * 4096, 4096, PROT_READ);
	h->window = fuzz_one_in(4) ? window() : NULL;
}

/* For the bytes of a tag: never memory that holds others than those of a region may be. */
uint64_t fd_address(struct fd_helper *h, unsigned int tag)
{
	uint64_t own = (uintptr_t)h->buf + (uint64_t)(tag % FD_TAGS) * FD_BUF;

	if (!fuzz_one_in(10))
		return own;
	switch (fuzz_below(8)) {
	case 0:
		return (uintptr_t)h->trap + fuzz_below(4096);	/* its end is not there */
	case 1:
		return (uintptr_t)h->trap + 4096;
	case 2:
		return (uintptr_t)h->trap + 2 * 4096;
	case 3:
		return own + fuzz_below(FD_BUF);
	case 4:
		return h->window ? (uintptr_t)h->window : own;
	case 5:
		return 0;
	default:
		return fuzz_of((uint64_t[]){ 1, 4095, 1ull << 47, (1ull << 47) - 4096, 1ull << 63, ~0ull, ~0ull - 4095, 0xffff888000000000ull });
	}
}

static void attach_spoil(struct regionfs_attach *at)
{
	switch (fuzz_below(10)) {
	case 0:
		at->flags = fuzz_odd();
		break;
	case 1:
		at->size = fuzz_odd();
		break;
	case 2:
		at->nr_queues = fuzz_of((uint16_t[]){ 0, 64, 65, 65535 });
		break;
	case 3:
		at->depth = fuzz_of((uint16_t[]){ 0, 1024, 1025, 65535 });
		break;
	case 4:
		at->desc_addr = fuzz_odd() & ~63ull;
		break;
	case 5:
		at->max_request = fuzz_odd();
		break;
	case 6:
		at->reserved[fuzz_below(4)] = fuzz_odd();
		break;
	case 7:
		memset(at->name, 'a', fuzz_below(65));
		break;
	case 8:
		at->abi = fuzz_odd();
		break;
	default:
		((uint8_t *)at)[fuzz_below(sizeof(*at))] = fuzz_next();
	}
}

void fd_attach_args(struct fd_helper *h, struct regionfs_attach *at, bool spoil)
{
	*at = (struct regionfs_attach){
		.size = sizeof(*at), .abi = REGIONFS_ABI, .nr_queues = h->queues, .depth = h->depth,
		.desc_addr = (uintptr_t)h->desc, .max_request = FD_BUF, .flags = fuzz_below(2),
		.features = fuzz_one_in(4) ? fuzz_next() : REGIONFS_F_ANY_ADDR | REGIONFS_F_STORE | REGIONFS_F_LOCAL_STORE | REGIONFS_F_LOCAL_MAP,
	};
	/* who is attached to a good one already is not disturbed by another who would be */
	snprintf((char *)at->name, sizeof(at->name), "%s", fuzz_one_in(40) ? fuzz_world->good : fuzz_name(h->prey));
	if (spoil)
		attach_spoil(at);
	/* descriptors are written there, and tags beyond our room would be, too */
	if (at->nr_queues * at->depth > h->queues * h->depth && at->desc_addr == (uintptr_t)h->desc && at->nr_queues * at->depth * 64ull > 1 << 20)
		at->depth = 16;
}

/* ---- TOKEN, STORE ---- */

static uint64_t token_args(struct fd_helper *h, struct regionfs_token *t)
{
	*t = (struct regionfs_token){ .region = fuzz_id(h->prey), .token = fuzz_odd(), .reserved = fuzz_one_in(16) ? fuzz_odd() : 0 };
	return (uintptr_t)t;
}

static uint64_t store_args(struct fd_helper *h, struct regionfs_store *s)
{
	uint64_t id = fuzz_id(h->prey);

	*s = (struct regionfs_store){
		.region = id, .offset = fuzz_below(2048) * 4096, .addr = fd_address(h, fuzz_below(FD_TAGS / 2)),
		.token = fuzz_one_in(8) ? fuzz_odd() : h->token[id % FUZZ_IDS], .epoch = fuzz_one_in(8) ? fuzz_below(4) : h->epoch_guess,
		.length = (1 + fuzz_below(16)) * 4096,
	};
	if (!fuzz_one_in(4))
		s->offset = fuzz_below(16) * 4096;
	if (fuzz_one_in(16))
		s->length = fuzz_odd();
	if (fuzz_one_in(16))
		s->offset = fuzz_odd();
	if (fuzz_one_in(32))
		s->flags = fuzz_odd();
	return (uintptr_t)s;
}

/* ---- LOCAL ---- */

static void local_size(struct fd_helper *h, bool map)
{
	if (map)
		h->local.length = sizeof(struct regionfs_local_map) + LOCAL_BYTES / REGIONFS_LOCAL_CHUNK * 4;
	if (ftruncate(map ? h->local.fd : h->local.bytes, map ? h->local.length : LOCAL_BYTES))
		return;
}

/* Bytes of a region at all its places but for holes, and a map that says it has them. */
void fd_local_open(struct fd_helper *h)
{
	char *bytes;

	h->local.bytes = memfd_create("fuzz-bytes", MFD_ALLOW_SEALING);
	h->local.fd = memfd_create("fuzz-map", MFD_ALLOW_SEALING);
	local_size(h, false);
	local_size(h, true);
	bytes = mmap(NULL, LOCAL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, h->local.bytes, 0);
	h->local.map = mmap(NULL, h->local.length, PROT_READ | PROT_WRITE, MAP_SHARED, h->local.fd, 0);
	if (bytes == MAP_FAILED || h->local.map == MAP_FAILED)
		_exit(1);
	for (unsigned int at = 0; at < LOCAL_BYTES; at += 128 << 10)
		memset(bytes + at, FUZZ_BYTE, fuzz_below(3) << 14);
	munmap(bytes, LOCAL_BYTES);
	for (unsigned int i = 0; i < LOCAL_BYTES / REGIONFS_LOCAL_CHUNK; i++)
		h->local.map->word[i] = fuzz_one_in(4) ? fuzz_next() : REGIONFS_LOCAL_PRESENT;
}

static void local_seal(int fd)
{
	fcntl(fd, F_ADD_SEALS, fuzz_of((int[]){ F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE }));
}

/* While the kernel may be reading both. The map's own mapping stays whole only where the map's file is not cut, so it is written by pwrite(). */
void fd_local_stir(struct fd_helper *h)
{
	uint32_t word = fuzz_one_in(2) ? fuzz_next() : REGIONFS_LOCAL_PRESENT;
	uint64_t seq = fuzz_next();
	ssize_t n = 0;

	switch (fuzz_below(16)) {
	case 0:
		n = ftruncate(h->local.bytes, fuzz_below(LOCAL_BYTES));
		break;
	case 1:
		n = ftruncate(h->local.fd, fuzz_below(h->local.length));
		break;
	case 2:
		local_size(h, fuzz_one_in(2));
		break;
	case 3:
		n = fallocate(h->local.bytes, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, fuzz_below(LOCAL_BYTES), fuzz_below(LOCAL_BYTES) + 1);
		break;
	case 4:
		n = pwrite(h->local.bytes, h->buf, FD_BUF, fuzz_below(LOCAL_BYTES));
		break;
	case 5:
		if (fuzz_one_in(16))
			local_seal(fuzz_one_in(2) ? h->local.fd : h->local.bytes);
		break;
	case 6:
		n = pwrite(h->local.fd, &seq, sizeof(seq), 0);
		break;
	default:
		n = pwrite(h->local.fd, &word, sizeof(word), sizeof(struct regionfs_local_map) + fuzz_below(LOCAL_BYTES / REGIONFS_LOCAL_CHUNK) * 4);
	}
	(void)n;
}

/* A file that is none of those that are taken: -1 where it can't be had. Nobody closes it but the end. */
static int other_file(struct fd_helper *h)
{
	static const char *const path[] = { "/dev/zero", "/proc/self/maps", "/", "/proc/self/exe", "/sys/kernel/mm/transparent_hugepage/enabled" };
	char region[96];
	int pipes[2];

	switch (fuzz_below(4)) {
	case 0:
		return pipe(pipes) ? -1 : pipes[fuzz_below(2)];
	case 1:
		snprintf(region, sizeof(region), "%s/%s", fuzz_dir(fuzz_below(FUZZ_MOUNTED)), fuzz_rel());
		return open(region, O_RDONLY | O_NONBLOCK);
	case 2:
		return h->c.fd;
	default:
		return open(path[fuzz_below(5)], O_RDONLY);
	}
}

static uint64_t local_args(struct fd_helper *h, struct regionfs_local *l)
{
	*l = (struct regionfs_local){
		.region = fuzz_id(h->prey), .epoch = fuzz_one_in(8) ? fuzz_below(4) : h->epoch_guess, .fd = h->local.bytes,
	};
	if (fuzz_one_in(2)) {
		l->flags = REGIONFS_LOCAL_MAP;
		l->map_fd = h->local.fd;
	}
	if (fuzz_one_in(8))
		*l = (struct regionfs_local){ .region = l->region, .fd = -1 };
	if (fuzz_one_in(16))
		l->fd = other_file(h);
	if (fuzz_one_in(16) && l->flags)
		l->map_fd = other_file(h);
	if (fuzz_one_in(16))
		l->flags = fuzz_odd();
	if (fuzz_one_in(32))
		l->reserved2 = fuzz_odd();
	return (uintptr_t)l;
}

/* ---- all ---- */

/* Of the command's own, at an address that is right mostly. */
uint64_t fd_struct(struct fd_helper *h, uint32_t op)
{
	char *at = h->args + fuzz_below(128) * 256;

	if (fuzz_one_in(32))
		return fd_address(h, 0);
	switch (op) {
	case REGIONFS_IO_ATTACH:
		fd_attach_args(h, (void *)at, fuzz_one_in(2));
		return (uintptr_t)at;
	case REGIONFS_IO_TOKEN:
		return token_args(h, (void *)at);
	case REGIONFS_IO_STORE:
		return store_args(h, (void *)at);
	case REGIONFS_IO_LOCAL:
		return local_args(h, (void *)at);
	default:
		return fuzz_odd();
	}
}

/* What is learnt from an answer. */
void fd_result(struct fd_helper *h, uint32_t op, uint64_t addr, int res)
{
	const struct regionfs_token *t = (void *)(uintptr_t)addr;

	if (op == REGIONFS_IO_TOKEN && res == 0 && (char *)t >= h->args && (char *)t < h->args + (64 << 10))
		h->token[t->region % FUZZ_IDS] = t->token;
}
