// SPDX-License-Identifier: GPL-2.0
/* managed-mark: see managed-mark.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dirs.h"
#include "managed-mark.h"
#include "policy.h"
#include "region-private.h"
#include "regiond.h"

uint64_t managed_mark_hash(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3ULL;
	return hash;
}

void managed_mark_dir(const char *local_path, const char *source, char *dir, size_t len)
{
	snprintf(dir, len, "%s/%016" PRIx64, local_path, managed_mark_hash(source));
}

int managed_mark_set(const char *mark)
{
	int fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return dirs_sync_parent(mark);
}

static void policy_dir(const char *source, const char *text, char *dir, size_t len)
{
	struct policy policy;

	/* what nobody can open is not pushed either */
	if (!source || !text || policy_parse(&policy, text, NULL, 0))
		return;
	if (policy.local == LOCAL_FILE)
		managed_mark_dir(policy.local_path, source, dir, len);
	policy_free(&policy);
}

void managed_mark_store(const char *source, const char *policy, char *dir, size_t len)
{
	struct uri uri;

	*dir = '\0';
	if (!source || strncmp(source, "leech:", 6)) {
		policy_dir(source, policy, dir, len);
		return;
	}
	if (uri_parse(&uri, source, NULL, 0))
		return;
	policy_dir(uri_option(&uri, "local"), uri_option(&uri, "policy"), dir, len);
	uri_free(&uri);
}

int managed_mark_forgone(const char *source, const char *policy)
{
	char dir[3900], mark[4096];

	managed_mark_store(source, policy, dir, sizeof(dir));
	snprintf(mark, sizeof(mark), "%s.leech", dir);
	return *dir && !access(dir, F_OK) ? managed_mark_set(mark) : 0;
}

/* ---- of a region ---- */

struct marking {
	struct loop_work work;
	struct region *region;
	char *source, *policy;
	void (*then)(void *arg, int error);
	void *arg;
};

static int marking_work(struct loop_work *work)
{
	const struct marking *marking = container_of(work, struct marking, work);

	return managed_mark_forgone(marking->source, marking->policy);
}

static void marking_free(struct marking *marking)
{
	free(marking->source);
	free(marking->policy);
	free(marking);
}

static void marking_done(struct loop_work *work, int res)
{
	struct marking *marking = container_of(work, struct marking, work);
	struct region *region = marking->region;

	marking->then(marking->arg, res);
	marking_free(marking);
	region_put(region);
}

void managed_mark_region(struct region *region, void (*then)(void *arg, int error), void *arg)
{
	const struct region_info *info = &region->info;
	struct marking *marking;

	if (!(info->given & REGION_GIVEN_SOURCE) || !info->source) {
		then(arg, 0);
		return;
	}
	marking = calloc(1, sizeof(*marking));
	if (marking) {
		marking->source = strdup(info->source);
		marking->policy = info->policy ? strdup(info->policy) : NULL;
	}
	if (!marking || !marking->source || (info->policy && !marking->policy)) {
		if (marking)
			marking_free(marking);
		then(arg, -ENOMEM);
		return;
	}
	marking->region = region_get(region);
	marking->then = then;
	marking->arg = arg;
	marking->work.work = marking_work;
	marking->work.done = marking_done;
	loop_work(region->regiond->loop, &marking->work);
}
