// SPDX-License-Identifier: GPL-2.0
/* confine: what is refused afterwards, in which threads, and what goes on. Each in a process of its own, which does not come out of it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine.h"
#include "loop.h"
#include "pressure.h"
#include "tap.h"

static int in_process(int (*fn)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(confine(false) ? 99 : fn());
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* 0 when it was refused with EPERM; and regiond is never so far as to be asked for more */
static int refused(long ret)
{
	return !(ret == -1 && errno == EPERM);
}

static int forks(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return refused(pid);
}

static int executes(void)
{
	return refused(execl("/bin/true", "true", (char *)NULL));
}

/* All at once: those that would do harm here are given what they fail of with other errors. */
static int others(void)
{
	int bad = refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL));

	bad |= refused(mount(NULL, NULL, NULL, 0, NULL)) << 1;
	bad |= refused(syscall(SYS_unshare, 0)) << 2;
	bad |= refused(syscall(SYS_bpf, -1, NULL, 0)) << 3;
	bad |= refused(syscall(SYS_finit_module, -1, "", 0)) << 4;
	bad |= refused(syscall(SYS_keyctl, -1)) << 5;
	bad |= refused(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0)) << 6;
	bad |= refused(kill(getppid(), 0)) << 7;
	bad |= refused(syscall(SYS_tgkill, getppid(), getppid(), 0));
	bad |= refused(syscall(SYS_prlimit64, getppid(), RLIMIT_CORE, NULL, NULL));
	return bad;
}

static int more_others(void)
{
	int bad = refused(syscall(SYS_setuid, getuid()));

	bad |= refused(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0)) << 1;
	bad |= refused(syscall(SYS_userfaultfd, 0)) << 2;
	bad |= refused(syscall(SYS_clone, CLONE_NEWUSER, 0, 0, 0, 0)) << 3;
	bad |= refused(syscall(SYS_setns, -1, 0)) << 4;
	bad |= refused(syscall(SYS_open_by_handle_at, -1, NULL, 0)) << 5;
	bad |= refused(syscall(SYS_execveat, -1, "", NULL, NULL, 0)) << 6;
	return bad;
}

static int capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2];

	if (syscall(SYS_capget, &head, sets))
		return 1;
	return (sets[0].permitted | sets[1].permitted | sets[0].effective | sets[1].effective | sets[0].inheritable) != 0;
}

static void *refused_there(void *arg)
{
	*(int *)arg = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || executes() || capabilities();
	return NULL;
}

static int threads(void)
{
	pthread_t thread;
	int bad = 1;

	if (pthread_create(&thread, NULL, refused_there, &bad) || pthread_join(thread, NULL))
		return 2;
	return bad;
}

static int rings(void)
{
	struct loop *loop;
	int fds[2];

	if (loop_open(&loop, 8) || socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return 1;
	return write(fds[0], "x", 1) != 1;
}

/* Where there is no such file, or no right to it, there is nothing to lose. */
static bool may_hear(void)
{
	int fd = open(PRESSURE_PSI, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	bool may = fd >= 0 && write(fd, "some 150000 1000000", 20) == 20;

	close(fd);
	return may;
}

static int pressures(void)
{
	struct pressure pressure = { 0 };

	if (loop_open(&pressure.loop, 8))
		return 1;
	pressure_open(&pressure, PRESSURE_PSI, PRESSURE_MEMINFO);
	return pressure.fd < 0;
}

static int hints(void)
{
	return !*confine_hint(-EACCES) || *confine_hint(-ENOENT);
}

/* Of its own it may have both. */
static int own(void)
{
	struct rlimit limit;

	return syscall(SYS_tgkill, getpid(), getpid(), 0) || syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, &limit) ||
	       syscall(SYS_prlimit64, getpid(), RLIMIT_CORE, NULL, &limit);
}

static void *sleeps(void *arg)
{
	pause();
	return NULL;
}

static int too_late(void)
{
	pthread_t thread;
	pid_t pid = fork();
	int status = -1;

	if (!pid)
		_exit(pthread_create(&thread, NULL, sleeps, NULL) || confine(false) != -EBUSY);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(void)
{
	tap_is(confine_hint(-EACCES), "", "no hint before");
	tap_number(in_process(capabilities), 0, "no capability is left");
	tap_number(in_process(forks), 0, "fork is refused");
	tap_number(in_process(executes), 0, "exec is refused");
	tap_number(in_process(others), 0, "what looks into others or the kernel is refused");
	tap_number(in_process(more_others), 0, "more of it");
	tap_number(in_process(own), 0, "its own signals and limits are not");
	tap_number(in_process(threads), 0, "a thread can be made, and has no more");
	tap_number(in_process(rings), 0, "so can a ring and sockets");
	pressure_prepare();
	tap_number(may_hear() ? in_process(pressures) : 0, 0, "so can be heard how short memory is");
	tap_number(in_process(hints), 0, "a hint where the rights may have been missed");
	tap_number(too_late(), 0, "with other threads about it is too late");
	return tap_end();
}
