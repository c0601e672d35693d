// SPDX-License-Identifier: GPL-2.0
/* managed-event: see managed-event.h. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "events.h"
#include "log.h"
#include "managed-event.h"
#include "region.h"

/* What somebody has to look after is a warning. */
static bool is_bad(const char *what)
{
	static const char *const bad[] = { "push-error", "source-away", "store-full", "migration-stalled", "source-lost" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!strcmp(what, bad[i]))
			return true;
	return false;
}

void managed_event(struct region *region, const char *what, const char *detail)
{
	const struct events_own own = { .region = region, .what = what, .detail = detail && *detail ? detail : NULL };
	char name[32];

	snprintf(name, sizeof(name), "#%" PRIu64, region->info.id);
	log_line(is_bad(what) ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "region %s: %s%s%s", region->info.path ? region->info.path : name,
		 what, own.detail ? ": " : "", own.detail ? own.detail : "");
	events_tell(&own);
}
