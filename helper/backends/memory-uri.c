// SPDX-License-Identifier: GPL-2.0
/* memory-uri: what may stand in a memory source; memory.c says what it means. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backends/memory-uri.h"
#include "units.h"

#define DELAY_MAX 60000		/* ms: more than programs will wait for */

const char *memory_uri_name(const struct uri *uri)
{
	return uri_option(uri, "name");
}

int memory_uri_size(const struct uri *uri, uint64_t *size)
{
	*size = 0;
	return *uri->path ? regionfs_size_parse(uri->path, size) : 0;
}

int memory_uri_delay(const struct uri *uri, uint64_t *ms)
{
	const char *text = uri_option(uri, "delay");

	*ms = 0;
	return text && (regionfs_duration_parse(text, ms) || *ms > DELAY_MAX) ? -EINVAL : 0;
}

int memory_uri_check(const struct uri *uri, char *why, size_t why_len)
{
	const char *name = memory_uri_name(uri);
	uint64_t size, delay;

	if (uri->host || memory_uri_size(uri, &size)) {
		snprintf(why, why_len, "%s: memory: is followed by a size, as in memory:64M", uri->text);
		return -EINVAL;
	}
	if (name && (!*name || *name == '.' || strchr(name, '/') || strlen(name) > 200)) {
		snprintf(why, why_len, "%s: \"%s\" can't be the name of a memory region's file", uri->text, name);
		return -EINVAL;
	}
	if (memory_uri_delay(uri, &delay)) {
		snprintf(why, why_len, "%s: delay= is a time of at most %u s, as in delay=10ms", uri->text, DELAY_MAX / 1000);
		return -EINVAL;
	}
	return 0;
}

bool memory_uri_generic(const struct uri *uri)
{
	return !memory_uri_name(uri);
}

char *memory_uri_child(const struct uri *base, const char *name)
{
	char delayed[64] = "", *source;
	uint64_t ms;

	if (!memory_uri_delay(base, &ms) && ms)
		snprintf(delayed, sizeof(delayed), "&delay=%" PRIu64 "ms", ms);
	return asprintf(&source, "memory:%s?name=%s%s", base->path, name, delayed) < 0 ? NULL : source;
}
