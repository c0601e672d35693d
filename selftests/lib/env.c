// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <glob.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "env.h"

#define ENVS_MAX	4

static struct env *envs[ENVS_MAX];

static void env_at_exit(void)
{
	for (int i = 0; i < ENVS_MAX; i++)
		if (envs[i] && envs[i]->owner == getpid())
			env_end(envs[i]);
}

static void env_register(struct env *e)
{
	static bool registered;

	for (int i = 0; i < ENVS_MAX; i++) {
		if (envs[i])
			continue;
		envs[i] = e;
		break;
	}
	if (!registered)
		atexit(env_at_exit);
	registered = true;
}

static int env_instance(struct env *e, uint8_t cmd)
{
	nlq_start(&e->q, &e->nl, cmd, 0);
	nlq_str(&e->q, REGIONFS_A_INSTANCE, e->name);
	if (cmd != REGIONFS_CMD_INSTANCE_STOP)
		return nl_call(&e->nl, &e->q, &e->r);
	nlq_flag(&e->q, REGIONFS_A_DISCARD);
	return nl_call_long(&e->nl, &e->q, &e->r);
}

void env_start_bare(struct env *e, const char *what)
{
	int ret;

	memset(e, 0, sizeof(*e));
	e->owner = getpid();
	if (geteuid())
		tap_skip_all("needs root");
	ret = nl_open(&e->nl);
	if (ret == -ENOENT || access(REGIONFS_DEVICE, F_OK))
		tap_skip_all("the regionfs module is not loaded");
	must(ret == 0);
	snprintf(e->name, sizeof(e->name), "%s-%d", what, getpid());
	snprintf(e->dir, sizeof(e->dir), "/tmp/regionfs-XXXXXX");
	must(mkdtemp(e->dir));
	env_register(e);
	ret = env_instance(e, REGIONFS_CMD_INSTANCE_NEW);
	if (ret)
		tap_bail("INSTANCE_NEW: %s (%s)", strerror(-ret), e->nl.message);
	e->up = true;
	e->fh = fh_new(e->name);
	must(e->fh);
	ret = env_mount(e);
	if (ret)
		tap_bail("mount: %s", strerror(-ret));
}

void env_start(struct env *e, const char *what)
{
	int ret;

	env_start_bare(e, what);
	ret = fh_start(e->fh);
	if (ret)
		tap_bail("attach: %s", strerror(-ret));
}

/* As regiond does: without a minimum the strict share of dirty memory begins at nothing. */
static void env_min_ratio(const struct env *e)
{
	char pattern[128];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "/sys/class/bdi/regionfs-%s-*/min_ratio", e->name);
	if (glob(pattern, 0, NULL, &found))
		return;
	write_file(found.gl_pathv[0], "1");
	globfree(&found);
}

int env_mount(struct env *e)
{
	if (mount(e->name, e->dir, "regionfs", 0, NULL))
		return -errno;
	e->mounted = true;
	env_min_ratio(e);
	return 0;
}

int env_umount(struct env *e)
{
	if (umount2(e->dir, 0))
		return -errno;
	e->mounted = false;
	return 0;
}

void env_end(struct env *e)
{
	int ret;

	if (e->mounted && env_umount(e))
		umount2(e->dir, MNT_DETACH);
	e->mounted = false;
	if (e->fh)
		fh_free(e->fh);
	e->fh = NULL;
	for (int i = 0; e->up && i < 500; i++) {
		ret = env_instance(e, REGIONFS_CMD_INSTANCE_STOP);
		e->up = ret == -EBUSY;
		if (e->up)
			usleep(10000);
	}
	if (e->up)
		printf("# the instance %s would not stop: %s\n", e->name, e->nl.message);
	e->up = false;
	rmdir(e->dir);
	nl_close(&e->nl);
	for (int i = 0; i < ENVS_MAX; i++)
		if (envs[i] == e)
			envs[i] = NULL;
}

void env_ask(struct env *e, uint8_t cmd, uint64_t region)
{
	nlq_start(&e->q, &e->nl, cmd, 0);
	nlq_str(&e->q, REGIONFS_A_INSTANCE, e->name);
	if (region)
		nlq_u64(&e->q, REGIONFS_A_REGION, region);
}

int env_call(struct env *e)
{
	return nl_call(&e->nl, &e->q, &e->r);
}

int env_call_long(struct env *e)
{
	return nl_call_long(&e->nl, &e->q, &e->r);
}

int env_simple(struct env *e, uint8_t cmd, uint64_t region)
{
	env_ask(e, cmd, region);
	return env_call(e);
}

int env_long(struct env *e, uint8_t cmd, uint64_t region)
{
	env_ask(e, cmd, region);
	return env_call_long(e);
}

uint64_t env_region(struct env *e, const char *path, uint64_t size)
{
	env_ask(e, REGIONFS_CMD_REGION_ADD, 0);
	nlq_str(&e->q, REGIONFS_A_PATH, path);
	nlq_str(&e->q, REGIONFS_A_SOURCE, "fake:");
	nlq_u64(&e->q, REGIONFS_A_SIZE, size);
	nlq_u32(&e->q, REGIONFS_A_MODE, 0644);
	if (env_call(e))
		return 0;
	return nlr_u64(&e->r, REGIONFS_A_REGION);
}

uint64_t env_filled(struct env *e, const char *path, uint64_t size, uint64_t seed)
{
	static char buf[256 << 10];
	uint64_t id = env_region(e, path, size);

	if (!id)
		tap_bail("REGION_ADD %s: %s", path, e->nl.message);
	for (uint64_t done = 0; done < size; done += sizeof(buf)) {
		size_t n = size - done < sizeof(buf) ? size - done : sizeof(buf);

		pattern_fill(buf, n, done, seed);
		fh_pwrite(e->fh, id, buf, n, done);
	}
	return id;
}

const char *env_path(struct env *e, const char *path)
{
	static char buf[4096];

	snprintf(buf, sizeof(buf), "%s/%s", e->dir, path);
	return buf;
}

int env_path_fd(struct env *e, const char *path, int flags)
{
	int fd = open(env_path(e, path), flags | O_CLOEXEC, 0644);

	if (fd < 0)
		tap_bail("open %s: %m", path);
	return fd;
}

uint64_t env_id(struct env *e, const char *path)
{
	env_ask(e, REGIONFS_CMD_REGION_GET, 0);
	nlq_str(&e->q, REGIONFS_A_PATH, path);
	return env_call(e) ? 0 : nlr_u64(&e->r, REGIONFS_A_REGION);
}

int env_flags(struct env *e, uint64_t region, uint32_t flags, uint32_t mask)
{
	env_ask(e, REGIONFS_CMD_REGION_SET, region);
	nlq_u32(&e->q, REGIONFS_A_FLAGS, flags);
	nlq_u32(&e->q, REGIONFS_A_FLAGS_MASK, mask);
	return env_call(e);
}

int env_takeback(struct env *e, uint32_t ms)
{
	env_ask(e, REGIONFS_CMD_INSTANCE_SET, 0);
	nlq_u32(&e->q, REGIONFS_A_TAKEBACK, ms);
	return env_call(e);
}

uint64_t env_stat(struct env *e, uint64_t region, int stat)
{
	if (env_simple(e, region ? REGIONFS_CMD_REGION_GET : REGIONFS_CMD_INSTANCE_GET, region))
		return 0;
	return nlr_stat(&e->r, stat);
}

uint32_t env_region_u32(struct env *e, uint64_t region, int attr)
{
	if (env_simple(e, REGIONFS_CMD_REGION_GET, region))
		return 0;
	return nlr_u32(&e->r, attr);
}

bool env_wait_stat(struct env *e, uint64_t region, int stat, uint64_t at_least, int ms)
{
	long long until = now_ms() + ms;

	while (env_stat(e, region, stat) < at_least) {
		if (now_ms() >= until)
			return false;
		usleep(10000);
	}
	return true;
}

void env_evict(int fd)
{
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}
