// SPDX-License-Identifier: GPL-2.0
/* Names: create, mkdir, rename, unlink, readdir, statfs, what is refused; an unlinked region lives until its last close. */
#include <dirent.h>
#include <glob.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#include "lib/app.h"
#include "lib/env.h"

static struct env e;

static char *in(char *buf, const char *path)
{
	sprintf(buf, "%s/%s", e.dir, path);
	return buf;
}

static int error_of(int ret)
{
	return ret < 0 ? errno : 0;
}

static int entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void directories(void)
{
	char a[512], b[512], part[300];
	int fd;

	is(error_of(mkdir(in(a, "d"), 0755)), 0, "mkdir");
	is(error_of(mkdir(in(a, "d"), 0755)), EEXIST, "mkdir again");
	is(error_of(mkdir(in(a, "d/sub"), 0755)), 0, "a directory in it");
	fd = open(in(a, "d/sub/f"), O_RDWR | O_CREAT | O_EXCL, 0644);
	ok(fd >= 0, "a file in that");
	close(fd);
	is(entries(in(a, "d/sub")), 1, "readdir has it");
	is(error_of(rmdir(in(a, "d/sub"))), ENOTEMPTY, "rmdir of a full directory");
	is(error_of(rename(in(a, "d/sub/f"), in(b, "f"))), 0, "rename across directories");
	is(error_of(rmdir(in(a, "d/sub"))), 0, "rmdir of an empty one");
	is(error_of(rename(in(a, "d"), in(b, "d/x"))), EINVAL, "a directory into itself");
	memset(part, 'x', sizeof(part));
	part[255] = 0;
	fd = open(in(a, part), O_RDWR | O_CREAT, 0644);
	ok(fd >= 0, "a name of 255 bytes");
	close(fd);
	is(error_of(unlink(in(a, part))), 0, "and its unlink");
	part[255] = 'x';
	part[256] = 0;
	is(error_of(open(in(a, part), O_RDWR | O_CREAT, 0644)), ENAMETOOLONG, "one of 256");
}

static void refused(void)
{
	char a[512], b[512], value[8];

	is(error_of(symlink("f", in(a, "s"))), EPERM, "symlink");
	is(error_of(link(in(a, "f"), in(b, "l"))), EPERM, "link");
	is(error_of(mknod(in(a, "n"), S_IFIFO | 0600, 0)), EPERM, "mknod");
	is(error_of(setxattr(in(a, "f"), "user.x", "1", 1, 0)), EOPNOTSUPP, "setxattr");
	is(error_of(getxattr(in(a, "f"), "user.x", value, 8)), EOPNOTSUPP, "getxattr");
	is(error_of(open(in(a, "none"), O_RDONLY)), ENOENT, "open of nothing");
	is(error_of(unlink(in(a, "d"))), EISDIR, "unlink of a directory");
}

static void rename_over(void)
{
	char a[512], b[512];
	uint64_t one = env_filled(&e, "one", 64 * KiB, 1), two = env_filled(&e, "two", 64 * KiB, 2);
	uint32_t from = fh_mark(e.fh);

	is(error_of(rename(in(a, "one"), in(b, "two"))), 0, "rename over another region");
	is(env_id(&e, "two"), one, "the name has the first one");
	is(app_run(b, APP_READ, 0, 64 * KiB, 1), 0, "and its bytes");
	ok(fh_wait(e.fh, from, REGIONFS_OP_DESTROY, two, 0, 0, FH_ANSWERED, SOON) >= 0,
	   "the other one is destroyed");
}

/* simple_rename() knows no whiteouts: then the name's region goes on as it was, with its write rate. */
static void rename_refused(void)
{
	uint64_t one = env_filled(&e, "three", 64 * KiB, 1), two = env_filled(&e, "four", 64 * KiB, 2);
	char a[512], b[512];

	env_ask(&e, REGIONFS_CMD_WRITE_RATE, two);
	nlq_u64(&e.q, REGIONFS_A_WRITE_RATE, MiB);
	must(env_call(&e) == 0);
	is(error_of(renameat2(AT_FDCWD, in(a, "three"), AT_FDCWD, in(b, "four"), RENAME_WHITEOUT)), EINVAL,
	   "rename with a whiteout");
	ok(env_id(&e, "three") == one && env_id(&e, "four") == two, "both are there");
	must(env_simple(&e, REGIONFS_CMD_REGION_GET, two) == 0);
	ok(e.r.a[REGIONFS_A_WRITE_RATE] != NULL, "the second still has its write rate");
}

static void unlink_open(void)
{
	char a[512];
	uint64_t id = env_filled(&e, "gone", 64 * KiB, 3);
	uint32_t from = fh_mark(e.fh);
	char buf[4096];
	int fd = open(in(a, "gone"), O_RDWR);

	must(fd >= 0);
	is(error_of(unlink(a)), 0, "unlink of an open file");
	is(error_of(open(a, O_RDONLY)), ENOENT, "the name is free");
	is(env_simple(&e, REGIONFS_CMD_REGION_GET, id), 0, "the region is there still");
	is(nlr_u32(&e.r, REGIONFS_A_NLINK), 0, "without a link");
	is(pread(fd, buf, sizeof(buf), 0), sizeof(buf), "it can be read");
	is(pattern_check(buf, sizeof(buf), 0, 3), -1, "rightly");
	is(pwrite(fd, buf, sizeof(buf), 4096), sizeof(buf), "and written");
	is(fh_seen(e.fh, from, REGIONFS_OP_DESTROY, id, 0, 0, NULL), 0, "it is not destroyed yet");
	close(fd);
	ok(fh_wait(e.fh, from, REGIONFS_OP_DESTROY, id, 0, 0, FH_ANSWERED, SOON) >= 0,
	   "the last close destroys it");
	is(env_simple(&e, REGIONFS_CMD_REGION_GET, id), -ENOENT, "and the region is gone");
}

static void attributes(void)
{
	struct timespec times[2] = { { 1000, 5 }, { 2000, 7 } };
	struct statfs fs;
	struct stat st;
	char a[512];

	in(a, "f");
	is(error_of(chmod(a, 0640)), 0, "chmod");
	is(error_of(chown(a, 12, 34)), 0, "chown");
	is(error_of(utimensat(AT_FDCWD, a, times, 0)), 0, "utimes");
	must(stat(a, &st) == 0);
	is(st.st_mode, S_IFREG | 0640, "mode");
	ok(st.st_uid == 12 && st.st_gid == 34, "owner");
	ok(st.st_mtim.tv_sec == 2000 && st.st_mtim.tv_nsec == 7, "mtime");
	ok(st.st_atim.tv_sec == 1000 && st.st_nlink == 1, "atime, links");
	is(error_of(statfs(e.dir, &fs)), 0, "statfs");
	is(fs.f_type, REGIONFS_MAGIC, "type");
	is(fs.f_namelen, 255, "length of names");
}

/* The kernel makes a device's name of it, by printing. */
static void of_an_instance(void)
{
	char pattern[128];
	struct env odd;
	glob_t found;

	env_start_bare(&odd, "a%s%n");
	snprintf(pattern, sizeof(pattern), "/sys/class/bdi/regionfs-a_s_n-%d-*", getpid());
	ok(!glob(pattern, 0, NULL, &found), "an instance may have any name");
	globfree(&found);
	env_end(&odd);
}

int main(void)
{
	tap_start(300);
	of_an_instance();
	env_start(&e, "names");
	directories();
	refused();
	rename_over();
	rename_refused();
	unlink_open();
	attributes();
	return tap_done();
}
