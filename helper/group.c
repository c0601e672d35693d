// SPDX-License-Identifier: GPL-2.0
/* group: see group.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "group.h"
#include "regiond.h"

/* ---- life ---- */

static bool make_id(char id[2 * KEY16 + 1])
{
	uint8_t key[KEY16];

	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return false;
	key16_text(id, key);
	return true;
}

struct group *group_new(struct regiond *regiond, enum handover_role role, const char *name, const char *id, json_t *names)
{
	struct group *group = calloc(1, sizeof(*group));

	if (!group)
		return NULL;
	group->refs = 1;
	group->regiond = regiond;
	group->role = role;
	group->name = strdup(name);
	group->names = json_incref(names);
	group->shown = json_object();
	group->last = calloc(json_array_size(names) + 1, sizeof(*group->last));
	list_init(&group->members);
	if (id)
		snprintf(group->id, sizeof(group->id), "%s", id);
	if (group->name && group->shown && group->last && (id || make_id(group->id)))
		return group;
	group_put(group);
	return NULL;
}

struct group *group_get(struct group *group)
{
	group->refs++;
	return group;
}

void group_put(struct group *group)
{
	if (!group || --group->refs)
		return;
	loop_timer_cancel(group->regiond->loop, &group->gate);
	for (size_t i = 0; group->last && i < json_array_size(group->names); i++)
		json_decref(group->last[i]);
	free(group->last);
	json_decref(group->names);
	json_decref(group->shown);
	free(group->name);
	free(group);
}

void group_join(struct group *group, struct handover *handover, unsigned int nth)
{
	struct list *at = &group->members;

	/* in order, whoever comes first */
	while (at->next != &group->members && list_entry(at->next, struct handover, members)->nth < nth)
		at = at->next;
	handover->group = group_get(group);
	handover->nth = nth;
	handover->show_member = group_show_member;
	list_add_head(at, &handover->members);
	group->nr++;
}

struct handover *group_lead(const struct group *group)
{
	struct handover *first = list_empty(&group->members) ? NULL : list_entry(group->members.next, struct handover, members);

	return first && !first->nth ? first : NULL;
}

bool group_is_whole(const struct group *group)
{
	return group->nr == json_array_size(group->names);
}

bool group_each(struct handover *handover, bool (*fn)(struct handover *handover, void *arg), void *arg)
{
	struct group *group = handover->group;
	struct list *at, *next;
	bool all = true;

	if (!group)
		return fn(handover, arg);
	group_get(group);
	list_for_each_safe(at, next, &group->members) {
		all = fn(list_entry(at, struct handover, members), arg);
		if (!all)
			break;
	}
	group_put(group);
	return all;
}

/* ---- meeting ---- */

void group_release(struct group *group)
{
	struct list *at, *next;

	list_for_each(at, &group->members) {
		struct handover *member = list_entry(at, struct handover, members);

		if (!member->met && !member->apart)
			return;
	}
	list_for_each(at, &group->members) {
		struct handover *member = list_entry(at, struct handover, members);

		member->due = member->met;
		member->met = NULL;
	}
	group_get(group);
	list_for_each_safe(at, next, &group->members) {
		struct handover *member = list_entry(at, struct handover, members);
		void (*due)(struct handover *) = member->due;

		member->due = NULL;
		if (due)
			due(member);
	}
	group_put(group);
}

void group_meet(struct handover *handover, void (*then)(struct handover *handover))
{
	if (!handover->group) {
		then(handover);
		return;
	}
	handover->met = then;
	group_release(handover->group);
}

void group_disperse(struct group *group)
{
	struct list *at;

	list_for_each(at, &group->members) {
		struct handover *member = list_entry(at, struct handover, members);

		member->met = member->due = NULL;
	}
}

/* ---- for people ---- */

static const char *text_of(const json_t *show, const char *key)
{
	const char *text = json_string_value(json_object_get(show, key));

	return text ? text : "";
}

/* The group is where the last of its members is. One that has ended otherwise counts once all have ended. */
static unsigned int rank(const char *state)
{
	static const char *const order[] = {
		"connecting", "serving", "pulling", "tracking", "finalizing", "frozen", "in doubt", "handed off", "owned", "moved",
		"diverged", "resolved", "aborted", "complete",
	};
	unsigned int i = 0;

	while (i < sizeof(order) / sizeof(order[0]) && strcmp(order[i], state))
		i++;
	return i;
}

static void brief_member(const struct group *group, size_t i, json_t *members)
{
	const json_t *last = group->last[i];
	json_t *brief = json_object();
	static const char *const keys[] = { "state", "done", "total", "error" };

	json_object_set(brief, "region", json_array_get(group->names, i));
	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
		if (json_object_get(last, keys[k]))
			json_object_set(brief, keys[k], json_object_get(last, keys[k]));
	json_array_append_new(members, brief);
}

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* How many faults waited for how long, of all of them. */
static void add_waits(const json_t *member, json_t *shown)
{
	const json_t *its = json_object_get(member, "fault_waits"), *all = json_object_get(shown, "fault_waits");
	json_t *waits;

	if (!its)
		return;
	waits = json_array();
	for (size_t i = 0; i < json_array_size(its); i++)
		json_array_append_new(waits, json_integer(json_integer_value(json_array_get(its, i)) + json_integer_value(json_array_get(all, i))));
	json_object_set_new(shown, "fault_waits", waits);
}

static void add_member(const json_t *member, json_t *shown)
{
	static const char *const sums[] = {
		"done", "total", "bytes", "wire_bytes", "reused_bytes", "remaining", "unflushed", "dirty_rate", "fetch_rate", "estimate_ms", "behind_ms", "pull_bytes",
		"round_bytes", "final_bytes", "behind_bytes", "dirty_bytes", "at_risk", "risked", "elsewhere_bytes", "hashed_bytes", "lost_bytes", "faults", NULL,
	};
	static const char *const longest[] = {
		"total_ms", "downtime", "suspend_ms", "freeze_ms", "handover_ms", "resume_ms", "max_downtime", "fault_wait_max_us", NULL,
	};
	json_int_t before = number(shown, "faults"), waited = before * number(shown, "fault_wait_us") + number(member, "faults") * number(member, "fault_wait_us");

	for (const char *const *key = sums; *key; key++)
		if (json_object_get(member, *key))
			json_object_set_new(shown, *key, json_integer(number(shown, *key) + number(member, *key)));
	for (const char *const *key = longest; *key; key++)
		if (json_object_get(member, *key) && number(member, *key) >= number(shown, *key))
			json_object_set(shown, *key, json_object_get(member, *key));
	if (json_object_get(member, "fault_wait_us"))
		json_object_set_new(shown, "fault_wait_us", json_integer(number(shown, "faults") ? waited / number(shown, "faults") : 0));
	add_waits(member, shown);
}

/* Bytes and faults are all of theirs, and how long these waited on average; times are the longest, but for the estimates, which may come one after the other. */
static void add_up(const struct group *group, json_t *shown)
{
	for (size_t i = 0; i < json_array_size(group->names); i++)
		if (group->last[i])
			add_member(group->last[i], shown);
}

static void refresh(const struct group *group)
{
	json_t *members = json_array();
	const char *state = "complete";
	struct list *at;

	list_for_each(at, &group->members) {
		const struct handover *member = list_entry(at, struct handover, members);

		/* not there yet, or no more */
		if (!member->region)
			continue;
		json_decref(group->last[member->nth]);
		group->last[member->nth] = member->show(member);
	}
	json_object_clear(group->shown);
	json_object_set_new(group->shown, "name", control_text(group->name));
	for (size_t i = 0; i < json_array_size(group->names); i++) {
		const char *its = text_of(group->last[i], "state");

		/* one that an earlier helper has seen the end of */
		if (group->last[i] && rank(its) < rank(state))
			state = its;
		brief_member(group, i, members);
	}
	json_object_set_new(group->shown, "state", json_string(state));
	json_object_set_new(group->shown, "members", members);
	add_up(group, group->shown);
}

json_t *group_show_member(const struct handover *handover)
{
	json_t *show = handover->show(handover);

	if (!handover->group)
		return show;
	refresh(handover->group);
	json_object_set(show, "group", handover->group->shown);
	return show;
}

json_t *group_show(struct group *group)
{
	json_t *members = json_array();

	refresh(group);
	for (size_t i = 0; i < json_array_size(group->names); i++)
		if (group->last[i])
			json_array_append(members, group->last[i]);
	return json_pack("{s:O, s:o}", "group", group->shown, "members", members);
}

void group_progress(const struct handover *handover)
{
	const struct group *group = handover->group;

	if (!group || !group->call || group->members.next != &handover->members)
		return;
	refresh(group);
	control_progress(group->call, (uint64_t)json_integer_value(json_object_get(group->shown, "done")),
			 group->role == HANDOVER_SEEDER ? 0 : (uint64_t)json_integer_value(json_object_get(group->shown, "total")), "bytes",
			 text_of(group->shown, "state"));
}

/* ---- the end ---- */

static void answer(struct group *group)
{
	struct control_call *call = group->call, *aborting = group->aborting;

	group->call = group->aborting = NULL;
	if (call && group->error)
		control_fail(call, group->error, "the group %s: %s", group->name, group->why);
	else if (call)
		control_ok(call, group_show(group));
	if (aborting)
		control_ok(aborting, NULL);
}

void group_leave(struct handover *handover, int error, const char *why)
{
	struct group *group = handover->group;

	if (!group)
		return;
	/* what is kept of those that have ended before shows it, too */
	refresh(group);
	if (error && !group->error) {
		group->error = error;
		snprintf(group->why, sizeof(group->why), "%s", why);
	}
	list_del(&handover->members);
	handover->group = NULL;
	handover->met = handover->due = NULL;
	group->nr--;
	if (!list_empty(&group->members))
		group_release(group);
	else if (!group->farewells)
		answer(group);
	group_put(group);
}

void group_farewell(struct group *group)
{
	group_get(group)->farewells++;
}

void group_farewell_end(struct group *group)
{
	if (!--group->farewells && list_empty(&group->members))
		answer(group);
	group_put(group);
}

/* ---- what outlives the helper ---- */

json_t *group_args(const struct group *group, const json_t *args, unsigned int nth, const char *const *without)
{
	json_t *copy = json_deep_copy(args);

	if (!copy)
		return NULL;
	json_object_del(copy, "more");
	json_object_del(copy, "group");
	for (; nth && *without; without++)
		json_object_del(copy, *without);
	json_object_set(copy, "region", json_array_get(group->names, nth));
	json_object_set_new(copy, "member", json_pack("{s:o, s:s, s:i, s:O}", "group", control_text(group->name), "id", group->id, "nth",
						      (int)nth, "names", group->names));
	return copy;
}

const char *group_of_args(const json_t *args)
{
	const char *id = json_string_value(json_object_get(json_object_get(args, "member"), "id"));

	return id && strlen(id) == 2 * KEY16 ? id : NULL;
}

struct search {
	const char *id;
	enum handover_role role;
	struct group *found;
};

static int has_group(struct region *region, void *arg)
{
	struct search *search = arg;
	const struct handover *handover = handover_in(region, search->role);

	if (handover && handover->group && !strcmp(handover->group->id, search->id))
		search->found = handover->group;
	return search->found != NULL;
}

struct group *group_again(struct regiond *regiond, enum handover_role role, const json_t *args, unsigned int *nth)
{
	const json_t *member = json_object_get(args, "member");
	json_int_t at = json_integer_value(json_object_get(member, "nth"));
	json_t *names = json_object_get(member, "names");
	struct search search = { .id = group_of_args(args), .role = role };

	if (!search.id || !json_is_array(names) || at < 0 || (size_t)at >= json_array_size(names))
		return NULL;
	*nth = (unsigned int)at;
	region_each(regiond->regions, has_group, &search);
	if (search.found)
		return group_get(search.found);
	return group_new(regiond, role, text_of(member, "group"), search.id, names);
}
