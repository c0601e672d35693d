// SPDX-License-Identifier: GPL-2.0
/* work: a few threads for what can't be asked of io_uring (ftruncate, readdir, name look-up). See loop.h. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#include "loop.h"

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct loop_work *first;
	struct loop_work **last;
	unsigned int threads;
	unsigned int idle;	/* threads that wait, the signalled ones too */
	unsigned int queued;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER, .last = &pool.first };

static void work_done(struct loop_task *task)
{
	struct loop_work *work = container_of(task, struct loop_work, task);

	work->done(work, work->res);
}

static struct loop_work *next_work(void)
{
	struct loop_work *work;

	pthread_mutex_lock(&pool.lock);
	pool.idle++;
	while (!pool.first)
		pthread_cond_wait(&pool.more, &pool.lock);
	pool.idle--;
	pool.queued--;
	work = pool.first;
	pool.first = work->next;
	if (!pool.first)
		pool.last = &pool.first;
	pthread_mutex_unlock(&pool.lock);
	return work;
}

static void *worker(void *arg)
{
	(void)arg;
	for (;;) {
		struct loop_work *work = next_work();

		work->res = work->work(work);
		work->task.run = work_done;
		loop_post(work->loop, &work->task);
	}
	return NULL;
}

/* Threads come as they are needed and stay. Under the lock. */
static bool add_worker(void)
{
	pthread_t thread;

	if (pool.threads >= LOOP_WORKERS || pthread_create(&thread, NULL, worker, NULL))
		return false;
	pthread_detach(thread);
	pool.threads++;
	return true;
}

void loop_work(struct loop *loop, struct loop_work *work)
{
	bool none;

	work->loop = loop;
	work->next = NULL;
	pthread_mutex_lock(&pool.lock);
	*pool.last = work;
	pool.last = &work->next;
	if (++pool.queued > pool.idle)
		add_worker();
	none = !pool.threads;
	if (none) {
		pool.queued = 0;
		pool.first = NULL;
		pool.last = &pool.first;
	}
	pthread_cond_signal(&pool.more);
	pthread_mutex_unlock(&pool.lock);
	if (!none)
		return;
	/* not one thread to be had: fail it, through the loop */
	work->res = -EAGAIN;
	work->task.run = work_done;
	loop_post(loop, &work->task);
}
