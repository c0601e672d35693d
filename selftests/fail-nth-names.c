// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation fails once in what is done with names and attributes: what has failed has not happened, what has is heard of by the helper and by those
 * who listen to events.
 * timeout: 300
 */
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "lib/failnth-file.h"

static char there[160], other[160], dir[160];
static uint64_t gone;		/* the region whose last name goes */
static uint32_t from;		/* the helper's log, since the stage was set */
static int fd = -1;
static struct nl events;
static struct nlr r;

static void close_it(void)
{
	if (fd >= 0)
		close(fd);
	fd = -1;
}

/* ---- files ---- */

static void absent(void)
{
	close_it();
	unlink(there);
	unlink(other);
}

static void present(void)
{
	absent();
	must(mknod(there, S_IFREG | 0600, 0) == 0);
	from = fh_mark(nf.e.fh);
	gone = env_id(&nf.e, "there");
}

static void both_present(void)
{
	present();
	must(mknod(other, S_IFREG | 0600, 0) == 0);
	gone = env_id(&nf.e, "other");
}

static int open_it(void)
{
	close_it();
	fd = open(there, O_RDWR);
	return fd < 0 ? -errno : 0;
}

static int create(void)
{
	fd = open(there, O_RDWR | O_CREAT | O_EXCL, 0600);
	return fd < 0 ? -errno : 0;
}

static bool is_there(void)
{
	return !access(there, F_OK);
}

static int unlink_it(void)
{
	return unlink(there) ? -errno : 0;
}

/* The helper is told, so that it does not keep the bytes for ever. */
static bool is_destroyed(void)
{
	return fh_wait(nf.e.fh, from, REGIONFS_OP_DESTROY, gone, 0, 0, FH_ANSWERED, 5000) >= 0;
}

static int rename_it(void)
{
	return rename(there, other) ? -errno : 0;
}

static bool is_renamed(void)
{
	return access(there, F_OK) && !access(other, F_OK);
}

static bool is_renamed_over(void)
{
	return is_renamed() && is_destroyed();
}

/* ---- directories ---- */

static void no_dir(void)
{
	rmdir(dir);
}

static void a_dir(void)
{
	no_dir();
	must(mkdir(dir, 0700) == 0);
}

static int make_dir(void)
{
	return mkdir(dir, 0700) ? -errno : 0;
}

static int remove_dir(void)
{
	return rmdir(dir) ? -errno : 0;
}

static int list(void)
{
	static char buf[4096];
	int d = open(nf.e.dir, O_RDONLY | O_DIRECTORY), err = 0;

	if (d < 0 || syscall(SYS_getdents64, d, buf, sizeof(buf)) < 0)
		err = -errno;
	if (d >= 0)
		close(d);
	return err;
}

/* ---- attributes ---- */

static int change_mode(void)
{
	return chmod(nf.path, failnth_n() & 1 ? 0600 : 0640) ? -errno : 0;
}

static bool has_mode(void)
{
	struct stat st;

	return !stat(nf.path, &st) && (st.st_mode & 0777) == (failnth_n() & 1 ? 0600 : 0640);
}

static int change_times(void)
{
	return utimensat(AT_FDCWD, nf.path, NULL, 0) ? -errno : 0;
}

static int get_stat(void)
{
	struct stat st;

	return stat(nf.path, &st) ? -errno : 0;
}

static int get_statvfs(void)
{
	struct statvfs st;

	return statvfs(nf.e.dir, &st) ? -errno : 0;
}

/* ---- events ---- */

static void heard(void)
{
	close_it();
	while (recv(events.fd, r.buf, sizeof(r.buf), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		;
}

/* Opened, and closed: whoever listens hears of both, or that he has missed something. */
static int open_close(void)
{
	int err = open_it();

	close_it();
	return err;
}

static bool is_heard(void)
{
	int want[] = { REGIONFS_EVENT_OPENED, REGIONFS_EVENT_CLOSED };
	int i = 0, got = 0;

	while (i < 2 && got >= 0) {
		got = nl_event(&events, &r, 5000);
		i += got == want[i];
	}
	return i == 2 || got == -ENOBUFS;
}

static int hear(void)
{
	int got = nl_event(&events, &r, 5000);

	return got < 0 ? got : 0;
}

static void to_hear(void)
{
	heard();
	must(!open_close());
}

static const struct failnth_op ops[] = {
	{ "open", present, open_it, is_there },
	{ "create", absent, create, is_there },
	{ "unlink", present, unlink_it, is_destroyed },
	{ "rename", present, rename_it, is_renamed },
	{ "rename over another", both_present, rename_it, is_renamed_over },
	{ "mkdir", no_dir, make_dir, NULL },
	{ "rmdir", a_dir, remove_dir, NULL },
	{ "readdir", NULL, list, NULL },
	{ "chmod", NULL, change_mode, has_mode },
	{ "utimes", NULL, change_times, nthfile_right },
	{ "stat", NULL, get_stat, NULL },
	{ "statfs", NULL, get_statvfs, NULL },
};

static const struct failnth_op event_ops[] = {
	{ "events of open and close", heard, open_close, is_heard },
	{ "reading an event", to_hear, hear, NULL },
};

int main(void)
{
	tap_start(1100);
	nthfile_start("fail-nth-names");
	snprintf(there, sizeof(there), "%s/there", nf.e.dir);
	snprintf(other, sizeof(other), "%s/other", nf.e.dir);
	snprintf(dir, sizeof(dir), "%s/dir", nf.e.dir);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		failnth_run(&ops[i]);
	must(nl_open(&events) == 0 && nl_subscribe(&events) == 0);
	present();
	for (size_t i = 0; i < sizeof(event_ops) / sizeof(event_ops[0]); i++)
		failnth_run(&event_ops[i]);
	absent();
	return nthfile_done();
}
