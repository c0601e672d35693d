// SPDX-License-Identifier: GPL-2.0
/* failnth: see failnth.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failnth.h"
#include "proc.h"
#include "tap.h"

#define FAILNTH_FILE	"/proc/thread-self/fail-nth"
#define FAILNTH_MAX	2000		/* no operation allocates that often: something repeats itself */
#define FAILNTH_AGAIN_MS 20000		/* what was begun all the same may have to end before it can be tried again */

static unsigned int nth, total;

/* Opened anew after a fork: it is a thread's. */
static int failnth_fd(void)
{
	static pid_t owner;
	static int fd = -1;

	if (owner != getpid()) {
		if (fd >= 0)
			close(fd);
		fd = open(FAILNTH_FILE, O_RDWR | O_CLOEXEC);
		owner = getpid();
	}
	return fd;
}

/* Which allocations may fail: all. And the kernel is not to tell of each. */
static void failnth_knobs(void)
{
	write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	write_file("/sys/kernel/debug/failslab/verbose", "0");
	write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	write_file("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	write_file("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	write_file("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	write_file("/sys/kernel/debug/fail_usercopy/verbose", "0");
}

void failnth_start(void)
{
	if (access(FAILNTH_FILE, W_OK))
		tap_skip_all("the kernel has no fail-nth");
	if (access("/sys/kernel/debug/failslab", F_OK))
		tap_skip_all("the kernel has no knobs for failing allocations, or debugfs is not mounted");
	failnth_knobs();
}

void failnth_arm(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	must(pwrite(failnth_fd(), text, len, 0) == len);
}

/* The kernel has the number before it copies it to us; that copy, and the next write's, are counted as well. */
bool failnth_disarm(unsigned int *left)
{
	char text[16] = "";
	ssize_t n = pread(failnth_fd(), text, sizeof(text) - 1, 0);

	while (pwrite(failnth_fd(), "0", 1, 0) != 1)
		;
	if (left)
		*left = n > 0 ? atoi(text) : 1;
	return n > 0 && !atoi(text);
}

static void failnth_atomic_knobs(bool fail)
{
	write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", fail ? "Y" : "N");
	write_file("/sys/kernel/debug/failslab/task-filter", fail ? "Y" : "N");
	write_file("/sys/kernel/debug/failslab/times", "-1");
	write_file("/proc/self/make-it-fail", fail ? "1" : "0");
}

/* Nothing may fail while it is set up, or taken down. */
void failnth_atomic(bool fail)
{
	if (fail)
		failnth_atomic_knobs(true);
	must(write_file("/sys/kernel/debug/failslab/probability", fail ? "100" : "0") == 0);
	if (!fail)
		failnth_atomic_knobs(false);
}

unsigned int failnth_n(void)
{
	return nth;
}

void failnth_count(unsigned int n)
{
	total += n;
}

unsigned int failnth_total(void)
{
	return total;
}

/* ENOBUFS: netlink's; EAGAIN: io_uring's; ENODATA: a part was done. */
bool failnth_sensible(int err)
{
	switch (err) {
	case 0:
	case -ENOMEM:
	case -EFAULT:
	case -ENOBUFS:
	case -EAGAIN:
	case -ENODATA:
		return true;
	default:
		return false;
	}
}

/* Without a failure. */
static int failnth_again(const struct failnth_op *op)
{
	long long until = now_ms() + FAILNTH_AGAIN_MS;
	int err;

	while ((err = op->act()) == -EBUSY && now_ms() < until)
		usleep(10000);
	return err;
}

/* One try. *@hit: it came to the failure. */
static bool failnth_once(const struct failnth_op *op, bool *hit)
{
	int err, first;

	if (op->stage)
		op->stage();
	failnth_arm(nth);
	first = err = op->act();
	*hit = failnth_disarm(NULL);
	if (!(*hit ? failnth_sensible(err) : !err)) {
		tap_note("%s, failure %u%s: %s", op->name, nth, *hit ? "" : ", which was not reached", strerror(-err));
		return false;
	}
	err = err ? failnth_again(op) : 0;
	if (err)
		tap_note("%s, after failure %u (%s): %s", op->name, nth, strerror(-first), strerror(-err));
	if (!err && op->right && !op->right()) {
		tap_note("%s, failure %u: not as it should be", op->name, nth);
		return false;
	}
	return !err;
}

void failnth_run(const struct failnth_op *op)
{
	long long since = now_ms();
	unsigned int bad = 0;
	bool hit = true;

	for (nth = 1; hit && nth < FAILNTH_MAX && bad < 5; nth++)
		bad += !failnth_once(op, &hit);
	failnth_count(nth - 2);
	ok(!hit && !bad, "%s: %u failures, %lld ms", op->name, nth - 2, now_ms() - since);
}
