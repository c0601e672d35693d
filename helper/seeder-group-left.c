// SPDX-License-Identifier: GPL-2.0
/*
 * seeder: what an earlier helper has left of a group. What is known of it is in its members' records, each of which names the group and all who are in it;
 * seeder-group.c says why that is made of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "leecher.h"
#include "log.h"
#include "region-private.h"
#include "regiond.h"
#include "seeder-group-private.h"

/* All of a group are ended at a time. */
static void note_undoing(struct beginning *beginning, bool undoing)
{
	for (size_t i = 0; i < beginning->nr; i++)
		if (beginning->regions[i])
			beginning->regions[i]->undoing = undoing;
}

/* ---- seeded again ---- */

#define AGAIN_MS 1000u

static bool is_there(const struct region *region)
{
	return region && !handover_in(region, HANDOVER_SEEDER) && !atomic_load(&region->forgotten) && control_again_is(region->info.handover, "seeder");
}

/* Half of it could be seeded, but must not be handed over; what was handed over is another matter: the others have ended. */
static bool is_broken(const struct beginning *beginning)
{
	bool missing = false, handed = false;

	for (size_t i = 0; i < beginning->nr; i++) {
		missing |= !is_there(beginning->regions[i]);
		handed |= is_there(beginning->regions[i]) && beginning->regions[i]->info.seed;
	}
	return missing && !handed;
}

static void end_all(struct beginning *beginning)
{
	for (size_t i = 0; i < beginning->nr; i++)
		if (is_there(beginning->regions[i])) {
			seeder_drop_tracking(beginning->regions[i]);
			seeder_note_over(beginning->regions[i]);
		}
	beginning_free(beginning);
}

static void begin_again(struct beginning *beginning);

static void opened_again(struct region *region, int error, void *arg)
{
	struct beginning *beginning = arg;

	if (error)
		beginning_fail(beginning, error, *region->why ? region->why : strerror(-error));
	beginning->at++;
	begin_again(beginning);
}

static bool resolve_too(struct handover *handover, void *arg)
{
	struct seeder *seeder = seeder_of(handover);
	struct control_failure failure;
	struct control_call *call = control_part(handover->group->regiond, json_object(), handover->region, &failure);

	if (call && seeder->state == WIRE_SEED_HANDED_OFF)
		seeder_resolve(call, handover->region, RESOLVE_OWN);
	else if (call)
		control_ok(call, NULL);
	if (call && seeder->resolving == call)
		call->failure = NULL;
	return true;
}

static bool is_resolved(const struct seeder *seeder)
{
	return seeder->state == WIRE_SEED_RESOLVED;
}

/* The operator's word was about all of them; the last helper may have died in between. */
static void resolve_rest(struct group *group)
{
	struct handover *any = list_empty(&group->members) ? NULL : list_entry(group->members.next, struct handover, members);

	if (any && seeder_group_any(container_of(any, struct seeder, handover), is_resolved))
		group_each(any, resolve_too, NULL);
}

/* Whoever of them cannot be seeded now, the address taken, say, is tried again; the other side waits for us. */
static void try_again(struct loop_timer *timer)
{
	struct beginning *beginning = container_of(timer, struct beginning, again);

	if (beginning->group->regiond->stopping)
		return;
	if (is_broken(beginning) && list_empty(&beginning->group->members)) {
		log_warning("the group %s is not seeded any more: not all of its regions are there", beginning->group->name);
		end_all(beginning);
		return;
	}
	for (size_t i = 0; i < beginning->nr; i++) {
		if (beginning->regions[i] && !handover_in(beginning->regions[i], HANDOVER_SEEDER) && !is_there(beginning->regions[i])) {
			region_put(beginning->regions[i]);
			beginning->regions[i] = NULL;
		}
	}
	beginning->at = 0;
	beginning->error = 0;
	begin_again(beginning);
}

static void begin_again(struct beginning *beginning)
{
	while (beginning->at < beginning->nr && !is_there(beginning->regions[beginning->at]))
		beginning->at++;
	if (beginning->at < beginning->nr && !beginning->error) {
		region_open(beginning->regions[beginning->at], opened_again, beginning);
		return;
	}
	/* none of those that are seeded on before all of them can be */
	for (size_t i = 0; i < beginning->nr; i++)
		if (is_there(beginning->regions[i]) && (beginning->regions[i]->undoing || leecher_bars_seed(beginning->regions[i])))
			beginning_fail(beginning, -EBUSY, "it is still on its way here, or that is being aborted");
	for (size_t i = 0; i < beginning->nr && !beginning->error; i++)
		if (is_there(beginning->regions[i]))
			beginning_start(beginning, i);
	if (!beginning->error) {
		resolve_rest(beginning->group);
		beginning_free(beginning);
		return;
	}
	beginning->again.fire = try_again;
	loop_timer_set(beginning->group->regiond->loop, &beginning->again, AGAIN_MS);
}

/* ---- what an earlier helper was freezing: back to service, all of it ---- */

struct left {
	struct beginning *beginning;
	struct suspend suspend;
	struct state_waiter written;
	size_t waits;
	struct control_call *call;	/* "abort", or NULL */
};

static struct regiond *regiond_of(const struct left *left)
{
	return left->beginning->group->regiond;
}

static struct region *lead_of(const struct left *left)
{
	for (size_t i = 0; i < left->beginning->nr; i++)
		if (left->beginning->regions[i])
			return left->beginning->regions[i];
	return NULL;
}

static void left_written(struct state_waiter *waiter, int error)
{
	struct left *left = container_of(waiter, struct left, written);

	if (error)
		log_warning("the group %s is in service, which could not be written down", left->beginning->group->name);
	note_undoing(left->beginning, false);
	if (left->call) {
		end_all(left->beginning);
		control_ok(left->call, NULL);
	} else {
		try_again(&left->beginning->again);
	}
	suspend_free(&left->suspend);
	free(left);
}

static void left_told(void *arg)
{
	struct left *left = arg;

	for (size_t i = 0; i < left->beginning->nr; i++)
		if (left->beginning->regions[i])
			seeder_note_service(left->beginning->regions[i]);
	left->written.done = left_written;
	state_sync(regiond_of(left)->state, &left->written);
}

static void left_resumed(struct suspend *suspend, int error, const char *why)
{
	struct left *left = container_of(suspend, struct left, suspend);

	if (error)
		log_warning("the group %s: %s", left->beginning->group->name, why);
	suspend_abort(suspend, lead_of(left), left->call ? "aborted by the user" : "regiond has ended while it was being frozen", left_told,
		      left);
}

static void left_thawed(void *arg, int error, const char *why, const struct netlink_attrs *got)
{
	struct left *left = arg;

	if (error)
		log_warning("of the group %s one stays frozen: %s", left->beginning->group->name, why);
	if (--left->waits)
		return;
	for (size_t i = 0; i < left->beginning->nr; i++)
		if (left->beginning->regions[i] && left->beginning->regions[i]->info.resume)
			suspend_recall(&left->suspend, left->beginning->regions[i]->info.resume);
	suspend_start(&left->suspend, lead_of(left), left_resumed);
}

/* None is let go before all are noted as not handed over. */
static void left_noted(struct state_waiter *waiter, int error)
{
	struct left *left = container_of(waiter, struct left, written);

	if (error)
		log_warning("the group %s: the state directory could not be written", left->beginning->group->name);
	left->waits = 1;
	for (size_t i = 0; i < left->beginning->nr; i++) {
		if (!left->beginning->regions[i])
			continue;
		left->waits++;
		seeder_let_in(left->beginning->regions[i], left_thawed, left);
	}
	left_thawed(left, 0, "", NULL);
}

/* call: "abort", or NULL. */
static void back_to_service(struct beginning *beginning, struct control_call *call)
{
	struct left *left = calloc(1, sizeof(*left));

	if (!left) {
		log_error("the group %s stays frozen: out of memory", beginning->group->name);
		if (call)
			control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	log_info("the group %s was being frozen, or handed over, by an earlier helper: its program goes on", beginning->group->name);
	note_undoing(beginning, true);
	left->beginning = beginning;
	left->call = call;
	for (size_t i = 0; i < beginning->nr; i++)
		if (beginning->regions[i])
			seeder_note_undone(beginning->regions[i]);
	left->written.done = left_noted;
	state_sync(beginning->group->regiond->state, &left->written);
}

/* ---- at start ---- */

struct gathered {
	struct list groups;
	const char *only;		/* the id of one; NULL: all */
};

/* Those that have a record are found by it; that of a later group of the same name is another one. */
struct gathered_group {
	struct list list;
	struct beginning *beginning;
};

static struct gathered_group *gathered_find(struct gathered *gathered, struct regiond *regiond, const json_t *args, unsigned int *nth)
{
	struct group *group = group_again(regiond, HANDOVER_SEEDER, args, nth);
	struct gathered_group *found;
	struct list *at;

	if (!group)
		return NULL;
	list_for_each(at, &gathered->groups) {
		found = list_entry(at, struct gathered_group, list);
		if (strcmp(found->beginning->group->id, group->id))
			continue;
		group_put(group);
		return found;
	}
	found = calloc(1, sizeof(*found));
	if (found)
		found->beginning = beginning_new(group);
	group_put(group);
	if (!found || !found->beginning) {
		free(found);
		return NULL;
	}
	list_add(&gathered->groups, &found->list);
	return found;
}

static int gather(struct region *region, void *arg)
{
	json_t *args = region->info.handover ? json_loads(region->info.handover, 0, NULL) : NULL;
	struct gathered_group *found;
	const char *only = ((struct gathered *)arg)->only, *id = group_of_args(args);
	unsigned int nth;

	if (id && (!only || !strcmp(only, id)) && !handover_in(region, HANDOVER_SEEDER) && control_again_is(region->info.handover, "seeder")) {
		found = gathered_find(arg, region->regiond, args, &nth);
		if (found && nth < found->beginning->nr && !found->beginning->regions[nth])
			found->beginning->regions[nth] = region_get(region);
		else
			log_error("%s is not seeded again with its group", region->info.path ? region->info.path : "a region");
	}
	json_decref(args);
	return 0;
}

/* Does the other side own one of them? One that is not known any more has moved and is over, if the others were handed over. */
static bool has_moved(const struct beginning *beginning)
{
	bool missing = false, handed = true, any = false, moved = false;

	for (size_t i = 0; i < beginning->nr; i++) {
		const struct region *region = beginning->regions[i];

		missing |= !region;
		any |= region != NULL;
		handed &= !region || seeder_is_handed(&region->info);
		moved |= region && seeder_says_moved(&region->info);
	}
	return moved || (missing && any && handed);
}

/* Is there one that the other side cannot have heard of, and one that is not in service for sure? */
static bool goes_back(const struct beginning *beginning)
{
	bool undone = false, any = false;

	for (size_t i = 0; i < beginning->nr; i++) {
		const struct region *region = beginning->regions[i];

		undone |= region && !seeder_is_handed(&region->info);
		any |= region && region->info.seed;
	}
	return undone && any && !has_moved(beginning);
}

static void take_up(struct beginning *beginning)
{
	beginning->group->moved |= has_moved(beginning);
	try_again(&beginning->again);
}

void seeder_group_restart(struct regiond *regiond)
{
	struct gathered gathered = { .only = NULL };
	struct list *entry;

	list_init(&gathered.groups);
	region_each(regiond->regions, gather, &gathered);
	while ((entry = list_pop(&gathered.groups))) {
		struct gathered_group *found = list_entry(entry, struct gathered_group, list);

		if (goes_back(found->beginning))
			back_to_service(found->beginning, NULL);
		else
			take_up(found->beginning);
		free(found);
	}
}

/* ---- nobody needs the rest of it ---- */

struct letting_go {
	struct beginning *beginning;
	struct control_call *call;
	size_t waits;
	int error;
};

static void given_up(void *arg, int error, const char *why)
{
	struct letting_go *letting_go = arg;

	note_undoing(letting_go->beginning, false);
	if (error)
		control_fail(letting_go->call, error, "the group %s: %s", letting_go->beginning->group->name, why);
	else
		control_ok(letting_go->call, NULL);
	beginning_free(letting_go->beginning);
	free(letting_go);
}

/* Who owns one of a group owns all, so what was handed over has moved: it is not let in, and is over here. */
static void one_let_go(void *arg, int error)
{
	struct letting_go *letting_go = arg;
	struct beginning *beginning = letting_go->beginning;

	letting_go->error = letting_go->error ? letting_go->error : error;
	if (--letting_go->waits)
		return;
	if (letting_go->error)
		given_up(letting_go, -EBUSY, "it is changing its state just now: say it again");
	else
		seeder_give_up_moved(beginning->regions, beginning->nr, given_up, letting_go);
}

/* The host before hears first that nothing more is needed, of those that have not come whole. */
static void let_go(struct beginning *beginning, struct control_call *call)
{
	struct letting_go *letting_go = calloc(1, sizeof(*letting_go));

	if (!letting_go) {
		control_fail(call, -ENOMEM, "out of memory");
		beginning_free(beginning);
		return;
	}
	note_undoing(beginning, true);
	*letting_go = (struct letting_go){ beginning, call, 1, 0 };
	for (size_t i = 0; i < beginning->nr; i++) {
		if (!beginning->regions[i])
			continue;
		letting_go->waits++;
		leecher_let_go(beginning->regions[i], one_let_go, letting_go);
	}
	one_let_go(letting_go, 0);
}

/* Those that are in service all are, and none was ever handed over. */
static void abort_tracked(struct beginning *beginning)
{
	for (size_t i = 0; i < beginning->nr; i++)
		if (beginning->regions[i]) {
			seeder_tell_aborted(beginning->regions[i]);
			break;
		}
	end_all(beginning);
}

static struct region *find(const struct beginning *beginning, bool (*is)(const struct region_info *info))
{
	for (size_t i = 0; i < beginning->nr; i++)
		if (beginning->regions[i] && is(&beginning->regions[i]->info))
			return beginning->regions[i];
	return NULL;
}

static bool is_noted(const struct region_info *info)
{
	return info->seed;
}

static void abort_gathered(struct control_call *call, struct beginning *beginning, bool force)
{
	struct region *handed = find(beginning, is_noted), *resolved = find(beginning, seeder_is_resolved);

	if (!list_empty(&beginning->group->members)) {
		control_fail(call, -EBUSY, "others of the group %s are being seeded just now: say it again", beginning->group->name);
		beginning_free(beginning);
	} else if (resolved) {
		seeder_fail_resolved(call, resolved);
		beginning_free(beginning);
	} else if (!handed) {
		abort_tracked(beginning);
		control_ok(call, NULL);
	} else if (!force) {
		seeder_fail_handed(call, handed);
		beginning_free(beginning);
	} else if (has_moved(beginning)) {
		let_go(beginning, call);
	} else {
		back_to_service(beginning, call);
	}
}

/* One that is seeded after all has come back by itself meanwhile. */
void seeder_group_abort_left(struct control_call *call, struct region *region, bool force)
{
	json_t *args = json_loads(region->info.handover, 0, NULL);
	struct gathered gathered = { .only = group_of_args(args) };
	struct gathered_group *found;

	list_init(&gathered.groups);
	region_each(call->regiond->regions, gather, &gathered);
	if (list_empty(&gathered.groups)) {
		control_fail(call, -ENOMEM, "out of memory");
	} else {
		found = list_entry(list_pop(&gathered.groups), struct gathered_group, list);
		abort_gathered(call, found->beginning, force);
		free(found);
	}
	json_decref(args);
}
