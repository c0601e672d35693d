// SPDX-License-Identifier: GPL-2.0
/* seeder: what a region's record says of a hand-over, for whoever has to know that alone; seeder-left.c writes it. */
#include <string.h>

#include "seeder-private.h"

static bool says(const struct region_info *info, const char *what)
{
	return info->seed && !strncmp(info->seed, what, strlen(what));
}

/* One that was resolved is in service. */
bool seeder_is_left(const struct region_info *info)
{
	return info->seed && strcmp(info->seed, SEEDER_FREEZING) && !says(info, SEEDER_RESOLVED);
}

bool seeder_is_diverged(const struct region_info *info)
{
	return says(info, SEEDER_DIVERGED);
}

bool seeder_is_resolved(const struct region_info *info)
{
	return says(info, SEEDER_RESOLVED) || says(info, SEEDER_DIVERGED);
}

/* The freeze of one that has two owners has to write what is dirty first, so it lets go of its source when it has been frozen. */
bool seeder_gave_source(const struct region_info *info)
{
	const uint32_t kept_out = REGIONFS_REGION_FROZEN | REGIONFS_REGION_LOCKED;

	if (!(info->given & REGION_GIVEN_SOURCE))
		return false;
	if (info->flags & REGIONFS_REGION_MOVED)
		return true;
	return seeder_is_left(info) && (!seeder_is_diverged(info) || info->flags & kept_out);
}
