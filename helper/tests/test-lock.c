// SPDX-License-Identifier: GPL-2.0
/*
 * Who waits for the lock of a source, while the one who has it deletes it: gets a new one, or hears that there is none, but
 * never writes to what has no name.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "source.h"
#include "tap.h"

#define LEN 4096u

static char ones[LEN], twos[LEN];

/* lock: the file whose lock it is. */
static void check(const char *scheme, const char *name, const char *lock, bool create)
{
	char uri[300], file[300];
	struct opening opening;
	struct backend *backend;
	bool same;
	int fd;

	snprintf(uri, sizeof(uri), "%s:%s/%s?direct=no", scheme, source_dir(), name);
	snprintf(file, sizeof(file), "%s/%s%s", source_dir(), name, lock);
	backend = source_open(uri, true, LEN);
	ask(backend, BACKEND_WRITE, 0, LEN, ones);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	opening_start(&opening, uri, create, LEN);
	while (source_nr_open(fd) < 3)
		ask(backend, BACKEND_READ, 0, LEN, twos);
	tap_number(ask(backend, BACKEND_DESTROY, 0, 0, NULL), 0, name);
	source_close(backend);
	backend = opening_wait(&opening);
	close(fd);
	if (!create) {
		tap_ok(!backend && source_error == -ENOENT, "who waited for it hears that it is gone");
		return;
	}
	if (!tap_ok(backend != NULL, "who waited for it has it"))
		return;
	tap_ok(source_holds(backend, 0, LEN, 0), "without the bytes that were there");
	memset(twos, 2, sizeof(twos));
	tap_number(ask(backend, BACKEND_WRITE, 0, LEN, twos), 0, "WRITE");
	source_close(backend);
	backend = source_open(uri, false, 0);
	same = backend && source_holds(backend, 0, LEN, 2);
	tap_ok(same, "is seen by the next helper");
	if (backend)
		source_close(backend);
}

int main(void)
{
	source_begin();
	memset(ones, 1, sizeof(ones));
	check("file", "file", "", true);
	check("file", "file-gone", "", false);
	check("dir", "dir", "/.lock", true);
	check("dir", "dir-gone", "/.lock", false);
	source_end();
	return tap_end();
}
