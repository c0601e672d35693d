// SPDX-License-Identifier: GPL-2.0
/* A program in a region can be run; while it runs it cannot be written (ETXTBSY), and its pages may be dropped. */
#include <sys/wait.h>

#include "lib/app.h"
#include "lib/env.h"

static struct env e;

/* Copies this very program, or another, into the region. */
static bool copy_in(const char *from, const char *to)
{
	static char buf[64 * KiB];
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, n) != n)
			return false;
	close(in);
	return !close(out) && n == 0;
}

static int run(const char *path)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl(path, path, "-c", "exit 23", NULL);
		_exit(errno);
	}
	return reap(pid, SOON);
}

static int sleeper(void *path)
{
	execl(path, path, "-c", "read x", NULL);
	return errno;
}

int main(void)
{
	char path[128];
	pid_t pid;
	int fds[2];

	tap_start(300);
	env_start(&e, "exec");
	snprintf(path, sizeof(path), "%s", env_path(&e, "sh"));
	ok(copy_in("/bin/sh", path), "a shell is copied in");
	drop_caches();
	is(run(path), 23, "and runs from a cold cache");
	sync();
	drop_caches();
	is(run(path), 23, "again");
	must(pipe(fds) == 0 && dup2(fds[0], 0) == 0);
	pid = spawn(sleeper, path);
	ok(wait_asleep(pid, SOON), "it runs");
	is(open(path, O_WRONLY) < 0 ? errno : 0, ETXTBSY, "and cannot be written meanwhile");
	drop_caches();
	must(write(fds[1], "\n", 1) == 1);
	is(reap(pid, SOON), 0, "its dropped pages come back");
	must(chmod(path, 0644) == 0);
	is(run(path), EACCES, "without an x bit it does not run");
	return tap_done();
}
