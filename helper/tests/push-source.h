/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a pusher sees of the source: a scripted one, in place of remote.c. A page's content is the number that its first four bytes are,
 * of the change that wrote it; 0 for zeroes.
 */
#ifndef REGIONFS_TESTS_PUSH_SOURCE_H
#define REGIONFS_TESTS_PUSH_SOURCE_H

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>

#include "../remote.h"
#include "../window.h"
#include "tap.h"
#include "turns.h"

#define PAGE 4096u

struct remote {
	struct backend_caps caps;
	enum remote_state state;
	uint64_t opened;
	uint64_t pages, size;
	uint32_t *seen, *safe;		/* versions: what a READ finds, and what a power cut there leaves */
	int64_t *staged;		/* -1: not */
	uint64_t batch, published;
	struct list queue;		/* what is under way */
	bool posted, hold, shuffle;
	unsigned int trip;		/* ms until an answer */
	struct loop_timer timer;
	int fail[BACKEND_OPS];		/* each is answered with it, once or (forever) always */
	bool forever;
	struct loop_task task;
	char trace[4096];
	uint64_t longest, bytes, most_bytes;
	unsigned int nr, most, overlaps, count[BACKEND_OPS];
	void (*changed)(struct remote *remote);	/* what is seen has changed */
};

static inline void remote_note(struct remote *remote, const struct backend_req *req)
{
	size_t len = strlen(remote->trace);
	const char *name[BACKEND_OPS] = { "R", "W", "S", "D", "Z", "P", "X" };
	char *to = remote->trace + len;

	if (sizeof(remote->trace) - len < 64)
		return;
	if (req->op == BACKEND_WRITE)
		sprintf(to, "W%" PRIu64 "+%" PRIu64 "=%u ", req->offset / PAGE, req->length / PAGE, *(uint32_t *)req->data);
	else if (req->op == BACKEND_DISCARD)
		sprintf(to, "D%" PRIu64 "+%" PRIu64 " ", req->offset / PAGE, req->length / PAGE);
	else if (req->op == BACKEND_RESIZE)
		sprintf(to, "Z%" PRIu64 " ", req->length / PAGE);
	else
		sprintf(to, "%s ", name[req->op]);
}

static inline bool req_ranges_meet(const struct backend_req *a, const struct backend_req *b)
{
	return a->op != BACKEND_SYNC && b->op != BACKEND_SYNC && a->offset < b->offset + b->length &&
	       b->offset < a->offset + a->length;
}

static inline void remote_stage(struct remote *remote, const struct backend_req *req)
{
	if (req->first || remote->batch != req->batch)
		memset(remote->staged, 0xff, remote->pages * sizeof(*remote->staged));
	remote->batch = req->batch;
}

static inline void remote_set(struct remote *remote, const struct backend_req *req, uint64_t page, uint32_t version)
{
	if (page >= remote->pages)
		return;
	if (req->flags & BACKEND_STAGED)
		remote->staged[page] = version;
	else
		remote->seen[page] = version;
}

static inline void remote_publish(struct remote *remote, uint64_t batch)
{
	for (uint64_t i = 0; i < remote->pages; i++)
		if (remote->staged[i] >= 0)
			remote->seen[i] = (uint32_t)remote->staged[i];
	memset(remote->staged, 0xff, remote->pages * sizeof(*remote->staged));
	remote->published = batch;
	remote->batch = 0;
}

static inline void remote_apply(struct remote *remote, struct backend_req *req)
{
	uint64_t first = req->offset / PAGE, end = (req->offset + req->length) / PAGE;

	if (req->flags & BACKEND_STAGED)
		remote_stage(remote, req);
	for (uint64_t i = first; i < end && (req->op == BACKEND_WRITE || req->op == BACKEND_DISCARD); i++)
		remote_set(remote, req, i, req->op == BACKEND_WRITE ?
			   *(uint32_t *)(void *)((char *)req->data + (i - first) * PAGE) : 0);
	for (uint64_t i = req->arg / PAGE; req->op == BACKEND_RESIZE && i < remote->pages; i++)
		remote_set(remote, req, i, 0);
	if (req->op == BACKEND_RESIZE || (req->op == BACKEND_WRITE && remote->size < req->offset + req->length))
		remote->size = req->op == BACKEND_RESIZE ? req->length : req->offset + req->length;
	if (req->op == BACKEND_PUBLISH && req->batch != remote->published)
		remote_publish(remote, req->batch);
	if (req->op == BACKEND_SYNC || req->op == BACKEND_PUBLISH)
		memcpy(remote->safe, remote->seen, remote->pages * sizeof(*remote->seen));
	if (remote->changed)
		remote->changed(remote);
}

/* Does it know the batch? */
static inline bool remote_is_stale(const struct remote *remote, const struct backend_req *req)
{
	if (req->op == BACKEND_PUBLISH)
		return req->batch != remote->batch && req->batch != remote->published;
	return (req->flags & BACKEND_STAGED) && !req->first && req->batch != remote->batch;
}

static inline int remote_result(struct remote *remote, const struct backend_req *req)
{
	int error = remote->fail[req->op];

	if (!remote->forever)
		remote->fail[req->op] = 0;
	return !error && remote_is_stale(remote, req) ? -ESTALE : error;
}

static inline void remote_answer(struct remote *remote, struct backend_req *req, int error)
{
	list_del(&req->list);
	remote->nr--;
	remote->bytes -= req->op == BACKEND_WRITE ? req->length : 0;
	req->done(req, error);
}

static inline struct backend_req *remote_pick(struct remote *remote)
{
	unsigned int at = remote->shuffle ? (unsigned int)rand() % remote->nr : 0;
	struct list *entry = remote->queue.next;

	while (at--)
		entry = entry->next;
	return list_entry(entry, struct backend_req, list);
}

static inline uint64_t remote_delay(const struct remote *remote)
{
	uint64_t due = list_entry(remote->queue.next, struct backend_req, list)->arg, now = loop_now_ns();

	return due > now ? (due - now) / 1000000 + 1 : 0;
}

static inline void remote_post(struct remote *remote)
{
	if (remote->posted || remote->hold || list_empty(&remote->queue))
		return;
	remote->posted = true;
	if (remote->trip)
		loop_timer_set(loop, &remote->timer, remote_delay(remote));
	else
		loop_post(loop, &remote->task);
}

/* One request: where things are shuffled it has its effect at one time, and its answer at another. */
static inline void remote_turn(struct loop_task *task)
{
	struct remote *remote = container_of(task, struct remote, task);
	struct backend_req *req;
	int error;

	remote->posted = false;
	if (remote->hold || list_empty(&remote->queue))
		return;
	req = remote_pick(remote);
	error = req->error;
	if (error > 0) {
		error = remote_result(remote, req);
		req->error = 0;
		if (!error)
			remote_apply(remote, req);
		if (error || !remote->shuffle)
			remote_answer(remote, req, error);
	} else {
		remote_answer(remote, req, 0);
	}
	/* or at the next remote_release() */
	if (!remote->shuffle || rand() % 4)
		remote_post(remote);
}

static inline void remote_fired(struct loop_timer *timer)
{
	remote_turn(&container_of(timer, struct remote, timer)->task);
}

void remote_submit(struct remote *remote, struct backend_req *req)
{
	struct list *pos;

	list_for_each(pos, &remote->queue)
		remote->overlaps += req_ranges_meet(list_entry(pos, struct backend_req, list), req);
	remote_note(remote, req);
	req->error = 1;		/* without effect yet */
	if (remote->trip)
		req->arg = loop_now_ns() + remote->trip * 1000000ull;
	list_add(&remote->queue, &req->list);
	remote->nr++;
	remote->count[req->op]++;
	remote->most = remote->nr > remote->most ? remote->nr : remote->most;
	if (req->op == BACKEND_WRITE) {
		remote->bytes += req->length;
		remote->longest = req->length > remote->longest ? req->length : remote->longest;
	}
	remote->most_bytes = remote->bytes > remote->most_bytes ? remote->bytes : remote->most_bytes;
	remote_post(remote);
}

enum remote_state remote_state(const struct remote *remote)
{
	return remote->state;
}

uint64_t remote_opened(const struct remote *remote)
{
	return remote->opened;
}

const struct backend_caps *remote_caps(const struct remote *remote)
{
	return &remote->caps;
}

int remote_error(const struct remote *remote, char *why, size_t why_len)
{
	snprintf(why, why_len, "the source says no");
	return 0;
}

static inline void remote_release(struct remote *remote)
{
	remote->hold = false;
	remote_post(remote);
}

/* It lost power: what it had not made durable may be lost, and what was staged is. */
static inline void remote_crash(struct remote *remote)
{
	for (uint64_t i = 0; i < remote->pages; i++)
		if (rand() % 2)
			remote->seen[i] = remote->safe[i];
	memcpy(remote->safe, remote->seen, remote->pages * sizeof(*remote->seen));
	memset(remote->staged, 0xff, remote->pages * sizeof(*remote->staged));
	remote->batch = remote->published = 0;
	remote->opened++;
	if (remote->changed)
		remote->changed(remote);
}

static inline void remote_setup(struct remote *remote, uint64_t pages, bool publish)
{
	memset(remote, 0, sizeof(*remote));
	remote->caps = (struct backend_caps){
		.size = pages * PAGE, .chunk = PAGE, .align = 1, .max_request = 1u << 20, .publish = publish,
	};
	remote->state = REMOTE_UP;
	remote->opened = 1;
	remote->pages = pages;
	remote->size = pages * PAGE;
	remote->seen = calloc(pages, sizeof(*remote->seen));
	remote->safe = calloc(pages, sizeof(*remote->safe));
	remote->staged = malloc(pages * sizeof(*remote->staged));
	memset(remote->staged, 0xff, pages * sizeof(*remote->staged));
	list_init(&remote->queue);
	remote->task.run = remote_turn;
	remote->timer.fire = remote_fired;
}

static inline void remote_free(struct remote *remote)
{
	free(remote->seen);
	free(remote->safe);
	free(remote->staged);
}

#endif
