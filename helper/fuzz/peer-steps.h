/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fuzzers of the peer protocol share: the input as letters and small numbers (so that a case can be read and written by hand), a clock that
 * stands still but for what the input says, and turns of the loop that never sleep.
 */
#ifndef REGIONFS_FUZZ_PEER_STEPS_H
#define REGIONFS_FUZZ_PEER_STEPS_H

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "loop.h"
#include "wire.h"

/* Turns in which all that has no thread or disk in its way comes to rest. */
#define STEPS_CALM	6
/* Nothing takes so many. */
#define STEPS_MOST	2000000

static struct loop *steps_loop;
static _Atomic uint64_t steps_now = 1000000000000;

/* In libc's place, for all of the program. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	uint64_t now = steps_now;

	if (id != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec = (time_t)(now / 1000000000);
	ts->tv_nsec = (long)(now % 1000000000);
	return 0;
}

/* How many descriptors there are. */
static inline unsigned int steps_fds(void)
{
	unsigned int nr = 0;

	for (int fd = 0; fd < 64; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

/* ---- turns ---- */

struct steps {
	struct loop_task task;
	int left;
	unsigned int nr;
	bool (*busy)(void);
};

static inline void step(struct loop_task *task)
{
	struct steps *steps = container_of(task, struct steps, task);

	CHECK(++steps->nr < STEPS_MOST);
	if (steps->busy && steps->busy())
		steps->left = STEPS_CALM;
	if (steps->left-- > 0)
		loop_post(steps_loop, task);
	else
		loop_stop(steps_loop);
}

/* Until busy (NULL: nothing) is false, and what follows from that is done. */
static inline void steps_run(bool (*busy)(void))
{
	struct steps steps = { .task.run = step, .left = STEPS_CALM, .busy = busy };

	loop_post(steps_loop, &steps.task);
	CHECK(!loop_run(steps_loop));
}

static inline void steps_pass(uint64_t ms)
{
	steps_now += ms * 1000000;
}

/* ---- input ---- */

struct input {
	const uint8_t *at, *end;
};

/* '0' is 0, '9' is 9, ':' is 10, and so on */
static inline uint8_t take_small(struct input *in)
{
	return in->at < in->end ? (uint8_t)(*in->at++ - '0') : 0;
}

/* Pages, or what is beside the limits of something, or anything. */
static inline uint64_t take_number(struct input *in)
{
	static const uint64_t edges[] = {
		1, 4095, 4097, 65535, 65537, 262143, 262144, 262145, 1 << 20, (1 << 20) + 1, 1ULL << 32, 1ULL << 46, INT64_MAX - 4096, INT64_MAX,
		1ULL << 63, UINT64_MAX - 4095, UINT64_MAX,
	};
	uint8_t pick = take_small(in);
	uint64_t number;

	if (pick < 64)
		return pick * 4096ULL;
	if (pick < 128)
		return edges[pick % (sizeof(edges) / sizeof(edges[0]))];
	number = take_small(in);
	return number << (pick % 64);
}

/* As many bytes as there are of those that are asked for, as they are. */
static inline const uint8_t *take_raw(struct input *in, size_t *len)
{
	size_t wanted = take_small(in), left = (size_t)(in->end - in->at);
	const uint8_t *raw = in->at;

	*len = wanted < left ? wanted : left;
	in->at += *len;
	return raw;
}

/* The length of a body that is made longer by so much, or from 100 on shorter by what is above that. */
static inline uint32_t other_length(uint32_t len, uint8_t by)
{
	if (by < 100)
		return len + by;
	return len > by - 100u ? len - (by - 100u) : 0;
}

#endif
