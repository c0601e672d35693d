// SPDX-License-Identifier: GPL-2.0
/* Freezing a cgroup: which may be named, that all of it stops and goes on, what is waited for and for how long. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "tap.h"
#include "turns.h"

static char mount[64], outer[128], inner[160], why[512];
static atomic_ulong *counted;
static pid_t program;

/* ---- names ---- */

static bool is_path(const char *name, const char *wanted)
{
	char *path = cgroup_path(name, why, sizeof(why));
	bool is = path && !strcmp(path, wanted);

	free(path);
	return is;
}

static void test_names(void)
{
	tap_ok(is_path("system.slice/app.service", CGROUP_ROOT "/system.slice/app.service"), "a name is below the mount");
	tap_ok(is_path(CGROUP_ROOT "/app", CGROUP_ROOT "/app"), "or absolute");
	tap_ok(is_path("a..b", CGROUP_ROOT "/a..b"), "dots are a name's own affair");
	tap_ok(!cgroup_path("/tmp/app", why, sizeof(why)) && strstr(why, "not below"), "another place is refused: %s", why);
	tap_ok(!cgroup_path(CGROUP_ROOT "x", why, sizeof(why)), "so is one that only begins alike");
	tap_ok(!cgroup_path("app/../other", why, sizeof(why)) && strstr(why, "\"..\""), "nobody climbs: %s", why);
	tap_ok(!cgroup_path("..", why, sizeof(why)) && !cgroup_path("app/..", why, sizeof(why)), "at either end");
	tap_number(cgroup_check(CGROUP_ROOT "/no such thing", why, sizeof(why)), -ENOENT, "it must be there");
	tap_number(cgroup_check("/proc", why, sizeof(why)), -EINVAL, "a directory alone is no cgroup");
	tap_ok(!cgroup_of_unit("no-such-unit"), "we are in no unit that there is not");
}

/* ---- two cgroups, one in the other, and a program in the inner one ---- */

static int put(const char *of, const char *file, const char *text)
{
	char path[256];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s", of, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ret = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
	if (fd >= 0)
		close(fd);
	return ret;
}

static void count(void)
{
	for (;;) {
		atomic_fetch_add(counted, 1);
		usleep(1000);
	}
}

static bool start_program(void)
{
	char pid[16];

	counted = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	program = fork();
	if (!program)
		count();
	snprintf(pid, sizeof(pid), "%d", program);
	return program > 0 && !put(inner, "cgroup.procs", pid);
}

static void end_program(void)
{
	if (program > 0) {
		kill(program, SIGKILL);
		waitpid(program, NULL, 0);
	}
	put(mount, "cgroup.procs", "0");
	rmdir(inner);
	rmdir(outer);
}

static bool make_cgroups(void)
{
	static const char *const mounts[] = { CGROUP_ROOT, CGROUP_ROOT "/unified" };

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		snprintf(mount, sizeof(mount), "%s", mounts[i]);
		snprintf(outer, sizeof(outer), "%s/test-cgroup-%d", mount, getpid());
		snprintf(inner, sizeof(inner), "%s/app.service", outer);
		if (mkdir(outer, 0755))
			continue;
		if (!mkdir(inner, 0755) && !cgroup_check(inner, why, sizeof(why)) && start_program())
			return true;
		end_program();
	}
	return false;
}

static bool is_running(void)
{
	unsigned long before = atomic_load(counted);

	until(atomic_load(counted) != before);
	return atomic_load(counted) != before;
}

static bool is_still(void)
{
	unsigned long before = atomic_load(counted);

	pass(50);
	return atomic_load(counted) == before;
}

/* ---- a job ---- */

static bool ended;
static int result;

static void job_ended(struct cgroup_job *job, int error, const char *text)
{
	ended = true;
	result = error;
	snprintf(why, sizeof(why), "%s", text);
}

static void begin(struct cgroup_job *job, const char *path, bool freeze, uint32_t timeout_ms)
{
	*job = (struct cgroup_job){ .path = path, .freeze = freeze, .timeout_ms = timeout_ms, .done = job_ended };
	ended = false;
	cgroup_run(loop, job);
}

static int finish(void)
{
	until(ended);
	return ended ? result : -EALREADY;
}

static int run(const char *path, bool freeze)
{
	struct cgroup_job job;

	begin(&job, path, freeze, 10000);
	return finish();
}

static void test_freeze(void)
{
	tap_ok(is_running(), "a program runs");
	tap_number(run(outer, true), 0, "the cgroup around its own is frozen");
	tap_ok(is_still(), "the program is still");
	tap_number(run(outer, true), 0, "what is frozen is frozen");
	tap_number(run(outer, false), 0, "it is thawed");
	tap_ok(is_running(), "and goes on");
	tap_number(run(outer, false), 0, "what is thawed is thawed");
}

/* A cgroup stays frozen as long as one around it is. */
static void test_waits(void)
{
	struct cgroup_job job;

	run(outer, true);
	begin(&job, inner, false, 10000);
	pass(100);
	tap_ok(!ended, "what somebody else keeps frozen is waited for");
	put(outer, "cgroup.freeze", "0");
	tap_number(finish(), 0, "until it is not");
	run(outer, true);
	begin(&job, inner, false, 100);
	tap_number(finish(), -ETIMEDOUT, "or the time is up");
	tap_ok(strstr(why, "was not thawed within 100 ms"), "which is said: %s", why);
	run(outer, false);
}

static void test_ourselves(void)
{
	put(inner, "cgroup.procs", "0");
	tap_ok(cgroup_check(inner, why, sizeof(why)) == -EINVAL && strstr(why, "regiond"), "our own cgroup is refused: %s", why);
	tap_number(cgroup_check(outer, why, sizeof(why)), -EINVAL, "one around it as well");
	tap_ok(run(outer, true) == -EINVAL && strstr(why, "regiond"), "also when it is ours only since it was named");
	tap_ok(cgroup_of_unit("app") && cgroup_of_unit("app.service") && !cgroup_of_unit("ap"), "the unit of it is known");
	put(mount, "cgroup.procs", "0");
	tap_number(cgroup_check(inner, why, sizeof(why)), 0, "it is no more when we have left it");
	tap_number(cgroup_check(mount, why, sizeof(why)), -EINVAL, "the root is refused");
	printf("# %s\n", why);
}

static void test_gone(void)
{
	run(inner, true);
	kill(program, SIGKILL);
	tap_number(waitpid(program, NULL, 0), program, "a frozen program can be killed");
	program = 0;
	tap_number(run(inner, true), 0, "an empty cgroup is frozen at once");
	rmdir(inner);
	tap_number(run(inner, false), 0, "one that is gone has nothing to be thawed");
	tap_ok(run(inner, true) == -ENOENT && strstr(why, "there is no cgroup"), "nor frozen: %s", why);
}

int main(void)
{
	if (loop_open(&loop, 0))
		return 99;
	test_names();
	if (make_cgroups()) {
		test_freeze();
		test_waits();
		test_ourselves();
		test_gone();
		end_program();
	} else {
		tap_skip("freezing", "there is no cgroup2 to be written to");
	}
	return tap_end();
}
