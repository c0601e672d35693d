// SPDX-License-Identifier: GPL-2.0
/*
 * journal-apply: a decided batch is done to the source: read back block by block, a window of its records at a time, in their order where
 * they overlap. It may have been done before, in part or whole: all of it is harmless to repeat as long as nothing else has been let in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "journal-private.h"

static void apply_step(struct journal *journal);

static char zeroes[JOURNAL_PIECE] __attribute__((aligned(4096)));

static void apply_end(struct journal *journal, int error)
{
	struct journal_apply *apply = journal->apply;

	journal->apply = NULL;
	free(apply->block);
	free(apply);
	journal->applied(journal, error);
}

/* ---- to the source ---- */

static int reserve_work(struct loop_work *work)
{
	const struct journal *journal = container_of(work, struct journal_apply, work)->journal;

	return journal_file_reserve(journal, journal->head.end);
}

/* What it has not got now, the WRITEs may get. */
static void reserved(struct loop_work *work, int res)
{
	struct journal_apply *apply = container_of(work, struct journal_apply, work);

	apply->reserving = false;
	apply_step(apply->journal);
}

/* A RESIZE gives back what was reserved past the end. */
static void reserve_again(struct journal *journal)
{
	struct journal_apply *apply = journal->apply;

	apply->reserving = true;
	apply->work.work = reserve_work;
	apply->work.done = reserved;
	loop_work(journal->backend->loop, &apply->work);
}

static void source_done(struct backend_req *req, int error)
{
	struct journal *journal = req->backend->journal;
	struct journal_apply *apply = journal->apply;

	apply->used[req - apply->req] = false;
	apply->running--;
	if (error && !apply->error)
		apply->error = error;
	if (!error && req->op == BACKEND_RESIZE)
		reserve_again(journal);
	else
		apply_step(journal);
}

static struct backend_req *free_req(struct journal *journal)
{
	struct journal_apply *apply = journal->apply;

	for (unsigned int i = 0; i < JOURNAL_WINDOW; i++) {
		if (apply->used[i])
			continue;
		apply->used[i] = true;
		apply->running++;
		memset(&apply->req[i], 0, sizeof(apply->req[i]));
		apply->req[i].loop = journal->backend->loop;
		apply->req[i].done = source_done;
		return &apply->req[i];
	}
	return NULL;
}

/* A RESIZE with all, both ways. */
static bool must_wait(const struct journal_apply *apply, const struct journal_record *record)
{
	for (unsigned int i = 0; i < JOURNAL_WINDOW; i++) {
		const struct backend_req *req = &apply->req[i];

		if (!apply->used[i])
			continue;
		if (req->op == BACKEND_RESIZE || record->op == BACKEND_RESIZE)
			return true;
		if (record->offset < req->offset + req->length && req->offset < record->offset + record->length)
			return true;
	}
	return apply->running == JOURNAL_WINDOW;
}

static void to_source(struct journal *journal, const struct journal_record *record, char *data)
{
	struct backend_req *req = free_req(journal);

	req->op = (enum backend_op)record->op;
	req->flags = BACKEND_BULK | BACKEND_REPEATED;
	req->offset = record->offset;
	req->length = record->length;
	req->arg = record->arg;
	req->data = data;
	if (record->op == BACKEND_WRITE && record->flags & JOURNAL_ZERO) {
		/* where they make it longer they are bytes, else a hole */
		req->op = record->offset + record->length > backend_size(journal->backend) ? BACKEND_WRITE : BACKEND_DISCARD;
		req->data = zeroes;
	}
	req->attach_gen = journal->attach_gen;
	req->epoch = journal->epoch;
	backend_submit_source(journal->backend, req);
}

static void sync_source(struct journal *journal)
{
	struct backend_req *req = free_req(journal);

	journal->apply->syncing = true;
	req->op = BACKEND_SYNC;
	backend_submit_source(journal->backend, req);
}

/* ---- from the file ---- */

static void block_read(struct loop_op *op, int res)
{
	struct journal_apply *apply = container_of(op, struct journal_apply, op);

	apply->reading = false;
	if (res == -EINTR || res == -EAGAIN)
		res = 0;
	else if (res == 0)
		res = -EUCLEAN;
	if (res < 0 && !apply->error)
		apply->error = res;
	apply->block_len += res > 0 ? (uint64_t)res : 0;
	apply_step(apply->journal);
}

/* More of what is in the block, or of what comes at the next record. */
static void read_block(struct journal *journal)
{
	struct journal_apply *apply = journal->apply;

	if (apply->block_len < apply->wanted) {
		apply->reading = true;
		apply->op.done = block_read;
		loop_read(journal->backend->loop, &apply->op, journal->fd, apply->block + apply->block_len,
			  (uint32_t)(apply->wanted - apply->block_len), apply->block_at + apply->block_len);
		return;
	}
	if (apply->wanted && apply->at == apply->block_at) {
		apply->error = -EUCLEAN;	/* longer than there is */
		return;
	}
	apply->block_at = apply->at;
	apply->block_len = 0;
	apply->wanted = journal->head.end - apply->at < JOURNAL_BLOCK ? journal->head.end - apply->at : JOURNAL_BLOCK;
	read_block(journal);
}

/* Is the next record whole in the block? Then *record is a copy, and *data where its bytes are. */
static bool get_record(struct journal *journal, struct journal_record *record, char **data)
{
	struct journal_apply *apply = journal->apply;
	uint64_t at = apply->at - apply->block_at, left = apply->block_len - at, len = 0;

	if (left < sizeof(*record))
		return false;
	memcpy(record, apply->block + at, sizeof(*record));
	*data = apply->block + at + sizeof(*record);
	if (record->crc != journal_record_crc(record) || record->batch != journal->head.batch || record->at != apply->at ||
	    journal_range_check(record->op, record->offset, record->length, record->arg) ||
	    (record->op == BACKEND_WRITE && record->length > JOURNAL_PIECE))
		apply->error = -EUCLEAN;
	else if (record->op == BACKEND_WRITE)
		len = journal_record_data(record);
	if (apply->error || len > left - sizeof(*record))
		return false;
	if (len && record->data_crc != crc32c(0, *data, len))
		apply->error = -EUCLEAN;
	return !apply->error;
}

/* One record more under way; false: something has to end first, or all is. */
static bool apply_one(struct journal *journal)
{
	struct journal_apply *apply = journal->apply;
	struct journal_record record;
	char *data;

	if (apply->error || apply->reading || apply->reserving || apply->at >= journal->head.end)
		return false;
	if (!get_record(journal, &record, &data)) {
		/* what is under way still needs the block */
		if (!apply->error && !apply->running)
			read_block(journal);
		return false;
	}
	if (must_wait(apply, &record))
		return false;
	apply->at += sizeof(record) + journal_record_data(&record);
	to_source(journal, &record, data);
	return true;
}

/* A request may end at once, and so come back here: then the loop that is running goes on. */
static void apply_step(struct journal *journal)
{
	struct journal_apply *apply = journal->apply;

	if (apply->stepping)
		return;
	apply->stepping = true;
	while (apply_one(journal))
		;
	if (!apply->error && !apply->running && !apply->reading && !apply->reserving && !apply->syncing)
		sync_source(journal);
	apply->stepping = false;
	if (!apply->running && !apply->reading && !apply->reserving)
		apply_end(journal, apply->error);
}

void journal_apply(struct journal *journal, void (*done)(struct journal *journal, int error))
{
	struct journal_apply *apply = calloc(1, sizeof(*apply));

	journal->applied = done;
	if (apply)
		apply->block = malloc(JOURNAL_BLOCK);
	if (!apply || !apply->block) {
		free(apply);
		done(journal, -ENOMEM);
		return;
	}
	apply->journal = journal;
	apply->at = apply->block_at = JOURNAL_START;
	journal->apply = apply;
	apply_step(journal);
}
