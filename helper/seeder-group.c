// SPDX-License-Identifier: GPL-2.0
/*
 * seeder: a group's. Its members are frozen and handed over together: FINALIZE is waited for until it has come for all of them from the same
 * leecher's group, none is answered before all are noted as handed over, and where anything fails before that all go back to service. The steps are seeder.c's,
 * which meet between them (group_meet).
 *
 * Why the next helper may undo it as long as any member is not noted as handed over (goes_back()): either that one was not noted yet, and then nobody was answered; or
 * it is not any more, since the group is on its way back, which the leecher has said, by its refusal, or the operator. A member that has moved, or is over, and
 * nobody knows any more, does not count: by then all were handed over.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leecher.h"
#include "log.h"
#include "regiond.h"
#include "seeder-private.h"

/* Who leeches all of a group asks for all of it at once. */
#define GATE_MS 5000u

/* ---- any, each ---- */

struct any {
	bool (*is)(const struct seeder *seeder);
	struct seeder *found;
};

static bool look_at(struct handover *handover, void *arg)
{
	struct any *any = arg;

	if (!any->is(seeder_of(handover)))
		return true;
	any->found = seeder_of(handover);
	return false;
}

static struct seeder *find(struct seeder *seeder, bool (*is)(const struct seeder *seeder))
{
	struct any any = { .is = is };

	group_each(&seeder->handover, look_at, &any);
	return any.found;
}

bool seeder_group_any(struct seeder *seeder, bool (*is)(const struct seeder *seeder))
{
	return find(seeder, is) != NULL;
}

static bool has_moved(const struct seeder *seeder)
{
	return seeder->state == WIRE_SEED_MOVED;
}

void seeder_group_moved(struct seeder *seeder)
{
	if (seeder->handover.group)
		seeder->handover.group->moved = true;
}

bool seeder_group_has_moved(struct seeder *seeder)
{
	return (seeder->handover.group && seeder->handover.group->moved) || seeder_group_any(seeder, has_moved);
}

static bool has_failed(const struct seeder *seeder)
{
	return seeder->give_up || !seeder->session;
}

struct seeder *seeder_group_failed(struct seeder *seeder)
{
	return find(seeder, has_failed);
}

/* ---- the gate ---- */

static bool waits(const struct seeder *seeder)
{
	return seeder->finalizing && seeder->state == WIRE_SEED_TRACKING;
}

static bool does_not_wait(const struct seeder *seeder)
{
	return !waits(seeder);
}

static bool send_away(struct handover *handover, void *why)
{
	struct seeder *seeder = seeder_of(handover);
	struct serve_req *req = seeder->finalizing;

	if (!waits(seeder))
		return true;
	seeder->finalizing = NULL;
	snprintf(seeder->why, sizeof(seeder->why), "%s", (const char *)why);
	serve_fail(req, -ECANCELED, "%s", seeder->why);
	seeder_fail_lasts(seeder);
	return true;
}

void seeder_ungate(struct seeder *seeder, const char *why)
{
	struct group *group = seeder->handover.group;
	char sentence[256];

	if (!group || !seeder_group_any(seeder, waits))
		return;
	loop_timer_cancel(group->regiond->loop, &group->gate);
	snprintf(sentence, sizeof(sentence), "%s of the group %s: %s", seeder_name(seeder), group->name, why);
	group_each(&seeder->handover, send_away, sentence);
}

static void too_late(struct loop_timer *timer)
{
	struct group *group = container_of(timer, struct group, gate);
	struct seeder *any = seeder_of(list_entry(group->members.next, struct handover, members)), *missing = find(any, does_not_wait);

	seeder_ungate(missing ? missing : any, missing ? "the leecher of the others has not asked for it: a group is leeched as a whole, "
		      "with --group" : "some of the others are not seeded just now");
}

static bool is_of_another(struct handover *handover, void *first)
{
	return !memcmp(seeder_of(handover)->asked_by, ((struct seeder *)first)->asked_by, KEY16);
}

static bool begin(struct handover *handover, void *arg)
{
	seeder_finalize(seeder_of(handover));
	return true;
}

static void refuse_single(struct seeder *seeder)
{
	struct serve_req *req = seeder->finalizing;

	seeder->finalizing = NULL;
	serve_fail(req, -ECANCELED, "%s is one of the group %s, whose regions move together: leech it with --group %s", seeder_name(seeder),
		   seeder->handover.group->name, seeder->handover.group->name);
	seeder_fail_lasts(seeder);
}

void seeder_asked(struct seeder *seeder, const uint8_t *body, size_t len)
{
	static const uint8_t nobody[KEY16];
	struct group *group = seeder->handover.group;
	struct wire_finalize ask;

	if (!group) {
		seeder_finalize(seeder);
		return;
	}
	if (wire_decode(WIRE_S_FINALIZE, body, len, &ask) < 0 || !memcmp(ask.group, nobody, sizeof(nobody))) {
		refuse_single(seeder);
		return;
	}
	memcpy(seeder->asked_by, ask.group, sizeof(seeder->asked_by));
	if (!group_is_whole(group) || seeder_group_any(seeder, does_not_wait)) {
		group->gate.fire = too_late;
		loop_timer_set(group->regiond->loop, &group->gate, GATE_MS);
		return;
	}
	loop_timer_cancel(group->regiond->loop, &group->gate);
	if (group_each(&seeder->handover, is_of_another, seeder))
		group_each(&seeder->handover, begin, NULL);
	else
		seeder_ungate(seeder, "different hosts leech its regions");
}

/* ---- back ---- */

static bool is_stepping(const struct seeder *seeder)
{
	return seeder->stepping;
}

/* Its leecher, and the abort hook, hear why as well. */
static bool give_up(struct handover *handover, void *first)
{
	struct seeder *seeder = seeder_of(handover);
	const struct seeder *failed = first;

	if (seeder != failed && !seeder->give_up)
		snprintf(seeder->why, sizeof(seeder->why), "%.80s: %.170s", seeder_name(failed), failed->why);
	seeder->give_up = true;
	/* it may wait for the host before; what ends has no region any more */
	if (seeder != failed && handover->region)
		leecher_pass_cancel(handover->region);
	return true;
}

void seeder_group_back(struct seeder *seeder, void (*back)(struct seeder *seeder))
{
	struct group *group = seeder->handover.group;
	struct list *at, *next;

	if (!group) {
		back(seeder);
		return;
	}
	group_each(&seeder->handover, give_up, seeder);
	if (group->back || seeder_group_any(seeder, is_stepping))
		return;
	group->back = true;
	group_disperse(group);
	group_get(group);
	list_for_each_safe(at, next, &group->members)
		back(seeder_of(list_entry(at, struct handover, members)));
	group_put(group);
}

/* ---- the other side has them as well ---- */

static bool diverge_too(struct handover *handover, void *first)
{
	struct seeder *seeder = seeder_of(handover);

	/* one that is just being resolved looks for the others when it is */
	if (seeder != first && seeder->state == WIRE_SEED_RESOLVED && !seeder->stepping && !handover->over)
		seeder_diverge(seeder, NULL);
	return true;
}

void seeder_group_diverge(struct seeder *seeder)
{
	if (seeder->handover.group)
		group_each(&seeder->handover, diverge_too, seeder);
}

/* ---- one that is not there any more ---- */

static bool is_destroyed(const struct seeder *seeder)
{
	return seeder->handover.region && seeder->handover.region->destroy;
}

bool seeder_group_ends(struct seeder *seeder)
{
	return seeder->aborting || seeder->leaving || seeder_group_any(seeder, is_destroyed);
}

/* ---- GROUP ---- */

/* As many names as a small frame holds, after the one that was given. */
static bool put_names(const struct group *group, const char *after, uint8_t *out, size_t room, size_t *used, uint32_t *count)
{
	bool skip = *after;

	for (size_t i = 0; i < json_array_size(group->names); i++) {
		const char *name = json_string_value(json_array_get(group->names, i));
		struct wire_list entry;
		int n;

		if (skip) {
			skip = strcmp(name, after) != 0;
			continue;
		}
		snprintf(entry.after, sizeof(entry.after), "%s", name);
		n = wire_encode(WIRE_S_LIST, &entry, out + *used, room - *used);
		if (n < 0)
			return true;
		*used += (size_t)n;
		(*count)++;
	}
	return false;
}

void seeder_take_group(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len)
{
	const struct group *group = seeder->handover.group;
	uint8_t out[2 * WIRE_UNAUTH_MAX];
	struct wire_group_reply reply = { .count = 0 };
	struct wire_list ask;
	size_t used;
	bool more;

	if (wire_decode(WIRE_S_LIST, body, len, &ask) < 0) {
		serve_fail(req, -EPROTO, "not a GROUP");
		return;
	}
	if (!group) {
		serve_fail(req, -EINVAL, "%s is seeded alone, in no group", seeder_name(seeder));
		return;
	}
	snprintf(reply.name, sizeof(reply.name), "%s", group->name);
	used = (size_t)wire_encode(WIRE_S_GROUP_REPLY, &reply, out, sizeof(out));
	more = put_names(group, ask.after, out, sizeof(out), &used, &reply.count);
	wire_encode(WIRE_S_GROUP_REPLY, &reply, out, sizeof(out));
	serve_reply(req, more ? WIRE_F_MORE : 0, out, (uint32_t)used);
}
