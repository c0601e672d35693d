// SPDX-License-Identifier: GPL-2.0
/* pin: see pin.h. */
#include "pin.h"

struct direct {
	const char *path;
	uint8_t op;
	char *page;
};

static int direct(void *arg)
{
	const struct direct *d = arg;
	bool read = d->op == REGIONFS_OP_READ;
	int fd = open(d->path, (read ? O_RDONLY : O_WRONLY) | O_DIRECT);
	ssize_t n = read ? pread(fd, d->page, 4096, 0) : pwrite(fd, d->page, 4096, 0);

	return n == 4096 ? 0 : 1;
}

pid_t pin(struct env *other, uint8_t op, char *page)
{
	struct direct d = { .path = env_path(other, "r"), .op = op, .page = page };
	uint32_t from = fh_mark(other->fh);
	pid_t pid;

	fh_rule(other->fh, op, 0, 0, 0, FH_HOLD, 0, -1);
	pid = spawn(direct, &d);
	must(fh_wait(other->fh, from, op, 0, 0, 0, FH_HELD, SOON) >= 0);
	return pid;
}

int unpin(struct env *other, pid_t pid)
{
	fh_clear(other->fh);
	fh_release_all(other->fh);
	return reap(pid, SOON);
}
