// SPDX-License-Identifier: GPL-2.0
/*
 * When is SYNC of the dir backend answered? fsync() and syncfs() are this file's: they count, fail and wait as the test wants.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source.h"
#include "tap.h"

#define CHUNK	4096u

static char ones[CHUNK];
static struct loop *loop;

/* ---- the disk ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held;			/* who comes to it waits */
	unsigned int waiting;
	unsigned int fail;		/* so many of a file's fsyncs */
	unsigned int files, dirs, all;	/* done */
	ino_t last[8];			/* of them, directories */
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* Under the lock. */
static void disk_wait(void)
{
	disk.waiting++;
	pthread_cond_broadcast(&disk.changed);
	while (disk.held)
		pthread_cond_wait(&disk.changed, &disk.lock);
	disk.waiting--;
}

int fsync(int fd)
{
	struct stat st;
	int err = 0;

	pthread_mutex_lock(&disk.lock);
	disk_wait();
	if (!fstat(fd, &st) && S_ISDIR(st.st_mode))
		disk.last[disk.dirs++ % 8] = st.st_ino;
	else if (disk.fail)
		disk.fail--, err = EIO;
	else
		disk.files++;
	pthread_mutex_unlock(&disk.lock);
	errno = err;
	return err ? -1 : 0;
}

int syncfs(int fd)
{
	pthread_mutex_lock(&disk.lock);
	disk_wait();
	disk.all++;
	pthread_mutex_unlock(&disk.lock);
	return 0;
}

static void disk_hold(void)
{
	pthread_mutex_lock(&disk.lock);
	disk.held = true;
	pthread_mutex_unlock(&disk.lock);
}

static void disk_go_on(void)
{
	pthread_mutex_lock(&disk.lock);
	disk.held = false;
	pthread_cond_broadcast(&disk.changed);
	pthread_mutex_unlock(&disk.lock);
}

static void disk_wait_for(unsigned int nr)
{
	pthread_mutex_lock(&disk.lock);
	while (disk.waiting < nr)
		pthread_cond_wait(&disk.changed, &disk.lock);
	pthread_mutex_unlock(&disk.lock);
}

static void disk_forget(void)
{
	disk.files = disk.dirs = disk.all = 0;
}

/* ---- the pool ---- */

static int stuck_work(struct loop_work *work)
{
	pthread_mutex_lock(&disk.lock);
	disk_wait();
	pthread_mutex_unlock(&disk.lock);
	return 0;
}

static void stuck_done(struct loop_work *work, int res)
{
}

static int fence_work(struct loop_work *work)
{
	return 0;
}

static bool fenced;

static void fence_done(struct loop_work *work, int res)
{
	fenced = true;
	loop_stop(loop);
}

/* All threads of the pool but one, and but those nr that wait already: what is asked for from now on comes one by one. */
static void pool_narrow(unsigned int nr)
{
	static struct loop_work stuck[LOOP_WORKERS];

	for (unsigned int i = nr; i < LOOP_WORKERS - 1; i++) {
		stuck[i].work = stuck_work;
		stuck[i].done = stuck_done;
		loop_work(loop, &stuck[i]);
	}
	disk_wait_for(LOOP_WORKERS - 1);
}

/* What was given to the narrow pool before is done. */
static void pool_fence(void)
{
	static struct loop_work fence = { .work = fence_work, .done = fence_done };

	fenced = false;
	loop_work(loop, &fence);
	source_turn(&fenced);
}

/* ---- what is checked ---- */

static struct backend *dir_open(const char *name)
{
	char uri[300];

	snprintf(uri, sizeof(uri), "dir:%s/%s?chunk=4K", source_dir(), name);
	return source_open(uri, true, 0);
}

static void end(struct backend *backend)
{
	ask(backend, BACKEND_DESTROY, 0, 0, NULL);
	source_close(backend);
}

static void check_second_waits(void)
{
	struct backend *backend = dir_open("second");
	struct ask first, second;

	ask(backend, BACKEND_WRITE, 0, CHUNK, ones);
	disk_hold();
	ask_start(&first, backend, BACKEND_SYNC, 0, 0, NULL);
	disk_wait_for(1);
	pool_narrow(1);
	ask_start(&second, backend, BACKEND_SYNC, 0, 0, NULL);
	pool_fence();
	tap_ok(!second.answered, "a SYNC is not answered while what it waits for is on its way by another");
	disk_go_on();
	tap_number(ask_wait(&first), 0, "the first is answered");
	tap_number(ask_wait(&second), 0, "and the second");
	end(backend);
}

static void check_second_tries_again(void)
{
	struct backend *backend = dir_open("again");
	struct ask first, second;

	ask(backend, BACKEND_WRITE, 0, CHUNK, ones);
	disk_forget();
	disk.fail = 1;
	ask_start(&first, backend, BACKEND_SYNC, 0, 0, NULL);
	ask_start(&second, backend, BACKEND_SYNC, 0, 0, NULL);
	tap_number(ask_wait(&first), -EIO, "a SYNC fails");
	tap_number(ask_wait(&second), 0, "one that came meanwhile succeeds");
	tap_ok(disk.all, "for it has tried again");
	end(backend);
}

/* op is under way when a SYNC comes: that promises nothing of it, the next one does. */
static void check_overtaken(const char *what, enum backend_op op, uint64_t offset, uint64_t length, bool file)
{
	struct backend *backend = dir_open("overtaken");
	struct ask going, sync;

	ask(backend, BACKEND_WRITE, 0, CHUNK, ones);
	ask(backend, BACKEND_WRITE, CHUNK, CHUNK, ones);
	ask(backend, BACKEND_SYNC, 0, 0, NULL);
	ask_start(&going, backend, op, offset, length, NULL);
	ask_start(&sync, backend, BACKEND_SYNC, 0, 0, NULL);
	ask_wait(&going);
	ask_wait(&sync);
	disk_forget();
	tap_number(ask(backend, BACKEND_SYNC, 0, 0, NULL), 0, what);
	tap_ok(disk.dirs || disk.all, "the directory is synced");
	tap_ok(!file || disk.files || disk.all, "and the file that was cut");
	end(backend);
}

static bool was_synced(const char *path)
{
	struct stat st;
	bool found = false;

	for (unsigned int i = 0; !stat(path, &st) && i < disk.dirs && i < 8; i++)
		found |= disk.last[i] == st.st_ino;
	return found;
}

/* What is made is made for good only when the directory that its name is in has been synced. */
static void check_new_dir(void)
{
	struct backend *backend;
	char path[300];

	disk_forget();
	backend = dir_open("above/new");
	tap_ok(was_synced(source_dir()), "the directory above a new directory is synced");
	snprintf(path, sizeof(path), "%s/above", source_dir());
	tap_ok(was_synced(path), "and the next one");
	disk_forget();
	ask(backend, BACKEND_SYNC, 0, 0, NULL);
	snprintf(path, sizeof(path), "%s/above/new", source_dir());
	tap_ok(disk.all || was_synced(path), "the first SYNC makes it one that dir: has made");
	end(backend);
}

static void check_new_file(void)
{
	struct backend *backend;
	char uri[300], path[300];

	disk_forget();
	snprintf(uri, sizeof(uri), "file:%s/over/file?owned", source_dir());
	snprintf(path, sizeof(path), "%s/over", source_dir());
	backend = source_open(uri, true, 0);
	tap_ok(was_synced(path) && was_synced(source_dir()), "the directories above a new file are synced");
	end(backend);
}

/* The error of a file that nobody has open may be forgotten with it: then the file system has to say. */
static void check_closed(void)
{
	struct backend *backend = dir_open("closed");

	for (unsigned int i = 0; i < 200; i++)
		ask(backend, BACKEND_WRITE, i * CHUNK, CHUNK, ones);
	disk_forget();
	ask(backend, BACKEND_SYNC, 0, 0, NULL);
	tap_ok(disk.all, "SYNC after chunks that were written have been closed asks the whole file system");
	end(backend);
}

int main(void)
{
	loop = source_begin();
	memset(ones, 1, sizeof(ones));
	check_second_waits();
	check_second_tries_again();
	check_overtaken("SYNC after a DISCARD", BACKEND_DISCARD, 0, CHUNK, false);
	check_overtaken("SYNC after a RESIZE", BACKEND_RESIZE, CHUNK / 2, CHUNK / 2, true);
	check_new_dir();
	check_new_file();
	check_closed();
	source_end();
	return tap_end();
}
