// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "proc.h"

long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

int poll_event(uint32_t *word, uint32_t seen, int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000l };

	if (syscall(SYS_futex, word, FUTEX_WAIT, seen, &t, NULL, 0) && errno == ETIMEDOUT)
		return -ETIMEDOUT;
	return 0;
}

void wake_event(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
}

bool wait_until(bool (*cond)(void *arg), void *arg, int ms)
{
	long long until = now_ms() + ms;

	while (!cond(arg)) {
		if (now_ms() >= until)
			return cond(arg);
		usleep(10000);
	}
	return true;
}

pid_t spawn(int (*fn)(void *arg), void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGALRM, SIG_DFL);
		_exit(fn(arg));
	}
	return pid;
}

void tell_stack(pid_t pid)
{
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		printf("#   %d %s", pid, line);
	if (f)
		fclose(f);
}

int reap(pid_t pid, int ms)
{
	int fd = syscall(SYS_pidfd_open, pid, 0), status;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int ready = poll(&p, 1, ms);

	close(fd);
	if (ready != 1 && ms >= 1000)
		tell_stack(pid);
	if (ready != 1 || waitpid(pid, &status, 0) != pid)
		return -ETIMEDOUT;
	return WIFEXITED(status) ? WEXITSTATUS(status) : PROC_KILLED + WTERMSIG(status);
}

bool kill_in_time(pid_t pid, int ms)
{
	kill(pid, SIGKILL);
	return reap(pid, ms) != -ETIMEDOUT;
}

char proc_state(pid_t pid)
{
	char path[64], text[512] = "", *p;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		text[0] = 0;
	close(fd);
	p = strrchr(text, ')');
	return p ? p[2] : '?';
}

static bool asleep(pid_t pid)
{
	char state = proc_state(pid);

	return state == 'S' || state == 'D';
}

/* Asleep at two looks that are apart: not just on its way. */
bool wait_asleep(pid_t pid, int ms)
{
	int in_a_row = 0;

	for (long long until = now_ms() + ms; now_ms() < until && in_a_row < 5; usleep(20000))
		in_a_row = asleep(pid) ? in_a_row + 1 : 0;
	return in_a_row >= 5;
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

long read_number(const char *path)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return atol(text);
}

void drop_caches(void)
{
	write_file("/proc/sys/vm/drop_caches", "1");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

int shell(const char *fmt, ...)
{
	char command[4096];
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	fflush(stdout);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : PROC_KILLED + WTERMSIG(status);
}

static sigjmp_buf sigbus_jump;

static void on_sigbus(int sig)
{
	(void)sig;
	siglongjmp(sigbus_jump, 1);
}

bool gets_sigbus(void (*fn)(void *arg), void *arg)
{
	struct sigaction sa = { .sa_handler = on_sigbus }, old;
	bool got = true;

	sigaction(SIGBUS, &sa, &old);
	if (!sigsetjmp(sigbus_jump, 1)) {
		fn(arg);
		got = false;
	}
	sigaction(SIGBUS, &old, NULL);
	return got;
}
