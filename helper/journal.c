// SPDX-License-Identifier: GPL-2.0
/*
 * journal: staging and publishing, step by step. Steps that block are done in the pool, one at a time, each for one request (or for the
 * opening): journal->busy. Staged requests of a batch are written beside one another.
 *
 * Whatever answers a request does so last: the answer may close the backend, and with it goes the journal.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "crc32c.h"
#include "journal-private.h"
#include "zero.h"

/* A staged request on its way to the file, record by record. */
struct staged {
	struct loop_op op;
	struct iovec iov[2];
	struct journal_record record;
	uint64_t at;			/* where the record goes */
	uint64_t done;			/* of the request */
	uint32_t len, written;		/* bytes of data in the record; of the record and them, there */
	uint64_t more;			/* bytes of the request that the record is about */
	bool zero;			/* all of them */
};

struct destroy {
	struct loop_work work;
};

static void journal_next(struct journal *journal);

static void step_start(struct journal *journal, struct backend_req *req, int (*work)(struct loop_work *),
		       void (*done)(struct loop_work *, int))
{
	journal->busy = true;
	journal->req = req;
	journal->work.work = work;
	journal->work.done = done;
	loop_work(journal->backend->loop, &journal->work);
}

static struct journal *journal_of(struct loop_work *work)
{
	return container_of(work, struct journal, work);
}

static int begin_work(struct loop_work *work)
{
	return journal_file_begin(journal_of(work));
}

/* The step is over, and with it the request. */
static void step_end(struct journal *journal, int error)
{
	struct backend_req *req = journal->req;

	journal->busy = false;
	journal->req = NULL;
	journal_next(journal);
	backend_done(req, error);
}

/* ---- a batch that comes to nothing ---- */

static void dropped(struct loop_work *work, int res)
{
	struct journal *journal = journal_of(work);

	journal->stale = res != 0;
	extents_free(&journal->touched);
	step_end(journal, journal->req->error);
}

/* Its room is given back before the request is answered: the disk may be full. */
static void drop_end(struct journal *journal, struct backend_req *req, int error)
{
	journal->batch = 0;
	req->error = error;
	step_start(journal, req, begin_work, dropped);
}

/* ---- staging ---- */

static void staged_end(struct backend_req *req, int error)
{
	struct journal *journal = req->backend->journal;

	journal->writing--;
	if (error) {
		backend_error(req->backend, error, "%s: %s", journal->path, strerror(-error));
		journal->batch = 0;
		journal->stale = true;
	}
	if (journal->stale && !journal->writing) {
		drop_end(journal, req, error);
		return;
	}
	journal_next(journal);
	backend_done(req, error);
}

static void record_write(struct backend_req *req);
static void record_start(struct backend_req *req);

static void record_written(struct loop_op *op, int res)
{
	struct staged *staged = container_of(op, struct staged, op);
	struct backend_req *req = backend_req_of(staged);

	if (res == -EINTR || res == -EAGAIN) {
		record_write(req);
		return;
	}
	if (res <= 0) {
		staged_end(req, res ? res : -ENOSPC);
		return;
	}
	staged->written += (uint32_t)res;
	if (staged->written < sizeof(staged->record) + staged->len) {
		record_write(req);
		return;
	}
	staged->at += staged->written;
	staged->done += staged->more;
	if (req->op == BACKEND_WRITE && staged->done < req->length)
		record_start(req);
	else
		staged_end(req, 0);
}

/* What of the record and its bytes is not there yet. */
static void record_write(struct backend_req *req)
{
	struct staged *staged = backend_private(req, struct staged);
	uint32_t head = sizeof(staged->record), there = staged->written < head ? staged->written : head;
	uint32_t data = staged->written - there;

	staged->iov[0] = (struct iovec){ (char *)&staged->record + there, head - there };
	staged->iov[1] = (struct iovec){ &staged->record, 0 };
	if (staged->len)
		staged->iov[1] = (struct iovec){ (char *)req->data + staged->done + data, staged->len - data };
	staged->op.done = record_written;
	loop_writev(req->backend->loop, &staged->op, req->backend->journal->fd, staged->iov, 2, staged->at + staged->written);
}

static void record_start(struct backend_req *req)
{
	struct staged *staged = backend_private(req, struct staged);
	uint64_t left = req->length - staged->done;
	bool write = req->op == BACKEND_WRITE, data = write && !staged->zero;

	staged->more = !write || left < JOURNAL_PIECE ? left : JOURNAL_PIECE;
	staged->len = data ? (uint32_t)staged->more : 0;
	staged->written = 0;
	staged->record = (struct journal_record){
		.batch = req->batch, .at = staged->at, .op = req->op, .offset = req->offset + staged->done,
		.length = staged->more, .arg = req->arg, .flags = staged->zero ? JOURNAL_ZERO : 0,
		.data_crc = data ? crc32c(0, (char *)req->data + staged->done, staged->len) : 0,
	};
	staged->record.crc = journal_record_crc(&staged->record);
	record_write(req);
}

/* How much of the file it takes. */
static uint64_t staged_room(const struct backend_req *req, bool zero)
{
	uint64_t pieces;

	if (req->op != BACKEND_WRITE)
		return sizeof(struct journal_record);
	pieces = (req->length + JOURNAL_PIECE - 1) / JOURNAL_PIECE;
	return pieces * sizeof(struct journal_record) + (zero ? 0 : req->length);
}

/* What the source would refuse when it is too late to say no. */
static int staged_check(const struct backend_req *req)
{
	const struct backend_caps *caps = &req->backend->caps;
	uint64_t size = backend_size(req->backend);
	bool resize = req->op == BACKEND_RESIZE;
	int err = journal_range_check(req->op, req->offset, req->length, req->arg);

	/* the sizes on the way would have to be possible, too, and nobody could know */
	if (!err && resize && !req->first)
		err = -EINVAL;
	if (err || !caps->fixed_size)
		return err;
	if (resize)
		return req->length == size && req->arg == size ? 0 : -EOPNOTSUPP;
	return req->op == BACKEND_WRITE && req->offset + req->length > size ? -ENOSPC : 0;
}

static void note_changed(struct backend_published *changed, const struct backend_req *req)
{
	bool resize = req->op == BACKEND_RESIZE;
	uint64_t from = resize ? req->arg : req->offset, to = resize ? UINT64_MAX : req->offset + req->length;
	uint64_t end = changed->offset + changed->length;

	if (!changed->length) {
		changed->offset = from;
		end = to;
	}
	changed->offset = from < changed->offset ? from : changed->offset;
	changed->length = (to > end ? to : end) - changed->offset;
	changed->resized |= resize;
	if (resize)
		changed->size = req->length;
	else if (req->op == BACKEND_WRITE && to > changed->size)
		changed->size = to;
}

static int note_touched(struct journal *journal, const struct backend_req *req)
{
	bool resize = req->op == BACKEND_RESIZE;
	uint64_t from = resize ? req->arg : req->offset, to = resize ? UINT64_MAX : req->offset + req->length;

	return from < to ? extents_put(&journal->touched, from, to, EXTENT_ZERO) : 0;
}

static void refused(struct loop_task *task)
{
	struct backend_req *req = container_of(task, struct backend_req, task);

	staged_end(req, req->error);
}

static void staged_start(struct journal *journal, struct backend_req *req)
{
	struct staged *staged = backend_private(req, struct staged);

	memset(staged, 0, sizeof(*staged));
	staged->zero = req->op == BACKEND_WRITE && is_zero(req->data, req->length);
	journal->writing++;
	req->error = staged_room(req, staged->zero) > journal->limit - journal->end ? -ENOSPC : note_touched(journal, req);
	if (req->error) {
		/* out of the loop: the answer may close the backend */
		req->task.run = refused;
		loop_post(journal->backend->loop, &req->task);
		return;
	}
	note_changed(&journal->changed, req);
	staged->at = journal->end;
	journal->end += staged_room(req, staged->zero);
	record_start(req);
}

static void begun(struct loop_work *work, int res)
{
	struct journal *journal = journal_of(work);
	struct backend_req *req = journal->req;

	journal->stale = false;
	if (res) {
		backend_error(journal->backend, res, "%s: %s", journal->path, strerror(-res));
		step_end(journal, res);
		return;
	}
	journal->batch = req->batch;
	journal->end = JOURNAL_START;
	journal->busy = false;
	extents_free(&journal->touched);
	memset(&journal->changed, 0, sizeof(journal->changed));
	staged_start(journal, req);
	journal_next(journal);
}

/* ---- publishing ---- */

static void tell_published(const struct journal *journal, struct backend_published *published)
{
	const struct journal_head *head = &journal->head;

	*published = (struct backend_published){
		.offset = head->offset, .length = head->length, .size = head->size, .resized = head->resized,
	};
}

/* The batch that was decided is done; or it isn't, which leaves that to the next one who opens the source. */
static void decided_end(struct journal *journal, int error)
{
	if (error)
		atomic_store(&journal->backend->dead, true);
	gate_open(journal, error);
	if (!error)
		extents_free(&journal->touched);
	if (journal->req) {
		tell_published(journal, &journal->req->published);
		step_end(journal, error);
		return;
	}
	journal->busy = false;
	tell_published(journal, &journal->backend->replayed);
	journal->opened(journal->backend, error);
}

static void noted_done(struct loop_work *work, int res)
{
	decided_end(journal_of(work), res);
}

static int note_done_work(struct loop_work *work)
{
	return journal_file_note(journal_of(work), 0);
}

static void applied(struct journal *journal, int error)
{
	if (error)
		decided_end(journal, backend_error(journal->backend, error, "%s: a published batch could not be done to %s: %s",
						   journal->path, journal->backend->uri.text, strerror(-error)));
	else
		step_start(journal, journal->req, note_done_work, noted_done);
}

static void source_idle(struct journal *journal)
{
	journal_apply(journal, applied);
}

static void noted_decided(struct loop_work *work, int res)
{
	struct journal *journal = journal_of(work);

	journal->batch = 0;
	/* it may be there or not: who reads it next decides */
	if (res)
		decided_end(journal, backend_error(journal->backend, res, "%s: %s", journal->path, strerror(-res)));
	else
		gate_close(journal, source_idle);
}

static int note_decided_work(struct loop_work *work)
{
	struct journal *journal = journal_of(work);

	return journal_file_note(journal, journal->batch);
}

static void settled(struct loop_work *work, int res)
{
	struct journal *journal = journal_of(work);

	if (res)
		drop_end(journal, journal->req,
			 backend_error(journal->backend, res, "%s: %s", journal->path, strerror(-res)));
	else
		step_start(journal, journal->req, note_decided_work, noted_decided);
}

static int settle_work(struct loop_work *work)
{
	return journal_file_settle(journal_of(work));
}

void journal_replay(struct journal *journal)
{
	journal->busy = true;
	gate_close(journal, source_idle);
}

static void publish(struct journal *journal, struct backend_req *req)
{
	if (!req->batch || (req->batch != journal->batch && req->batch != journal->head.batch && req->batch != journal->head.done)) {
		backend_done(req, -ESTALE);
	} else if (req->batch == journal->head.done) {
		tell_published(journal, &req->published);
		backend_done(req, 0);
	} else if (req->batch == journal->head.batch) {
		/* once more: what was in the way may be gone */
		journal->req = req;
		journal_replay(journal);
	} else {
		step_start(journal, req, settle_work, settled);
	}
}

/* ---- one after the other ---- */

static bool ends_batch(const struct backend_req *req)
{
	return req->op == BACKEND_PUBLISH || req->op == BACKEND_DROP;
}

static void start(struct journal *journal, struct backend_req *req)
{
	bool publishes = req->op == BACKEND_PUBLISH;
	int err = ends_batch(req) ? 0 : staged_check(req);

	if (req->op == BACKEND_DROP) {
		if (journal->batch)
			drop_end(journal, req, 0);
		else
			backend_done(req, 0);
		return;
	}

	if (atomic_load(&journal->gate) == GATE_BROKEN && !(publishes && req->batch == journal->head.batch))
		err = journal->error;
	if (!err && !publishes && !req->first && (!req->batch || req->batch != journal->batch))
		err = -ESTALE;
	if (err)
		backend_done(req, err);
	else if (publishes)
		publish(journal, req);
	else if (req->first)
		step_start(journal, req, begin_work, begun);
	else
		staged_start(journal, req);
}

/* What begins or ends a batch waits for all of the one before that is on its way to the file. */
static void journal_next(struct journal *journal)
{
	bool more = !list_empty(&journal->waiting);

	while (more && !journal->busy) {
		struct backend_req *req = list_entry(journal->waiting.next, struct backend_req, list);

		if (journal->writing && (req->first || ends_batch(req)))
			break;
		list_del(&req->list);
		more = !list_empty(&journal->waiting);
		start(journal, req);
	}
}

static void submit_here(struct loop_task *task)
{
	struct backend_req *req = container_of(task, struct backend_req, task);
	struct journal *journal = req->backend->journal;

	list_add(&journal->waiting, &req->list);
	journal_next(journal);
}

/* ---- the end of the source: nobody may do an old batch to another one of its name ---- */

static int unlink_work(struct loop_work *work)
{
	struct journal *journal = backend_req_of(container_of(work, struct destroy, work))->backend->journal;

	return journal->path && unlink(journal->path) && errno != ENOENT ? -errno : 0;
}

static void unlinked(struct loop_work *work, int res)
{
	struct backend_req *req = backend_req_of(container_of(work, struct destroy, work));

	if (res)
		backend_done(req, res);
	else
		backend_submit_source(req->backend, req);
}

static void destroy_start(struct backend_req *req)
{
	struct destroy *destroy = backend_private(req, struct destroy);

	destroy->work.work = unlink_work;
	destroy->work.done = unlinked;
	loop_work(req->loop, &destroy->work);
}

void journal_submit(struct journal *journal, struct backend_req *req)
{
	req->task.run = submit_here;
	if (req->op == BACKEND_DESTROY)
		destroy_start(req);
	else
		loop_call(journal->backend->loop, &req->task);
}
