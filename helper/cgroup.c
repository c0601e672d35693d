// SPDX-License-Identifier: GPL-2.0
/*
 * cgroup: see cgroup.h. Whether all of a cgroup is frozen is in its cgroup.events, and poll(2) there tells of each change since the
 * last read, so nothing is looked at twice without a reason.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cgroup.h"
#include "confine.h"

/* ---- what the user has named ---- */

static bool has_component(const char *path, const char *name)
{
	size_t len;

	for (; *path; path += len + (path[len] == '/')) {
		len = strcspn(path, "/");
		if (len == strlen(name) && !strncmp(path, name, len))
			return true;
	}
	return false;
}

char *cgroup_path(const char *name, char *why, size_t why_len)
{
	char *path = NULL;

	if (*name == '/' && strncmp(name, CGROUP_ROOT "/", strlen(CGROUP_ROOT "/")))
		snprintf(why, why_len, "the cgroup %s is not below " CGROUP_ROOT, name);
	else if (has_component(name, ".."))
		snprintf(why, why_len, "the cgroup %s has a \"..\" in it", name);
	else if (asprintf(&path, "%s%s", *name == '/' ? "" : CGROUP_ROOT "/", name) < 0)
		snprintf(why, why_len, "out of memory");
	else
		return path;
	return NULL;
}

/* ---- where we are ourselves ---- */

static bool is_cgroup2(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* Cuts the path of a cgroup down to where its hierarchy is mounted. */
static void find_mount(char *path)
{
	char *slash;

	while ((slash = strrchr(path, '/')) && slash != path) {
		*slash = '\0';
		if (is_cgroup2(path))
			continue;
		*slash = '/';
		return;
	}
}

/* next of the lines "ID:CONTROLLERS:PATH"; PATH alone, and whether it is of version 2. */
static char *next_own(FILE *file, char *line, int size, bool *unified)
{
	char *path;

	if (!fgets(line, size, file))
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	path = strchr(line, '/');
	*unified = !strncmp(line, "0::", 3);
	return path ? path : line + strlen(line);
}

/* Our own cgroup's path below the mount; "" when it cannot be told. */
static void find_own(char own[PATH_MAX])
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX + 64];
	bool unified;
	char *path;

	*own = '\0';
	while (file && (path = next_own(file, line, sizeof(line), &unified)))
		if (unified)
			snprintf(own, PATH_MAX, "%s", path);
	if (file)
		fclose(file);
}

/* path: without symbolic links. */
static bool is_around_us(const char *path)
{
	char mount[PATH_MAX], own[PATH_MAX], ours[2 * PATH_MAX];
	size_t len = strlen(path);

	snprintf(mount, sizeof(mount), "%s", path);
	find_mount(mount);
	find_own(own);
	snprintf(ours, sizeof(ours), "%s%s", mount, own);
	return *own && !strncmp(ours, path, len) && (!ours[len] || ours[len] == '/');
}

bool cgroup_of_unit(const char *unit)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX + 64], name[300];
	bool unified, is = false;
	char *path;

	/* as systemctl has it */
	snprintf(name, sizeof(name), "%s%s", unit, strchr(unit, '.') ? "" : ".service");
	while (file && (path = next_own(file, line, sizeof(line), &unified)))
		is |= has_component(path, name);
	if (file)
		fclose(file);
	return is;
}

/* ---- can it be frozen? ---- */

/* The root alone has no freezer. */
static int check_freezer(const char *path, const char *real, char *why, size_t why_len)
{
	char file[PATH_MAX + 32];

	snprintf(file, sizeof(file), "%s/cgroup.freeze", real);
	if (!access(file, W_OK))
		return 0;
	if (errno == ENOENT)
		snprintf(why, why_len, "the cgroup %s has no freezer: it is the root", path);
	else
		snprintf(why, why_len, "the cgroup %s cannot be frozen: %s%s", path, strerror(errno), confine_hint(-errno));
	return -EINVAL;
}

int cgroup_check(const char *path, char *why, size_t why_len)
{
	char real[PATH_MAX];
	struct stat st;
	int ret;

	if (!realpath(path, real) || stat(real, &st)) {
		ret = -errno;
		snprintf(why, why_len, "there is no cgroup %s: %s", path, strerror(-ret));
		return ret;
	}
	if (!S_ISDIR(st.st_mode) || !is_cgroup2(real)) {
		snprintf(why, why_len, "%s is no cgroup of version 2", path);
		return -EINVAL;
	}
	ret = check_freezer(path, real, why, why_len);
	if (ret || !is_around_us(real))
		return ret;
	snprintf(why, why_len, "the cgroup %s has regiond in it, which would freeze itself: name one that has the program alone",
		 path);
	return -EINVAL;
}

/* ---- freezing and thawing ---- */

static void job_end(struct cgroup_job *job, int error)
{
	loop_timer_cancel(job->loop, &job->timer);
	if (job->events >= 0)
		close(job->events);
	if (error && !*job->why)
		snprintf(job->why, sizeof(job->why), "the cgroup %s cannot be %s: %s", job->path, job->freeze ? "frozen" : "thawed",
			 strerror(-error));
	job->done(job, error, error ? job->why : "");
}

static void too_late(struct cgroup_job *job)
{
	snprintf(job->why, sizeof(job->why), "the cgroup %s was not %s within %u ms", job->path,
		 job->freeze ? "frozen" : "thawed", job->timeout_ms);
	job_end(job, -ETIMEDOUT);
}

static void look(struct cgroup_job *job);

static void changed(struct loop_op *op, int res)
{
	struct cgroup_job *job = container_of(op, struct cgroup_job, op);

	if (res < 0 && !job->late)
		job_end(job, res);
	else
		look(job);
}

static void looked(struct loop_op *op, int res)
{
	struct cgroup_job *job = container_of(op, struct cgroup_job, op);

	job->text[res > 0 ? res : 0] = '\0';
	/* It is removed only when nobody is left in it. */
	if (res == -ENODEV || strstr(job->text, job->freeze ? "frozen 1" : "frozen 0")) {
		job_end(job, 0);
	} else if (job->late) {
		too_late(job);
	} else if (res < 0) {
		job_end(job, res);
	} else {
		job->op.done = changed;
		loop_poll(job->loop, &job->op, job->events, POLLPRI);
	}
}

static void look(struct cgroup_job *job)
{
	job->op.done = looked;
	loop_read(job->loop, &job->op, job->events, job->text, sizeof(job->text) - 1, 0);
}

/* Once more it is looked, which a cancelled poll comes to as well. */
static void time_is_up(struct loop_timer *timer)
{
	struct cgroup_job *job = container_of(timer, struct cgroup_job, timer);

	job->late = true;
	loop_cancel(job->loop, &job->op);
}

static int write_freeze(const struct cgroup_job *job)
{
	char path[PATH_MAX];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/cgroup.freeze", job->path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, job->freeze ? "1" : "0", 1) != 1)
		ret = -errno;
	close(fd);
	return ret;
}

static int freeze_work(struct loop_work *work)
{
	struct cgroup_job *job = container_of(work, struct cgroup_job, work);
	char path[PATH_MAX];
	int ret;

	/* since it was named, it may have gone, and regiond moved */
	ret = job->freeze ? cgroup_check(job->path, job->why, sizeof(job->why)) : 0;
	if (!ret)
		ret = write_freeze(job);
	if (ret)
		return ret;
	snprintf(path, sizeof(path), "%s/cgroup.events", job->path);
	job->events = open(path, O_RDONLY | O_CLOEXEC);
	return job->events < 0 ? -errno : 0;
}

static void written(struct loop_work *work, int res)
{
	struct cgroup_job *job = container_of(work, struct cgroup_job, work);

	if (!job->freeze && (res == -ENOENT || res == -ENODEV)) {
		job_end(job, 0);	/* with all that was in it */
	} else if (res) {
		job_end(job, res);
	} else {
		loop_timer_set(job->loop, &job->timer, job->timeout_ms);
		look(job);
	}
}

void cgroup_run(struct loop *loop, struct cgroup_job *job)
{
	job->loop = loop;
	job->work = (struct loop_work){ .work = freeze_work, .done = written };
	job->timer = (struct loop_timer){ .fire = time_is_up };
	job->events = -1;
	job->late = false;
	*job->why = '\0';
	loop_work(loop, &job->work);
}
