// SPDX-License-Identifier: GPL-2.0
/* control-peer: export, unexport, and what a migration is begun, finalized and aborted with. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "control.h"
#include "control-peer.h"
#include "control-policy.h"
#include "export.h"
#include "follower.h"
#include "leecher.h"
#include "listener.h"
#include "region.h"
#include "regiond.h"
#include "seeder.h"
#include "target.h"

struct server *control_server(struct control_call *call)
{
	struct regiond *regiond = call->regiond;
	struct server *server = regiond->server;
	int ret = 0;

	if (!server)
		ret = server_open(&server, regiond->loop);
	if (ret) {
		control_fail(call, ret, "out of memory");
		return NULL;
	}
	regiond->server = server;
	return server;
}

int control_listen(struct control_call *call, struct listener_options *options)
{
	options->listen = NULL;
	if (control_string(call, "listen", &options->listen) ||
	    control_string(call, "tls_psk", &options->tls_psk) ||
	    control_string(call, "tls_cert", &options->tls_cert) ||
	    control_string(call, "tls_key", &options->tls_key) ||
	    control_string(call, "tls_ca", &options->tls_ca) ||
	    control_bool(call, "insecure", &options->insecure))
		return -EINVAL;
	if (options->listen)
		return 0;
	control_fail(call, -EINVAL, "where to listen? Give --listen ADDR:PORT, or unix:PATH");
	return -EINVAL;
}

struct export *control_export(const struct server *server, const char *name)
{
	struct list *at;

	if (!server)
		return NULL;
	list_for_each(at, &server->listeners) {
		struct export *export = listener_export(list_entry(at, struct listener, list), name);

		if (export)
			return export;
	}
	return NULL;
}

/* Negative: the call has been failed. */
static int take_access(struct control_call *call, struct access *access, unsigned int offered)
{
	char why[512] = "out of memory";
	json_t *rules, *rule;
	int ret = 0;
	size_t i;

	if (!control_has(call, "allow"))
		return 0;
	if (control_strings(call, "allow", &rules))
		return -EINVAL;
	json_array_foreach(rules, i, rule)
		if (!ret)
			ret = access_add(access, json_string_value(rule), offered, why, sizeof(why));
	/* an empty list would let everybody in, which nobody means by it */
	if (!ret && !json_array_size(rules)) {
		snprintf(why, sizeof(why), "\"allow\" has no rule");
		ret = -EINVAL;
	}
	if (ret)
		control_fail(call, ret, "%s", why);
	return ret;
}

static json_t *show_access(const struct export *export)
{
	json_t *shown = list_empty(&export->access.rules) ? NULL : json_array();
	char text[ACCESS_TEXT_MAX];
	struct list *at;

	list_for_each(at, &export->access.rules) {
		const struct access_rule *rule = list_entry(at, struct access_rule, list);

		json_array_append_new(shown, json_sprintf("%s=%s", rule->who, access_text(rule->actions, ",", text)));
	}
	return shown;
}

json_t *control_export_show(const struct export *export)
{
	json_t *shown = json_pack("{s:s, s:b}", "listen", export->listener->address, "read_only", export->read_only);
	json_t *access = show_access(export);

	if (access)
		json_object_set_new(shown, "allow", access);
	return shown;
}

/* What a listener that is made for these will be; one that is there may know its peers in another way. */
static enum access_by known_by(const struct listener_options *options)
{
	if (options->tls_psk)
		return ACCESS_BY_PSK;
	return options->tls_cert || options->tls_key || options->tls_ca ? ACCESS_BY_CERT : ACCESS_BY_NOTHING;
}

static int publish_for(struct control_call *call, const char *name, struct target *target, struct access *access, bool read_only,
		       struct export **export)
{
	struct server *server = control_server(call);
	struct listener_options options = { .listen = NULL };
	struct listener *listener = NULL;
	char why[512] = "out of memory";
	int ret;

	if (!server)
		return -ENOMEM;
	ret = control_listen(call, &options);
	if (ret)
		return ret;
	ret = control_export(server, name) ? -EEXIST : access_check(access, known_by(&options), why, sizeof(why));
	if (ret == -EEXIST)
		snprintf(why, sizeof(why), "%s is exported or seeded already", name);
	if (!ret)
		ret = listener_find(server, &options, &listener, why, sizeof(why));
	if (!ret)
		ret = access_check(access, access_by(listener->tls), why, sizeof(why));
	if (!ret)
		ret = export_open(export, listener, name, target, read_only);
	if (!ret) {
		access_move(&(*export)->access, access);
		return 0;
	}
	if (listener)
		listener_drop(listener);
	control_fail(call, ret, "%s", why);
	return ret;
}

int control_publish(struct control_call *call, const char *name, struct target *target, unsigned int offered, struct export **export)
{
	struct access access;
	int ret;

	access_init(&access);
	ret = take_access(call, &access, offered);
	if (!ret)
		ret = publish_for(call, name, target, &access, !(offered & ACCESS_WRITE), export);
	access_free(&access);
	return ret;
}

/* ---- export ---- */

static void publish(struct control_call *call, const char *name, struct target *target)
{
	struct export *export;
	bool read_only = false;

	if (control_bool(call, "read_only", &read_only) ||
	    control_publish(call, name, target, ACCESS_READ | (read_only ? 0 : ACCESS_WRITE), &export)) {
		target->ops->close(target);
		return;
	}
	control_ok(call, control_export_show(export));
}

static void export_region(struct region *region, int error, void *arg)
{
	struct control_call *call = arg;
	struct target *target;

	/* while a state is brought in, the local store has none whole */
	if (!error && follower_is(&region->info)) {
		control_fail(call, -EBUSY, "%s follows another host's region: others can follow that, where it is seeded", region->info.path);
		region_put(region);
		return;
	}
	if (!error)
		error = target_region(&target, region);
	if (error)
		control_fail(call, error, "%s", *region->why ? region->why : strerror(-error));
	else
		publish(call, region->info.path, target);
	region_put(region);
}

/* A source that is no region here, under the name that "region" gives. */
struct source_export {
	struct backend_open open;
	struct control_call *call;
};

static void source_opened(struct backend_open *open, struct backend *backend, int error)
{
	struct source_export *export = container_of(open, struct source_export, open);
	struct control_call *call = export->call;
	struct target *target;

	if (!error)
		error = target_source(&target, backend);
	if (error)
		control_fail(call, error, "%s", *open->why ? open->why : strerror(-error));
	else
		publish(call, json_string_value(json_object_get(call->args, "region")), target);
	free(export);
}

static void export_source(struct control_call *call, const char *source)
{
	const struct config *config = call->regiond->config;
	struct source_export *export;
	const char *name = NULL;
	char why[256] = "out of memory";

	if (control_string(call, "region", &name))
		return;
	if (!name) {
		control_fail(call, -EINVAL, "\"region\" is missing");
		return;
	}
	if (call->region) {
		control_fail(call, -EEXIST, "there is a region of that name: leave out --source");
		return;
	}
	export = calloc(1, sizeof(*export));
	if (!export || uri_parse(&export->open.uri, source, why, sizeof(why))) {
		free(export);
		control_fail(call, -EINVAL, "%s", why);
		return;
	}
	export->call = call;
	export->open.loop = call->regiond->loop;
	export->open.instance = config->name;
	export->open.run_dir = config->run_dir;
	export->open.state_dir = config->state_dir;
	export->open.credentials = config->credentials;
	export->open.instance_id = call->regiond->instance_id;
	export->open.attach_gen = call->regiond->attach_gen;
	export->open.done = source_opened;
	backend_open(&export->open);
}

static void run_export(struct control_call *call)
{
	const char *source = NULL;
	struct region *region;

	if (control_string(call, "source", &source))
		return;
	if (source) {
		export_source(call, source);
		return;
	}
	region = control_region(call);
	if (region)
		region_open(region, export_region, call);
}

static void unexported(void *arg)
{
	control_ok(arg, NULL);
}

static void run_unexport(struct control_call *call)
{
	const char *name = call->region ? call->region->info.path : NULL;
	struct export *export;

	if (!name && control_string(call, "region", &name))
		return;
	export = name ? control_export(call->regiond->server, name) : NULL;
	if (!export)
		control_fail(call, -ENOENT, "%s is not exported", name ? name : "it");
	else if (export->seed)
		control_fail(call, -EBUSY, "%s is being seeded: regionctl abort ends that", name);
	else
		export_close(export, unexported, call);
}

/* ---- migration ---- */

static void run_abort(struct control_call *call)
{
	struct region *region = control_region(call);

	if (!region)
		return;
	if (seeder_is_pending(region))
		seeder_abort_left(call, region);
	else if (!region->handover)
		leecher_clean(call, region);
	else if (handover_of(region)->role == HANDOVER_SEEDER)
		seeder_abort(call, region);
	else if (handover_of(region)->role == HANDOVER_FOLLOWER)
		follower_abort(call, region);
	else
		leecher_abort(call, region);
	region_put(region);
}

static bool take_resolution(struct control_call *call, enum resolution *resolution)
{
	static const char *const words[] = {
		[RESOLVE_OWN] = "i_own_it", [RESOLVE_KEEP] = "keep", [RESOLVE_DISCARD] = "discard", [RESOLVE_LOST] = "source_lost",
	};
	unsigned int said = 0;

	for (unsigned int i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		bool on = false;

		if (control_bool(call, words[i], &on))
			return false;
		said += on;
		if (on)
			*resolution = (enum resolution)i;
	}
	if (said == 1)
		return true;
	control_fail(call, -EINVAL, "say one of --i-own-it, --keep, --discard and --source-lost");
	return false;
}

/* Of a region that is seeded on, the host before can be lost, or have been taken back. */
static bool resolves_seeder(const struct region *region, enum resolution resolution)
{
	if (!handover_in(region, HANDOVER_SEEDER) || !region->behind)
		return handover_of(region)->role == HANDOVER_SEEDER;
	return resolution != RESOLVE_LOST && !(leecher_is_diverged(region) && resolution != RESOLVE_OWN);
}

static void run_resolve(struct control_call *call)
{
	struct region *region = control_region(call);
	enum resolution resolution = RESOLVE_OWN;

	if (!region)
		return;
	if (!region->handover || (!handover_in(region, HANDOVER_SEEDER) && seeder_is_left(&region->info)))
		control_fail(call, seeder_is_left(&region->info) ? -EBUSY : -EINVAL, "%s is not being migrated%s", region->info.path,
			     seeder_is_left(&region->info) ? " just now: seed it again, as it was" : "");
	else if (!take_resolution(call, &resolution))
		;
	else if (resolves_seeder(region, resolution))
		seeder_resolve(call, region, resolution);
	else if (handover_of(region)->role == HANDOVER_FOLLOWER)
		follower_resolve(call, region, resolution);
	else
		leecher_resolve(call, region, resolution);
	region_put(region);
}

static void run_finalize(struct control_call *call)
{
	struct region *region = control_region(call);

	if (!region)
		return;
	if (region->handover && handover_of(region)->role == HANDOVER_LEECHER)
		leecher_finalize(call, region);
	else
		control_fail(call, -EINVAL, "%s is not being leeched here: finalize where it goes to",
			     region->info.path);
	region_put(region);
}

static void run_promote(struct control_call *call)
{
	struct region *region = control_region(call);

	if (!region)
		return;
	if (region->handover && handover_of(region)->role == HANDOVER_FOLLOWER)
		follower_promote(call, region);
	else
		control_fail(call, -EINVAL, "%s follows nobody", region->info.path);
	region_put(region);
}

#define TLS_ARGS "tls_psk tls_cert tls_key tls_ca insecure"
#define SEED_ARGS "region more group listen allow on_suspend on_resume on_abort suspend_unit suspend_cgroup hook_timeout follow_copies detach " TLS_ARGS
#define LEECH_ARGS "region group source local_source reuse reuse_from follow max_age compress also finalize max_downtime on_stall handover on_resume on_abort resume_unit hook_timeout detach managed unfenced " \
	CONTROL_POLICY_ARGS " " TLS_ARGS

const struct control_cmd control_peer_cmds[] = {
	{ "export", 0, "region source listen read_only allow " TLS_ARGS, run_export },
	{ "unexport", 0, "region", run_unexport },
	{ "seed", CONTROL_DETACHES, SEED_ARGS, seeder_run },
	{ "leech", CONTROL_DETACHES, LEECH_ARGS, leecher_run },
	{ "finalize", CONTROL_DETACHES, "region handover", run_finalize },
	{ "promote", CONTROL_DETACHES, "region source_lost force on_resume resume_unit hook_timeout", run_promote },
	{ "abort", 0, "region force", run_abort },
	{ "resolve", 0, "region i_own_it keep discard source_lost force also", run_resolve },
	{ NULL, 0, NULL, NULL },
};
