// SPDX-License-Identifier: GPL-2.0
/*
 * seeder: how a group is begun by the command. All of its regions are opened, then all are seeded, or none is. What the next helper has to know of the
 * group is in the arguments of each (group_args).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leecher.h"
#include "listener.h"
#include "log.h"
#include "region-private.h"
#include "regiond.h"
#include "seeder-group-private.h"

/* The first one's alone: what stops the application, and lets it go on. */
static const char *const not_its[] = { "on_suspend", "on_resume", "on_abort", "suspend_unit", "suspend_cgroup", NULL };

/* ---- all of them open, then all at once ---- */

void beginning_free(struct beginning *beginning)
{
	for (size_t i = 0; i < beginning->nr; i++)
		if (beginning->regions[i])
			region_put(beginning->regions[i]);
	free(beginning->regions);
	group_put(beginning->group);
	free(beginning);
}

struct beginning *beginning_new(struct group *group)
{
	struct beginning *beginning = calloc(1, sizeof(*beginning));

	if (!beginning)
		return NULL;
	beginning->nr = json_array_size(group->names);
	beginning->regions = calloc(beginning->nr + 1, sizeof(*beginning->regions));
	if (!beginning->regions) {
		free(beginning);
		return NULL;
	}
	beginning->group = group_get(group);
	return beginning;
}

void beginning_fail(struct beginning *beginning, int error, const char *why)
{
	if (beginning->error)
		return;
	beginning->error = error;
	snprintf(beginning->why, sizeof(beginning->why), "%s", why);
}

/* All at one address, also where the port was found for the first one. */
static json_t *args_of(struct beginning *beginning, size_t i)
{
	const struct handover *first = i ? group_lead(beginning->group) : NULL;
	json_t *args;

	if (beginning->call) {
		args = group_args(beginning->group, beginning->call->args, (unsigned int)i, not_its);
		if (args && first)
			json_object_set_new(args, "listen", json_string(container_of(first, const struct seeder, handover)->export->listener->address));
		return args;
	}
	return json_loads(beginning->regions[i]->info.handover, 0, NULL);
}

void beginning_start(struct beginning *beginning, size_t i)
{
	struct control_failure failure;
	struct control_call *call = control_part(beginning->group->regiond, args_of(beginning, i), beginning->regions[i], &failure);

	if (!call) {
		beginning_fail(beginning, -ENOMEM, "out of memory");
		return;
	}
	call->again = !beginning->call;
	seeder_start(call, beginning->regions[i], beginning->group, (unsigned int)i);
	if (failure.error)
		beginning_fail(beginning, failure.error, failure.why);
}

static bool undo(struct handover *handover, void *arg)
{
	if (!handover->over)
		seeder_end(container_of(handover, struct seeder, handover));
	return true;
}

/* Those that have begun have no clients yet. */
static void start_all(struct beginning *beginning)
{
	struct group *group = beginning->group;

	for (size_t i = 0; i < beginning->nr && !beginning->error; i++)
		if (beginning->regions[i])
			beginning_start(beginning, i);
	if (beginning->error && beginning->call && !list_empty(&group->members))
		group_each(list_entry(group->members.next, struct handover, members), undo, NULL);
}

/* ---- the command ---- */

static void answer_begun(struct state_waiter *waiter, int error)
{
	struct beginning *beginning = container_of(waiter, struct beginning, noted);

	if (error)
		log_warning("seeding the group %s: the state directory could not be written: %s", beginning->group->name, strerror(-error));
	control_ok(beginning->call, group_show(beginning->group));
	beginning_free(beginning);
}

/* What is not here whole is seeded on, unless it is in the middle of a step: then the command comes again, or has been failed. */
static bool is_taken(const struct beginning *beginning)
{
	for (size_t i = 0; i < beginning->nr; i++)
		if (leecher_takes_seed(beginning->call, beginning->regions[i]))
			return true;
	return false;
}

static void begin(struct beginning *beginning)
{
	struct control_call *call = beginning->call;
	bool detach = json_is_true(json_object_get(call->args, "detach"));

	if (!beginning->error && is_taken(beginning)) {
		beginning_free(beginning);
		return;
	}
	if (!beginning->error)
		start_all(beginning);
	if (beginning->error) {
		control_fail(call, beginning->error, "%s", beginning->why);
		beginning_free(beginning);
		return;
	}
	log_info("seeding the group %s: %zu regions", beginning->group->name, beginning->nr);
	if (detach) {
		beginning->noted.done = answer_begun;
		state_sync(call->regiond->state, &beginning->noted);
		return;
	}
	beginning->group->call = call;
	beginning_free(beginning);
}

static void open_next(struct beginning *beginning);

static void opened(struct region *region, int error, void *arg)
{
	struct beginning *beginning = arg;
	char why[512];

	error = seeder_check(region, error, why, sizeof(why));
	if (error)
		beginning_fail(beginning, error, why);
	beginning->at++;
	open_next(beginning);
}

static void open_next(struct beginning *beginning)
{
	if (beginning->error || beginning->at == beginning->nr)
		begin(beginning);
	else
		region_open(beginning->regions[beginning->at], opened, beginning);
}

/* The kernel is asked for each, as control_resolve() has asked for the first: an event that tells of it may be on its way. */
struct look_up {
	struct netlink_call call;
	struct beginning *beginning;
};

static void look_up_next(struct beginning *beginning);

static void look_up_item(struct netlink_call *call, const struct netlink_attrs *attrs)
{
	region_update(container_of(call, struct look_up, call)->beginning->group->regiond->regions, attrs);
}

static const char *name_of(const struct beginning *beginning, size_t i)
{
	return json_string_value(json_array_get(beginning->group->names, i));
}

static void looked_up(struct netlink_call *call, int error, const char *said)
{
	struct beginning *beginning = container_of(call, struct look_up, call)->beginning;
	const char *name = name_of(beginning, beginning->at);
	struct regiond *regiond = beginning->group->regiond;
	char why[512];

	free(container_of(call, struct look_up, call));
	beginning->regions[beginning->at] = error ? NULL : region_find_path(regiond->regions, name);
	if (!beginning->regions[beginning->at]) {
		snprintf(why, sizeof(why), "there is no region %.300s here", name);
		beginning_fail(beginning, -ENOENT, error && error != -ENOENT && *said ? said : why);
	}
	beginning->at++;
	look_up_next(beginning);
}

static void look_up_next(struct beginning *beginning)
{
	struct look_up *look_up;

	if (beginning->error || beginning->at == beginning->nr) {
		beginning->at = 0;
		open_next(beginning);
		return;
	}
	look_up = calloc(1, sizeof(*look_up));
	if (!look_up) {
		beginning_fail(beginning, -ENOMEM, "out of memory");
		open_next(beginning);
		return;
	}
	look_up->beginning = beginning;
	look_up->call.cmd = REGIONFS_CMD_REGION_GET;
	netlink_set(&look_up->call.attrs, PATH, path, name_of(beginning, beginning->at));
	look_up->call.item = look_up_item;
	look_up->call.done = looked_up;
	netlink_call(beginning->group->regiond->netlink, &look_up->call);
}

/* New reference; NULL: the call has been failed. */
static json_t *take_names(struct control_call *call)
{
	json_t *more = json_object_get(call->args, "more"), *names = json_array(), *name;
	size_t i;

	json_array_append(names, json_object_get(call->args, "region"));
	json_array_foreach(more, i, name) {
		if (!json_is_string(name) || strlen(json_string_value(name)) > REGIONFS_PATH_MAX || i + 1 >= GROUP_MOST) {
			control_fail(call, -EINVAL, "\"more\" is a list of at most %u regions", GROUP_MOST - 1);
			json_decref(names);
			return NULL;
		}
		for (size_t k = 0; k < json_array_size(names); k++) {
			if (!json_equal(json_array_get(names, k), name))
				continue;
			control_fail(call, -EINVAL, "%s is named twice", json_string_value(name));
			json_decref(names);
			return NULL;
		}
		json_array_append(names, name);
	}
	return names;
}

static int check_name(struct control_call *call, const char *name)
{
	struct server *server = call->regiond->server;
	struct list *at;

	if (!*name || strlen(name) > WIRE_REGION_MAX) {
		control_fail(call, -EINVAL, "the name of a group has 1 to %u bytes", WIRE_REGION_MAX);
		return -EINVAL;
	}
	if (!server)
		return 0;
	list_for_each(at, &server->listeners)
		if (listener_group(list_entry(at, struct listener, list), name)) {
			control_fail(call, -EEXIST, "there is a group %s already: end it, or choose another name with --group", name);
			return -EEXIST;
		}
	return 0;
}

void seeder_group_run(struct control_call *call)
{
	struct region *region = control_region(call);
	struct beginning *beginning = NULL;
	struct group *group = NULL;
	const char *name;
	json_t *names;

	if (!region)
		return;
	name = region->info.path ? region->info.path : "";
	/* by id, say: then it is known by its path */
	json_object_set_new(call->args, "region", control_text(name));
	names = control_string(call, "group", &name) || check_name(call, name) ? NULL : take_names(call);
	if (names) {
		group = group_new(call->regiond, HANDOVER_SEEDER, name, NULL, names);
		beginning = group ? beginning_new(group) : NULL;
		if (!beginning)
			control_fail(call, -ENOMEM, "out of memory");
	}
	if (beginning) {
		beginning->call = call;
		look_up_next(beginning);
	}
	group_put(group);
	json_decref(names);
	region_put(region);
}
