// SPDX-License-Identifier: GPL-2.0
/* seeder: what a region's record says of a hand-over, for whoever has to know that alone; seeder-left.c writes it. */
#include <string.h>

#include "seeder-private.h"

/* One that was resolved is in service. */
bool seeder_is_left(const struct region_info *info)
{
	return info->seed && strcmp(info->seed, SEEDER_FREEZING) && strncmp(info->seed, SEEDER_RESOLVED, strlen(SEEDER_RESOLVED));
}
