// SPDX-License-Identifier: GPL-2.0
/* RLIMIT_FSIZE: a write that crosses it is cut there, without a signal; the next one gets SIGXFSZ and EFBIG. */
#include <sys/resource.h>

#include "lib/app.h"
#include "lib/env.h"

#define LIMIT	(16 * MiB)	/* also where a round of a long write ends */

static struct env e;
static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

static void writes(const char *name, int flags)
{
	int fd = env_path_fd(&e, name, O_RDWR | O_CREAT | flags);
	char *buf;

	must(posix_memalign((void **)&buf, 4096, 2 * LIMIT) == 0);
	pattern_fill(buf, 2 * LIMIT, 0, 1);
	signals = 0;
	is(pwrite(fd, buf, LIMIT, LIMIT / 2), LIMIT / 2, "%s: a write over the limit is cut there", name);
	is(signals, 0, "%s: and no signal comes", name);
	is(pwrite(fd, buf, 2 * LIMIT, 0), LIMIT, "%s: so is a longer one", name);
	is(signals, 0, "%s: without a signal", name);
	is(pwrite(fd, buf, 4096, LIMIT) < 0 ? errno : 0, EFBIG, "%s: one past it is refused", name);
	is(signals, 1, "%s: with a signal", name);
	is(pread(fd, buf, LIMIT, 0), LIMIT, "%s: the bytes below the limit", name);
	is(pattern_check(buf, LIMIT, 0, 1), -1, "%s: are there", name);
	free(buf);
	close(fd);
}

int main(void)
{
	struct rlimit limit = { LIMIT, LIMIT };

	tap_start(120);
	env_start(&e, "limit");
	signal(SIGXFSZ, on_signal);
	must(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	writes("buffered", 0);
	writes("direct", O_DIRECT);
	limit.rlim_max = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &limit);
	return tap_done();
}
