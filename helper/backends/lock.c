// SPDX-License-Identifier: GPL-2.0
/* lock: see lock.h. */
#include <errno.h>
#include <sys/file.h>

#include "backends/lock.h"

#define LOCK_RETRY_MS 50

static int flock_fd(int fd, int how)
{
	return fd < 0 || !flock(fd, how) ? 0 : -errno;
}

/*
 * Alone on one descriptor shows that nobody else has any; then both are held shared, since two descriptions of one
 * process exclude each other, too. Who takes the step between loses nothing: it fails, and both try again.
 */
static int lock_try(struct lock *lock)
{
	int err = flock_fd(lock->fd[0], LOCK_EX | LOCK_NB);

	if (!err && lock->fd[1] >= 0) {
		err = flock_fd(lock->fd[0], LOCK_SH | LOCK_NB);
		if (!err)
			err = flock_fd(lock->fd[1], LOCK_SH | LOCK_NB);
	}
	if (err) {
		flock_fd(lock->fd[0], LOCK_UN);
		flock_fd(lock->fd[1], LOCK_UN);
	}
	return err;
}

static void lock_again(struct loop_timer *timer)
{
	struct lock *lock = container_of(timer, struct lock, timer);
	int err = lock_try(lock);

	if (err == -EOPNOTSUPP || err == -ENOSYS || err == -ENOLCK || err == -EINVAL) {
		lock->unsupported = true;
		err = 0;
	}
	if (err != -EWOULDBLOCK)
		lock->done(lock, err);
	else if (loop_now_ns() >= lock->end)
		lock->done(lock, -EBUSY);
	else
		loop_timer_set(lock->loop, timer, LOCK_RETRY_MS);
}

void lock_take(struct lock *lock, struct loop *loop, uint32_t patience_ms)
{
	lock->loop = loop;
	lock->end = loop_now_ns() + (patience_ms ? patience_ms : LOCK_LIMIT_MS) * 1000000ULL;
	lock->timer.fire = lock_again;
	loop_timer_set(loop, &lock->timer, 0);
}
