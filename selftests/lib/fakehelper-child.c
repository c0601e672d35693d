// SPDX-License-Identifier: GPL-2.0
/* The fake helper's process: one thread, one ring, all tags. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "chan.h"
#include "failnth.h"
#include "fakehelper-child.h"
#include "proc.h"

#define UD_SOCK		(1ull << 32)
#define UD_ORDER	(2ull << 32)	/* TOKEN and STORE: their result is the order's */

/* What a tag is doing. */
struct tag {
	bool parked;		/* FETCH or COMMIT_AND_FETCH is under way */
	bool committing;	/* COMMIT is under way; FETCH follows */
	bool probing;		/* a wrong cookie is under way */
	bool gone;
	long place;		/* in the log, of what it holds */
};

struct child {
	struct fh *h;
	struct chan c;
	struct fh_order order;	/* the one that waits for a completion */
	struct tag tag[FH_TAGS_MAX];
	unsigned int nr_tags, gone;
	int sock;
	bool quit;
	unsigned int fail;	/* fh_fail(): so many are to come yet; 0: none */
	bool failed;		/* that one has */
	char *other;		/* for each tag as much, at addresses that are no tag's buffer */
};

static void fh_event(struct child *k)
{
	__atomic_add_fetch(&k->h->s->event, 1, __ATOMIC_RELEASE);
	wake_event(&k->h->s->event);
}

static char *tag_buf(struct child *k, unsigned int tag)
{
	return k->h->buf + tag * (size_t)FH_REQUEST;
}

static void fetch(struct child *k, unsigned int tag)
{
	struct regionfs_io_cmd cmd = { .tag = tag, .addr = (uintptr_t)tag_buf(k, tag) };

	k->tag[tag].parked = true;
	chan_sqe(&k->c, REGIONFS_IO_FETCH, &cmd, tag);
}

static void answer(struct child *k, unsigned int tag, uint32_t op, int error, uint64_t addr,
		   uint32_t skew)
{
	struct fh_rec *r = fh_at(k->h, k->tag[tag].place);
	struct regionfs_io_cmd cmd = {
		.tag = tag, .cookie = (uint32_t)r->desc.id + skew, .error = error, .addr = addr,
	};

	if (!skew) {
		r->error = error;
		__atomic_store_n(&r->state, FH_ANSWERED, __ATOMIC_RELEASE);
		fh_event(k);
	}
	chan_sqe(&k->c, op, &cmd, tag);
}

static int apply(struct child *k, unsigned int tag)
{
	const struct regionfs_io_desc *d = &fh_at(k->h, k->tag[tag].place)->desc;
	int fd, ret = 0;

	switch (d->op) {
	case REGIONFS_OP_READ:
		fh_pread(k->h, d->region, tag_buf(k, tag), d->length, d->offset);
		return 0;
	case REGIONFS_OP_WRITE:
		fh_pwrite(k->h, d->region, tag_buf(k, tag), d->length, d->offset);
		return 0;
	}
	fd = fh_backing(k->h, d->region);
	if (d->op == REGIONFS_OP_DISCARD &&
	    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, d->offset, d->length))
		ret = -errno;
	if (d->op == REGIONFS_OP_RESIZE && (ftruncate(fd, d->arg) || ftruncate(fd, d->length)))
		ret = -errno;
	if (d->op == REGIONFS_OP_DESTROY)
		ret = ftruncate(fd, 0);
	close(fd);
	return ret;
}

static void do_as(struct child *k, unsigned int tag, enum fh_how how, int arg)
{
	struct fh_rec *r = fh_at(k->h, k->tag[tag].place);
	uint64_t addr = r->desc.op == REGIONFS_OP_READ ? (uintptr_t)tag_buf(k, tag) : 0;
	uint32_t op = REGIONFS_IO_COMMIT_AND_FETCH;
	int error = 0;

	switch (how) {
	case FH_DIE:
		raise(SIGKILL);
		return;
	case FH_ERROR:
		error = arg;
		break;
	case FH_PRETEND:
		break;
	case FH_ZERO:
		addr = 0;
		break;
	default:
		error = apply(k, tag);
	}
	if (how == FH_APPLY_DIE)
		raise(SIGKILL);
	if (how == FH_ANY_ADDR && addr) {
		/* it is copied when the command is submitted, and others may be before it */
		char *other = k->other + tag * (size_t)FH_REQUEST;

		memcpy(other, tag_buf(k, tag), r->desc.length);
		memset(tag_buf(k, tag), 0xee, r->desc.length);
		addr = (uintptr_t)other;
	}
	k->tag[tag].parked = how != FH_COMMIT;
	k->tag[tag].committing = how == FH_COMMIT;
	if (how == FH_COMMIT)
		op = REGIONFS_IO_COMMIT;
	answer(k, tag, op, error, addr, 0);
}

static void hold(struct child *k, unsigned int tag)
{
	struct fh_rec *r = fh_at(k->h, k->tag[tag].place);

	if (r->desc.op == REGIONFS_OP_READ)
		apply(k, tag);
	__atomic_store_n(&r->state, FH_HELD, __ATOMIC_RELEASE);
	fh_event(k);
}

static bool rule_fits(struct fh_rule *r, const struct regionfs_io_desc *d)
{
	if (!__atomic_load_n(&r->active, __ATOMIC_ACQUIRE) || !r->left)
		return false;
	if (r->op != FH_ANY && r->op != d->op)
		return false;
	if (r->region && r->region != d->region)
		return false;
	return !r->length ||
	       (d->offset < r->offset + r->length && r->offset < d->offset + d->length);
}

static void by_rule(struct child *k, unsigned int tag)
{
	struct fh_rec *r = fh_at(k->h, k->tag[tag].place);

	for (int i = 0; i < FH_RULES; i++) {
		struct fh_rule *rule = &k->h->s->rule[i];

		if (!rule_fits(rule, &r->desc))
			continue;
		if (rule->left > 0)
			rule->left--;
		if (rule->how == FH_HOLD)
			hold(k, tag);
		else
			do_as(k, tag, rule->how, rule->arg);
		return;
	}
	do_as(k, tag, FH_APPLY, 0);
}

/* A tag was handed a request. */
static void received(struct child *k, unsigned int tag)
{
	struct fh_shared *s = k->h->s;
	const struct regionfs_io_desc *d = &k->c.desc[tag];
	struct fh_rec *r = fh_at(k->h, s->nr_log);

	r->desc = *d;
	r->tag = tag;
	r->life = k->h->life;
	r->error = 0;
	r->state = FH_TAKEN;
	k->tag[tag].place = s->nr_log;
	s->count[d->op & 7]++;
	s->bytes[d->op & 7] += d->length;
	__atomic_store_n(&s->nr_log, s->nr_log + 1, __ATOMIC_RELEASE);
	fh_event(k);
	by_rule(k, tag);
}

static void reply(struct child *k, struct fh_order *o, int64_t result)
{
	o->result = result;
	if (send(k->sock, o, sizeof(*o), MSG_NOSIGNAL) < 0)
		k->quit = true;
}

static void tag_done(struct child *k, unsigned int tag, int res)
{
	struct tag *t = &k->tag[tag];

	if (t->probing) {
		t->probing = false;
		reply(k, &k->order, res);
		if (!res)
			received(k, tag);
	} else if (t->committing) {
		t->committing = false;
		reply(k, &k->order, res);
		fetch(k, tag);
	} else if (res == 0) {
		t->parked = false;
		received(k, tag);
	} else if (k->failed && failnth_sensible(res)) {
		fetch(k, tag);	/* it was refused for lack of memory; what it held is held on */
	} else {
		if (res != -ECANCELED)
			printf("# fake helper: tag %u ended with %s\n", tag, strerror(-res));
		t->parked = false;
		t->gone = true;
		k->gone++;
	}
}

static sigjmp_buf on_sigbus;

static void sigbus(int sig)
{
	(void)sig;
	siglongjmp(on_sigbus, 1);
}

static int64_t touch_map(int fd, bool store)
{
	struct sigaction sa = { .sa_handler = sigbus }, old;
	volatile char *p = mmap(NULL, 4096, store ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
	int64_t ret = 0;

	if (p == MAP_FAILED)
		return -errno;
	sigaction(SIGBUS, &sa, &old);
	if (sigsetjmp(on_sigbus, 1))
		ret = -EFAULT;
	else if (store)
		*p = 0;
	else
		ret = *p & 0;
	sigaction(SIGBUS, &old, NULL);
	munmap((void *)p, 4096);
	return ret;
}

/* The helper uses a file of its own instance. */
static int64_t touch(const char *path, char what)
{
	int fd = open(path, what == 'r' ? O_RDONLY : O_RDWR);
	char byte = 0;
	int64_t ret = 0;

	if (fd < 0)
		return -errno;
	errno = 0;
	if (what == 'm' || what == 's')
		ret = touch_map(fd, what == 's');
	else if (what == 'r')
		ret = pread(fd, &byte, 1, 0) < 0 ? -errno : 0;
	else if (what == 'w')
		ret = pwrite(fd, &byte, 1, 0) < 0 ? -errno : 0;
	else
		ret = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static void release(struct child *k, struct fh_order *o)
{
	struct fh_rec *r = fh_at(k->h, o->place);

	if (r->state != FH_HELD || r->life != k->h->life) {
		reply(k, o, -ENOENT);
	} else if (o->how == FH_BAD_COOKIE) {
		k->tag[r->tag].probing = true;
		k->order = *o;
		answer(k, r->tag, REGIONFS_IO_COMMIT_AND_FETCH, 0,
		       (uintptr_t)tag_buf(k, r->tag), 1);
	} else if (o->how == FH_COMMIT) {
		k->order = *o;
		do_as(k, r->tag, FH_COMMIT, 0);
	} else {
		do_as(k, r->tag, o->how, o->arg);
		io_uring_submit(&k->c.ring);
		reply(k, o, 0);
	}
}

static void release_all(struct child *k, struct fh_order *o)
{
	for (unsigned int tag = 0; tag < k->nr_tags; tag++) {
		struct tag *t = &k->tag[tag];

		if (!t->gone && !t->parked && fh_at(k->h, t->place)->state == FH_HELD)
			do_as(k, tag, FH_APPLY, 0);
	}
	io_uring_submit(&k->c.ring);
	reply(k, o, 0);
}

static void on_order(struct child *k)
{
	struct regionfs_io_cmd cmd = { 0 };
	struct fh_order o;

	if (recv(k->sock, &o, sizeof(o), 0) != sizeof(o)) {
		k->quit = true;
		return;
	}
	switch (o.what) {
	case FH_O_RELEASE:
		release(k, &o);
		break;
	case FH_O_RELEASE_ALL:
		release_all(k, &o);
		break;
	case FH_O_TOKEN:
	case FH_O_STORE:
		k->order = o;
		cmd.addr = o.what == FH_O_STORE ? (uintptr_t)&k->order.store :
						  (uintptr_t)&k->order.token;
		chan_sqe(&k->c, o.what == FH_O_STORE ? REGIONFS_IO_STORE : REGIONFS_IO_TOKEN, &cmd,
			 UD_ORDER);
		break;
	case FH_O_LOCAL:
		k->order = o;
		k->order.local.fd = *o.path ? open(o.path, O_RDONLY) : -1;
		if (*o.map)
			k->order.local.map_fd = open(o.map, o.arg);
		cmd.addr = (uintptr_t)&k->order.local;
		chan_sqe(&k->c, REGIONFS_IO_LOCAL, &cmd, UD_ORDER);
		break;
	case FH_O_TOUCH:
		reply(k, &o, touch(o.path, o.arg));
		break;
	case FH_O_FAIL:
		reply(k, &o, k->failed);
		k->fail = o.arg;
		k->failed = false;
		break;
	default:
		k->quit = true;
		reply(k, &o, 0);
	}
}

static void watch_sock(struct child *k)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&k->c.ring);

	io_uring_prep_poll_add(sqe, k->sock, POLLIN);
	sqe->user_data = UD_SOCK;
}

static void on_cqe(struct child *k, uint64_t user_data, int res)
{
	if (user_data == UD_SOCK) {
		if (res > 0)
			on_order(k);
		watch_sock(k);
	} else if (user_data == UD_ORDER) {
		if (k->order.what == FH_O_LOCAL && k->order.local.fd >= 0)
			close(k->order.local.fd);	/* the kernel has its own reference */
		if (k->order.what == FH_O_LOCAL && k->order.local.map_fd > 0)
			close(k->order.local.map_fd);
		reply(k, &k->order, res);
	} else {
		tag_done(k, user_data, res);
	}
}

/* Sends what is there and waits; an allocation in it fails where that was ordered. */
static int enter(struct child *k)
{
	int ret;

	if (!k->fail)
		return io_uring_submit_and_wait(&k->c.ring, 1);
	failnth_arm(k->fail);
	ret = io_uring_submit_and_wait(&k->c.ring, 1);
	k->failed = failnth_disarm(&k->fail);
	return ret;
}

/* io_uring itself may lack memory. */
static bool may_go_on(const struct child *k, int ret)
{
	return ret >= 0 || ret == -EINTR || (k->failed && failnth_sensible(ret));
}

static int serve(struct child *k)
{
	struct io_uring_cqe *cqe;

	watch_sock(k);
	while (!k->quit && k->gone < k->nr_tags) {
		if (!may_go_on(k, enter(k)))
			return 3;
		while (!k->quit && !io_uring_peek_cqe(&k->c.ring, &cqe)) {
			uint64_t user_data = cqe->user_data;
			int res = cqe->res;

			io_uring_cqe_seen(&k->c.ring, cqe);
			on_cqe(k, user_data, res);
		}
	}
	chan_close(&k->c);
	return 0;
}

static int fh_attach(struct child *k)
{
	struct fh_shared *s = k->h->s;
	int ret = chan_open(&k->c, 256);

	if (ret)
		return ret;
	k->c.at.features = REGIONFS_F_ANY_ADDR | REGIONFS_F_STORE | REGIONFS_F_RECOVER | REGIONFS_F_LOCAL_STORE | REGIONFS_F_LOCAL_MAP;
	k->c.at.max_request = k->h->request;
	ret = chan_attach(&k->c, k->h->instance, k->h->queues, FH_DEPTH);
	s->attach_gen = k->c.at.attach_gen;
	s->features = k->c.at.features;
	s->instance_id = k->c.at.instance_id;
	return ret;
}

/* It keeps none of the test's files open. */
static void close_others(int keep)
{
	if (keep > 3)
		syscall(SYS_close_range, 3, keep - 1, 0);
	syscall(SYS_close_range, keep + 1, ~0u, 0);
}

int fh_child(struct fh *h, int sock)
{
	static struct child k;
	int ret;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	signal(SIGALRM, SIG_IGN);
	alarm(0);
	close_others(sock);
	k.h = h;
	k.sock = sock;
	k.nr_tags = h->queues * FH_DEPTH;
	k.other = malloc(FH_TAGS_MAX * (size_t)FH_REQUEST);
	ret = fh_attach(&k);
	if (!ret)
		for (unsigned int tag = 0; tag < k.nr_tags; tag++)
			fetch(&k, tag);
	if (!ret)
		ret = io_uring_submit(&k.c.ring) < 0 ? -EIO : 0;
	__atomic_store_n(&h->s->ready, ret ? (uint32_t)ret : 1, __ATOMIC_RELEASE);
	fh_event(&k);
	return ret ? 2 : serve(&k);
}
