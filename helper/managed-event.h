/* SPDX-License-Identifier: GPL-2.0 */
/*
 * managed-event: what the kernel can't tell of a region, since it happens behind its back, told to the same people: "pull-complete",
 * "push-error", "source-away", "source-back", "source-changed", "store-full"; and of one that is being leeched "migration-stalled", "source-lost". Main loop only.
 */
#ifndef REGIONFS_MANAGED_EVENT_H
#define REGIONFS_MANAGED_EVENT_H

struct region;

/* To all who watch (events.h), and into the log. detail: a sentence; NULL or "": none. */
void managed_event(struct region *region, const char *what, const char *detail);

#endif
