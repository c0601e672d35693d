// SPDX-License-Identifier: GPL-2.0
/*
 * Attackers that know the grammar of the netlink family, of the device and of files are let loose on instances that are their prey, all at once and from SEED
 * on, for SECONDS_ (COUNT does as well) seconds; they are killed at any time, and come again. Then
 *
 *  - the kernel has said nothing (the runner looks for that);
 *  - whoever was killed has gone, within a bound;
 *  - nobody has seen an error that is the kernel's own, nor a byte that nobody wrote;
 *  - an instance beside them was served all the time, and its bytes were right;
 *  - all instances can be stopped, and the module be unloaded.
 *
 * What was done, and what came of it, is printed; and, where the kernel can trace functions, which ones of the module were never entered.
 *
 * timeout: 600
 * module: fresh
 */
#include <glob.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "lib/env.h"
#include "lib/fuzz.h"
#include "lib/entered.h"

#define SLOTS	12
#define GONE	(slow() * 30000)	/* ms: from kill -9 to the end */

static struct env e;
static uint64_t seed;

/* The debugging kernel takes its time, and so does what waits for it. */
static int slow(void)
{
	return access("/sys/kernel/debug/kmemleak", F_OK) ? 1 : 4;
}

/* ---- the good one ---- */

static bool good_round(uint64_t round)
{
	static char buf[128 << 10], got[128 << 10];
	int fd = open(env_path(&e, "good"), O_RDWR);
	bool good;

	pattern_fill(buf, sizeof(buf), 0, round);
	good = fd >= 0 && pwrite(fd, buf, sizeof(buf), 0) == sizeof(buf) && !fsync(fd);
	env_evict(fd);
	good &= pread(fd, got, sizeof(got), 0) == sizeof(got) && !memcmp(buf, got, sizeof(buf));
	close(fd);
	return good;
}

static int goes_on_well(void *arg)
{
	for (uint64_t round = 2;; round++) {
		if (good_round(round))
			__atomic_fetch_add(&fuzz_world->good_rounds, 1, __ATOMIC_RELAXED);
		else
			__atomic_fetch_add(&fuzz_world->good_failed, 1, __ATOMIC_RELAXED);
		usleep(20000);
	}
	return 0;
}

/* Whoever is within the module now: for who reads of something that did not end. */
static void tell_stacks(void)
{
	fflush(stdout);
	shell("for s in $(grep -ls regionfs /proc/[0-9]*/task/[0-9]*/stack); do echo \"# ${s%%/stack} $(cat ${s%%stack}comm)\"; sed 's/^/#   /' $s; done");
}

/* ---- the attackers ---- */

static int (*const kinds[])(void *arg) = {
	fuzz_file, fuzz_file, fuzz_file, fuzz_file, fuzz_device, fuzz_device, fuzz_device, fuzz_device, fuzz_netlink, fuzz_netlink, fuzz_mount, fuzz_file,
};

struct slot {
	pid_t pid;
	long long until;
	uint64_t life;
};

static struct slot slot[SLOTS];
static uint64_t lives, killed;
static bool all_gone = true;

static int live(void *arg)
{
	unsigned int at = (uintptr_t)arg % SLOTS;
	int null = open("/dev/null", O_RDWR);

	setpgid(0, 0);
	/* who is left behind must not keep the runner's output open */
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	return kinds[at]((void *)(uintptr_t)(seed * 1000003 + (uintptr_t)arg));
}

/* As long as a life may be: it comes of its number, as all that it does. */
static void begin(unsigned int at)
{
	struct slot *s = &slot[at];

	fuzz_seed(seed * 7919 + s->life * SLOTS + at);
	s->until = now_ms() + slow() * (kinds[at] == fuzz_netlink ? 5000 : 100 + fuzz_below(4000));
	s->pid = spawn(live, (void *)(uintptr_t)(s->life++ * SLOTS + at));
	must(s->pid > 0);
	lives++;
}

static void end(unsigned int at)
{
	struct slot *s = &slot[at];
	int ret;

	kill(-s->pid, SIGKILL);
	kill(s->pid, SIGKILL);
	ret = reap(s->pid, GONE);
	if (ret == -ETIMEDOUT) {
		tap_note("pid %d, an attacker of kind %u, is there %d ms after kill -9", s->pid, at, GONE);
		tell_stacks();
		all_gone = false;
	}
	killed += ret == PROC_KILLED + SIGKILL;
	s->pid = 0;
}

/* Orphans come to us; what is not ours any more is collected. */
static void collect(void)
{
	siginfo_t info = { 0 };

	while (!waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid) {
		for (unsigned int at = 0; at < SLOTS; at++)
			if (slot[at].pid == info.si_pid)
				slot[at].pid = 0;
		kill(-info.si_pid, SIGKILL);	/* its children, which nobody may have but it */
		waitpid(info.si_pid, NULL, 0);
		if (info.si_pid == e.fh->pid)
			e.fh->pid = 0;
		info.si_pid = 0;
	}
}

static void look_after(void)
{
	collect();
	for (unsigned int at = 0; at < SLOTS && all_gone; at++) {
		if (slot[at].pid && now_ms() >= slot[at].until)
			end(at);
		if (!slot[at].pid)
			begin(at);
	}
}

/* ---- the prey ---- */

static int command(const char *instance, uint8_t cmd, uint32_t deadline)
{
	nlq_start(&e.q, &e.nl, cmd, 0);
	nlq_str(&e.q, REGIONFS_A_INSTANCE, instance);
	if (cmd != REGIONFS_CMD_INSTANCE_STOP) {
		nlq_u32(&e.q, REGIONFS_A_TAKEBACK, 500);
		return nl_call(&e.nl, &e.q, NULL);
	}
	nlq_flag(&e.q, REGIONFS_A_DISCARD);
	nlq_u32(&e.q, REGIONFS_A_DEADLINE, deadline);
	return nl_call_long(&e.nl, &e.q, &e.r);
}

static void prepare(void)
{
	for (unsigned int i = 0; i < FUZZ_PREYS; i++)
		must(command(fuzz_name(i), REGIONFS_CMD_INSTANCE_NEW, 0) == 0);
	for (unsigned int i = 0; i < FUZZ_MOUNTED; i++) {
		must(mkdir(fuzz_dir(i), 0755) == 0 || errno == EEXIST);
		must(mount(fuzz_name(i), fuzz_dir(i), "regionfs", 0, NULL) == 0);
	}
}

static char others[256][REGIONFS_NAME_MAX + 1];
static int nr_others;

static void note_instance(struct nlr *r, void *arg)
{
	if (nr_others < 256 && strcmp(nlr_str(r, REGIONFS_A_INSTANCE), e.name))
		snprintf(others[nr_others++], sizeof(others[0]), "%s", nlr_str(r, REGIONFS_A_INSTANCE));
}

static int list_others(void)
{
	nr_others = 0;
	nlq_start(&e.q, &e.nl, REGIONFS_CMD_INSTANCE_GET, 0);
	nl_dump(&e.nl, &e.q, note_instance, NULL);
	return nr_others;
}

/* All but the good one; those of network namespaces that are just going come to us meanwhile. */
static bool stop_others(void)
{
	long long until = now_ms() + slow() * 60000;

	for (unsigned int i = 0; i < FUZZ_MOUNTED; i++)
		umount2(fuzz_dir(i), MNT_DETACH);
	while (list_others() && now_ms() < until) {
		for (int i = 0; i < nr_others; i++) {
			int ret = command(others[i], REGIONFS_CMD_INSTANCE_STOP, 5000);

			if (ret && now_ms() >= until - 5000)
				tap_note("%s: %s (%s)", others[i], strerror(-ret), e.nl.message);
		}
		usleep(100000);
	}
	for (unsigned int i = 0; i < FUZZ_MOUNTED; i++)
		rmdir(fuzz_dir(i));
	if (nr_others)
		tell_stacks();
	return !nr_others;
}

static void clean_up(void)
{
	glob_t found;

	if (getpid() != e.owner)
		return;
	for (unsigned int i = 0; i < FUZZ_MOUNTED; i++)
		umount2(fuzz_dir(i), MNT_DETACH);
	if (glob("/tmp/fuzz-mount-*", 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		rmdir(found.gl_pathv[i]);
	globfree(&found);
}

/* ---- the end ---- */

/* The children of attackers too, which are ours when they have lost their parents, and were killed with them. */
static bool none_left(void)
{
	long long until = now_ms() + GONE;
	pid_t pid;

	do {
		pid = waitpid(-1, NULL, WNOHANG);
		if (!pid)
			usleep(10000);
	} while (pid >= 0 && now_ms() < until);
	return pid < 0;
}

/* And loads it again, for those that come after us. */
static bool unload(void)
{
	const char *build = getenv("BUILD"), *module = getenv("REGIONFS_KO");
	struct utsname kernel;
	char path[512];
	int fd, ret;

	uname(&kernel);
	snprintf(path, sizeof(path), "%s/%s/regionfs.ko", build ?: "build", kernel.release);
	fd = open(module ?: path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		tap_note("where is the module? It is not unloaded");
		return true;
	}
	/* what runs in workqueues still, such as the end of a network namespace or of a ring, is short */
	for (long long until = now_ms() + GONE; (ret = syscall(SYS_delete_module, "regionfs", O_NONBLOCK)) && now_ms() < until;)
		usleep(100000);
	if (ret)
		tap_note("delete_module: %m");
	else
		ret = syscall(SYS_finit_module, fd, "", 0);
	close(fd);
	return !ret;
}

static long number(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text ? atol(text) : otherwise;
}

static void run(long seconds)
{
	long long until = now_ms() + seconds * 1000, progress = now_ms();
	uint64_t rounds = 0;

	for (; now_ms() < until && all_gone && !fuzz_world->good_failed; usleep(10000)) {
		look_after();
		if (rounds != fuzz_world->good_rounds)
			progress = now_ms();
		rounds = fuzz_world->good_rounds;
		if (now_ms() - progress > GONE) {
			tap_note("the good instance has not got on for %d ms", GONE);
			fuzz_world->good_failed++;
		}
	}
	for (unsigned int at = 0; at < SLOTS; at++)
		if (slot[at].pid)
			end(at);
	collect();
}

/* Its bytes, its helper, and its being served. */
static void judge_good(pid_t watcher)
{
	uint32_t gen = e.fh->s->attach_gen;

	ok(kill_in_time(watcher, GONE), "who watches the good instance can be killed");
	ok(fuzz_world->good_rounds > 0 && !fuzz_world->good_failed, "the good instance's bytes were right in %llu rounds",
	   (unsigned long long)fuzz_world->good_rounds);
	ok(e.fh->pid && !kill(e.fh->pid, 0) && good_round(1), "its helper lives, and serves it");
	must(env_simple(&e, REGIONFS_CMD_INSTANCE_GET, 0) == 0);
	is(nlr_u32(&e.r, REGIONFS_A_ATTACHED), gen, "and has been attached all the time");
}

static void judge(void)
{
	ok(all_gone, "all attackers were gone soon after kill -9: %llu lives, %llu killed", (unsigned long long)lives, (unsigned long long)killed);
	ok(!fuzz_world->internal, "nobody has seen an error that is the kernel's own");
	ok(!fuzz_world->strange, "nobody has read a byte that nobody wrote");
}

int main(void)
{
	long seconds = number("SECONDS_", number("COUNT", 20));
	bool traced;
	pid_t watcher;

	seed = number("SEED", 1);
	tap_start(seconds + slow() * 240);
	fuzz_world = mmap(NULL, sizeof(*fuzz_world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(fuzz_world != MAP_FAILED && !prctl(PR_SET_CHILD_SUBREAPER, 1));
	env_start(&e, "fuzz-good");
	atexit(clean_up);
	snprintf(fuzz_world->good, sizeof(fuzz_world->good), "%s", e.name);
	must(env_filled(&e, "good", MiB, 1));
	traced = getenv("REGIONFS_FUZZ_FUNCTIONS") && entered_start();
	prepare();
	watcher = spawn(goes_on_well, NULL);
	run(seconds);
	fuzz_print();
	judge();
	judge_good(watcher);
	ok(stop_others(), "all instances can be stopped");
	env_end(&e);
	if (traced)
		entered_print();
	ok(none_left(), "no process is left");
	ok(unload(), "the module can be unloaded");
	return tap_done();
}
