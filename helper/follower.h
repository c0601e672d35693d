/* SPDX-License-Identifier: GPL-2.0 */
/*
 * follower: a region of another host, here to be read, that stays up to date: each new state of it is had whole, beside what is shown, and then shown at
 * one instant. It may become this host's: "promote".
 *
 * The region's source is the local store alone. What it is, and where it comes from, is in region->info.handover; what of it a killed helper
 * leaves behind is on the run directory's tmpfs (follower-record.h). After a reboot the region is locked until it is known to be whole.
 *
 * Threads: the main loop's alone. Life: from "leech --follow" to "promote", "abort" or the region's end.
 */
#ifndef REGIONFS_FOLLOWER_H
#define REGIONFS_FOLLOWER_H

#include "control.h"
#include "handover.h"

/* The command "leech" with "follow": makes the region, or has the one that follows another owner follow this one. */
void follower_run(struct control_call *call);
/* The commands "promote" and "abort" on one. */
void follower_promote(struct control_call *call, struct region *region);
void follower_abort(struct control_call *call, struct region *region);
/* "resolve" on one that was promoted, and whose owner has come back. */
void follower_resolve(struct control_call *call, struct region *region, enum resolution resolution);

/* Is it one, that can be read? */
bool follower_shows(const struct region *region);
/* Is it one, by what the state directory says? */
bool follower_is(const struct region_info *info);
/* The region was leeched since, which has come to nothing: it follows again. */
void follower_resume(struct region *region);
/* At start: goes on with those of an earlier helper. */
void follower_restart(struct regiond *regiond);

#endif
