// SPDX-License-Identifier: GPL-2.0
/*
 * Who waits for the lock of a source, while the one who has it deletes it: gets a new one, or hears that there is none, but
 * never writes to what has no name.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "backends/lock-reach.h"
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

static void check_reach(void)
{
	static const struct {
		uint64_t type;
		const char *options;
		bool reaches;
		const char *what;
	} reach[] = {
		{ 0xef53, "23 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw", true, "ext4's locks exclude all who reach its bytes" },
		{ 0x01021994, "", true, "tmpfs's, too" },
		{ 0x6969, "90 1 0:50 / /n rw - nfs4 c:/ rw,vers=4.2,local_lock=none,addr=1", true, "NFS's do" },
		{ 0x6969, "90 1 0:50 / /n rw - nfs c:/ rw,vers=3,nolock,local_lock=all,addr=1", false, "but not where they are local" },
		{ 0x6969, "90 1 0:50 / /n rw - nfs c:/ rw,vers=3,local_lock=flock\n", false, "as one kind of them may be" },
		{ 0x6969, "90 1 0:50 / /n rw - nfs c:/ rw,vers=3,local_lock=posix,addr=1", true, "or the other kind" },
		{ 0xfe534d42, "91 1 0:51 / /c rw - cifs //c/s rw,nobrl", false, "CIFS's stay here where the server is not asked" },
		{ 0xfe534d42, "91 1 0:51 / /c rw - cifs //c/nobrl-s rw", true, "which is an option, and not a name" },
		{ 0x01161970, "92 1 0:52 / /g rw - gfs2 /dev/x rw,lockproto=lock_nolock", false, "a cluster's one node has them alone" },
		{ 0x01021997, "", false, "9p's are not known to be heard of by others" },
		{ 0x65735546, "", false, "nor are FUSE's" },
	};

	for (size_t i = 0; i < sizeof(reach) / sizeof(*reach); i++)
		tap_ok(lock_reach(reach[i].type, reach[i].options) == reach[i].reaches, "%s", reach[i].what);
}

static void check_reaches_all(void)
{
	int pipes[2], fd = open(source_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	tap_ok(lock_reaches_all(fd), "a directory here is one whose locks count");
	close(fd);
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	tap_ok(!lock_reaches_all(fd), "what is on a file system that nobody knows is none");
	close(fd);
	if (pipe(pipes))
		exit(99);
	tap_ok(!lock_reaches_all(pipes[0]), "nor is what is on none, as a device");
}

int main(void)
{
	source_begin();
	memset(ones, 1, sizeof(ones));
	check("file", "file", "", true);
	check("file", "file-gone", "", false);
	check("dir", "dir", "/.lock", true);
	check("dir", "dir-gone", "/.lock", false);
	check_reach();
	check_reaches_all();
	source_end();
	return tap_end();
}
