// SPDX-License-Identifier: GPL-2.0
/*
 * seeder: regions that have moved are given up by the operator's word ("abort --force"), where no seeder is: whether they are another host's is known from the
 * record alone until the kernel knows it. So the record goes when the kernel has said that it does; where it does not, the record stays, and the region is locked.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "region-private.h"
#include "regiond.h"
#include "seeder-private.h"

struct given_up {
	struct region **regions;	/* a reference each */
	size_t nr, waits;
	int error;
	char why[256];
	void (*then)(void *arg, int error, const char *why);
	void *arg;
	struct state_waiter noted;
};

struct one {
	struct given_up *given_up;
	struct region *region;
};

void seeder_note_given_up(struct region *region)
{
	region->info.given |= REGION_GIVEN_UP;
	seeder_note_over(region);
	region_mirror(region);
}

static void end(struct given_up *given_up)
{
	given_up->then(given_up->arg, given_up->error, given_up->why);
	for (size_t i = 0; i < given_up->nr; i++)
		region_put(given_up->regions[i]);
	free(given_up->regions);
	free(given_up);
}

static void note_error(struct given_up *given_up, const struct region *region, int error, const char *why)
{
	if (!error || given_up->error)
		return;
	given_up->error = error;
	snprintf(given_up->why, sizeof(given_up->why), "%.100s stays as it was: %.120s", region->info.path ? region->info.path : "a region",
		 *why ? why : strerror(-error));
}

static void let_in(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct region *region = arg;

	if (error)
		log_warning("region #%llu stays frozen after its move: %s", (unsigned long long)region->info.id, why);
	region_put(region);
}

static void noted(struct state_waiter *waiter, int error)
{
	struct given_up *given_up = container_of(waiter, struct given_up, noted);

	if (error) {
		given_up->error = error;
		snprintf(given_up->why, sizeof(given_up->why), "the state directory could not be written: %s", strerror(-error));
	}
	for (size_t i = 0; i < given_up->nr; i++)
		seeder_let_in(region_get(given_up->regions[i]), let_in, given_up->regions[i]);
	end(given_up);
}

/* The kernel knows it of all. */
static void all_told(struct given_up *given_up)
{
	for (size_t i = 0; i < given_up->nr; i++)
		if (handover_in(given_up->regions[i], HANDOVER_SEEDER))
			note_error(given_up, given_up->regions[i], -EBUSY, "it is being seeded");
	if (given_up->error) {
		end(given_up);
		return;
	}
	for (size_t i = 0; i < given_up->nr; i++) {
		seeder_drop_tracking(given_up->regions[i]);
		seeder_note_given_up(given_up->regions[i]);
	}
	given_up->noted.done = noted;
	state_sync(given_up->regions[0]->regiond->state, &given_up->noted);
}

static void one_told(struct given_up *given_up)
{
	if (!--given_up->waits)
		all_told(given_up);
}

static void looked(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct one *one = arg;

	if (!error && !(got->flags & REGIONFS_REGION_MOVED)) {
		error = -EBUSY;
		why = "the kernel does not know that it has moved";
	}
	if (error)
		note_error(one->given_up, one->region, error, why);
	else
		one->region->info.flags |= REGIONFS_REGION_MOVED;
	one_told(one->given_up);
	free(one);
}

/* It may have it from before, and then refuses it. */
static void told(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct one *one = arg;
	struct handover_ask *ask = handover_ask_new(one->region, REGIONFS_CMD_REGION_GET, looked, one);

	if (ask)
		handover_ask(ask, one->region);
	else
		looked(one, -ENOMEM, "out of memory", NULL);
}

static void tell(struct given_up *given_up, struct region *region)
{
	struct one *one = calloc(1, sizeof(*one));
	struct handover_ask *ask = one ? handover_ask_new(region, REGIONFS_CMD_MOVED, told, one) : NULL;

	if (!ask) {
		free(one);
		note_error(given_up, region, -ENOMEM, "out of memory");
		return;
	}
	*one = (struct one){ given_up, region };
	given_up->waits++;
	netlink_set(&ask->call.attrs, EPOCH, epoch, region->info.epoch + 1);
	handover_ask(ask, region);
}

void seeder_give_up_moved(struct region *const *regions, size_t nr, void (*then)(void *arg, int error, const char *why), void *arg)
{
	struct given_up *given_up = calloc(1, sizeof(*given_up));

	if (given_up)
		given_up->regions = calloc(nr + 1, sizeof(*given_up->regions));
	if (!given_up || !given_up->regions) {
		free(given_up);
		then(arg, -ENOMEM, "out of memory");
		return;
	}
	given_up->then = then;
	given_up->arg = arg;
	given_up->waits = 1;
	for (size_t i = 0; i < nr; i++)
		if (regions[i])
			given_up->regions[given_up->nr++] = region_get(regions[i]);
	for (size_t i = 0; i < given_up->nr; i++)
		tell(given_up, given_up->regions[i]);
	one_told(given_up);
}
