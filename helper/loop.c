// SPDX-License-Identifier: GPL-2.0
/* loop: the reactor: turns of the ring, timers, and tasks from other threads. */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "uring.h"

struct loop {
	struct uring *uring;
	/* timers: a heap by time */
	struct loop_timer **heap;
	size_t nr_timers;
	size_t max_timers;
	/* tasks: pushed by any thread, newest first */
	_Atomic(struct loop_task *) tasks;
	atomic_bool sleeping;
	atomic_bool stopped;
	atomic_uint posting;		/* threads that are in loop_post() or loop_stop() */
	int wake_fd;
	uint64_t wake_count;
	struct loop_op wake;
};

static _Thread_local struct loop *current_loop;

struct loop *loop_current(void)
{
	return current_loop;
}

struct uring *loop_uring(struct loop *loop)
{
	return loop->uring;
}

uint64_t loop_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* ---- timers ---- */

static void heap_place(struct loop *loop, size_t slot, struct loop_timer *timer)
{
	loop->heap[slot - 1] = timer;
	timer->slot = slot;
}

static void heap_up(struct loop *loop, size_t slot)
{
	struct loop_timer *timer = loop->heap[slot - 1];

	for (; slot > 1 && loop->heap[slot / 2 - 1]->at > timer->at; slot /= 2)
		heap_place(loop, slot, loop->heap[slot / 2 - 1]);
	heap_place(loop, slot, timer);
}

static void heap_down(struct loop *loop, size_t slot)
{
	struct loop_timer *timer = loop->heap[slot - 1];

	for (size_t child; (child = slot * 2) <= loop->nr_timers; slot = child) {
		if (child < loop->nr_timers && loop->heap[child]->at < loop->heap[child - 1]->at)
			child++;
		if (loop->heap[child - 1]->at >= timer->at)
			break;
		heap_place(loop, slot, loop->heap[child - 1]);
	}
	heap_place(loop, slot, timer);
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	struct loop_timer *last;
	size_t slot = timer->slot;

	if (!slot)
		return;
	timer->slot = 0;
	last = loop->heap[--loop->nr_timers];
	if (last == timer)
		return;
	heap_place(loop, slot, last);
	heap_up(loop, slot);
	heap_down(loop, last->slot);
}

/* A timer can't fail: where memory for the heap is short, wait for it rather than lose the timer. */
static void heap_grow(struct loop *loop)
{
	size_t max = loop->max_timers ? loop->max_timers * 2 : 64;
	struct loop_timer **heap;

	if (loop->nr_timers < loop->max_timers)
		return;
	while (!(heap = realloc(loop->heap, max * sizeof(struct loop_timer *))))
		usleep(1000);
	loop->heap = heap;
	loop->max_timers = max;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t ms)
{
	loop_timer_cancel(loop, timer);
	heap_grow(loop);
	timer->at = loop_now_ns() + ms * 1000000;
	heap_place(loop, ++loop->nr_timers, timer);
	heap_up(loop, loop->nr_timers);
}

static void run_timers(struct loop *loop)
{
	uint64_t now;

	if (!loop->nr_timers)
		return;
	now = loop_now_ns();
	while (loop->nr_timers && loop->heap[0]->at <= now) {
		struct loop_timer *timer = loop->heap[0];

		loop_timer_cancel(loop, timer);
		timer->fire(timer);
	}
}

/* How long the loop may sleep. */
static uint64_t next_timer(struct loop *loop)
{
	uint64_t now;

	if (!loop->nr_timers)
		return UINT64_MAX;
	now = loop_now_ns();
	return loop->heap[0]->at > now ? loop->heap[0]->at - now : 0;
}

/* ---- tasks ---- */

static void wake_loop(struct loop *loop)
{
	static const uint64_t one = 1;

	/* EAGAIN: the counter is full, so it is awake */
	while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void loop_post(struct loop *loop, struct loop_task *task)
{
	struct loop_task *first = atomic_load(&loop->tasks);

	atomic_fetch_add(&loop->posting, 1);
	do
		task->next = first;
	while (!atomic_compare_exchange_weak(&loop->tasks, &first, task));
	if (atomic_exchange(&loop->sleeping, false))
		wake_loop(loop);
	atomic_fetch_sub(&loop->posting, 1);
}

void loop_call(struct loop *loop, struct loop_task *task)
{
	if (loop == current_loop)
		task->run(task);
	else
		loop_post(loop, task);
}

static void run_tasks(struct loop *loop)
{
	struct loop_task *task = atomic_exchange(&loop->tasks, NULL), *next, *oldest = NULL;

	for (; task; task = next) {
		next = task->next;
		task->next = oldest;
		oldest = task;
	}
	for (; oldest; oldest = next) {
		next = oldest->next;
		oldest->run(oldest);
	}
}

static void woken(struct loop_op *op, int res)
{
	struct loop *loop = container_of(op, struct loop, wake);

	(void)res;
	loop_read(loop, op, loop->wake_fd, &loop->wake_count, sizeof(loop->wake_count), LOOP_STREAM);
}

/* ---- life ---- */

void loop_stop(struct loop *loop)
{
	atomic_fetch_add(&loop->posting, 1);
	atomic_store(&loop->stopped, true);
	wake_loop(loop);
	atomic_fetch_sub(&loop->posting, 1);
}

/* Says that it sleeps before it looks for tasks a last time, so that none is missed. */
static uint64_t may_sleep(struct loop *loop)
{
	atomic_store(&loop->sleeping, true);
	if (atomic_load(&loop->tasks) || atomic_load(&loop->stopped))
		return 0;
	return next_timer(loop);
}

int loop_run(struct loop *loop)
{
	while (!atomic_exchange(&loop->stopped, false)) {
		int n = uring_turn(loop->uring, may_sleep(loop));

		atomic_store(&loop->sleeping, false);
		if (n < 0)
			return n;
		run_tasks(loop);
		run_timers(loop);
	}
	return 0;
}

void loop_again(struct loop *loop)
{
	atomic_store(&loop->stopped, false);
}

void loop_may_poll(struct loop *loop, bool on)
{
	uring_may_poll(loop->uring, on);
}

void loop_expect(struct loop *loop, bool polled)
{
	uring_expect(loop->uring, polled);
}

int loop_open(struct loop **out, unsigned int entries)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int err;

	if (!loop)
		return -ENOMEM;
	loop->wake_fd = eventfd(0, EFD_CLOEXEC);
	err = loop->wake_fd < 0 ? -errno : uring_open(&loop->uring, entries);
	if (err) {
		if (loop->wake_fd >= 0)
			close(loop->wake_fd);
		free(loop);
		return err;
	}
	loop->wake.done = woken;
	woken(&loop->wake, 0);
	current_loop = loop;
	*out = loop;
	return 0;
}

void loop_close(struct loop *loop)
{
	/* whoever posted the last task may still be about to wake us */
	while (atomic_load(&loop->posting))
		sched_yield();
	uring_close(loop->uring);
	close(loop->wake_fd);
	free(loop->heap);
	if (current_loop == loop)
		current_loop = NULL;
	free(loop);
}
