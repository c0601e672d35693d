// SPDX-License-Identifier: GPL-2.0
/* follower: fetching what is needed: into the local store as long as nothing is shown, else beside it. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bitmap.h"
#include "follower-private.h"
#include "regiond.h"
#include "reserve.h"
#include "whole-io.h"

#define FETCHES_MOST 32u

struct follower_fetch {
	struct follower *follower;
	uint64_t first, end;		/* chunks */
	struct backend_req peer, local;
	struct loop_work work;
	uint8_t *buffer;
};

/* ---- what is needed ---- */

int follower_fit(struct follower *follower, uint64_t chunks)
{
	uint64_t bits = BITMAP_WORDS(chunks + chunks / 8 + 64) * 64;
	int ret;

	if (chunks <= follower->need_bits)
		return 0;
	ret = follower_record_fit(&follower->record, bits);
	if (ret)
		return ret;
	return bitmap_fit(&follower->need, &follower->need_bits, bits);
}

/* What was staged of them is older. */
void follower_need(struct follower *follower, uint64_t first, uint64_t end)
{
	for (uint64_t i = first; i < end; i++) {
		follower->nr_need += !bitmap_get(follower->need, i);
		bitmap_put(follower->need, i);
		bitmap_clear(follower_staged(&follower->record), i);
		atomic_thread_fence(memory_order_release);
		bitmap_clear(follower_zero(&follower->record), i);
	}
}

void follower_note_size(struct follower *follower, uint64_t size)
{
	struct follower_head *head = follower_head(&follower->record);

	follower->size = size;
	if (!head->least || head->least > size + 1)
		head->least = size + 1;
}

uint64_t follower_least(const struct follower *follower)
{
	uint64_t least = follower_head(&follower->record)->least, shown = chunkmap_size(follower->map);

	return least && least - 1 < shown ? least - 1 : shown;
}

void follower_need_none(struct follower *follower)
{
	if (follower->need)
		memset(follower->need, 0, follower->need_bits / 8);
	follower->nr_need = 0;
}

void follower_need_missing(struct follower *follower)
{
	uint64_t chunks = chunkmap_chunks(follower->map);

	if (follower_fit(follower, chunks))
		return;		/* so it will be the next time */
	for (uint64_t i = chunkmap_absent(follower->map, 0); i < chunks; i = chunkmap_absent(follower->map, i + 1))
		follower_need(follower, i, i + 1);
}

static void is_here(struct follower *follower, uint64_t first, uint64_t end, bool zero)
{
	for (uint64_t i = first; i < end; i++) {
		follower->nr_need -= bitmap_get(follower->need, i);
		bitmap_clear(follower->need, i);
		if (!follower->shown)
			continue;
		if (zero)
			bitmap_put(follower_zero(&follower->record), i);
		/* the next helper believes that */
		atomic_thread_fence(memory_order_release);
		bitmap_put(follower_staged(&follower->record), i);
	}
	if (!follower->shown)
		chunkmap_set(follower->map, first, end, true);
}

/* ---- one fetch ---- */

static void fetch_end(struct follower_fetch *fetch, int error, const char *why)
{
	struct follower *follower = fetch->follower;

	follower->nr_fetches--;
	if (!error)
		is_here(follower, fetch->first, fetch->end, !fetch->peer.data);
	free(fetch->buffer);
	free(fetch);
	if (error == -ESTALE)
		follower->lost = true;
	else if (error && follower->connected)
		follower_hang_up(follower, error, why);
	if (follower_leaves(follower))
		follower_check_leave(follower);
	else
		follower_fetch(follower);
}

static void stored(struct backend_req *req, int error)
{
	fetch_end(container_of(req, struct follower_fetch, local), error, "the local store took it not");
}

bool follower_has_room(const struct follower *follower)
{
	return !follower->shown || reserve_is_left(follower->record.fd, FOLLOWER_FETCH);
}

static int stage(struct loop_work *work)
{
	struct follower_fetch *fetch = container_of(work, struct follower_fetch, work);

	if (!reserve_is_left(fetch->follower->record.fd, fetch->peer.length))
		return -ENOSPC;
	return whole_write(fetch->follower->record.fd, fetch->buffer, fetch->peer.length, fetch->peer.offset);
}

static void staged(struct loop_work *work, int res)
{
	fetch_end(container_of(work, struct follower_fetch, work), res, res == -ENOSPC ? FOLLOWER_NO_ROOM : "the next state could not be put beside what is shown");
}

static void to_store(struct follower_fetch *fetch)
{
	struct region *region = fetch->follower->handover.region;
	struct backend_req *local = &fetch->local;

	local->op = fetch->peer.data ? BACKEND_WRITE : BACKEND_DISCARD;
	local->flags = BACKEND_BULK;
	local->offset = fetch->peer.offset;
	local->length = fetch->peer.length;
	local->data = fetch->peer.data;
	local->attach_gen = region->regiond->attach_gen;
	local->loop = region->regiond->loop;
	local->done = stored;
	region_submit(region->regiond->regions, region->info.id, local);
}

static void came(struct backend_req *req, int error)
{
	struct follower_fetch *fetch = container_of(req, struct follower_fetch, peer);
	struct follower *follower = fetch->follower;

	if (error || follower_leaves(follower)) {
		fetch_end(fetch, error ? error : -ECANCELED, "");
		return;
	}
	if (req->data)
		follower->fetched += req->length;
	if (!follower->shown) {
		to_store(fetch);
	} else if (!req->data) {
		fetch_end(fetch, 0, "");
	} else {
		fetch->work.work = stage;
		fetch->work.done = staged;
		loop_work(follower->regiond->loop, &fetch->work);
	}
}

static bool fetch_start(struct follower *follower, uint64_t first, uint64_t end)
{
	struct follower_fetch *fetch = calloc(1, sizeof(*fetch));
	uint64_t offset = first * FOLLOWER_CHUNK, length = (end - first) * FOLLOWER_CHUNK;

	length = length < follower->size - offset ? length : follower->size - offset;
	if (fetch)
		fetch->buffer = malloc(length);
	if (!fetch || !fetch->buffer) {
		free(fetch);
		return false;
	}
	fetch->follower = follower;
	fetch->first = first;
	fetch->end = end;
	fetch->peer.op = BACKEND_READ;
	fetch->peer.flags = BACKEND_ZERO_NULL | BACKEND_BULK;
	fetch->peer.offset = offset;
	fetch->peer.length = length;
	fetch->peer.data = fetch->buffer;
	fetch->peer.loop = follower->regiond->loop;
	fetch->peer.done = came;
	follower->nr_fetches++;
	backend_submit(follower->peer, &fetch->peer);
	return true;
}

/* What lies behind the end is not there to be fetched. */
static void forget_beyond(struct follower *follower, uint64_t chunks)
{
	for (uint64_t i = bitmap_next(follower->need, chunks, follower->need_bits, true); i < follower->need_bits;
	     i = bitmap_next(follower->need, i + 1, follower->need_bits, true)) {
		bitmap_clear(follower->need, i);
		follower->nr_need--;
	}
	for (uint64_t i = bitmap_next(follower_staged(&follower->record), chunks, follower_bits(&follower->record), true);
	     i < follower_bits(&follower->record); i = bitmap_next(follower_staged(&follower->record), i + 1, follower_bits(&follower->record), true))
		bitmap_clear(follower_staged(&follower->record), i);
}

void follower_fetch(struct follower *follower)
{
	uint64_t chunks = follower_chunks(follower->size);

	if (!follower->cursor)
		forget_beyond(follower, chunks);
	while (follower->connected && !follower->lost && follower->nr_fetches < FETCHES_MOST) {
		uint64_t first = bitmap_next(follower->need, follower->cursor, chunks, true), end;

		if (first >= chunks)
			break;
		end = bitmap_next(follower->need, first, chunks, false);
		end = end < first + FOLLOWER_FETCH / FOLLOWER_CHUNK ? end : first + FOLLOWER_FETCH / FOLLOWER_CHUNK;
		follower->cursor = end;
		if (!fetch_start(follower, first, end))
			follower_hang_up(follower, -ENOMEM, "out of memory");
	}
	if (!follower->nr_fetches && follower->connected && (follower->lost || !follower->nr_need))
		follower_fetched(follower);
}
