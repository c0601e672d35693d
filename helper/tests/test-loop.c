// SPDX-License-Identifier: GPL-2.0
/* The reactor: files, sockets, timers, tasks from other threads, work, cancelling, and more operations than the ring holds. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tap.h"
#include "../loop.h"

static struct loop *loop;

static void turn(void)
{
	loop_run(loop);
	loop_again(loop);
}

static int result;

static void stop_op(struct loop_op *op, int res)
{
	result = res;
	loop_stop(loop);
}

static void check_files(void)
{
	char path[] = "/tmp/test-loop.XXXXXX", buf[16] = "";
	struct loop_op op = { .done = stop_op };
	int fd = mkstemp(path);

	loop_write(loop, &op, fd, "hello world", 11, 5);
	turn();
	tap_number(result, 11, "write");
	loop_read(loop, &op, fd, buf, 5, 11);
	turn();
	tap_ok(result == 5 && !memcmp(buf, "world", 5), "read");
	loop_fsync(loop, &op, fd, true);
	turn();
	tap_number(result, 0, "fsync");
	loop_fallocate(loop, &op, fd, FALLOC_FL_KEEP_SIZE, 0, 8192);
	turn();
	tap_ok(!result || result == -EOPNOTSUPP, "fallocate");
	loop_openat(loop, &op, AT_FDCWD, path, O_RDONLY, 0);
	turn();
	tap_ok(result >= 0, "openat");
	close(result);
	loop_unlinkat(loop, &op, AT_FDCWD, path, 0);
	turn();
	tap_ok(!result && access(path, F_OK), "unlinkat");
	loop_read(loop, &op, -1, buf, 5, 0);
	turn();
	tap_number(result, -EBADF, "an error comes through the callback");
	close(fd);
}

static void check_sockets(void)
{
	struct loop_op op = { .done = stop_op };
	char buf[8];
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return;
	loop_send(loop, &op, fds[0], "abc", 3);
	turn();
	tap_number(result, 3, "send");
	loop_recv(loop, &op, fds[1], buf, sizeof(buf));
	turn();
	tap_ok(result == 3 && !memcmp(buf, "abc", 3), "recv");
	loop_poll(loop, &op, fds[1], POLLIN);
	loop_cancel(loop, &op);
	turn();
	tap_number(result, -ECANCELED, "a poll that is cancelled");
	close(fds[1]);
	loop_send(loop, &op, fds[0], "abc", 3);
	turn();
	tap_number(result, -EPIPE, "no signal where nobody listens");
	close(fds[0]);
}

/* ---- timers ---- */

#define TIMERS 500

static struct loop_timer timers[TIMERS];
static uint64_t fired_at;
static unsigned int fired;
static bool in_order = true;

static void on_fire(struct loop_timer *timer)
{
	in_order &= timer->at >= fired_at;
	fired_at = timer->at;
	if (++fired == TIMERS / 2)
		loop_stop(loop);
}

static void check_timers(void)
{
	srandom(3);
	for (int i = 0; i < TIMERS; i++) {
		timers[i].fire = on_fire;
		loop_timer_set(loop, &timers[i], (uint64_t)(random() % 30));
	}
	for (int i = 0; i < TIMERS; i += 2)
		loop_timer_cancel(loop, &timers[i]);
	for (int i = 1; i < TIMERS; i += 6)
		loop_timer_set(loop, &timers[i], (uint64_t)(random() % 40));
	turn();
	tap_ok(fired == TIMERS / 2 && in_order, "%u timers fire in order, cancelled ones don't", fired);
}

/* ---- tasks ---- */

#define THREADS 4
#define TASKS 20000

struct numbered {
	struct loop_task task;
	int thread, number;
};

static int last_number[THREADS];
static int tasks_run;
static bool tasks_in_order = true;

static void on_task(struct loop_task *task)
{
	struct numbered *this = container_of(task, struct numbered, task);

	tasks_in_order &= this->number == last_number[this->thread]++;
	free(this);
	if (++tasks_run == THREADS * TASKS)
		loop_stop(loop);
}

static void *post_tasks(void *arg)
{
	for (int i = 0; i < TASKS; i++) {
		struct numbered *this = malloc(sizeof(*this));

		this->task.run = on_task;
		this->thread = (int)(intptr_t)arg;
		this->number = i;
		loop_post(loop, &this->task);
		if (i % 1000 == 0)
			usleep(100);
	}
	return NULL;
}

static void check_tasks(void)
{
	pthread_t threads[THREADS];

	for (intptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, post_tasks, (void *)i);
	turn();
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	tap_ok(tasks_run == THREADS * TASKS && tasks_in_order, "%d tasks of %d threads, each thread's in order", tasks_run, THREADS);
}

/* ---- work ---- */

static atomic_int working, most_working;
static int works_done;

static int on_work(struct loop_work *work)
{
	int now = atomic_fetch_add(&working, 1) + 1, most = atomic_load(&most_working);

	while (now > most && !atomic_compare_exchange_weak(&most_working, &most, now))
		;
	usleep(2000);
	atomic_fetch_sub(&working, 1);
	return 42;
}

static void on_worked(struct loop_work *work, int res)
{
	result = res;
	if (++works_done == 50)
		loop_stop(loop);
}

static void check_work(void)
{
	static struct loop_work works[50];

	for (int i = 0; i < 50; i++) {
		works[i].work = on_work;
		works[i].done = on_worked;
		loop_work(loop, &works[i]);
	}
	turn();
	tap_ok(result == 42 && most_working <= LOOP_WORKERS && most_working > 1, "50 pieces of work, at most %d at a time", most_working);
}

/* ---- many ---- */

#define MANY 5000

static unsigned int many_done, many_cancelled;

static void on_many(struct loop_op *op, int res)
{
	many_cancelled += res == -ECANCELED;
	if (++many_done == MANY)
		loop_stop(loop);
}

static void check_many(void)
{
	struct loop_op *ops = calloc(MANY, sizeof(*ops));
	int fd = eventfd(0, 0);

	for (int i = 0; i < MANY; i++) {
		ops[i].done = on_many;
		loop_poll(loop, &ops[i], fd, POLLIN);
	}
	for (int i = 0; i < MANY; i += 2)
		loop_cancel(loop, &ops[i]);
	eventfd_write(fd, 1);
	turn();
	tap_ok(many_done == MANY && many_cancelled > 0, "%d operations at once, of a ring of 256; %u were cancelled", MANY, many_cancelled);
	close(fd);
	free(ops);
}

static void never(struct loop_op *op, int res)
{
	tap_ok(false, "no callback comes after closing");
}

static void check_close(void)
{
	static struct loop_op op = { .done = never };
	static char buf[8];
	int fds[2];

	if (pipe(fds))
		return;
	loop_read(loop, &op, fds[0], buf, sizeof(buf), LOOP_STREAM);
	loop_close(loop);
	tap_ok(!loop_current(), "a loop is closed with an operation under way");
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	int err = loop_open(&loop, 0);

	if (err) {
		printf("1..0 # SKIP no io_uring here: %s\n", strerror(-err));
		return 0;
	}
	tap_ok(loop_current() == loop, "the thread's loop");
	check_files();
	check_sockets();
	check_timers();
	check_tasks();
	check_work();
	check_many();
	check_close();
	return tap_end();
}
