// SPDX-License-Identifier: GPL-2.0
/*
 * delay: see delay.h. All wait equally long, so the first that came is the first that is due: a ring, and one thread that sleeps until then.
 */
#define FUSE_USE_VERSION 312

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <time.h>

#include "delay.h"

#define ROOM	1024	/* more than max_background and all threads of a reader */

struct reply {
	fuse_req_t req;
	const char *bytes;
	size_t len;
	uint64_t due;	/* ns of CLOCK_MONOTONIC */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t came, went;
	struct reply ring[ROOM];
	unsigned int first, count;
	uint64_t ns;
} waiting = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.came = PTHREAD_COND_INITIALIZER,
	.went = PTHREAD_COND_INITIALIZER,
};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void sleep_until(uint64_t due)
{
	struct timespec t = { .tv_sec = due / 1000000000, .tv_nsec = due % 1000000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static struct reply take_first(void)
{
	struct reply reply;

	pthread_mutex_lock(&waiting.lock);
	while (!waiting.count)
		pthread_cond_wait(&waiting.came, &waiting.lock);
	reply = waiting.ring[waiting.first];
	waiting.first = (waiting.first + 1) % ROOM;
	waiting.count--;
	pthread_cond_signal(&waiting.went);
	pthread_mutex_unlock(&waiting.lock);
	return reply;
}

static void *send_when_due(void *unused)
{
	struct reply reply;

	(void)unused;
	prctl(PR_SET_TIMERSLACK, 1);	/* 50 us would be added to each */
	for (;;) {
		reply = take_first();
		sleep_until(reply.due);
		fuse_reply_buf(reply.req, reply.bytes, reply.len);
	}
	return NULL;
}

int delay_start(unsigned long long us)
{
	pthread_t thread;

	waiting.ns = us * 1000;
	errno = pthread_create(&thread, NULL, send_when_due, NULL);
	return errno ? -1 : 0;
}

void delay_reply(fuse_req_t req, const char *bytes, size_t len)
{
	struct reply reply = { .req = req, .bytes = bytes, .len = len, .due = now() + waiting.ns };

	pthread_mutex_lock(&waiting.lock);
	while (waiting.count == ROOM)
		pthread_cond_wait(&waiting.went, &waiting.lock);
	waiting.ring[(waiting.first + waiting.count++) % ROOM] = reply;
	pthread_cond_signal(&waiting.came);
	pthread_mutex_unlock(&waiting.lock);
}
