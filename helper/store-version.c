// SPDX-License-Identifier: GPL-2.0
/*
 * store-version: DIR/version, an opaque text that says which state of the source the clean bytes are of. Whoever opens the source finds another one:
 * somebody else has changed it meanwhile, and has the clean bytes dropped. One that was not kept in time does no more than that, needlessly.
 *
 * What we push ourselves makes another one, too. So as long as pushes are not settled there is DIR/pushing, an empty file: a version that differs
 * then is taken for our own, or a kill in the middle of a push would cost all that is here.
 *
 * A new version is not written before what was dropped for it is sure to be gone: after a power cut it would else speak for bytes that
 * are of the old one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dirs.h"
#include "log.h"
#include "store-private.h"

/* ---- in a worker ---- */

static int text_write(struct store *store, const char *name, const char *text)
{
	int err = dirs_replace(store->dir_fd, name, text, strlen(text));

	return err ? err : store->durable && fsync(store->dir_fd) ? -errno : 0;
}

/* One that can't be read is another one: "", which no source has. */
static int text_read(struct store *store, const char *name, char **found)
{
	int fd = openat(store->dir_fd, name, O_RDONLY | O_CLOEXEC);
	char text[BACKEND_VERSION_MAX + 1];
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return 0;
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	*found = strdup(text);
	return *found ? 0 : -ENOMEM;
}

int store_version_read(struct store *store)
{
	store->version.pushing = !faccessat(store->dir_fd, "pushing", F_OK, 0);
	return text_read(store, "version", &store->version.noted);
}

/* It is gone before anything can change. */
int store_mark_take(struct store *store)
{
	int err = text_read(store, "mark", &store->mark);

	if (err || !store->mark)
		return err;
	if (unlinkat(store->dir_fd, "mark", 0) || (store->durable && fsync(store->dir_fd)))
		return -errno;
	return 0;
}

static int mark_work(struct loop_work *work)
{
	struct store *store = container_of(work, struct store, version.work);

	return text_write(store, "mark", store->leaving);
}

static int version_work(struct loop_work *work)
{
	struct store *store = container_of(work, struct store, version.work);

	int err = text_write(store, "version", store->version.writing);

	if (!err && store->version.settling && unlinkat(store->dir_fd, "pushing", 0) && errno != ENOENT)
		err = -errno;
	return err;
}

static int begin_work(struct loop_work *work)
{
	struct store *store = container_of(work, struct store, version.work);
	int fd = openat(store->dir_fd, "pushing", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* ---- on the loop ---- */

const char *store_version(const struct store *store)
{
	return store->version.noted;
}

static void begin(struct store *store);
static void begin_over(struct store *store);

static void version_written(struct loop_work *work, int res)
{
	struct store *store = container_of(work, struct store, version.work);
	struct version *version = &store->version;

	if (res)
		log_warning("%s: the version of the source can't be noted: %s", store->options.dir, strerror(-res));
	free(version->writing);
	version->writing = NULL;
	version->pushing &= res || !version->settling;
	if (version->begin && !version->pushing)
		begin(store);
	else
		begin_over(store);
}

static void begin_made(struct loop_work *work, int res)
{
	struct store *store = container_of(work, struct store, version.work);

	if (res)
		log_warning("%s: a push can't be noted: %s; if it is cut short, what is here of the source is fetched again", store->options.dir,
			    strerror(-res));
	begin_over(store);
}

static void begin(struct store *store)
{
	struct version *version = &store->version;

	version->pushing = true;
	version->working = true;
	version->work.work = begin_work;
	version->work.done = begin_made;
	loop_work(store->loop, &version->work);
}

static void begin_over(struct store *store)
{
	struct store_io *io = store->version.begin;

	store->version.working = false;
	store->version.begin = NULL;
	if (io)
		io->done(io, 0);
	if (!store->version.working)
		store_version_keep(store, store->version.then);
}

void store_push_begin(struct store *store, struct store_io *io)
{
	struct version *version = &store->version;

	version->settled = false;
	if (!version->noted || (version->pushing && !(version->writing && version->settling))) {
		io->done(io, 0);
		return;
	}
	version->begin = io;
	if (!version->working)
		begin(store);
}

bool store_pushing(const struct store *store)
{
	return store->version.pushing;
}

void store_version_keep(struct store *store, void (*then)(struct store *store))
{
	struct version *version = &store->version;

	version->then = then;
	if (version->working)
		return;
	if (!version->next || version->gone != version->drops || version->broken) {
		version->then = NULL;
		if (then)
			then(store);
		return;
	}
	version->writing = version->next;
	version->next = NULL;
	version->settling = version->settled;
	version->working = true;
	version->work.work = version_work;
	version->work.done = version_written;
	loop_work(store->loop, &version->work);
}

void store_set_version(struct store *store, const char *text, bool settled)
{
	char *noted = strdup(text), *next = strdup(text);

	if (!noted || !next) {
		free(noted);
		free(next);
		log_warning("%s: no memory to note the version of the source", store->options.dir);
		return;
	}
	free(store->version.noted);
	store->version.noted = noted;
	free(store->version.next);
	store->version.next = next;
	store->version.settled = settled;
	if (!store->version.working)
		store_version_keep(store, NULL);
}

/* ---- the mark ---- */

const char *store_mark(const struct store *store)
{
	return store->mark;
}

void store_leave_mark(struct store *store, const char *text)
{
	free(store->leaving);
	store->leaving = strdup(text);
}

/* One that could not be left is missed by nobody. */
static void mark_left(struct loop_work *work, int res)
{
	struct store *store = container_of(work, struct store, version.work);

	store->version.then(store);
}

void store_mark_leave(struct store *store, void (*then)(struct store *store))
{
	struct version *version = &store->version;

	if (!store->leaving || store->tidy.error || store->remove) {
		then(store);
		return;
	}
	version->then = then;
	version->work.work = mark_work;
	version->work.done = mark_left;
	loop_work(store->loop, &version->work);
}

/* ---- another version ---- */

static void drop(struct store *store, uint64_t from, uint64_t end)
{
	if (from < end)
		base_drop(store->base, from, end - from);
}

/* All that no generation has. Without memory to tell what that is, all: what the base has not, the log has. */
static void drop_clean(struct store *store)
{
	struct extents changed;
	struct extent extent;
	uint64_t from = 0;

	extents_init(&changed);
	if (store_gen_all(store, &changed))
		extents_free(&changed);
	while (extents_next(&changed, from, &extent)) {
		drop(store, from, store_page_down(extent.start));
		from = store_page_up(extent.end);
	}
	drop(store, from, UINT64_MAX);
	extents_free(&changed);
}

static void drop_noted(struct redo_io *redo, int error)
{
	struct op *op = container_of(redo, struct op, redo);
	struct store *store = op->store;

	if (error)
		log_warning("%s: can't note that the source has changed: %s", store->options.dir, strerror(-error));
	store->version.broken |= error != 0;
	store->version.drops++;
	store->tidy.dirty = true;
	store_tidy_soon(store);
	store_op_done(op, 0);
}

/*
 * A chunk that was not compared with its checksum goes whole. The log may have changes still that are at the source: at the next start they
 * are not to be put over the base again.
 */
void store_drop_run(struct op *op)
{
	struct store *store = op->store;

	drop_clean(store);
	if (!list_empty(&store->gens))
		atomic_store(&store->holes, true);
	op->redo = (struct redo_io){ .done = drop_noted, .kind = REDO_PUSHED, .gen = store->pushed, .arg = 1, .size = store->size };
	if (redo_bytes(store->redo))
		redo_append(store->redo, &op->redo);
	else
		drop_noted(&op->redo, 0);
}

void store_drop_clean(struct store *store, struct store_io *io)
{
	io->offset = 0;
	io->length = UINT64_MAX;
	store_op_start(store, io, OP_DROP);
}

void store_version_gone(struct store *store, unsigned int drops)
{
	store->version.gone = drops;
	if (!store->version.working)
		store_version_keep(store, store->version.then);
}
