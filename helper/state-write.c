// SPDX-License-Identifier: GPL-2.0
/*
 * state-write: getting the state log to the disk. Lines are gathered for a moment, or until somebody waits for them,
 * appended and synced. When the log has outgrown what it says, or a write failed, it is written anew beside the old
 * one, synced, and renamed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "state-private.h"

#define GATHER_MS	200
#define RETRY_MS	5000
#define PENDING_MAX	(16u << 20)
#define REWRITE_MIN	(1u << 20)
#define REWRITE_GROWTH	4

static void write_next(struct state *state);

static void tell_waiting(struct list *waiting, int error)
{
	struct list *entry;

	while ((entry = list_pop(waiting))) {
		struct state_waiter *waiter = list_entry(entry, struct state_waiter, list);

		waiter->done(waiter, error);
	}
}

static void gathered(struct loop_timer *timer)
{
	struct state *state = container_of(timer, struct state, timer);

	if (!state->busy && !state->held)
		write_next(state);
}

static void write_soon(struct state *state)
{
	if (!state->loop || state->busy || state->held)
		return;
	if (!list_empty(&state->waiting))
		write_next(state);
	else if (!state->timer.slot)
		loop_timer_set(state->loop, &state->timer, GATHER_MS);
}

static bool has_pending(const struct state *state)
{
	return state->pending.len || state->rewrite;
}

static void write_ended(struct state *state, int error)
{
	state->busy = false;
	text_free(&state->writing);
	if (error) {
		state->rewrite = true;
		state->failed(state->arg, error);
	}
	atomic_store(&state->dirty, has_pending(state));
	tell_waiting(&state->waiting_now, error);
	if (state->busy || !has_pending(state)) {
		if (!state->busy)
			tell_waiting(&state->waiting, 0);
		return;
	}
	if (error)
		loop_timer_set(state->loop, &state->timer, RETRY_MS);
	else
		write_soon(state);
}

/* ---- appending ---- */

static void append_synced(struct loop_op *op, int res)
{
	struct state *state = container_of(op, struct state, op);

	if (res >= 0)
		state->length += state->writing.len;
	write_ended(state, res < 0 ? res : 0);
}

static void append_more(struct state *state);

static void append_written(struct loop_op *op, int res)
{
	struct state *state = container_of(op, struct state, op);

	if (res <= 0) {
		write_ended(state, res ? res : -EIO);
		return;
	}
	state->written += (size_t)res;
	if (state->written < state->writing.len) {
		append_more(state);
		return;
	}
	op->done = append_synced;
	loop_fsync(state->loop, op, state->fd, true);
}

static void append_more(struct state *state)
{
	state->op.done = append_written;
	loop_write(state->loop, &state->op, state->fd, state->writing.data + state->written,
		   (uint32_t)(state->writing.len - state->written), state->length + state->written);
}

/* ---- writing anew ---- */

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		data += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* A link: it needs no room on a disk that may be full. */
static void keep_older(struct state *state)
{
	unlinkat(state->dir_fd, "regions.log.unrestored", 0);
	if (linkat(state->dir_fd, "regions.log", state->dir_fd, "regions.log.unrestored", 0))
		log_error("the older regions.log could not be kept: %s", strerror(errno));
}

static int rewrite_work(struct loop_work *work)
{
	struct state *state = container_of(work, struct state, work);
	int fd = openat(state->dir_fd, "regions.log.new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int err = fd < 0 ? -errno : write_all(fd, state->writing.data, state->writing.len);

	if (!err && fsync(fd))
		err = -errno;
	if (!err && state->keep)
		keep_older(state);
	if (!err && renameat(state->dir_fd, "regions.log.new", state->dir_fd, "regions.log"))
		err = -errno;
	if (!err && fsync(state->dir_fd))
		err = -errno;
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}

static void rewritten(struct loop_work *work, int res)
{
	struct state *state = container_of(work, struct state, work);

	if (res >= 0) {
		state->keep = false;
		close(state->fd);
		state->fd = res;
		state->length = state->writing.len;
		state->live = state->writing.len;
	}
	write_ended(state, res < 0 ? res : 0);
}

static int rewrite_entry(const struct region_info *info, bool unlinked, void *arg)
{
	record_region(arg, info, unlinked);
	return 0;
}

/* The whole state as lines. */
static void rewrite_text(struct state *state, struct text *text)
{
	for (size_t i = 0; i < state->nr_settings; i++)
		record_setting(text, state->setting[i].key, state->setting[i].value);
	record_instance(text, state->instance);
	state_each(state, rewrite_entry, text);
	if (state->snapshot)
		state->snapshot(state->arg, text);
}

static void rewrite_start(struct state *state)
{
	text_free(&state->writing);
	text_free(&state->pending);
	rewrite_text(state, &state->writing);
	state->rewrite = false;
	if (state->writing.failed) {
		write_ended(state, -ENOMEM);
		return;
	}
	state->work.work = rewrite_work;
	state->work.done = rewritten;
	loop_work(state->loop, &state->work);
}

static void write_next(struct state *state)
{
	uint64_t limit = REWRITE_GROWTH * state->live > REWRITE_MIN ? REWRITE_GROWTH * state->live : REWRITE_MIN;

	loop_timer_cancel(state->loop, &state->timer);
	state->busy = true;
	list_splice(&state->waiting_now, &state->waiting);
	if (state->rewrite || state->pending.failed || state->length + state->pending.len > limit) {
		rewrite_start(state);
		return;
	}
	text_free(&state->writing);
	state->writing = state->pending;
	memset(&state->pending, 0, sizeof(state->pending));
	state->written = 0;
	append_more(state);
}

/* ---- what changes ---- */

/* A line was added. Where too many wait, they are dropped, since all is written anew then. */
static void added(struct state *state)
{
	if (state->pending.failed || state->pending.len > PENDING_MAX) {
		text_free(&state->pending);
		state->rewrite = true;
	}
	atomic_store(&state->dirty, true);
	write_soon(state);
}

void state_put(struct state *state, const struct region_info *info, bool unlinked)
{
	state_drop_entry(state, info->id);
	record_region(&state->pending, info, unlinked);
	added(state);
}

void state_forget(struct state *state, uint64_t id)
{
	state_drop_entry(state, id);
	record_forget(&state->pending, id);
	added(state);
}

void state_set(struct state *state, const char *key, const char *value)
{
	const char *old = state_setting(state, key);

	if ((old && !strcmp(old, value)) || state_keep_setting(state, key, value))
		return;
	record_setting(&state->pending, key, value);
	added(state);
}

void state_reset(struct state *state, uint64_t instance, bool keep)
{
	state_drop_entries(state);
	state->instance = instance;
	state->rewrite = true;
	state->held = true;
	state->keep = keep;
	added(state);
}

void state_complete(struct state *state)
{
	if (!state->held)
		return;
	state->held = false;
	write_soon(state);
}

void state_start(struct state *state, struct loop *loop, void (*snapshot)(void *arg, struct text *text),
		 void (*failed)(void *arg, int error), void *arg)
{
	state->loop = loop;
	state->snapshot = snapshot;
	state->failed = failed;
	state->arg = arg;
	state->live = state->length;
	state->timer.fire = gathered;
	if (has_pending(state))
		write_soon(state);
}

void state_sync(struct state *state, struct state_waiter *waiter)
{
	if (!state->busy && !has_pending(state)) {
		waiter->done(waiter, 0);
		return;
	}
	if (state->held) {
		waiter->done(waiter, -EAGAIN);
		return;
	}
	list_add(has_pending(state) ? &state->waiting : &state->waiting_now, &waiter->list);
	write_soon(state);
}

bool state_clean(const struct state *state)
{
	return !atomic_load(&state->dirty);
}

void state_write_rest(struct state *state)
{
	if (state->busy || !state->pending.len || state->rewrite)
		return;
	if (pwrite(state->fd, state->pending.data, state->pending.len, (off_t)state->length) < 0)
		return;	/* as after a crash: the log's whole lines count */
}
