/* SPDX-License-Identifier: GPL-2.0 */
/* A managed region over a file, opened and flushed in a test. A test includes it once: it takes the place of regiond.c. */
#ifndef REGIONFS_TESTS_MANAGED_FILE_H
#define REGIONFS_TESTS_MANAGED_FILE_H

#include "barrier.h"
#include "managed.h"
#include "region.h"
#include "regiond.h"
#include "tap.h"
#include "tests/source.h"
#include "tests/until.h"
#include "zero.h"

static struct barriers barriers;
static struct regiond regiond = { .barriers = &barriers, .attach_gen = 1, .instance_id = 77 };
static struct region region = { .info = { .id = 5, .path = (char *)"db" }, .regiond = &regiond };
static char file[128] __attribute__((unused)), uri[160];

/* regiond.c's, which has a main() */
void regiond_gone(struct regiond *gone)
{
}

void regiond_broken(struct regiond *broken, int error)
{
}

/* With the loop of source.h, that is there: the source is a file there. */
static inline void managed_file_begin(void)
{
	regiond.loop = loop_current();
	barriers_init(&barriers);
	list_init(&region.openers);
	atomic_store(&region.users, 100);
	snprintf(file, sizeof(file), "%s/source", source_dir());
	snprintf(uri, sizeof(uri), "file:%s", file);
}

/* Not more than 512 KiB. */
static inline __attribute__((unused)) bool managed_file_is_zero(struct backend *backend, uint64_t at, uint64_t end)
{
	static char read[512 << 10];

	memset(read, 1, end - at);
	return !ask(backend, BACKEND_READ, at, end - at, read) && is_zero(read, end - at);
}

/* open->done comes, with the region that text asks for. */
static inline void managed_file_open(struct backend_open *open, const char *text, uint64_t size,
				     void (*done)(struct backend_open *open, struct backend *backend, int error))
{
	struct policy policy;
	char why[256];

	policy_init(&policy);
	if (policy_parse(&policy, text, why, sizeof(why))) {
		printf("# %s\n", why);
		exit(99);
	}
	memset(open, 0, sizeof(*open));
	uri_parse(&open->uri, uri, NULL, 0);
	open->loop = regiond.loop;
	open->instance = "test";
	open->run_dir = source_dir();
	open->instance_id = regiond.instance_id;
	open->region = region.info.id;
	open->attach_gen = 1;
	open->size = size;
	open->done = done;
	managed_open(open, &policy, &region);
	policy_free(&policy);
}

struct managed_file_wait {
	struct backend_open open;
	struct backend *backend;
	bool done;
};

static inline void managed_file_waited(struct backend_open *open, struct backend *backend, int error)
{
	struct managed_file_wait *wait = container_of(open, struct managed_file_wait, open);

	wait->backend = backend;
	wait->done = true;
	loop_stop(regiond.loop);
}

/* The same at once; the test is over when it can't be. */
static inline struct backend *managed_file_start(const char *text, uint64_t size)
{
	static struct managed_file_wait wait;

	memset(&wait, 0, sizeof(wait));
	managed_file_open(&wait.open, text, size, managed_file_waited);
	source_turn(&wait.done);
	if (!wait.backend) {
		printf("# %s\n", wait.open.why);
		exit(99);
	}
	return wait.backend;
}

struct managed_file_flush {
	struct pusher_wait wait;
	bool done;
	int error;
};

static inline void managed_file_flushed(struct pusher_wait *wait, int error)
{
	struct managed_file_flush *flush = container_of(wait, struct managed_file_flush, wait);

	flush->error = error;
	flush->done = true;
	loop_stop(regiond.loop);
}

static inline int managed_file_flush(struct backend *backend)
{
	struct managed_file_flush flush = { .wait.done = managed_file_flushed };

	pusher_flush(managed_pusher(managed_of(backend)), &flush.wait);
	source_turn(&flush.done);
	return flush.error;
}

static bool passed __attribute__((unused));

static __attribute__((unused)) void pause_over(struct loop_timer *timer)
{
	passed = true;
	loop_stop(regiond.loop);
}

static __attribute__((unused)) void pass(unsigned int ms)
{
	struct loop_timer timer = { .fire = pause_over };

	passed = false;
	loop_timer_set(regiond.loop, &timer, ms);
	source_turn(&passed);
}

#endif
