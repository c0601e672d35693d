/* SPDX-License-Identifier: GPL-2.0 */
/*
 * seeder: the side of a migration that gives a region away. SERVING -> TRACKING -> FROZEN -> HANDED_OFF -> MOVED, and
 * back to service from each of the first four; docs/protocol.md has the machine.
 *
 * Threads: the main loop's alone. Life: from "seed" to COMPLETE or abort.
 */
#ifndef REGIONFS_SEEDER_H
#define REGIONFS_SEEDER_H

#include "control.h"
#include "handover.h"

/* The command "seed"; its call ends with the migration, or at once with "detach". */
void seeder_run(struct control_call *call);
/* The command "abort" on a region that is being seeded. */
void seeder_abort(struct control_call *call, struct region *region);

/* The command "resolve" likewise; seeder-resolve.c. */
void seeder_resolve(struct control_call *call, struct region *region, enum resolution resolution);

/* ---- across helpers; seeder-left.c ---- */

/* Has it been handed over, for all that is known? */
bool seeder_is_left(const struct region_info *info);
/* Has the other side it as well, by its own word, while it is in service here, or frozen since? */
bool seeder_is_diverged(const struct region_info *info);
/* Was it resolved, with whatever has come of that? */
bool seeder_is_resolved(const struct region_info *info);
/* Is its source another host's, or may be, for all that this one knows? */
bool seeder_gave_source(const struct region_info *info);
/* Was it being seeded by an earlier helper, and nobody has taken that up? */
bool seeder_is_pending(const struct region *region);
/* "abort" on such a region. */
void seeder_abort_left(struct control_call *call, struct region *region);
/* At start: what an earlier helper was freezing goes on. */
void seeder_restart(struct regiond *regiond);
/* At an orderly stop: what is being frozen goes back to service first. False when nothing is. */
bool seeder_leave(struct regiond *regiond);

#endif
