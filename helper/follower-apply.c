// SPDX-License-Identifier: GPL-2.0
/*
 * follower: a state that has come whole is shown. Programs that read the region wait meanwhile: it is locked, which drops what the kernel has of it, the
 * staged chunks are brought to the local store, then comes the size, and it is unlocked. Until it is locked nothing has changed; from then on it goes on
 * until it is done, in the next helper if need be, since the local store is neither the old state nor the new one in between.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bitmap.h"
#include "follower-private.h"
#include "log.h"
#include "region-private.h"
#include "regiond.h"
#include "whole-io.h"

#define MS		1000000ULL
#define PIECES_MOST	16u
/* For programs that are reading to come out. */
#define LOCK_MS		5000u

struct piece {
	struct follower *follower;
	uint64_t offset, length;
	bool zero;
	struct loop_work work;
	struct backend_req req;
	uint8_t *buffer;
};

static void apply_more(struct follower *follower);
static void unlock(struct follower *follower);

static void retry(struct follower *follower, void (*fire)(struct loop_timer *timer), int error, const char *what)
{
	char why[256];

	snprintf(why, sizeof(why), "%s: %s", what, strerror(-error));
	follower_note_why(follower, why);
	if (follower_leaves(follower)) {
		follower_check_leave(follower);
		return;
	}
	follower->timer.fire = fire;
	loop_timer_set(follower->regiond->loop, &follower->timer, FOLLOWER_AGAIN_MS);
}

static void ask_kernel(struct follower *follower, struct handover_ask *ask, void (*then)(void *arg, int error, const char *why,
		       const struct netlink_attrs *got))
{
	follower->stepping = true;
	if (ask)
		handover_ask(ask, follower->handover.region);
	else
		then(follower, -ENOMEM, "out of memory", NULL);
}

/* ---- the end: programs are let in ---- */

static void unlock_again(struct loop_timer *timer)
{
	unlock(container_of(timer, struct follower, timer));
}

static void unlocked(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct follower *follower = arg;
	uint64_t ms = (loop_now_ns() - follower->locked_at) / MS;

	follower->stepping = false;
	if (error) {
		retry(follower, unlock_again, error, "a new state is here, but could not be unlocked");
		return;
	}
	follower->handover.region->info.flags &= ~REGIONFS_REGION_LOCKED;
	/* of one that could not be locked it is still to be brought there */
	if (follower_head(&follower->record)->phase == FOLLOWER_WHOLE && chunkmap_round(follower->map) == follower_head(&follower->record)->next_round)
		follower_record_clear(&follower->record);
	follower->shown = true;
	follower->nr_shown++;
	follower->lock_ms = ms;
	follower->lock_most_ms = ms > follower->lock_most_ms && follower->nr_shown > 1 ? ms : follower->lock_most_ms;
	if (!follower->moved)
		follower_note_why(follower, "");
	follower_shown(follower);
}

static void unlock(struct follower *follower)
{
	ask_kernel(follower, handover_ask_new(follower->handover.region, REGIONFS_CMD_UNLOCK, unlocked, follower), unlocked);
}

/* From here on the local store is one state, whoever dies. */
static void is_whole(struct follower *follower)
{
	struct follower_head *head = follower_head(&follower->record);

	head->moment = head->next_moment;
	head->epoch = follower->epoch;
	head->lineage = follower->lineage;
	/* programs wait: of a large region that is many */
	if (!chunkmap_resize(follower->map, head->next_size) && chunkmap_missing(follower->map))
		chunkmap_set(follower->map, 0, UINT64_MAX, true);
	chunkmap_set_round(follower->map, head->next_round);
	head->least = 0;
	follower_set_phase(&follower->record, FOLLOWER_WHOLE);
	unlock(follower);
}

static void set_size(struct follower *follower);

static void set_size_again(struct loop_timer *timer)
{
	set_size(container_of(timer, struct follower, timer));
}

static void size_set(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct follower *follower = arg;
	struct region *region = follower->handover.region;
	const struct backend_req size = { .op = BACKEND_RESIZE, .length = follower_head(&follower->record)->next_size };

	follower->stepping = false;
	if (error) {
		retry(follower, set_size_again, error, "the kernel did not take the new size");
		return;
	}
	region_size_note(region, &size);
	is_whole(follower);
}

static void set_size(struct follower *follower)
{
	struct region *region = follower->handover.region;
	struct handover_ask *ask = handover_ask_new(region, REGIONFS_CMD_REGION_SET, size_set, follower);

	if (ask) {
		netlink_set(&ask->call.attrs, SIZE, size, follower_head(&follower->record)->next_size);
		if (follower->mode)
			netlink_set(&ask->call.attrs, MODE, mode, follower->mode);
		if (follower->epoch > region->info.epoch)
			netlink_set(&ask->call.attrs, EPOCH, epoch, follower->epoch);
	}
	ask_kernel(follower, ask, size_set);
}

/* ---- the local store ---- */

static void apply_again(struct loop_timer *timer)
{
	struct follower *follower = container_of(timer, struct follower, timer);

	follower->cursor = 0;
	follower->failed = 0;
	apply_more(follower);
}

static void piece_end(struct piece *piece, int error)
{
	struct follower *follower = piece->follower;

	follower->nr_local--;
	if (error && !follower->failed)
		follower->failed = error;
	if (!error)
		follower->applied += piece->length;
	free(piece->buffer);
	free(piece);
	apply_more(follower);
}

static void written(struct backend_req *req, int error)
{
	piece_end(container_of(req, struct piece, req), error);
}

static void write_piece(struct piece *piece)
{
	struct region *region = piece->follower->handover.region;
	struct backend_req *req = &piece->req;

	req->op = piece->zero ? BACKEND_DISCARD : BACKEND_WRITE;
	req->offset = piece->offset;
	req->length = piece->length;
	req->data = piece->buffer;
	req->attach_gen = region->regiond->attach_gen;
	req->loop = region->regiond->loop;
	req->done = written;
	region_submit(region->regiond->regions, region->info.id, req);
}

static int read_staged(struct loop_work *work)
{
	struct piece *piece = container_of(work, struct piece, work);
	ssize_t n = whole_read(piece->follower->record.fd, piece->buffer, piece->length, piece->offset);

	if (n < 0)
		return (int)n;
	return (uint64_t)n == piece->length ? 0 : -EIO;
}

static void staged_read(struct loop_work *work, int res)
{
	struct piece *piece = container_of(work, struct piece, work);

	if (res)
		piece_end(piece, res);
	else
		write_piece(piece);
}

static bool piece_start(struct follower *follower, uint64_t first, uint64_t end, bool zero)
{
	uint64_t offset = first * FOLLOWER_CHUNK, length = (end - first) * FOLLOWER_CHUNK;
	uint64_t size = follower_head(&follower->record)->next_size;
	struct piece *piece = calloc(1, sizeof(*piece));

	length = length < size - offset ? length : size - offset;
	if (piece && !zero)
		piece->buffer = malloc(length);
	if (!piece || (!zero && !piece->buffer)) {
		free(piece);
		return false;
	}
	piece->follower = follower;
	piece->offset = offset;
	piece->length = length;
	piece->zero = zero;
	follower->nr_local++;
	if (zero) {
		write_piece(piece);
		return true;
	}
	piece->work.work = read_staged;
	piece->work.done = staged_read;
	loop_work(follower->regiond->loop, &piece->work);
	return true;
}

/* The next staged run that is zeroes, or is not. */
static bool next_piece(struct follower *follower, uint64_t *first, uint64_t *end, bool *zero)
{
	const uint64_t *bits = follower_staged(&follower->record), *zeroes = follower_zero(&follower->record);
	uint64_t chunks = follower_chunks(follower_head(&follower->record)->next_size);

	*first = bitmap_next(bits, follower->cursor, chunks, true);
	if (*first >= chunks)
		return false;
	*zero = bitmap_get(zeroes, *first);
	*end = *first + 1;
	while (*end < chunks && *end - *first < FOLLOWER_FETCH / FOLLOWER_CHUNK && bitmap_get(bits, *end) && bitmap_get(zeroes, *end) == *zero)
		(*end)++;
	follower->cursor = *end;
	return true;
}

static void apply_more(struct follower *follower)
{
	uint64_t first, end;
	bool zero;

	while (!follower->failed && follower->nr_local < PIECES_MOST && next_piece(follower, &first, &end, &zero))
		if (!piece_start(follower, first, end, zero))
			follower->failed = -ENOMEM;
	if (follower->nr_local)
		return;
	if (follower->failed)
		retry(follower, apply_again, follower->failed, "a new state could not be written to the local store, and programs wait for it");
	else
		set_size(follower);
}

static void resized(struct backend_req *req, int error)
{
	struct follower *follower = container_of(req, struct follower, resize);

	follower->nr_local--;
	follower->failed = error;
	apply_more(follower);
}

static void apply(struct follower *follower);

static void apply_later(struct loop_timer *timer)
{
	apply(container_of(timer, struct follower, timer));
}

static void opened(struct region *region, int error, void *arg)
{
	struct follower *follower = arg;

	follower->stepping = false;
	if (error)
		retry(follower, apply_later, error, *region->why ? region->why : "the local store is not there");
	else
		apply(follower);
}

/* First: what grows reads zero beyond its old end, before anything is written there. */
static void apply(struct follower *follower)
{
	struct region *region = follower->handover.region;
	uint64_t old, size = follower_head(&follower->record)->next_size;
	struct backend_req *req = &follower->resize;

	/* it is not known how much of it there is: to make it longer would cut off the rest */
	if (atomic_load(&region->state) != REGION_READY) {
		follower->stepping = true;
		region_open_writable(region, opened, follower);
		return;
	}
	old = backend_size(region->backend);
	follower_set_phase(&follower->record, follower->shown ? FOLLOWER_APPLYING : FOLLOWER_PARTIAL);
	follower->cursor = 0;
	follower->failed = 0;
	if (old == size) {
		apply_more(follower);
		return;
	}
	memset(req, 0, sizeof(*req));
	req->op = BACKEND_RESIZE;
	req->length = size;
	req->arg = old < size ? old : size;
	req->attach_gen = region->regiond->attach_gen;
	req->loop = region->regiond->loop;
	req->done = resized;
	follower->nr_local++;
	region_submit(region->regiond->regions, region->info.id, req);
}

/* ---- the beginning ---- */

static void lock(struct follower *follower);

static void lock_again(struct loop_timer *timer)
{
	lock(container_of(timer, struct follower, timer));
}

static void locked(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct follower *follower = arg;

	follower->stepping = false;
	if (error && !follower_leaves(follower)) {
		retry(follower, lock_again, error, "a new state is here, but programs keep pages of the old one");
		return;
	}
	/* whoever wants to leave does so before anything is touched, or after it */
	if (error || follower_leaves(follower)) {
		unlock(follower);
		return;
	}
	follower->handover.region->info.flags |= REGIONFS_REGION_LOCKED;
	apply(follower);
}

static void lock(struct follower *follower)
{
	struct handover_ask *ask = handover_ask_new(follower->handover.region, REGIONFS_CMD_LOCK, locked, follower);

	follower->locked_at = loop_now_ns();
	if (ask)
		netlink_set(&ask->call.attrs, DEADLINE, deadline, LOCK_MS);
	ask_kernel(follower, ask, locked);
}

static bool is_staged(const struct follower *follower)
{
	uint64_t bits = follower_bits(&follower->record);

	return bitmap_next(follower_staged(&follower->record), 0, bits, true) < bits;
}

void follower_apply(struct follower *follower)
{
	struct follower_head *head = follower_head(&follower->record);

	head->next_size = follower->size;
	head->next_round = follower->round;
	follower->state = FOLLOWER_SHOWING;
	follower->locked_at = loop_now_ns();
	/* a round in which nothing was changed after all */
	if (follower->shown && !is_staged(follower) && follower->size == chunkmap_size(follower->map)) {
		head->moment = head->next_moment;
		chunkmap_set_round(follower->map, head->next_round);
		follower_shown(follower);
	} else if (follower->shown) {
		lock(follower);
	} else {
		apply(follower);
	}
}

void follower_apply_again(struct follower *follower)
{
	bool is_locked = follower->handover.region->info.flags & REGIONFS_REGION_LOCKED;

	follower->state = FOLLOWER_SHOWING;
	follower->shown = true;
	follower->locked_at = loop_now_ns();
	if (follower_head(&follower->record)->phase == FOLLOWER_WHOLE)
		unlock(follower);
	else if (is_locked)
		apply(follower);
	else
		lock(follower);
}
