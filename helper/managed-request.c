// SPDX-License-Identifier: GPL-2.0
/*
 * managed: the way of a request, and READs. One is answered in its own thread where all of it is in memory (or, without a store, by the
 * source's backend there); else on the home loop, put together from what the store has and what fetches bring.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "managed-private.h"
#include "region.h"
#include "stores/base.h"

#define DEADLINE_MIN_MS 200u

/* ---- counting ---- */

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void note_wait(struct managed *managed, uint64_t since_ns)
{
	uint64_t us = (loop_now_ns() - since_ns) / 1000;
	unsigned int slot = us < 2 ? 0 : 63 - (unsigned int)__builtin_clzll(us);

	count(&managed->wait[slot < MANAGED_HISTOGRAM ? slot : MANAGED_HISTOGRAM - 1], 1);
}

static void note_hit(struct managed *managed, const struct backend_req *req)
{
	count(&managed->hits, 1);
	count(&managed->hit_bytes, req->length);
}

static void note_miss(struct managed *managed, const struct backend_req *req)
{
	count(&managed->misses, 1);
	count(&managed->miss_bytes, req->length);
}

static void note_read(struct managed *managed, const struct backend_req *req)
{
	if (store_present(managed->store, req->offset, req->length))
		note_hit(managed, req);
	else
		note_miss(managed, req);
}

static uint32_t timeout_ms(const struct managed *managed)
{
	return __atomic_load_n(&managed->region->info.timeout, __ATOMIC_RELAXED);
}

/* 0: there is none. */
static uint64_t timeout_ns(const struct managed *managed)
{
	return timeout_ms(managed) * 1000000ULL;
}

bool managed_has_timeout(const struct managed *managed)
{
	return timeout_ms(managed);
}

static void demand_begin(struct managed *managed, const struct backend_req *req, struct miss *miss, uint64_t offset)
{
	miss->demanded = true;
	miss->puller_told = managed->puller;
	if (miss->puller_told)
		puller_demand_begin(managed->puller, offset, (uint32_t)(req->offset + req->length - offset));
	if (managed->pusher)
		pusher_demand_begin(managed->pusher);
}

static void demand_end(struct managed *managed, const struct miss *miss)
{
	uint64_t took = loop_now_ns() - miss->since;

	if (miss->puller_told && managed->puller)
		puller_demand_end(managed->puller, miss->bytes, took);
	if (managed->pusher)
		pusher_demand_end(managed->pusher, miss->bytes, took);
}

void managed_miss_begin(struct managed *managed, const struct backend_req *req, struct miss *miss, uint64_t offset, uint64_t end)
{
	if (req->flags & BACKEND_DEMAND) {
		if (!miss->demanded)
			demand_begin(managed, req, miss, offset);
	} else if (managed->puller && managed_is_ahead(req)) {
		miss->passing = true;
		puller_passed_begin(managed->puller, offset, (uint32_t)(end - offset));
	}
}

void managed_miss_end(struct managed *managed, const struct backend_req *req, const struct miss *miss)
{
	if (miss->demanded)
		demand_end(managed, miss);
	else if (miss->passing && managed->puller)
		puller_passed_end(managed->puller, miss->bytes);
	if (req->flags & BACKEND_DEMAND)
		note_wait(managed, miss->since);
}

/* ---- parts of a READ ---- */

static void read_finish(struct read *read)
{
	struct managed *managed = read->managed;
	struct backend_req *outer = read->outer;
	int error = read->error;

	list_del(&read->list);
	managed_miss_end(managed, outer, &read->miss);
	if (!error && read->zero && outer->flags & BACKEND_ZERO_NULL)
		outer->data = NULL;
	managed->nr_busy--;
	backend_done(outer, error);
	managed_idle(managed);
}

static void read_parts(struct read *read);

void managed_read_part(struct read *read, int error)
{
	if (error && !read->error)
		read->error = error;
	if (--read->left)
		return;
	if (read->again && !read->error) {
		read->again = false;
		read_parts(read);
	} else {
		read_finish(read);
	}
}

struct part {
	struct store_io io;
	struct read *read;
};

static bool is_gone(struct managed *managed, const struct store_io *io)
{
	uint64_t offset, length;

	return store_absent(managed->store, io->offset & ~(uint64_t)(PAGES_SIZE - 1), io->offset + io->length, &offset, &length);
}

static void part_read(struct store_io *io, int error)
{
	struct part *part = container_of(io, struct part, io);
	struct read *read = part->read;

	/* given up since, or its disk has failed: it is absent now, and comes from the source. But for what only the log has. */
	if (error == -ENODATA || error == -EAGAIN || (error && error != -ENOMEM && is_gone(read->managed, io))) {
		read->again = true;
		error = 0;
	}
	free(part);
	managed_read_part(read, error);
}

static struct part *part_new(struct read *read, uint64_t offset, uint64_t length)
{
	struct part *part = calloc(1, sizeof(*part));

	if (!part)
		return NULL;
	part->read = read;
	part->io.offset = offset;
	part->io.length = length;
	part->io.data = (char *)read->outer->data + (offset - read->outer->offset);
	part->io.done = part_read;
	return part;
}

static void take_present(struct read *read, uint64_t offset, uint64_t length)
{
	struct part *part = part_new(read, offset, length);

	read->left++;
	read->zero = false;
	if (part)
		store_read(read->managed->store, &part->io);
	else
		managed_read_part(read, -ENOMEM);
}

static bool want_new(struct read *read, struct fetch *fetch, uint64_t offset, uint64_t length)
{
	struct want *want = malloc(sizeof(*want));

	if (!want)
		return false;
	want->read = read;
	want->offset = offset;
	want->length = (uint32_t)length;
	list_add(&fetch->wants, &want->list);
	read->left++;
	return true;
}

/* For take_absent(): it goes no further. */
static uint64_t stop_at(struct read *read, int error)
{
	read->error = error;
	return 0;
}

static uint64_t wait_for(struct read *read, struct fetch *fetch, uint64_t offset, uint64_t end)
{
	if (!want_new(read, fetch, offset, end - offset))
		return stop_at(read, -ENOMEM);
	if (fetch->landed)
		managed_fetch_answer(fetch, 0);
	return end;
}

/*
 * From a fetch that is on its way, or one of its own: what is asked for and no more, since a program waits for it. Only such a one is a miss
 * that the background has to give way to: else it would be in its own way. Returns how far that goes; 0: see read->error.
 */
static uint64_t take_absent(struct read *read, uint64_t offset, uint64_t end)
{
	struct managed *managed = read->managed;
	bool is_demand = read->outer->flags & BACKEND_DEMAND;
	uint64_t good, first = offset & ~(uint64_t)(PAGES_SIZE - 1), last;
	struct fetch *fetch;

	if (managed_waits_no_more(managed))
		return stop_at(read, -ESHUTDOWN);
	fetch = managed_fetch_find(managed, offset, is_demand, &good);
	if (fetch)
		return wait_for(read, fetch, offset, good < end ? good : end);
	last = managed_fetch_next(managed, offset, end, is_demand);
	managed_miss_begin(managed, read->outer, &read->miss, offset, last);
	last = (last + PAGES_SIZE - 1) & ~(uint64_t)(PAGES_SIZE - 1);
	last = last - first > WINDOW_UNIT_MAX ? first + WINDOW_UNIT_MAX : last;
	fetch = managed_fetch(managed, first, (uint32_t)(last - first), is_demand);
	if (!fetch)
		return stop_at(read, -ENOMEM);
	read->miss.bytes += fetch->length;
	fetch->kept = read->miss.passing;
	end = wait_for(read, fetch, offset, end < last ? end : last);
	if (managed->store)
		managed_fetch_start(fetch);
	else
		managed_cache_read(fetch);
	return end;
}

/* Beyond the region's end there is nothing to read. */
static uint64_t zero_beyond(struct read *read)
{
	struct backend_req *outer = read->outer;
	uint64_t size = managed_size(read->managed), end = outer->offset + outer->length;
	uint64_t from = size > outer->offset ? size : outer->offset;

	if (size >= end)
		return end;
	memset((char *)outer->data + (from - outer->offset), 0, end - from);
	return from;
}

/*
 * As long as nothing of a region that comes from another host is pushed, all that it is asked for is in its store, but for what was made here beyond its end, and zero: that
 * is not to wait for a source that nobody opens. Unless its disk has lost some, or an earlier helper may have pushed.
 */
static bool is_all_here(struct managed *managed)
{
	struct store_stats stats;

	if (!managed_adopt_waits(managed) || managed->adopting.pushed)
		return false;
	store_stats(managed->store, &stats);
	return !stats.corrupt;
}

static uint64_t take_zeroes(struct read *read, uint64_t offset, uint64_t end)
{
	memset((char *)read->outer->data + (offset - read->outer->offset), 0, end - offset);
	return end;
}

static void read_cover(struct read *read, uint64_t end)
{
	struct managed *managed = read->managed;
	uint64_t at = read->outer->offset, absent, length, stop;

	while (at < end) {
		if (!store_absent(managed->store, at & ~(uint64_t)(PAGES_SIZE - 1), end, &absent, &length)) {
			take_present(read, at, end - at);
			return;
		}
		if (absent > at) {
			take_present(read, at, absent - at);
			at = absent;
		}
		stop = absent + length < end ? absent + length : end;
		at = is_all_here(managed) ? take_zeroes(read, at, stop) : take_absent(read, at, stop);
		if (!at)
			return;
	}
}

static void cache_cover(struct read *read, uint64_t end)
{
	uint64_t at = read->outer->offset;

	while (at < end) {
		at = take_absent(read, at, end);
		if (!at)
			return;
	}
}

static void checked(struct store_io *io, int error)
{
	struct part *part = container_of(io, struct part, io);
	struct read *read = part->read;

	free(part);
	read->again = true;
	managed_read_part(read, error);
}

/* read->left is 1 while the parts are counted out. */
static void read_parts(struct read *read)
{
	struct managed *managed = read->managed;
	struct backend_req *outer = read->outer;
	struct part *part;
	uint64_t end;

	read->left = 1;
	read->zero = true;
	if (managed->closing)
		read->error = -ESHUTDOWN;
	end = managed->store ? zero_beyond(read) : outer->offset + outer->length;
	if (read->error || end <= outer->offset) {
		managed_read_part(read, 0);
		return;
	}
	/* the source may have more by now than we know: what is beyond its end reads zero there */
	if (!managed->store) {
		cache_cover(read, end);
		managed_read_part(read, 0);
		return;
	}
	if (store_checked(managed->store, outer->offset, end - outer->offset)) {
		read_cover(read, end);
		managed_read_part(read, 0);
		return;
	}
	part = part_new(read, outer->offset, end - outer->offset);
	if (!part) {
		managed_read_part(read, -ENOMEM);
		return;
	}
	part->io.done = checked;
	store_check(managed->store, &part->io);
}

/* ---- the deadline of those who wait for a source that is away ---- */

static void drop_wants(struct read *read)
{
	struct managed *managed = read->managed;
	struct list *at, *want, *next;

	list_for_each(at, &managed->fetches) {
		list_for_each_safe(want, next, &list_entry(at, struct fetch, list)->wants) {
			if (list_entry(want, struct want, list)->read != read)
				continue;
			list_del(want);
			free(list_entry(want, struct want, list));
			read->left--;
		}
	}
}

static void fail_reads(struct managed *managed, uint64_t before, int error)
{
	struct list late, *at, *next;

	list_init(&late);
	list_for_each_safe(at, next, &managed->reads) {
		struct read *read = list_entry(at, struct read, list);

		if (read->miss.since > before)
			continue;
		list_del(at);
		list_add(&late, at);
	}
	while ((at = list_pop(&late))) {
		struct read *read = list_entry(at, struct read, list);

		list_add(&managed->reads, at);
		read->left++;
		drop_wants(read);
		managed_read_part(read, error);
	}
}

/* As long as the source takes what is pushed, or did not long ago, there will be room. */
bool managed_is_stuck(const struct managed *managed)
{
	const struct pusher_stats *stats = managed->pusher ? pusher_stats(managed->pusher) : NULL;

	if (!stats || stats->error || remote_state(managed->remote) != REMOTE_UP)
		return true;
	return !stats->pushing && !managed->room.pushing && loop_now_ns() - managed->room.moved >= timeout_ns(managed);
}

static void deadline(struct loop_timer *timer)
{
	struct managed *managed = container_of(timer, struct managed, deadline);
	uint64_t before = loop_now_ns() - timeout_ns(managed);

	managed->nr_busy++;
	if (remote_state(managed->remote) != REMOTE_UP)
		fail_reads(managed, before, -ETIMEDOUT);
	if (managed_is_stuck(managed))
		managed_fail_no_room(managed, before, -ENOSPC);
	managed->nr_busy--;
	managed_set_deadline(managed);
	managed_idle(managed);
}

static uint64_t oldest(const struct managed *managed)
{
	uint64_t since = managed_change_since(managed);
	const struct list *at;

	list_for_each(at, &managed->reads)
		if (list_entry(at, struct read, list)->miss.since < since)
			since = list_entry(at, struct read, list)->miss.since;
	return since;
}

/* Those whose time is over already wait for something else. */
static uint64_t next_deadline(const struct managed *managed, uint64_t timeout)
{
	uint64_t since = oldest(managed), now = loop_now_ns(), at = since > now ? now + timeout : since + timeout;

	return at < now + timeout / 8 ? timeout / 8 : at > now + timeout ? timeout : at - now;
}

void managed_set_deadline(struct managed *managed)
{
	uint64_t timeout = timeout_ns(managed), ms;

	if (!timeout || managed->closing || managed->deadline.slot)
		return;
	if (list_empty(&managed->reads) && list_empty(&managed->no_room))
		return;
	managed->deadline.fire = deadline;
	/* who is late already is so because the source is there */
	ms = next_deadline(managed, timeout) / 1000000 + 1;
	loop_timer_set(managed_loop(managed), &managed->deadline, ms < DEADLINE_MIN_MS ? DEADLINE_MIN_MS : ms);
}

/* ---- the region is about to close it ---- */

bool managed_waits_no_more(const struct managed *managed)
{
	return managed->leaving && (managed->region->destroy || remote_state(managed->remote) != REMOTE_UP);
}

void managed_let_go(struct managed *managed)
{
	bool removed = managed->region->destroy;

	managed->leaving = true;
	atomic_store(&managed->backend.dead, !removed);
	managed->nr_busy++;
	if (managed_waits_no_more(managed)) {
		fail_reads(managed, UINT64_MAX, -ESHUTDOWN);
		if (!managed->store)
			remote_let_go(managed->remote);
	}
	if (removed || managed_is_stuck(managed)) {
		managed_fail_no_room(managed, UINT64_MAX, -ESHUTDOWN);
		if (managed->pusher)
			pusher_let_go(managed->pusher);
	}
	managed->nr_busy--;
	managed_idle(managed);
}

void managed_follow_size(struct managed *managed, const struct backend_req *req)
{
	if (req->op == BACKEND_WRITE) {
		backend_grow(&managed->backend, req->offset + req->length);
	} else if (req->op == BACKEND_RESIZE) {
		backend_set_size(&managed->backend, req->length);
	} else {
		return;
	}
	if (managed->puller)
		puller_resize(managed->puller, managed_size(managed));
	if (managed->store)
		managed_follow_budget(managed);
}

/* ---- the way in ---- */

void managed_read_start(struct managed *managed, struct backend_req *req)
{
	struct read *read = backend_private(req, struct read);

	memset(read, 0, sizeof(*read));
	read->managed = managed;
	read->outer = req;
	read->miss.since = loop_now_ns();
	managed->nr_busy++;
	list_add(&managed->reads, &read->list);
	managed_set_deadline(managed);
	if (managed->store)
		note_read(managed, req);
	read_parts(read);
}

/* What is in the store; what the source alone has would have to come from there. */
static void find_data(struct managed *managed, struct backend_req *req)
{
	uint64_t size = backend_size(&managed->backend), at = req->offset, offset, length;

	if (!managed->store || !(req->flags & BACKEND_HERE)) {
		backend_done(req, -EOPNOTSUPP);
		return;
	}
	for (; at < size; at = offset + length) {
		if (!store_absent(managed->store, at, size, &offset, &length))
			offset = size;
		if (offset > at)
			break;
	}
	req->offset = at;
	req->length = at < size ? offset - at : 0;
	backend_done(req, at < size ? 0 : -ENXIO);
}

/* On the home loop. */
static void start(struct backend_req *req)
{
	struct managed *managed = to_managed(req->backend);

	switch (req->op) {
	case BACKEND_READ:
		if (managed->store) {
			managed_read_start(managed, req);
		} else {
			note_miss(managed, req);
			managed_through(managed, req);
		}
		break;
	case BACKEND_WRITE:
	case BACKEND_DISCARD:
	case BACKEND_RESIZE:
		if (managed->store)
			managed_change_start(managed, req);
		else
			managed_through(managed, req);
		break;
	case BACKEND_SYNC:
		managed_sync_start(managed, req);
		break;
	case BACKEND_VERSION:
		managed_version_start(managed, req);
		break;
	case BACKEND_DESTROY:
		managed_destroy_start(managed, req);
		break;
	case BACKEND_DATA:
		find_data(managed, req);
		break;
	default:
		backend_done(req, -EOPNOTSUPP);
	}
}

static void moved(struct loop_task *task)
{
	start(container_of(task, struct backend_req, task));
}

/* In the thread that it came in. false: it has to go to the home loop. */
static bool read_at_once(struct managed *managed, struct backend_req *req)
{
	if (!managed->store) {
		if (atomic_load_explicit(&managed->pulling, memory_order_relaxed) || managed_has_timeout(managed) ||
		    !remote_try(managed->remote, req))
			return false;
		count(&managed->misses, 1);
		return true;
	}
	/* copied: an address would have to stay good until the kernel has taken what is there, whatever becomes of the budget meanwhile */
	if (!store_read_now(managed->store, req->offset, req->length, req->data))
		return false;
	note_hit(managed, req);
	backend_done(req, 0);
	return true;
}

static void go_home(struct managed *managed, struct backend_req *req)
{
	req->task.run = moved;
	loop_call(managed_loop(managed), &req->task);
}

/* A READ in its own thread, from a disk. */
struct at_once {
	struct base_direct direct;
	uint64_t since;
};

static void read_direct(struct base_direct *direct, int error)
{
	struct at_once *read = container_of(direct, struct at_once, direct);
	struct backend_req *req = backend_req_of(read);
	struct managed *managed = to_managed(req->backend);

	if (error) {
		go_home(managed, req);
		return;
	}
	note_hit(managed, req);
	if (req->flags & BACKEND_DEMAND)
		note_wait(managed, read->since);
	backend_done(req, 0);
}

/*
 * Likewise, from a disk. It is the kernel's requests that are worth it, each of which comes in its own loop's thread: while one is under way the region keeps
 * the backend, and so the store, open.
 */
static bool reads_direct(struct managed *managed, struct backend_req *req)
{
	struct at_once *read = backend_private(req, struct at_once);

	if (!managed->store || !req->id || req->length > UINT32_MAX)
		return false;
	read->direct.done = read_direct;
	read->direct.offset = req->offset;
	read->direct.length = (uint32_t)req->length;
	read->direct.data = req->data;
	if (!store_read_direct(managed->store, &read->direct))
		return false;
	read->since = loop_now_ns();
	return true;
}

void managed_submit(struct backend *backend, struct backend_req *req)
{
	struct managed *managed = to_managed(backend);

	if (req->op == BACKEND_READ && atomic_load(&managed->missing_bytes)) {
		backend_done(req, -EIO);
		return;
	}
	if (req->op == BACKEND_READ) {
		/* the kernel's alone: what programs do, not what peers or seeders read */
		if (req->id)
			profile_touch(managed->profile, req->offset, req->length);
		if (read_at_once(managed, req) || reads_direct(managed, req))
			return;
	}
	go_home(managed, req);
}
