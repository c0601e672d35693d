// SPDX-License-Identifier: GPL-2.0
/* The test's side: see fakehelper-child.c for the process itself. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fakehelper-child.h"
#include "proc.h"

#define FH_ORDER_MS	60000
#define FH_TOUCH_MS	15000	/* where the kernel is broken, a helper waits for itself */

static void *shared_map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

struct fh *fh_new(const char *instance)
{
	struct fh *h = calloc(1, sizeof(*h));

	snprintf(h->instance, sizeof(h->instance), "%s", instance);
	snprintf(h->dir, sizeof(h->dir), "/dev/shm/fakehelper-XXXXXX");
	h->s = shared_map(sizeof(*h->s));
	h->buf = shared_map(FH_TAGS_MAX * (size_t)FH_REQUEST);
	h->store_buf = shared_map(FH_REQUEST);
	h->queues = 1;
	h->request = FH_REQUEST;
	h->sock = -1;
	if (!h->s || !h->buf || !h->store_buf || !mkdtemp(h->dir)) {
		free(h);
		return NULL;
	}
	return h;
}

void fh_free(struct fh *h)
{
	fh_kill(h);
	remove_tree(h->dir);
	munmap(h->s, sizeof(*h->s));
	munmap(h->buf, FH_TAGS_MAX * (size_t)FH_REQUEST);
	munmap(h->store_buf, FH_REQUEST);
	free(h);
}

static void fh_forget(struct fh *h)
{
	close(h->sock);
	h->sock = -1;
	h->pid = 0;
}

static int fh_start_once(struct fh *h)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv))
		return -errno;
	fflush(stdout);
	h->s->ready = 0;
	h->life++;
	h->pid = fork();
	if (h->pid == 0) {
		close(sv[0]);
		_exit(fh_child(h, sv[1]));
	}
	close(sv[1]);
	h->sock = sv[0];
	while (!__atomic_load_n(&h->s->ready, __ATOMIC_ACQUIRE))
		if (poll_event(&h->s->event, h->s->event, 10) && kill(h->pid, 0))
			break;
	if ((int)h->s->ready == 1)
		return 0;
	waitpid(h->pid, NULL, 0);
	fh_forget(h);
	return (int)h->s->ready ?: -ECHILD;
}

/* The last helper may still be on its way out: its file goes after the process has. */
int fh_start(struct fh *h)
{
	int ret;

	for (int i = 0; i < 1000; i++) {
		ret = fh_start_once(h);
		if (ret != -EBUSY)
			break;
		h->life--;
		usleep(10000);
	}
	return ret;
}

void fh_kill(struct fh *h)
{
	if (!h->pid)
		return;
	kill(h->pid, SIGKILL);
	if (reap(h->pid, FH_ORDER_MS) == -ETIMEDOUT)
		printf("# the fake helper, process %d, survives kill -9\n", h->pid);
	fh_forget(h);
}

int fh_stop(struct fh *h)
{
	struct fh_order o = { .what = FH_O_QUIT };
	int status;

	if (!h->pid)
		return 0;
	fh_order(h, &o);
	status = reap(h->pid, FH_ORDER_MS);
	if (status == -ETIMEDOUT) {
		fh_kill(h);
		return status;
	}
	fh_forget(h);
	return status;
}

int fh_wait_dead(struct fh *h, int ms)
{
	int status = reap(h->pid, ms);

	if (status == -ETIMEDOUT)
		return status;
	fh_forget(h);
	return 0;
}

struct fh_rule *fh_rule(struct fh *h, int op, uint64_t region, uint64_t offset, uint64_t length,
			enum fh_how how, int arg, int times)
{
	for (int i = 0; i < FH_RULES; i++) {
		struct fh_rule *r = &h->s->rule[i];

		if (r->active)
			continue;
		r->op = op;
		r->region = region;
		r->offset = offset;
		r->length = length;
		r->how = how;
		r->arg = arg;
		r->left = times;
		__atomic_store_n(&r->active, 1, __ATOMIC_RELEASE);
		return r;
	}
	abort();
}

void fh_clear(struct fh *h)
{
	for (int i = 0; i < FH_RULES; i++)
		__atomic_store_n(&h->s->rule[i].active, 0, __ATOMIC_RELEASE);
}

uint32_t fh_mark(struct fh *h)
{
	return __atomic_load_n(&h->s->nr_log, __ATOMIC_ACQUIRE);
}

struct fh_rec *fh_at(struct fh *h, uint32_t place)
{
	return &h->s->log[place % FH_LOG];
}

static bool overlaps(const struct regionfs_io_desc *d, uint64_t offset, uint64_t length)
{
	return !length || (d->offset < offset + length && offset < d->offset + d->length);
}

static bool fh_matches(const struct fh_rec *r, int op, uint64_t region, uint64_t offset,
		       uint64_t length)
{
	return (op == FH_ANY || r->desc.op == op) && (!region || r->desc.region == region) &&
	       overlaps(&r->desc, offset, length);
}

/* A state counts as reached when it was passed, except that HELD must be so still. */
static bool fh_reached(const struct fh_rec *r, enum fh_state state)
{
	uint32_t now = __atomic_load_n(&r->state, __ATOMIC_ACQUIRE);

	return state == FH_HELD ? now == FH_HELD : now >= state;
}

long fh_wait(struct fh *h, uint32_t from, int op, uint64_t region, uint64_t offset, uint64_t length,
	     enum fh_state state, int ms)
{
	long long until = now_ms() + ms;

	for (;;) {
		uint32_t event = __atomic_load_n(&h->s->event, __ATOMIC_ACQUIRE);
		uint32_t end = fh_mark(h);

		for (uint32_t i = from; i != end; i++)
			if (fh_matches(fh_at(h, i), op, region, offset, length) &&
			    fh_reached(fh_at(h, i), state))
				return i;
		if (now_ms() >= until)
			return -ETIMEDOUT;
		poll_event(&h->s->event, event, 100);
	}
}

unsigned int fh_seen(struct fh *h, uint32_t from, int op, uint64_t region, uint64_t offset,
		     uint64_t length, uint64_t *bytes)
{
	uint32_t end = fh_mark(h);
	unsigned int n = 0;

	if (bytes)
		*bytes = 0;
	for (uint32_t i = from; i != end; i++) {
		if (!fh_matches(fh_at(h, i), op, region, offset, length))
			continue;
		n++;
		if (bytes)
			*bytes += fh_at(h, i)->desc.length;
	}
	return n;
}

char *fh_buf(struct fh *h, long place)
{
	return h->buf + fh_at(h, place)->tag * (size_t)FH_REQUEST;
}

static long fh_order_within(struct fh *h, struct fh_order *o, int ms)
{
	struct pollfd p = { .fd = h->sock, .events = POLLIN };

	if (!h->pid || send(h->sock, o, sizeof(*o), MSG_NOSIGNAL) != sizeof(*o))
		return -EPIPE;
	if (poll(&p, 1, ms) != 1)
		return -ETIMEDOUT;
	if (recv(h->sock, o, sizeof(*o), 0) != sizeof(*o))
		return -EPIPE;
	return o->result;
}

long fh_order(struct fh *h, struct fh_order *o)
{
	return fh_order_within(h, o, FH_ORDER_MS);
}

long fh_release(struct fh *h, long place, enum fh_how how, int arg)
{
	struct fh_order o = { .what = FH_O_RELEASE, .place = place, .how = how, .arg = arg };

	return fh_order(h, &o);
}

long fh_release_all(struct fh *h)
{
	struct fh_order o = { .what = FH_O_RELEASE_ALL };

	return fh_order(h, &o);
}

long fh_token(struct fh *h, uint64_t region, uint64_t *token)
{
	struct fh_order o = { .what = FH_O_TOKEN, .token = { .region = region } };
	long ret = fh_order(h, &o);

	*token = o.token.token;
	return ret;
}

long fh_store(struct fh *h, uint64_t region, uint64_t offset, uint32_t length, uint64_t token,
	      uint64_t epoch)
{
	struct fh_order o = {
		.what = FH_O_STORE,
		.store = {
			.region = region, .offset = offset, .length = length, .token = token,
			.epoch = epoch, .addr = (uintptr_t)h->store_buf,
		},
	};

	return fh_order(h, &o);
}

long fh_local(struct fh *h, uint64_t region, uint64_t epoch, const char *path)
{
	struct fh_order o = { .what = FH_O_LOCAL, .local = { .region = region, .epoch = epoch } };

	if (path)
		snprintf(o.path, sizeof(o.path), "%s", path);
	else
		snprintf(o.path, sizeof(o.path), "%s/%llu", h->dir, (unsigned long long)region);
	return fh_order(h, &o);
}

long fh_local_map(struct fh *h, uint64_t region, uint64_t epoch, const char *path, const char *map, int flags)
{
	struct fh_order o = {
		.what = FH_O_LOCAL, .arg = flags, .local = { .region = region, .epoch = epoch, .flags = REGIONFS_LOCAL_MAP },
	};

	snprintf(o.path, sizeof(o.path), "%s", path);
	snprintf(o.map, sizeof(o.map), "%s", map);
	return fh_order(h, &o);
}

long fh_touch(struct fh *h, const char *path, char what)
{
	struct fh_order o = { .what = FH_O_TOUCH, .arg = what };

	snprintf(o.path, sizeof(o.path), "%s", path);
	return fh_order_within(h, &o, FH_TOUCH_MS);
}

long fh_fail(struct fh *h, unsigned int n)
{
	struct fh_order o = { .what = FH_O_FAIL, .arg = n };

	return fh_order(h, &o);
}

int fh_backing(struct fh *h, uint64_t region)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%llu", h->dir, (unsigned long long)region);
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

void fh_pread(struct fh *h, uint64_t region, void *buf, size_t len, uint64_t offset)
{
	int fd = fh_backing(h, region);
	ssize_t n = pread(fd, buf, len, offset);

	if (n < 0)
		n = 0;
	memset((char *)buf + n, 0, len - n);
	close(fd);
}

void fh_pwrite(struct fh *h, uint64_t region, const void *buf, size_t len, uint64_t offset)
{
	int fd = fh_backing(h, region);

	if (pwrite(fd, buf, len, offset) != (ssize_t)len)
		perror("# fakehelper: backing file");
	close(fd);
}

uint64_t fh_size(struct fh *h, uint64_t region)
{
	int fd = fh_backing(h, region);
	struct stat st = { 0 };

	fstat(fd, &st);
	close(fd);
	return st.st_size;
}
