/* SPDX-License-Identifier: GPL-2.0 */
/* managed-json: MANAGED of control.h. */
#ifndef REGIONFS_MANAGED_JSON_H
#define REGIONFS_MANAGED_JSON_H

#include <jansson.h>

#include "managed.h"

/* stats NULL: the region is not open (yet), and only its policy is known. */
json_t *json_managed(const struct managed_stats *stats, const struct policy *policy);
/* Into MANAGED: what its pusher waits for. other NULL: that isn't open. */
void json_waits_for(json_t *managed, const char *path, const struct managed_stats *other);
/* "pulling", "complete" ...: what the puller is about. For pull's answer, too. */
const char *json_puller_state(const struct puller_stats *puller);
json_t *json_map(uint64_t bucket, unsigned int n, const struct managed_bucket *buckets);

#endif
