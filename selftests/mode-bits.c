// SPDX-License-Identifier: GPL-2.0
/* Mode bits have POSIX meaning: a file created 0444 through a writable descriptor stays writable through it. */
#include "lib/app.h"
#include "lib/env.h"

static struct env e;

int main(void)
{
	struct stat st;
	char path[128], *p;
	uint64_t id;
	int fd;

	tap_start(300);
	env_start(&e, "mode");
	snprintf(path, sizeof(path), "%s", env_path(&e, "f"));
	umask(0);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0444);
	ok(fd >= 0, "a file is created 0444, open for writing");
	id = env_id(&e, "f");
	ok(id, "it is a region");
	is(pwrite(fd, "first", 5, 0), 5, "it is written through that descriptor");
	is(env_region_u32(&e, id, REGIONFS_A_WRITERS), 1, "one writer is counted");
	is(fsync(fd), 0, "fsync");
	must(ftruncate(fd, 8192) == 0);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ok(p != MAP_FAILED, "and mapped writable");
	is(env_region_u32(&e, id, REGIONFS_A_WRITERS), 1, "that is still one writer");
	close(fd);
	memcpy(p, "FIRST", 5);
	is(env_region_u32(&e, id, REGIONFS_A_WRITERS), 1, "the mapping alone after the close");
	is(msync(p, 4096, MS_SYNC), 0, "it is still written");
	munmap(p, 4096);
	is(env_region_u32(&e, id, REGIONFS_A_WRITERS), 0, "no writer is left");
	must(stat(path, &st) == 0);
	is(st.st_mode & 07777, 0444, "the mode is as it was created");
	fd = open(path, O_RDONLY);
	must(fd >= 0);
	ok(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED,
	   "a read-only descriptor maps nothing writable");
	is(env_region_u32(&e, id, REGIONFS_A_OPENS), 1, "one open file is counted");
	is(fchmod(fd, 0644), 0, "a write bit is given back");
	close(fd);
	is(app_run(path, APP_WRITE, 0, 5, 1), 0, "and used");
	is(env_region_u32(&e, id, REGIONFS_A_MODE) & 07777, 0644, "netlink tells the same mode");
	is(chmod(path, 04755), 0, "setuid");
	is(app_run(path, APP_WRITE, 0, 5, 2), 0, "a write by root");
	must(stat(path, &st) == 0);
	is(st.st_size, 8192, "the size has stayed");
	return tap_done();
}
