// SPDX-License-Identifier: GPL-2.0
/*
 * base-io: check, read, write. On a tmpfs bytes are moved at once: that is a memory copy, and a pwrite() of a full one
 * is an ENOSPC where a store into the mapping would be a SIGBUS. On a disk it is the ring that moves them. While it does, their
 * chunks are pinned.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "stores/base-internal.h"
#include "zero.h"

#define IO_WRITE	(1u << 0)	/* a write that wants its edges checked */
#define IO_NO_ROOM	(1u << 1)	/* a write that found none, and waits for what is being punched */
#define IO_NO_PUNCH	(1u << 2)	/* zeroes, on a file system that can't punch */
#define IO_DIRECT	(1u << 4)	/* a read past the page cache */

#define ZEROES		BASE_CHUNK
#define MOVE_MAX	(1u << 30)

static const char zeroes[ZEROES] __attribute__((aligned(4096)));

static void write_begin(struct base_io *io);

static struct base_io *io_of(struct loop_op *op)
{
	return container_of(op, struct base_io, op);
}

static bool again(int64_t res)
{
	return res == -EINTR || res == -EAGAIN;
}

/* ---- check: a window of chunks at a time ---- */

/* In io->mask: bit n for a chunk that is looked at, then for one that does not match; bit WINDOW + n: since it was given up. */
#define WINDOW	16u

static bool entry_matches(struct base *base, uint64_t chunk, char *bytes, bool hole)
{
	struct map_entry entry;

	if (pread(base->map_fd, &entry, sizeof(entry), (off_t)entry_at(chunk)) != sizeof(entry))
		return false;
	if (!hole && base_chunk_read(base, chunk, entry.pages, bytes))
		return false;
	return base_entry_crc(chunk, &entry, hole ? NULL : bytes) == entry.crc;
}

/* A chunk of nothing but zeroes, with a checksum of something, was given up by a helper that was killed before it flushed. */
static int check_work(struct loop_work *work)
{
	struct base_io *io = container_of(work, struct base_io, work);
	char bytes[BASE_CHUNK];
	uint64_t data = 0;

	for (unsigned int i = 0; i < WINDOW; i++) {
		bool hole;

		if (!(io->mask & 1u << i))
			continue;
		memset(bytes, 1, sizeof(bytes));
		hole = base_chunk_hole(io->base, io->at + i, &data);
		if (entry_matches(io->base, io->at + i, bytes, hole))
			io->mask &= ~(1u << i);
		else if (hole || is_zero(bytes, sizeof(bytes)))
			io->mask |= 1u << (WINDOW + i);
	}
	return 0;
}

static void check_window(struct base_io *io);

/* What was written or given up meanwhile is not unchecked any longer, and its outcome of no interest. */
static void check_take(struct base_io *io, unsigned int i)
{
	struct base *base = io->base;
	uint64_t chunk = io->at + i;

	if (!(base_word(base, chunk) & CHUNK_UNCHECKED) || chunk >= chunk_end(base_end(io->offset, io->length)))
		return;
	if (!(io->mask & 1u << i)) {
		base_word_change(base, chunk, 0, CHUNK_UNCHECKED);
		return;
	}
	/* a flush has voided the entry of one that is CHANGED */
	if (!(io->mask & 1u << (WINDOW + i)) && !(base_word(base, chunk) & base->changed))
		base->stats.corrupt++;
	base_lose(base, chunk * BASE_CHUNK, (chunk + 1) * BASE_CHUNK);
}

static void check_worked(struct loop_work *work, int res)
{
	struct base_io *io = container_of(work, struct base_io, work);

	if (res) {
		io->done(io, res);
		return;
	}
	for (unsigned int i = 0; i < WINDOW; i++)
		check_take(io, i);
	io->at += WINDOW;
	check_window(io);
}

static void check_window(struct base_io *io)
{
	struct base *base = io->base;
	uint64_t last = chunk_end(base_end(io->offset, io->length));

	io->mask = 0;
	while ((io->at = base_next(base, io->at, last, PAGES_MASK)) < last && !(base_word(base, io->at) & CHUNK_UNCHECKED))
		io->at++;
	/* the first one in any case: should another thread find it right meanwhile, others follow */
	for (unsigned int i = 0; i < WINDOW && io->at + i < last; i++)
		if (!i || base_word(base, io->at + i) & CHUNK_UNCHECKED)
			io->mask |= 1u << i;
	if (io->mask) {
		io->work.work = check_work;
		io->work.done = check_worked;
		loop_work(base->loop, &io->work);
	} else if (io->flags & IO_WRITE) {
		list_del(&io->list);
		write_begin(io);
	} else {
		io->done(io, 0);
	}
}

static void check_begin(struct base_io *io)
{
	io->at = io->offset / BASE_CHUNK;
	check_window(io);
}

void base_check(struct base *base, struct base_io *io)
{
	io->base = base;
	io->flags = 0;
	check_begin(io);
}

/* ---- read ---- */

static void read_more(struct base_io *io);

static void read_end(struct base_io *io, int err)
{
	struct base *base = io->base;

	base_let_go(base, io->offset, io->length);
	if (err)
		base_lose(base, page_down(io->offset), page_up(io->offset + io->length));
	io->done(io, err);
}

/* Past the end of the file there are zeroes that were never written. */
static int64_t read_moved(struct base_io *io, int64_t res)
{
	if (again(res))
		return 0;
	if (!res) {
		res = (int64_t)(io->length - io->at);
		memset((char *)io->data + io->at, 0, (size_t)res);
	}
	if (res > 0)
		io->at += (uint64_t)res;
	return res < 0 ? res : 0;
}

static void read_came(struct loop_op *op, int res)
{
	struct base_io *io = io_of(op);
	int err;

	/*
	 * It may want a larger alignment, or have a file that can't be read so; or this is the error of an earlier write-back, of whatever part of the
	 * file.
	 */
	if (res < 0 && !again(res) && io->flags & IO_DIRECT) {
		if (res == -EINVAL || res == -EOPNOTSUPP)
			io->base->no_direct = true;
		io->flags &= ~IO_DIRECT;
		read_more(io);
		return;
	}
	err = (int)read_moved(io, res);
	if (err)
		read_end(io, err);
	else
		read_more(io);
}

static void read_more(struct base_io *io)
{
	uint64_t left = io->length - io->at;
	int fd = io->flags & IO_DIRECT && io->at % PAGE == 0 ? io->base->direct_fd : io->base->fd;

	if (!left) {
		read_end(io, 0);
		return;
	}
	io->op.done = read_came;
	loop_read(io->base->loop, &io->op, fd, (char *)io->data + io->at, left < MOVE_MAX ? (uint32_t)left : MOVE_MAX,
		  io->offset + io->at);
}

static void read_now(struct base_io *io)
{
	int err = 0;

	while (io->at < io->length && !err) {
		ssize_t n = pread(io->base->fd, (char *)io->data + io->at, io->length - io->at, (off_t)(io->offset + io->at));

		err = (int)read_moved(io, n < 0 ? -errno : n);
	}
	read_end(io, err);
}

void base_read(struct base *base, struct base_io *io)
{
	io->base = base;
	io->at = 0;
	base_seq(base);		/* the kernel looks at it where it is in memory, so it stays there as long as there are reads */
	io->flags = base_direct_fd(base, io->data, io->offset, io->length) >= 0 ? IO_DIRECT : 0;
	base_present(base, io->offset, io->length);
	base_pin(base, io->offset, io->length);
	if (base->durable)
		read_more(io);
	else
		read_now(io);
}

/* ---- write ---- */

static uint64_t write_end_of(const struct base_io *io)
{
	return page_up(io->offset + io->length);
}

static void write_wait(struct base_io *io)
{
	list_add(&io->base->waiting, &io->list);
}

void base_io_again(struct base *base)
{
	struct list ready, *pos;

	list_init(&ready);
	list_splice(&ready, &base->waiting);
	while ((pos = list_pop(&ready)))
		write_begin(list_entry(pos, struct base_io, list));
}

/* What has landed of one that fails can't be told: its pages are absent. */
static void write_end(struct base_io *io, int err)
{
	struct base *base = io->base;
	uint64_t from = io->offset, end = write_end_of(io);

	list_del(&io->list);
	if (!err && io->flags & BASE_IO_LOST)
		err = -EIO;
	if ((err == -ENOSPC || err == -EDQUOT) && !(io->flags & IO_NO_ROOM) && !list_empty(&base->punches)) {
		io->flags |= IO_NO_ROOM;
		base_let_go(base, io->offset, io->length);
		write_wait(io);
		return;
	}
	if (!err)
		err = base_set_present(base, from, end);
	if (err) {
		base_set_absent(base, from, end);
		base_punch(base, from, end);
	}
	base_let_go(base, io->offset, io->length);
	io->done(io, err);
}

/* What comes next: the bytes, then zeroes as far as the page goes. 0: nothing. */
static size_t write_piece(const struct base_io *io, const char **from)
{
	uint64_t limit = io->data && io->at < io->length ? io->length : write_end_of(io) - io->offset;
	uint64_t left = limit - io->at;

	*from = zeroes;
	if (io->data && io->at < io->length) {
		*from = (const char *)io->data + io->at;
		return left < MOVE_MAX ? left : MOVE_MAX;
	}
	return left < ZEROES ? left : ZEROES;
}

static int write_moved(struct base_io *io, int64_t res)
{
	if (again(res))
		return 0;
	io->at += res > 0 ? (uint64_t)res : 0;
	return res > 0 ? 0 : res ? (int)res : -ENOSPC;
}

static void write_more(struct base_io *io);

static void write_came(struct loop_op *op, int res)
{
	struct base_io *io = io_of(op);
	int err = write_moved(io, res);

	if (err)
		write_end(io, err);
	else
		write_more(io);
}

static void write_more(struct base_io *io)
{
	const char *from;
	size_t len = write_piece(io, &from);

	if (!len) {
		write_end(io, 0);
		return;
	}
	io->op.done = write_came;
	loop_write(io->base->loop, &io->op, io->base->fd, from, (uint32_t)len, io->offset + io->at);
}

static void write_now(struct base_io *io)
{
	const char *from;
	size_t len;
	int err = 0;

	while (!err && (len = write_piece(io, &from))) {
		ssize_t n = pwrite(io->base->fd, from, len, (off_t)(io->offset + io->at));

		err = write_moved(io, n < 0 ? -errno : n);
	}
	write_end(io, err);
}

static void write_start(struct base_io *io);

static void zeroed(struct loop_op *op, int res)
{
	struct base_io *io = io_of(op);

	if (res == -EOPNOTSUPP || res == -ENODEV || res == -EINVAL)
		io->flags |= IO_NO_PUNCH;
	if (again(res) || io->flags & IO_NO_PUNCH)
		write_start(io);
	else
		write_end(io, res < 0 ? res : 0);
}

/* Zeroes are a hole, which takes no room. */
static void write_start(struct base_io *io)
{
	struct base *base = io->base;

	io->at = 0;
	io->flags &= ~BASE_IO_LOST;
	if (!io->data && !(io->flags & IO_NO_PUNCH)) {
		io->op.done = zeroed;
		loop_fallocate(base->loop, &io->op, base->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, io->offset,
			       write_end_of(io) - io->offset);
	} else if (base->durable) {
		write_more(io);
	} else {
		write_now(io);
	}
}

/* Is there a chunk that is to be checked, because the write leaves some of it as it is? Others need no check any longer. */
static bool write_checks(struct base_io *io)
{
	uint64_t end = write_end_of(io), last = chunk_end(end);
	struct base *base = io->base;

	for (uint64_t chunk = io->offset / BASE_CHUNK; (chunk = base_next(base, chunk, last, PAGES_MASK)) < last; chunk++) {
		uint32_t word = base_word(base, chunk);

		if (!(word & CHUNK_UNCHECKED))
			continue;
		if (word & PAGES_MASK & ~base_pages_of(chunk, io->offset, end))
			return true;
		base_set_absent(base, chunk * BASE_CHUNK, (chunk + 1) * BASE_CHUNK);
	}
	return false;
}

/* Bytes that the write brings in addition; and the words for them. */
static int write_adds(struct base_io *io, uint64_t *bytes)
{
	uint64_t end = write_end_of(io);

	*bytes = 0;
	for (uint64_t chunk = io->offset / BASE_CHUNK; chunk < chunk_end(end); chunk++) {
		if (!base_words_make(io->base, chunk))
			return -ENOSPC;
		*bytes += (uint64_t)__builtin_popcount(base_pages_of(chunk, io->offset, end) & ~base_word(io->base, chunk)) * PAGE;
	}
	return 0;
}

/* Whether it was voided or not: what doesn't match is found all the same. */
static void voided(struct loop_op *op, int res)
{
	(void)res;
	write_start(io_of(op));
}

/*
 * Before the first byte changes its chunk is noted as changed: so a flush that is under way doesn't vouch for it. And its entry is voided, so that a
 * chunk that was changed when the helper was killed isn't taken for one that is damaged.
 */
static void write_change(struct base_io *io)
{
	uint64_t first = io->offset / BASE_CHUNK, last = chunk_end(write_end_of(io)), bytes = (last - first) * sizeof(struct map_entry);
	bool entered = false;

	base_note(io->base, first, last);
	for (uint64_t chunk = first; chunk < last; chunk++) {
		entered |= base_word(io->base, chunk) & CHUNK_ENTRY;
		base_word_change(io->base, chunk, 0, CHUNK_ENTRY);
	}
	if (!entered) {
		write_start(io);
		return;
	}
	io->op.done = voided;
	loop_write(io->base->loop, &io->op, io->base->map_fd, zeroes, bytes < ZEROES ? (uint32_t)bytes : ZEROES, entry_at(first));
}

static void write_begin(struct base_io *io)
{
	struct base *base = io->base;
	uint64_t end = write_end_of(io), adds;

	io->flags &= ~IO_WRITE;
	if (base_punching(base, io->offset, end) || (io->flags & IO_NO_ROOM && !list_empty(&base->punches))) {
		write_wait(io);
		return;
	}
	if (write_checks(io)) {
		io->flags |= IO_WRITE;
		list_add(&base->checking, &io->list);
		check_begin(io);
		return;
	}
	if (write_adds(io, &adds)) {
		io->done(io, -ENOSPC);
		return;
	}
	/* before room is made: it must not be that of pages that stay */
	base_pin(base, io->offset, io->length);
	base_make_room(base, adds);
	list_add(&base->writing, &io->list);
	if (base->durable)
		write_change(io);
	else
		write_start(io);
}

void base_write(struct base *base, struct base_io *io)
{
	uint64_t end = io->offset + io->length;

	io->base = base;
	io->flags = 0;
	if (end > BASE_MAX || end < io->offset) {
		io->done(io, -ENOSPC);
	} else if (io->offset % PAGE || (end % PAGE && end < atomic_load(&base->size))) {
		io->done(io, -EINVAL);
	} else if (!io->length) {
		io->done(io, 0);
	} else {
		if (end > atomic_load(&base->size))
			base_resize(base, end);
		if (base->durable)
			base_note_coming(base, io);
		write_begin(io);
	}
}
