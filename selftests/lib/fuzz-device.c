// SPDX-License-Identifier: GPL-2.0
/*
 * Helpers that are no good: each attaches to an instance of the prey, serves it well enough for the deep ends to be reached, and does something else now
 * and then: answers that are wrong, late or none, from addresses that are not there, by threads, processes and workers whose the tags are not;
 * and it goes in any way that there is. What it never does is exec with commands parked, as the contract forbids.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "fuzz-device.h"

#define OP_SHIFT	48
#define TAG_NONE	0xffff

/* One ring, and the thread that it is of. */
struct worker {
	struct fd_helper *h;
	struct io_uring ring;
	unsigned int first, nr;		/* its tags */
	bool held[FD_TAGS];		/* handed over, and to be answered later */
	uint64_t seed;
	bool fixed;			/* the device is its ring's registered file 0 */
};

static const uint32_t ops[] = {
	REGIONFS_IO_ATTACH, REGIONFS_IO_FETCH, REGIONFS_IO_COMMIT_AND_FETCH, REGIONFS_IO_COMMIT, REGIONFS_IO_STORE, REGIONFS_IO_TOKEN, REGIONFS_IO_LOCAL,
};

/* ---- commands ---- */

static uint64_t user_data(uint32_t op, uint16_t tag, uint64_t addr)
{
	/* addresses of ours have 47 bits, and h->args is aligned: the tag's 16 are kept in place of the address where there is one */
	return (uint64_t)_IOC_NR(op) << OP_SHIFT | (tag == TAG_NONE ? addr & ((1ull << 47) - 1) : (uint64_t)tag << 1 | 1);
}

static struct io_uring_sqe *put(struct worker *w, uint32_t op, uint16_t tag, const struct regionfs_io_cmd *cmd)
{
	struct chan c = { .fd = w->fixed ? 0 : w->h->c.fd, .ring = w->ring };
	struct io_uring_sqe *sqe = chan_sqe(&c, op, cmd, user_data(op, tag, cmd->addr));

	w->ring = c.ring;
	if (sqe && w->fixed)
		sqe->flags |= IOSQE_FIXED_FILE;
	return sqe;
}

static void fetch(struct worker *w, unsigned int tag)
{
	struct regionfs_io_cmd cmd = { .tag = tag, .addr = fd_address(w->h, tag) };

	put(w, REGIONFS_IO_FETCH, tag, &cmd);
}

static const struct regionfs_io_desc *desc(struct worker *w, unsigned int tag)
{
	return (void *)(w->h->desc + tag * sizeof(struct regionfs_io_desc));
}

static int16_t bad_error(void)
{
	return fuzz_of((int16_t[]){ -EIO, -EIO, -ENOSPC, -EBUSY, -EAGAIN, -EINTR, -1, -EROFS, -EINVAL, -ENOENT, -511, -512, -513, -516, -517, -529, -530,
				    -4095, -4096, 1, 5, 32767, -32768, -EFBIG, -ENOMEM, -ESTALE });
}

/* The answer to what @tag holds; right, unless chance has it otherwise. */
static void answer(struct worker *w, unsigned int tag)
{
	const struct regionfs_io_desc *d = desc(w, tag);
	struct regionfs_io_cmd cmd = { .tag = tag, .cookie = d->id, .addr = d->op == REGIONFS_OP_READ ? fd_address(w->h, tag) : 0 };
	uint32_t op = fuzz_one_in(8) ? REGIONFS_IO_COMMIT : REGIONFS_IO_COMMIT_AND_FETCH;

	fuzz_note_id(w->h->prey, d->region);
	w->h->epoch_guess = d->epoch;
	if (fuzz_one_in(20)) {
		cmd.cookie ^= 1 << fuzz_below(32);
		put(w, REGIONFS_IO_COMMIT, tag, &cmd);
		cmd.cookie = d->id;
	}
	if (fuzz_one_in(12))
		cmd.error = bad_error();
	w->held[tag] = false;
	put(w, op, tag, &cmd);
	if (fuzz_one_in(50))
		put(w, op, tag, &cmd);
}

static void taken(struct worker *w, unsigned int tag)
{
	if (fuzz_one_in(10))
		w->held[tag] = true;
	else if (!fuzz_one_in(100))	/* else never */
		answer(w, tag);
}

/* Of the right form, about anything. */
static void stray(struct worker *w, bool spoil)
{
	uint32_t op = ops[fuzz_below(sizeof(ops) / sizeof(ops[0]))];
	uint16_t tag = fuzz_one_in(8) ? fuzz_next() : fuzz_below(w->h->queues * w->h->depth);
	struct regionfs_io_cmd cmd = { .addr = op == REGIONFS_IO_FETCH ? fd_address(w->h, tag) : fd_struct(w->h, op) };
	struct io_uring_sqe *sqe;

	if (op == REGIONFS_IO_COMMIT || op == REGIONFS_IO_COMMIT_AND_FETCH || op == REGIONFS_IO_FETCH) {
		cmd.tag = tag;
		cmd.cookie = op == REGIONFS_IO_FETCH || tag >= 1024 ? 0 : desc(w, tag)->id;
		cmd.addr = fd_address(w->h, tag);
	}
	if (spoil && fuzz_one_in(4))
		op = fuzz_one_in(2) ? _IOWR('R', fuzz_below(16), struct regionfs_io_cmd) : fuzz_next();
	sqe = put(w, op, TAG_NONE, &cmd);
	if (!sqe || !spoil)
		return;
	if (fuzz_one_in(4))
		sqe->flags |= fuzz_of((uint8_t[]){ IOSQE_ASYNC, IOSQE_IO_LINK, IOSQE_IO_DRAIN, IOSQE_IO_HARDLINK, IOSQE_CQE_SKIP_SUCCESS });
	if (fuzz_one_in(32))
		sqe->len = fuzz_next();
	if (fuzz_one_in(32))
		sqe->uring_cmd_flags = fuzz_next();
}

/* Where there is something to be gained: tokens, bytes, files. */
static void useful(struct worker *w)
{
	uint32_t op = fuzz_of((uint32_t[]){ REGIONFS_IO_TOKEN, REGIONFS_IO_STORE, REGIONFS_IO_STORE, REGIONFS_IO_LOCAL });
	struct regionfs_io_cmd cmd = { .addr = fd_struct(w->h, op) };

	put(w, op, TAG_NONE, &cmd);
}

/* ---- completions ---- */

static void complete(struct worker *w, const struct io_uring_cqe *cqe)
{
	unsigned int nr = cqe->user_data >> OP_SHIFT, tag = (cqe->user_data >> 1) & 0xffff;
	uint32_t op = nr >= 1 && nr <= 7 ? ops[nr - 1] : 0;

	fuzz_count(FUZZ_IO + (op ? nr : 0), cqe->res);
	if (op == REGIONFS_IO_ATTACH && (!cqe->res || cqe->res == -EISCONN))
		w->h->attached = true;
	if (!(cqe->user_data & 1)) {
		fd_result(w->h, op, cqe->user_data & ((1ull << 47) - 1), cqe->res);
		return;
	}
	if (tag < w->first || tag >= w->first + w->nr)
		return;
	if (op == REGIONFS_IO_COMMIT) {
		if (!cqe->res)
			fetch(w, tag);
	} else if (!cqe->res) {
		taken(w, tag);
	} else if (cqe->res == -EFAULT || cqe->res == -ENOTCONN) {
		fuzz_one_in(2) ? fetch(w, tag) : answer(w, tag);
	}
}

static void turn(struct worker *w)
{
	struct __kernel_timespec soon = { .tv_nsec = 10000000 };
	struct io_uring_cqe *cqe;

	if (io_uring_submit_and_wait_timeout(&w->ring, &cqe, 1, &soon, NULL) == -EINTR)
		return;
	for (int i = 0; i < 64 && !io_uring_peek_cqe(&w->ring, &cqe); i++) {
		struct io_uring_cqe copy = *cqe;

		io_uring_cqe_seen(&w->ring, cqe);
		complete(w, &copy);
	}
	for (unsigned int tag = w->first; tag < w->first + w->nr; tag++)
		if (w->held[tag] && fuzz_one_in(10))
			answer(w, tag);
	if (fuzz_one_in(4))
		useful(w);
	if (fuzz_one_in(8))
		fd_local_stir(w->h);
	if (fuzz_one_in(16))
		stray(w, fuzz_one_in(2));
}

static void work(struct worker *w, int turns)
{
	for (unsigned int tag = w->first; tag < w->first + w->nr; tag++)
		fetch(w, tag);
	while (turns-- && !__atomic_load_n(&w->h->stop, __ATOMIC_RELAXED))
		turn(w);
}

/* ---- rings, threads, processes ---- */

static int ring_open(struct io_uring *ring)
{
	struct io_uring_params p = { 0 };

	if (fuzz_one_in(4))
		p.flags = fuzz_of((uint32_t[]){
			IORING_SETUP_SQPOLL, IORING_SETUP_SQE128, IORING_SETUP_CQE32, IORING_SETUP_COOP_TASKRUN, IORING_SETUP_SUBMIT_ALL,
			IORING_SETUP_SINGLE_ISSUER, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_IOPOLL,
			IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG });
	if (p.flags & (IORING_SETUP_SQE128 | IORING_SETUP_CQE32))
		p.flags = 0;	/* chan.c knows the usual ones */
	return io_uring_queue_init_params(64, ring, &p);
}

/* A queue's own thread; or one that has no queue, and does as it likes; the end of either may come at any time. */
static void *other_thread(void *arg)
{
	struct worker *w = arg;

	fuzz_seed(w->seed);
	if (ring_open(&w->ring))
		return NULL;
	work(w, fuzz_one_in(4) ? fuzz_below(20) : 400);
	if (fuzz_one_in(2))
		io_uring_queue_exit(&w->ring);
	return NULL;
}

/* A child has the device, and rings of its own; what its parent has parked is not its. */
static void child(struct worker *w)
{
	static struct worker mine;

	if (fork())
		return;
	prctl(PR_SET_PDEATHSIG, fuzz_one_in(2) ? SIGKILL : 0);
	mine = (struct worker){ .h = w->h, .first = w->first, .nr = 1 };
	fuzz_seed(fuzz_next());
	alarm(2);
	if (!ring_open(&mine.ring))
		work(&mine, fuzz_below(30));
	_exit(0);
}

/* Where nobody else is, if that can be found. */
static void attach(struct worker *w)
{
	struct regionfs_io_cmd cmd = { .addr = (uintptr_t)&w->h->c.at };

	for (int i = 0; i < 50 && !w->h->attached; i++) {
		fd_attach_args(w->h, &w->h->c.at, fuzz_one_in(6));
		put(w, REGIONFS_IO_ATTACH, TAG_NONE, &cmd);
		turn(w);
		if (w->h->attached || fuzz_one_in(100))
			return;
		w->h->prey = fuzz_prey();
		usleep(fuzz_below(20000));
	}
}

/* In any order, or not at all. */
static void leave(struct worker *w)
{
	switch (fuzz_below(6)) {
	case 0:
		io_uring_queue_exit(&w->ring);
		close(w->h->c.fd);
		return;
	case 1:
		close(w->h->c.fd);
		io_uring_queue_exit(&w->ring);
		return;
	case 2:
		close(dup(w->h->c.fd));
		work(w, 10);
		return;
	case 3:
		raise(SIGKILL);
		return;
	case 4:
		_exit(0);
		return;
	default:
		close(w->ring.ring_fd);
		usleep(fuzz_below(50000));
		close(w->h->c.fd);
	}
}

/* Through a registered file, with no descriptor that could be closed. */
static void register_device(struct worker *w)
{
	if (io_uring_register_files(&w->ring, &w->h->c.fd, 1))
		return;
	w->fixed = true;
	if (fuzz_one_in(2)) {
		close(w->h->c.fd);
		w->h->c.fd = -1;
	}
}

static void serve(struct fd_helper *h)
{
	static struct worker w, others[4];
	pthread_t thread[4];
	unsigned int nr = h->queues - 1 + fuzz_below(2);

	w = (struct worker){ .h = h, .nr = h->depth };
	if (ring_open(&w.ring))
		return;
	if (fuzz_one_in(12))
		register_device(&w);
	attach(&w);
	for (unsigned int i = 0; i < nr; i++) {
		others[i] = (struct worker){ .h = h, .first = (i + 1) % h->queues * h->depth, .nr = h->depth, .seed = fuzz_next() };
		if (pthread_create(&thread[i], NULL, other_thread, &others[i]))
			_exit(1);
	}
	if (fuzz_one_in(8))
		child(&w);
	work(&w, fuzz_one_in(4) ? fuzz_below(30) : 600);
	if (fuzz_one_in(2))
		leave(&w);
	h->stop = true;
	for (unsigned int i = 0; i < nr; i++)
		pthread_join(thread[i], NULL);
}

/* One life: SIGCHLD is nobody's, children are left behind. */
int fuzz_device(void *arg)
{
	static struct fd_helper h;

	fuzz_seed((uintptr_t)arg);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGBUS, SIG_DFL);
	h.prey = fuzz_prey();
	h.queues = 1 + fuzz_below(3);
	h.depth = fuzz_of((unsigned int[]){ 1, 2, 8, 10 });
	h.c.fd = open(REGIONFS_DEVICE, O_RDWR | O_CLOEXEC);
	if (h.c.fd < 0)
		return 1;
	fd_memory(&h);
	fd_local_open(&h);
	serve(&h);
	return 0;
}
