// SPDX-License-Identifier: GPL-2.0
/* leecher: the arguments of the command "leech". */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "leecher-private.h"
#include "regiond.h"

/* What people hardly notice, and most links with a program that writes now and then can keep. */
#define MAX_DOWNTIME_MS 300u

/* "KEY=VALUE" to a source, if there is a value. Takes source. */
static char *with_option(char *source, const char *key, const char *value)
{
	char *encoded = value ? uri_encode(value) : NULL, *longer = NULL;

	if (!value || !source)
		return source;
	if (encoded && asprintf(&longer, "%s%c%s=%s", source, strchr(source, '?') ? '&' : '?', key, encoded) < 0)
		longer = NULL;
	free(encoded);
	free(source);
	return longer;
}

/* peer:// with the keys of the command line; --insecure makes it clear text. That they are strings has been looked at. */
char *leecher_source(struct control_call *call, const char *source)
{
	static const char *const keys[][2] = { { "tls_psk", "psk" }, { "tls_cert", "cert" }, { "tls_key", "key" }, { "tls_ca", "ca" } };
	char *with = NULL;

	if (json_is_true(json_object_get(call->args, "insecure")) && !strncmp(source, "peer://", 7)) {
		if (asprintf(&with, "peer+plain%s", source + 4) < 0)
			with = NULL;
	} else {
		with = strdup(source);
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		with = with_option(with, keys[i][1], json_string_value(json_object_get(call->args, keys[i][0])));
	return with;
}

int leecher_take_from(struct control_call *call, char **from)
{
	const char *source = NULL, *psk = NULL, *cert = NULL, *key = NULL, *ca = NULL, *compress = NULL;
	bool insecure = false;

	if (control_string(call, "source", &source) || control_string(call, "tls_psk", &psk) ||
	    control_string(call, "tls_cert", &cert) || control_string(call, "tls_key", &key) ||
	    control_string(call, "tls_ca", &ca) || control_bool(call, "insecure", &insecure) ||
	    control_string(call, "compress", &compress))
		return -EINVAL;
	if (!source) {
		control_fail(call, -EINVAL, "where from? peer://HOST:PORT/REGION");
		return -EINVAL;
	}
	*from = with_option(leecher_source(call, source), "compress", compress);
	return 0;
}

#define REGION_HERE "{region}"

/* The region's name in each place that local has for it. malloc'ed; NULL: no memory. */
static char *with_region(const char *local, const char *region)
{
	char *encoded = uri_encode(region), *text = encoded ? strdup("") : NULL, *longer;
	const char *at;

	for (; text && (at = strstr(local, REGION_HERE)); local = at + strlen(REGION_HERE)) {
		if (asprintf(&longer, "%s%.*s%s", text, (int)(at - local), local, encoded) < 0)
			longer = NULL;
		free(text);
		text = longer;
	}
	if (text && asprintf(&longer, "%s%s", text, local) < 0)
		longer = NULL;
	free(encoded);
	if (!text)
		return NULL;
	free(text);
	return longer;
}

/* The other host says what the regions of a group are called: that is not for a shell, nor to lead out of a directory. */
static bool may_not_be_named(struct control_call *call, const char *local, const char *region)
{
	bool is_command = !strncmp(local, "peer+exec:", 10);
	size_t len;

	for (const char *part = region; !is_command && *part; part += len + (part[len] == '/')) {
		len = strcspn(part, "/");
		if (!len || (len <= 2 && !strncmp(part, "..", len))) {
			control_fail(call, -EINVAL, "a region with the name '%s' can't be put into %s", region, local);
			return true;
		}
	}
	if (is_command)
		control_fail(call, -EINVAL, REGION_HERE " can't be part of a command: leech each region of the group by itself, or name a peer:// source");
	return is_command;
}

/*
 * A name of its own: the region may be renamed, and another one come in its place. What is said of a group is where all of them live, as the
 * instance's default source is; or it says which part of it is the region's name.
 */
static int take_local(struct control_call *call, const char *token, char **to)
{
	const char *local = NULL, *left = NULL, *region = json_string_value(json_object_get(call->args, "region"));
	bool named;

	if (control_string(call, "local_source", &local))
		return -EINVAL;
	named = local && region && strstr(local, REGION_HERE);
	if (named && may_not_be_named(call, local, region))
		return -EINVAL;
	if (!local && json_is_true(json_object_get(call->args, "reuse")))
		local = left = leecher_store_left(call->region);
	if (named)
		*to = with_region(local, region);
	else if (!local || backend_generic(local) || (!left && group_of_args(call->args)))
		*to = backend_child(local ? local : call->regiond->config->source, token);
	else
		*to = strdup(local);
	return 0;
}

/* Position of the word in a list that ends with NULL; negative: the call has been failed. */
static int take_word(struct control_call *call, const char *key, const char *const *words, int usual)
{
	const char *word = NULL;
	char all[64] = "";
	int ret = control_string(call, key, &word);

	if (ret || !word)
		return ret ? ret : usual;
	for (int i = 0; words[i]; i++) {
		if (!strcmp(words[i], word))
			return i;
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? ", " : "", words[i]);
	}
	control_fail(call, -EINVAL, "'%s' is none of %s", word, all);
	return -EINVAL;
}

/* Whoever says by what it shall be decided wants it decided. Else it is left to the user, who has a program to look after. */
static const char *const handover_words[] = { [LEECHER_WHEN_COMPLETE] = "complete", [LEECHER_EARLY] = "early", NULL };

/* What contradicts it, or NULL. */
static const char *contradiction(struct control_call *call, const struct leecher_when *when, bool is_auto)
{
	if (when->handover == LEECHER_WHEN_COMPLETE && control_has(call, "on_stall") && when->on_stall == LEECHER_POSTCOPY)
		return "with --handover complete it is not handed over before all is here: leave out --on-stall postcopy";
	if (when->handover == LEECHER_EARLY && control_has(call, "max_downtime"))
		return "with --handover early it is not waited until it costs little: leave out --max-downtime";
	if (is_auto || when->handover == LEECHER_WHEN_COMPLETE)
		return NULL;
	if (control_has(call, "max_downtime"))
		return "with --finalize manual nobody but you hands it over: leave out --max-downtime";
	return when->on_stall == LEECHER_POSTCOPY ? "with --finalize manual nobody but you hands it over: leave out --on-stall postcopy" : NULL;
}

int leecher_take_finalize(struct control_call *call, struct leecher *leecher)
{
	int how = take_word(call, "handover", handover_words, (int)leecher->when.handover);

	if (how < 0)
		return how;
	leecher->when.handover = (enum leecher_handover)how;
	if (how != LEECHER_WHEN_COMPLETE) {
		leecher->wanted = true;
		return 0;
	}
	/* as soon as it costs little; what was to come by force does not */
	leecher->manual = leecher->wanted = false;
	if (leecher->when.on_stall == LEECHER_POSTCOPY)
		leecher->when.on_stall = LEECHER_WAIT;
	return 0;
}

int leecher_take_when(struct control_call *call, struct leecher *leecher)
{
	static const char *const finalize[] = { "manual", "auto", NULL };
	static const char *const on_stall[] = {
		[LEECHER_POSTCOPY] = "postcopy", [LEECHER_THROTTLE] = "throttle", [LEECHER_WAIT] = "wait", NULL,
	};
	bool decides = control_has(call, "max_downtime") || control_has(call, "on_stall") || control_has(call, "handover");
	int is_auto = take_word(call, "finalize", finalize, decides), how, stall;
	const char *why;

	if (is_auto < 0)
		return is_auto;
	how = take_word(call, "handover", handover_words, LEECHER_AS_TOLD);
	if (how < 0)
		return how;
	stall = take_word(call, "on_stall", on_stall, is_auto && how != LEECHER_WHEN_COMPLETE ? LEECHER_POSTCOPY : LEECHER_WAIT);
	if (stall < 0)
		return stall;
	leecher->when.max_downtime = MAX_DOWNTIME_MS;
	if (control_u32(call, "max_downtime", &leecher->when.max_downtime))
		return -EINVAL;
	leecher->manual = !is_auto;
	leecher->wanted = is_auto && how == LEECHER_EARLY;
	leecher->when.handover = (enum leecher_handover)how;
	leecher->when.on_stall = (enum leecher_on_stall)stall;
	why = contradiction(call, &leecher->when, is_auto);
	if (why)
		control_fail(call, -EINVAL, "%s", why);
	return why ? -EINVAL : 0;
}

int leecher_take_places(struct control_call *call, const char *token, char **from, char **local)
{
	char why[256] = "out of memory";
	int ret;

	if (leecher_take_from(call, from) || (local && take_local(call, token, local)))
		return -EINVAL;
	if (*from && strlen(*from) >= LEECH_RECORD_FROM) {
		control_fail(call, -ENAMETOOLONG, "the source is longer than %u bytes", LEECH_RECORD_FROM - 1);
		return -ENAMETOOLONG;
	}
	ret = *from && (!local || *local) ? backend_check(*from, why, sizeof(why)) : -ENOMEM;
	if (!ret && strncmp(*from, "peer", 4)) {
		ret = -EINVAL;
		snprintf(why, sizeof(why), "%s is no peer: a region is leeched from peer://HOST:PORT/REGION", *from);
	}
	if (!ret && local)
		ret = backend_check(*local, why, sizeof(why));
	if (ret)
		control_fail(call, ret, "%s", why);
	return ret;
}

int leecher_take_args(struct control_call *call, struct leecher *leecher)
{
	const char *path = NULL;

	if (control_string(call, "region", &path) || suspend_take(&leecher->suspend, call) || leecher_take_when(call, leecher))
		return -EINVAL;
	/* nothing was stopped here, but all of it is to be started */
	leecher->suspend.begun = SUSPEND_ALL;
	if (leecher_take_reuse(call, leecher) || leecher_take_policy(call, leecher))
		return -EINVAL;
	leecher->path = path ? strdup(path) : NULL;
	leecher->reply = malloc(LEECHER_REPLY);
	if (!leecher->path || !leecher->reply) {
		control_fail(call, path ? -ENOMEM : -EINVAL, "which region?");
		return -EINVAL;
	}
	if (leecher_take_places(call, leecher->token, &leecher->from, &leecher->local))
		return -EINVAL;
	return leecher_take_also(call, leecher);
}
