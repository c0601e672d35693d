// SPDX-License-Identifier: GPL-2.0
/* Dirty chunks in rounds: nothing is forgotten between them, whoever notes while they are closed. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tap.h"
#include "tracker.h"

#define CHUNK 65536u

static struct tracker *tracker;
static const uint8_t client[16] = "a client of ours";

static void note(enum backend_op op, uint64_t offset, uint64_t length, uint64_t arg)
{
	struct backend_req req = { .op = op, .offset = offset, .length = length, .arg = arg };

	tracker_note(tracker, &req);
}

/* Of a region of 300 chunks. */
static void test_published(void)
{
	struct backend_req req = { .op = BACKEND_WRITE, .flags = BACKEND_STAGED, .offset = 0, .length = CHUNK };

	tracker_note(tracker, &req);
	tap_number((long long)tracker_close_round(tracker), 0, "a staged request has changed nothing");
	req = (struct backend_req){ .op = BACKEND_PUBLISH, .published = { .offset = CHUNK, .length = 3 * CHUNK } };
	tracker_note(tracker, &req);
	tap_number((long long)tracker_close_round(tracker), 3, "a batch that is published has");
	req.published = (struct backend_published){ .offset = 290 * CHUNK, .length = UINT64_MAX - 290 * CHUNK, .size = 295 * CHUNK, .resized = true };
	tracker_note(tracker, &req);
	tap_number((long long)tracker_close_round(tracker), 10, "with a RESIZE up to where the region once ended");
	req.published.length = 0;
	tracker_note(tracker, &req);
	tap_number((long long)tracker_close_round(tracker), 300, "and all, where nobody knows");
}

static void test_rounds(void)
{
	struct wire_extent extents[4];
	uint64_t next;

	tracker_start(tracker, CHUNK, 100 * CHUNK, client);
	note(BACKEND_READ, 0, 100, 0);
	tap_number((long long)tracker_dirty(tracker), 0, "reads leave no trace");
	note(BACKEND_WRITE, CHUNK - 1, 2, 0);
	note(BACKEND_DISCARD, 10 * CHUNK, CHUNK, 0);
	tap_number((long long)tracker_close_round(tracker), 3, "a write over an edge and a discard are three chunks");
	tap_number(tracker_list(tracker, 0, extents, 4, &next), 2, "in two runs");
	tap_ok(extents[0].chunk == 0 && extents[0].count == 2 && extents[1].chunk == 10 && !next, "the right ones");
	tap_number(tracker_list(tracker, 0, extents, 1, &next), 1, "a short list goes on");
	tap_number(tracker_list(tracker, next, extents, 4, &next), 1, "from where it ended");
	tap_ok(extents[0].chunk == 10 && !next, "to its end");
	note(BACKEND_WRITE, 5 * CHUNK, 1, 0);
	tap_ok(tracker_closed(tracker) == 3 && tracker_dirty(tracker) == 1, "what comes later is the next round's");
	tap_number((long long)tracker_close_round(tracker), 1, "which has only that");
	note(BACKEND_RESIZE, 0, 300 * CHUNK, 90 * CHUNK);
	tap_number((long long)tracker_close_round(tracker), 210, "a resize is dirty from its lowest point on");
	note(BACKEND_RESIZE, 0, 80 * CHUNK, 80 * CHUNK);
	tap_number((long long)tracker_close_round(tracker), 220, "one that only cuts is dirty to where the region once ended");
	tap_number(tracker_list(tracker, 0, extents, 4, &next), 1, "in one run");
	tap_ok(extents[0].chunk == 80 && extents[0].count == 220, "of what was cut off");
	note(BACKEND_RESIZE, 0, 400 * CHUNK, 400 * CHUNK);
	tap_number((long long)tracker_close_round(tracker), 0, "beyond that there was nothing to cut");
	test_published();
	tracker_stop(tracker);
	note(BACKEND_WRITE, 0, 1, 0);
	tap_number((long long)tracker_dirty(tracker), 0, "nothing is noted when it has stopped");
}

#define WRITERS	3
#define NOTES	20000

static atomic_uint writing = WRITERS;

static void *writer(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	for (unsigned int i = 0; i < NOTES; i++)
		note(BACKEND_WRITE, (uint64_t)(i * WRITERS + seed) * CHUNK, 1, 0);
	atomic_fetch_sub(&writing, 1);
	return NULL;
}

static void test_threads(void)
{
	pthread_t threads[WRITERS];
	uint64_t sum = 0;

	tracker_start(tracker, CHUNK, CHUNK, client);
	for (uintptr_t i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], NULL, writer, (void *)i);
	while (atomic_load(&writing))
		sum += tracker_close_round(tracker);
	sum += tracker_close_round(tracker);
	for (unsigned int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	tap_number((long long)sum, WRITERS * NOTES, "the rounds' sum is what was written, while the map grows");
}

/* As a helper that is killed leaves it: nothing is told to stop. */
static void test_next_helper(void)
{
	char path[] = "/tmp/test-tracker.XXXXXX", base[64];
	struct wire_extent extents[4];
	struct tracker *dead;
	uint64_t next;

	snprintf(base, sizeof(base), "%s/map", mkdtemp(path));
	tap_number(tracker_adopt(&tracker, base), -ENOENT, "where nobody has tracked there is nothing to go on with");
	tracker_new(&tracker, base);
	tracker_start(tracker, CHUNK, 100 * CHUNK, client);
	note(BACKEND_WRITE, 3 * CHUNK, CHUNK, 0);
	tracker_close_round(tracker);
	note(BACKEND_WRITE, 70000ULL * CHUNK, CHUNK, 0);
	dead = tracker;
	tap_number(tracker_adopt(&tracker, base), 0, "the next helper goes on");
	tap_ok(tracker_is_for(tracker, client) && !tracker_is_for(tracker, (const uint8_t *)"somebody else's."), "for the same client");
	tap_ok(tracker_round(tracker) == 1 && tracker_chunk(tracker) == CHUNK, "where that one was");
	tap_ok(tracker_list(tracker, 0, extents, 4, &next) == 1 && extents[0].chunk == 3, "with the list of its last round");
	tap_number((long long)tracker_close_round(tracker), 1, "and what was noted since");
	tap_ok(tracker_list(tracker, 0, extents, 4, &next) == 1 && extents[0].chunk == 70000, "far behind the end as well");
	tracker_stop(tracker);
	tracker_free(tracker);
	tracker_free(dead);
	tap_number(tracker_adopt(&tracker, base), -ENOENT, "nothing is left of one that was stopped");
	tap_number(rmdir(path), 0, "no file either");
}

int main(void)
{
	if (tracker_new(&tracker, NULL))
		return 99;
	test_rounds();
	test_threads();
	tracker_free(tracker);
	test_next_helper();
	return tap_end();
}
