// SPDX-License-Identifier: GPL-2.0
/* journal-open: what an earlier one has left: a batch that was decided is done, one that was not is dropped. */
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal-private.h"

#define OPEN_REPLAY 2

bool journal_is_name(const char *path)
{
	size_t len = strlen(path), suffix = strlen(JOURNAL_SUFFIX);
	const char *slash = strrchr(path, '/');

	return (len >= suffix && !strcmp(path + len - suffix, JOURNAL_SUFFIX)) || !strcmp(slash ? slash + 1 : path, ".journal");
}

static void close_file(struct journal *journal)
{
	if (journal->fd >= 0)
		close(journal->fd);
	journal->fd = -1;
}

/* Can it be made when it is needed? Not before: most sources never need one. */
static bool may_make(const struct journal *journal)
{
	char *copy = strdup(journal->path);
	bool may = copy && !access(dirname(copy), W_OK | X_OK);

	free(copy);
	return may;
}

/* There is a batch to be done. */
static int open_decided(struct journal *journal)
{
	struct backend *backend = journal->backend;

	if (backend->open->read_only)
		return JOURNAL_WANTS_WRITER;
	if (backend->caps.read_only)
		return backend_error(backend, -EROFS, "%s has a batch that must be done to %s first, which can't be written",
				     journal->path, backend->uri.text);
	return journal_file_check(journal) ?: OPEN_REPLAY;
}

static void note_done_before(struct journal *journal)
{
	const struct journal_head *head = &journal->head;
	struct backend *backend = journal->backend;

	backend->replayed = (struct backend_published){
		.offset = head->offset, .length = head->length, .size = backend_size(backend), .resized = head->resized,
	};
	backend->replayed_before = head->length;
}

static int open_work(struct loop_work *work)
{
	struct journal *journal = container_of(work, struct journal, work);
	struct backend *backend = journal->backend;
	bool read_only = backend->open->read_only || backend->caps.read_only;
	int err;

	journal->path = backend->ops->journal(backend);
	if (!journal->path)
		return 0;
	err = backend->ops->identity(backend, journal->identity);
	if (err)
		return err;
	err = journal_file_look(journal, read_only);
	if (!err && journal->fd >= 0 && !journal->head.batch)
		note_done_before(journal);
	if (!err && journal->fd >= 0 && journal->head.batch)
		return open_decided(journal);
	if (err || read_only) {
		close_file(journal);
		return err;
	}
	backend->caps.publish = backend->caps.fence != FENCE_NONE && (journal->fd >= 0 || may_make(journal));
	return journal->fd >= 0 ? journal_file_begin(journal) : 0;
}

static void open_worked(struct loop_work *work, int res)
{
	struct journal *journal = container_of(work, struct journal, work);
	struct backend *backend = journal->backend;

	if (res == OPEN_REPLAY) {
		backend->caps.publish = backend->caps.fence != FENCE_NONE;
		journal_replay(journal);
		return;
	}
	if (res < 0 && !backend->why)
		backend_error(backend, res, "%s: %s", journal->path, strerror(-res));
	journal->opened(backend, res);
}

void journal_open(struct backend *backend, void (*done)(struct backend *backend, int error))
{
	struct journal *journal = calloc(1, sizeof(*journal));

	if (!journal) {
		done(backend, -ENOMEM);
		return;
	}
	journal->backend = backend;
	journal->attach_gen = backend->open->attach_gen;
	journal->epoch = backend->open->epoch;
	journal->fd = -1;
	journal->durable = backend->caps.durability != DURABLE_NEVER;
	journal->opened = done;
	list_init(&journal->waiting);
	gate_init(journal);
	extents_init(&journal->touched);
	backend->journal = journal;
	backend->caps.publish_max = BACKEND_PUBLISH_MAX;
	journal->work.work = open_work;
	journal->work.done = open_worked;
	loop_work(backend->loop, &journal->work);
}

void journal_close(struct journal *journal)
{
	close_file(journal);
	extents_free(&journal->touched);
	pthread_mutex_destroy(&journal->lock);
	free(journal->path);
	free(journal);
}
