// SPDX-License-Identifier: GPL-2.0
/*
 * store-version: DIR/version, an opaque text that says which state of the source the clean bytes are of. Another one at the start: somebody else has
 * changed the source meanwhile, and the clean bytes go. One that was not kept in time does no more than that, needlessly.
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

int store_version_write(struct store *store, const char *text)
{
	int err = dirs_replace(store->dir_fd, "version", text, strlen(text));

	return err ? err : store->durable && fsync(store->dir_fd) ? -errno : 0;
}

/* One that can't be read is another one. */
bool store_version_differs(struct store *store)
{
	const char *want = store->options.version;
	size_t len = want ? strlen(want) : 0;
	char *found = want ? malloc(len + 1) : NULL;
	bool same = false;
	int fd;

	if (!want)
		return false;
	fd = openat(store->dir_fd, "version", O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		free(found);
		return errno != ENOENT;
	}
	same = found && read(fd, found, len + 1) == (ssize_t)len && !memcmp(found, want, len);
	close(fd);
	free(found);
	return !same;
}

static int version_work(struct loop_work *work)
{
	struct store *store = container_of(work, struct store, version.work);

	return store_version_write(store, store->version.writing);
}

/* ---- on the loop ---- */

static void version_written(struct loop_work *work, int res)
{
	struct store *store = container_of(work, struct store, version.work);
	struct version *version = &store->version;

	if (res)
		log_warning("%s: the version of the source can't be noted: %s", store->options.dir, strerror(-res));
	free(version->writing);
	version->writing = NULL;
	store_version_keep(store, version->then);
}

void store_version_keep(struct store *store, void (*then)(struct store *store))
{
	struct version *version = &store->version;

	version->then = then;
	if (version->writing)
		return;
	if (!version->next) {
		version->then = NULL;
		if (then)
			then(store);
		return;
	}
	version->writing = version->next;
	version->next = NULL;
	version->work.work = version_work;
	version->work.done = version_written;
	loop_work(store->loop, &version->work);
}

void store_set_version(struct store *store, const char *text)
{
	char *copy = strdup(text);

	if (!copy) {
		log_warning("%s: no memory to note the version of the source", store->options.dir);
		return;
	}
	free(store->version.next);
	store->version.next = copy;
	if (!store->version.writing)
		store_version_keep(store, NULL);
}
