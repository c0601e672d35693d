// SPDX-License-Identifier: GPL-2.0
/* failnth-file: see failnth-file.h. */
#include <sys/mount.h>

#include "failnth-file.h"

struct nthfile nf;
char nthother_dir[64];

static void nthfile_open(void)
{
	nf.fd = open(nf.path, O_RDWR | O_CLOEXEC);
	must(nf.fd >= 0);
}

void nthfile_start(const char *what)
{
	failnth_start();
	env_start(&nf.e, what);
	snprintf(nf.path, sizeof(nf.path), "%s", env_path(&nf.e, "r"));
	nf.id = env_filled(&nf.e, "r", FILE_SIZE, 1);
	nf.size = FILE_SIZE;
	pattern_fill(nf.want, FILE_SIZE, 0, 1);
	nf.buf = aligned_alloc(4096, FILE_ROOM + 4096);
	must(nf.buf);
	memset(nf.buf, 1, FILE_ROOM + 4096);
	nthfile_open();
	strcpy(nthother_dir, "/tmp/fail-nth-XXXXXX");
	must(mkdtemp(nthother_dir));
}

static void nthfile_unmap(void)
{
	if (nf.map)
		munmap(nf.map, FILE_SIZE);
	nf.map = NULL;
}

int nthfile_done(void)
{
	nthfile_unmap();
	close(nf.fd);
	rmdir(nthother_dir);
	tap_note("%u failures", failnth_total());
	return tap_done();
}

void nthfile_fresh(void)
{
	nthfile_unmap();
	close(nf.fd);
	must(unlink(nf.path) == 0);
	nf.fd = open(nf.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	must(nf.fd >= 0 && ftruncate(nf.fd, FILE_SIZE) == 0);
	nf.id = env_id(&nf.e, "r");
	memset(nf.want, 0, sizeof(nf.want));
	nf.size = FILE_SIZE;
}

void nthfile_cold(void)
{
	nthfile_unmap();
	must(fsync(nf.fd) == 0);
	env_evict(nf.fd);
}

void nthfile_cold_map(int flags)
{
	nthfile_cold();
	nf.map = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, flags, nf.fd, 0);
	must(nf.map != MAP_FAILED);
}

void nthfile_whole(void)
{
	if (nf.size == FILE_SIZE)
		return;
	must(ftruncate(nf.fd, FILE_SIZE) == 0);
	if (nf.size < FILE_SIZE)
		memset(nf.want + nf.size, 0, FILE_SIZE - nf.size);
	nf.size = FILE_SIZE;
}

void nthfile_warm(void)
{
	must(pread(nf.fd, nf.buf, nf.size, 0) == (ssize_t)nf.size);
}

void nthfile_will_write(size_t at, size_t len)
{
	static uint64_t seed = 1000;

	pattern_fill(nf.buf, len, at, ++seed);
	memcpy(nf.want + at, nf.buf, len);
	if (at > nf.size)
		memset(nf.want + nf.size, 0, at - nf.size);
	if (at + len > nf.size)
		nf.size = at + len;
}

bool nthfile_is(const void *bytes, size_t at, size_t len)
{
	return !memcmp(bytes, nf.want + at, len);
}

/* As a step of the below: says what is wrong. */
static bool nthfile_holds(bool good, const char *what)
{
	if (!good)
		tap_note("  %s: %m", what);
	return good;
}

static bool nthfile_at_source(void)
{
	static char got[FILE_ROOM];

	fh_pread(nf.e.fh, nf.id, got, nf.size, 0);
	return nthfile_is(got, 0, nf.size);
}

bool nthfile_right(void)
{
	static char got[FILE_ROOM];
	int fd = open(nf.path, O_RDONLY | O_CLOEXEC);
	struct stat st = { 0 };
	bool good;

	good = nthfile_holds(fd >= 0, "it cannot be opened") &&
	       nthfile_holds(!fstat(fd, &st) && st.st_size == (off_t)nf.size, "its size is another") &&
	       nthfile_holds(pread(fd, got, nf.size, 0) == (ssize_t)nf.size, "it cannot be read") &&
	       nthfile_holds(nthfile_is(got, 0, nf.size), "its bytes are others") &&
	       nthfile_holds(!fsync(fd), "it cannot be synced") &&
	       nthfile_holds(nthfile_at_source(), "the source has other bytes");
	close(fd);
	return good;
}

int nthfile_result(ssize_t n, size_t len)
{
	if (n < 0)
		return -errno;
	return n == (ssize_t)len ? 0 : -ENODATA;
}

void nthother_ask(uint8_t cmd)
{
	nlq_start(&nf.e.q, &nf.e.nl, cmd, 0);
	nlq_str(&nf.e.q, REGIONFS_A_INSTANCE, OTHER);
}

void nthother_stop(void)
{
	int err;

	do {
		nthother_ask(REGIONFS_CMD_INSTANCE_STOP);
		nlq_flag(&nf.e.q, REGIONFS_A_DISCARD);
		err = env_call_long(&nf.e);
	} while (err != -ENOENT && !usleep(1000));
}

void nthother_start(void)
{
	nthother_stop();
	nthother_ask(REGIONFS_CMD_INSTANCE_NEW);
	must(env_call(&nf.e) == 0);
}

int nthother_mount(void)
{
	return mount(OTHER, nthother_dir, "regionfs", 0, NULL) ? -errno : 0;
}

void nthother_unmount(void)
{
	while (!umount2(nthother_dir, MNT_DETACH))
		;
}
