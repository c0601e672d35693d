// SPDX-License-Identifier: GPL-2.0
/*
 * leecher: how a group is begun by the command: the other side is asked who is in it, then all of them are leeched, by the names that they have
 * there. What the next helper has to know of the group is in the arguments of each (group_args).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/peer.h"
#include "config.h"
#include "leecher-private.h"
#include "regiond.h"

/* The first one's alone: what lets the application go on. */
static const char *const not_its[] = { "on_resume", "on_abort", "resume_unit", NULL };

#define REPLY_MAX (2u * WIRE_UNAUTH_MAX)

struct gathering {
	struct control_call *call;
	const char *name;		/* the call's */
	char *source;			/* as it was given */
	json_t *names;
	size_t nth;			/* whose turn it is to be looked at */
	struct backend_open open;
	struct backend *peer;
	struct link_req message;
	uint8_t body[WIRE_REGION_MAX + 8], reply[REPLY_MAX];
	int error;
	char why[WIRE_TEXT_MAX + 128];
};

static void gathering_free(struct gathering *gathering)
{
	uri_free(&gathering->open.uri);
	json_decref(gathering->names);
	free(gathering->source);
	free(gathering);
}

static void fail(struct gathering *gathering, int error, const char *why)
{
	if (gathering->error)
		return;
	gathering->error = error;
	snprintf(gathering->why, sizeof(gathering->why), "%s", why);
}

/* ---- where each of them is ---- */

/* Does it name a region already? Behind the host of peer://, or as an option. */
static bool names_region(const char *source)
{
	const char *rest = strstr(source, "://"), *slash = rest ? strchr(rest + 3, '/') : NULL;
	size_t plain = strcspn(source, "?");

	if (!rest || rest > source + plain)
		return strstr(source + plain, "region=") != NULL;
	return slash && slash < source + plain && slash[1] && slash + 1 < source + plain;
}

/* malloc'ed; NULL: no memory. */
static char *source_of(const char *source, const char *region)
{
	char *encoded = uri_encode(region), *text = NULL;
	size_t plain = strcspn(source, "?");
	int n = -1;

	if (encoded && strstr(source, "://") && strstr(source, "://") < source + plain)
		n = asprintf(&text, "%.*s%s%s%s", (int)plain, source, source[plain - 1] == '/' ? "" : "/", encoded, source + plain);
	else if (encoded)
		n = asprintf(&text, "%s%cregion=%s", source, source[plain] ? '&' : '?', encoded);
	free(encoded);
	return n < 0 ? NULL : text;
}

/* ---- all of them ---- */

static json_t *args_of(const struct gathering *gathering, const struct group *group, unsigned int nth)
{
	char *source = source_of(gathering->source, json_string_value(json_array_get(group->names, nth)));
	json_t *args = source ? group_args(group, gathering->call->args, nth, not_its) : NULL;

	if (args)
		json_object_set_new(args, "source", json_string(source));
	free(source);
	return args;
}

/* What is left here of the region's last stay, or NULL. New reference. */
static struct region *left_of(const struct gathering *gathering, unsigned int nth)
{
	return region_find_path(gathering->call->regiond->regions, json_string_value(json_array_get(gathering->names, nth)));
}

static void make_one(struct gathering *gathering, struct group *group, unsigned int nth)
{
	struct region *left = left_of(gathering, nth);
	struct control_failure failure;
	struct control_call *call = control_part(group->regiond, args_of(gathering, group, nth), left, &failure);

	if (call)
		leecher_start(call, group, nth);
	if (!call)
		fail(gathering, -ENOMEM, "out of memory");
	else if (failure.error)
		fail(gathering, failure.error, failure.why);
	if (left)
		region_put(left);
}

/* What can be wrong with one is found out before anything is made, or removed, for any. */
static void make_all(struct gathering *gathering, struct group *group)
{
	for (unsigned int i = 0; i < json_array_size(group->names) && !gathering->error; i++)
		make_one(gathering, group, i);
	if (gathering->error && !list_empty(&group->members))
		leecher_fail(leecher_of(list_entry(group->members.next, struct handover, members)), gathering->error, gathering->why);
}

/* By its number: any of them, and the group's other members with it, may end with the one before. */
static struct leecher *member(const struct group *group, unsigned int nth)
{
	struct list *at;

	list_for_each(at, &group->members)
		if (list_entry(at, struct handover, members)->nth == nth)
			return leecher_of(list_entry(at, struct handover, members));
	return NULL;
}

static void set_off_all(struct group *group)
{
	for (unsigned int i = 0; i < json_array_size(group->names); i++) {
		struct leecher *leecher = member(group, i);

		if (leecher)
			leecher_set_off(leecher);
	}
}

/* It may be in use by now. */
static void check_left(struct group *group)
{
	char why[1024];

	for (unsigned int i = 0; i < json_array_size(group->names); i++) {
		struct leecher *leecher = member(group, i);
		int ret = leecher && leecher->left ? leecher_may_replace_unnamed(leecher->left, why, sizeof(why)) : 0;

		if (ret)
			leecher_fail(leecher, ret, why);
	}
}

/* An end of this helper's begins nothing. */
static void one_looked(struct group *group)
{
	if (!--group->looking && !group->regiond->stopping) {
		check_left(group);
		set_off_all(group);
	}
	group_put(group);
}

static void source_looked(struct leecher *leecher, int error, const char *why)
{
	struct group *group = leecher->handover.group;

	if (error)
		leecher_fail(leecher, error, why);
	one_looked(group);
}

/* No source that cannot be used is found when the first of what is left here has been removed. */
static void look_at_sources(struct group *group)
{
	group->looking = 1;
	for (unsigned int i = 0; i < json_array_size(group->names); i++) {
		struct leecher *leecher = member(group, i);

		if (!leecher || leecher->giving_up)
			continue;
		group->looking++;
		group_get(group);
		leecher_look_at_source(leecher, source_looked);
	}
	one_looked(group_get(group));
}

/* One that is in the way is said before anything is made, or removed. */
static void check_names(struct gathering *gathering)
{
	char why[sizeof(gathering->why)];

	for (unsigned int i = 0; i < json_array_size(gathering->names); i++) {
		struct region *left = left_of(gathering, i);
		int ret = left ? leecher_may_replace_unnamed(left, why, sizeof(why)) : 0;

		if (ret)
			fail(gathering, ret, why);
		if (left)
			region_put(left);
	}
}

static void begin(struct gathering *gathering)
{
	struct control_call *call = gathering->call;
	struct group *group = NULL;

	if (!gathering->error)
		check_names(gathering);
	if (!gathering->error) {
		group = group_new(call->regiond, HANDOVER_LEECHER, gathering->name, NULL, gathering->names);
		if (!group)
			fail(gathering, -ENOMEM, "out of memory");
	}
	if (group)
		make_all(gathering, group);
	if (gathering->error) {
		control_fail(call, gathering->error, "%s", gathering->why);
	} else {
		group->detach = json_is_true(json_object_get(call->args, "detach"));
		group->call = call;
	}
	if (group)
		look_at_sources(group);
	group_put(group);
	gathering_free(gathering);
}

/* ---- is what is left here what the other side has? ---- */

static void reach(struct gathering *gathering, void (*done)(struct backend_open *open, struct backend *backend, int error));
static int take_uri(struct gathering *gathering, const char *name);
static void look_next(struct gathering *gathering);

/* Another one of that name is no reason to remove what is here, nor is an older one. */
static void compare(struct gathering *gathering, const struct wire_info *info)
{
	struct region *left = left_of(gathering, (unsigned int)gathering->nth);
	char why[sizeof(gathering->why)];

	if (!left)
		return;
	snprintf(why, sizeof(why), "%.300s has moved away from here, but what the other side has by that name is another one, or older: remove it here, or leech it by its name",
		 left->info.path);
	if (!(info->flags & WIRE_INFO_SEEDING) || info->lineage != left->info.lineage || info->epoch < left->info.epoch)
		fail(gathering, -EEXIST, why);
	region_put(left);
}

static void looked(void *arg)
{
	struct gathering *gathering = arg;

	gathering->nth++;
	look_next(gathering);
}

static void member_reached(struct backend_open *open, struct backend *backend, int error)
{
	struct gathering *gathering = container_of(open, struct gathering, open);
	char why[sizeof(gathering->why)];

	if (error) {
		snprintf(why, sizeof(why), "%.300s: %.700s", json_string_value(json_array_get(gathering->names, gathering->nth)), open->why);
		fail(gathering, error, why);
		begin(gathering);
		return;
	}
	compare(gathering, &peer_session(backend)->info);
	backend_close(backend, looked, gathering);
}

/* Each that is to make room is looked for over there, by itself: the list alone could name anything. */
static void look_next(struct gathering *gathering)
{
	for (; !gathering->error && gathering->nth < json_array_size(gathering->names); gathering->nth++) {
		struct region *left = left_of(gathering, (unsigned int)gathering->nth);
		int ret;

		if (!left)
			continue;
		region_put(left);
		ret = take_uri(gathering, json_string_value(json_array_get(gathering->names, gathering->nth)));
		if (!ret) {
			reach(gathering, member_reached);
			return;
		}
		gathering->error = ret;		/* it has said why */
	}
	begin(gathering);
}

/* ---- who they are ---- */

static void hung_up(void *arg)
{
	struct gathering *gathering = arg;

	if (!gathering->error)
		check_names(gathering);
	look_next(gathering);
}

static void ask(struct gathering *gathering, const char *after);

static bool is_named(const struct gathering *gathering, const char *name)
{
	json_t *at;
	size_t i;

	json_array_foreach(gathering->names, i, at)
		if (!strcmp(json_string_value(at), name))
			return true;
	return false;
}

/* Adds the names of a reply. Negative: it makes no sense. */
static int take_names(struct gathering *gathering)
{
	struct wire_group_reply reply;
	struct wire_list entry;
	size_t got = gathering->message.got;
	int used = wire_decode(WIRE_S_GROUP_REPLY, gathering->reply, got, &reply);

	for (uint32_t i = 0; used >= 0 && i < reply.count; i++) {
		int n = wire_decode(WIRE_S_LIST, gathering->reply + used, got - (size_t)used, &entry);

		if (n < 0 || !*entry.after || json_array_size(gathering->names) >= GROUP_MOST || is_named(gathering, entry.after))
			return -EPROTO;
		used += n;
		if (json_array_append_new(gathering->names, json_string(entry.after)))
			return -EPROTO;
	}
	return used < 0 || !json_array_size(gathering->names) || !reply.count ? -EPROTO : 0;
}

static void told(struct link_req *req, int error)
{
	struct gathering *gathering = container_of(req, struct gathering, message);
	size_t nr;

	if (error)
		fail(gathering, error, link_why(req, error));
	else if (take_names(gathering))
		fail(gathering, -EPROTO, "the other side's list of who is in the group makes no sense");
	nr = json_array_size(gathering->names);
	if (!gathering->error && req->reply_flags & WIRE_F_MORE)
		ask(gathering, json_string_value(json_array_get(gathering->names, nr - 1)));
	else
		backend_close(gathering->peer, hung_up, gathering);
}

static void ask(struct gathering *gathering, const char *after)
{
	struct link_req *req = &gathering->message;
	struct wire_list list;

	snprintf(list.after, sizeof(list.after), "%s", after);
	memset(req, 0, sizeof(*req));
	req->type = WIRE_GROUP;
	req->data = gathering->body;
	req->data_len = (uint32_t)wire_encode(WIRE_S_LIST, &list, gathering->body, sizeof(gathering->body));
	req->into = gathering->reply;
	req->into_len = sizeof(gathering->reply);
	req->done = told;
	session_urgent(peer_session(gathering->peer), req);
}

static void reached(struct backend_open *open, struct backend *backend, int error)
{
	struct gathering *gathering = container_of(open, struct gathering, open);

	gathering->peer = backend;
	if (error) {
		fail(gathering, error, open->why);
		begin(gathering);
	} else if (!(peer_session(backend)->features & WIRE_FEAT_GROUP)) {
		fail(gathering, -EOPNOTSUPP, "the other side's regiond is too old to know of groups");
		backend_close(backend, hung_up, gathering);
	} else {
		ask(gathering, "");
	}
}

/* ---- the command ---- */

static void reach(struct gathering *gathering, void (*done)(struct backend_open *open, struct backend *backend, int error))
{
	const struct regiond *regiond = gathering->call->regiond;
	struct backend_open *open = &gathering->open;

	*open = (struct backend_open){
		.uri = open->uri, .loop = regiond->loop, .instance = regiond->config->name, .run_dir = regiond->config->run_dir,
		.state_dir = regiond->config->state_dir, .credentials = regiond->config->credentials, .instance_id = regiond->instance_id,
		.attach_gen = regiond->attach_gen, .read_only = true, .done = done,
	};
	backend_open(open);
}

/* The region's, or the group's, over there, as if it were a region, with the keys that the call has. Negative: gathering->why says why not. */
static int take_uri(struct gathering *gathering, const char *name)
{
	char *source = source_of(gathering->source, name), *from = NULL;
	struct control_call *part;
	struct control_failure failure;
	json_t *args = source ? json_copy(gathering->call->args) : NULL;
	int ret = -ENOMEM;

	if (args)
		json_object_set_new(args, "source", json_string(source));
	free(source);
	snprintf(gathering->why, sizeof(gathering->why), "out of memory");
	part = control_part(gathering->call->regiond, args, NULL, &failure);
	if (part && leecher_take_from(part, &from)) {
		ret = failure.error;
		snprintf(gathering->why, sizeof(gathering->why), "%s", failure.why);
	} else if (part) {
		control_ok(part, NULL);
		if (from)
			ret = backend_check(from, gathering->why, sizeof(gathering->why)) ||
			      uri_parse(&gathering->open.uri, from, gathering->why, sizeof(gathering->why)) ? -EINVAL : 0;
	}
	free(from);
	return ret;
}

static int check_source(struct control_call *call, const char *source)
{
	if (!source)
		control_fail(call, -EINVAL, "where from? peer://HOST:PORT");
	else if (strncmp(source, "peer", 4))
		control_fail(call, -EINVAL, "%s is no peer: a group is leeched from peer://HOST:PORT", source);
	else if (names_region(source))
		control_fail(call, -EINVAL, "%s names a region: with --group leave that out, peer://HOST:PORT", source);
	else
		return 0;
	return -EINVAL;
}

void leecher_group_run(struct control_call *call)
{
	const char *name = NULL, *source = NULL;
	struct gathering *gathering;
	char *own;
	int ret;

	if (control_string(call, "group", &name) || control_string(call, "source", &source) || check_source(call, source))
		return;
	if (control_has(call, "region") || !*name || strlen(name) > WIRE_REGION_MAX) {
		control_fail(call, -EINVAL, "%s", *name ? "--group takes all of a group: leave out REGION" : "which group?");
		return;
	}
	gathering = calloc(1, sizeof(*gathering));
	own = strdup(source);
	if (!gathering || !own) {
		free(gathering);
		free(own);
		control_fail(call, -ENOMEM, "out of memory");
		return;
	}
	gathering->call = call;
	gathering->name = name;
	gathering->source = own;
	gathering->names = json_array();
	ret = take_uri(gathering, name);
	if (!ret) {
		reach(gathering, reached);
		return;
	}
	control_fail(call, ret, "%s", gathering->why);
	gathering_free(gathering);
}
