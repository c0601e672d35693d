/* SPDX-License-Identifier: GPL-2.0 */
/* A base in a unit test: in a directory of its own, asked and waited for. Bytes are made from a seed and where they are. */
#ifndef REGIONFS_TESTS_BASE_ASK_H
#define REGIONFS_TESTS_BASE_ASK_H

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../stores/base.h"
#include "tap.h"
#include "turns.h"

#define PAGE	4096u
#define CHUNK	BASE_CHUNK

struct ask {
	struct base_io io;
	bool done;
	int error;
};

static inline void ask_done(struct base_io *io, int error)
{
	struct ask *ask = list_entry(io, struct ask, io);

	ask->done = true;
	ask->error = error;
	loop_stop(loop);
}

static inline void ask_start(struct ask *ask, void (*op)(struct base *, struct base_io *), struct base *base, uint64_t offset,
			     uint64_t length, void *data)
{
	memset(ask, 0, sizeof(*ask));
	ask->io.done = ask_done;
	ask->io.offset = offset;
	ask->io.length = length;
	ask->io.data = data;
	op(base, &ask->io);
}

static inline void turn(const bool *flag)
{
	while (!*flag) {
		loop_run(loop);
		loop_again(loop);
	}
}

static inline int ask_wait(struct ask *ask)
{
	turn(&ask->done);
	/* it may have been stopped without having run */
	loop_again(loop);
	return ask->error;
}

static inline int ask(void (*op)(struct base *, struct base_io *), struct base *base, uint64_t offset, uint64_t length, void *data)
{
	struct ask one;

	ask_start(&one, op, base, offset, length, data);
	return ask_wait(&one);
}

static inline unsigned char byte_at(unsigned int seed, uint64_t at)
{
	return (unsigned char)(seed * 31 + at / PAGE * 7 + at % 251 + 1);
}

static inline char *bytes(unsigned int seed, uint64_t offset, uint64_t length)
{
	char *data = aligned_alloc(PAGE, length + PAGE - length % PAGE);

	for (uint64_t i = 0; i < length; i++)
		data[i] = (char)byte_at(seed, offset + i);
	return data;
}

/* seed 0: zeroes */
static inline int put(struct base *base, unsigned int seed, uint64_t offset, uint64_t length)
{
	char *data = seed ? bytes(seed, offset, length) : NULL;
	int err = ask(base_write, base, offset, length, data);

	free(data);
	return err;
}

static inline bool holds(struct base *base, unsigned int seed, uint64_t offset, uint64_t length)
{
	char *want = bytes(seed, offset, length), *got = malloc(length);
	bool same;

	if (!seed)
		memset(want, 0, length);
	same = base_present(base, offset, length) && !ask(base_read, base, offset, length, got) && !memcmp(want, got, length);
	free(want);
	free(got);
	return same;
}

static inline char *make_dir(bool durable)
{
	char *dir;

	if (asprintf(&dir, "%s/regionfs-base.XXXXXX", durable ? "/var/tmp" : "/dev/shm") < 0 || !mkdtemp(dir))
		exit(99);
	return dir;
}

static inline int remove_base(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = fd < 0 ? -errno : base_remove(fd);

	close(fd);
	return err;
}

static inline void drop_dir(char *dir)
{
	int err = remove_base(dir);

	if (err || rmdir(dir)) {
		printf("# %s can't be removed: %s\n", dir, strerror(err ? -err : errno));
		exit(99);
	}
	free(dir);
}

/* A bit of a file of the base's turns, on the disk. */
static inline void damage(const char *dir, const char *name, off_t at)
{
	char path[256], byte;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, &byte, 1, at) != 1)
		exit(99);
	byte ^= 0x10;
	if (pwrite(fd, &byte, 1, at) != 1 || fsync(fd))
		exit(99);
	close(fd);
}

static inline struct base_options options_of(const char *dir, bool durable, uint64_t size)
{
	return (struct base_options){ .loop = loop, .dir = dir, .durable = durable, .instance = 7, .identity = "here", .size = size };
}

static inline struct base *open_with(struct base_options options)
{
	struct base *base;
	char why[256];

	/* the ring lets go of the files of a base that was closed when the loop comes by, and this thread is the loop's */
	pass(1);
	if (base_open(&base, &options, why, sizeof(why))) {
		printf("Bail out! %s\n", why);
		exit(99);
	}
	return base;
}

static inline struct base *open_base(const char *dir, bool durable, uint64_t size)
{
	return open_with(options_of(dir, durable, size));
}

#endif
