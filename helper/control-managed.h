/* SPDX-License-Identifier: GPL-2.0 */
/* control-managed: what control commands have to do with managed regions (managed.h). */
#ifndef REGIONFS_CONTROL_MANAGED_H
#define REGIONFS_CONTROL_MANAGED_H

#include "control.h"

struct managed;
struct region;

/* What stands behind the region now; NULL: it is a direct one, or is not open. */
struct managed *control_managed(const struct region *region);
/* MANAGED of control.h, NULL: a direct region. New reference. */
json_t *control_managed_json(const struct region *region);
/* The region's policy to what is open, in so far as that can change. */
int control_managed_set(struct region *region);
/*
 * The region is to be removed, and what its source has not got would go with it: then(call), unless there is such a thing, or it can't be
 * known; then the call has been failed.
 */
void control_managed_check(struct control_call *call, void (*then)(struct control_call *call));
/* control-pull.c: "pull" of all that a managed region lacks, and how that is done. */
void control_pull_managed(struct control_call *call, struct region *region);
/* control-data.c: "pull" into the page cache. */
void control_pull_range(struct control_call *call, struct region *region);

#endif
