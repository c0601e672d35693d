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

/* peer:// with the keys of the command line; --insecure makes it clear text. */
static int take_from(struct control_call *call, struct leecher *leecher)
{
	const char *source = NULL, *psk = NULL, *cert = NULL, *key = NULL, *ca = NULL;
	bool insecure = false;

	if (control_string(call, "source", &source) || control_string(call, "tls_psk", &psk) ||
	    control_string(call, "tls_cert", &cert) || control_string(call, "tls_key", &key) ||
	    control_string(call, "tls_ca", &ca) || control_bool(call, "insecure", &insecure))
		return -EINVAL;
	if (!source) {
		control_fail(call, -EINVAL, "where from? peer://HOST:PORT/REGION");
		return -EINVAL;
	}
	if (insecure && !strncmp(source, "peer://", 7)) {
		if (asprintf(&leecher->from, "peer+plain%s", source + 4) < 0)
			leecher->from = NULL;
	} else {
		leecher->from = strdup(source);
	}
	leecher->from = with_option(with_option(with_option(with_option(leecher->from, "psk", psk), "cert", cert),
						"key", key), "ca", ca);
	return 0;
}

/* A name of its own: the region may be renamed, and another one come in its place. */
static int take_local(struct control_call *call, struct leecher *leecher)
{
	const char *local = NULL;

	if (control_string(call, "local_source", &local))
		return -EINVAL;
	if (!local || backend_generic(local))
		leecher->local = backend_child(local ? local : call->regiond->config->source, leecher->token);
	else
		leecher->local = strdup(local);
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
int leecher_take_when(struct control_call *call, struct leecher *leecher)
{
	static const char *const finalize[] = { "manual", "auto", NULL };
	static const char *const on_stall[] = {
		[LEECHER_POSTCOPY] = "postcopy", [LEECHER_THROTTLE] = "throttle", [LEECHER_WAIT] = "wait", NULL,
	};
	bool said = control_has(call, "max_downtime"), decides = said || control_has(call, "on_stall");
	int is_auto = take_word(call, "finalize", finalize, decides), stall;

	if (is_auto < 0)
		return is_auto;
	stall = take_word(call, "on_stall", on_stall, is_auto ? LEECHER_POSTCOPY : LEECHER_WAIT);
	if (stall < 0)
		return stall;
	leecher->when.max_downtime = MAX_DOWNTIME_MS;
	if (control_u32(call, "max_downtime", &leecher->when.max_downtime))
		return -EINVAL;
	if (!is_auto && (said || stall == LEECHER_POSTCOPY)) {
		control_fail(call, -EINVAL, "with --finalize manual nobody but you hands it over: leave out %s",
			     said ? "--max-downtime" : "--on-stall postcopy");
		return -EINVAL;
	}
	leecher->manual = !is_auto;
	leecher->when.on_stall = (enum leecher_on_stall)stall;
	return 0;
}

int leecher_take_args(struct control_call *call, struct leecher *leecher)
{
	const char *path = NULL;
	char why[256] = "out of memory";
	int ret;

	if (control_string(call, "region", &path) || suspend_take(&leecher->suspend, call) || leecher_take_when(call, leecher))
		return -EINVAL;
	/* nothing was stopped here, but all of it is to be started */
	leecher->suspend.begun = SUSPEND_ALL;
	if (control_bool(call, "reuse", &leecher->reuse) || leecher_take_policy(call, leecher))
		return -EINVAL;
	leecher->path = path ? strdup(path) : NULL;
	leecher->reply = malloc(LEECHER_REPLY);
	if (!leecher->path || !leecher->reply) {
		control_fail(call, path ? -ENOMEM : -EINVAL, "which region?");
		return -EINVAL;
	}
	if (take_from(call, leecher) || take_local(call, leecher))
		return -EINVAL;
	if (leecher->from && strlen(leecher->from) >= LEECH_RECORD_FROM) {
		control_fail(call, -ENAMETOOLONG, "the source is longer than %u bytes", LEECH_RECORD_FROM - 1);
		return -ENAMETOOLONG;
	}
	ret = leecher->from && leecher->local ? backend_check(leecher->from, why, sizeof(why)) : -ENOMEM;
	if (!ret && strncmp(leecher->from, "peer", 4)) {
		ret = -EINVAL;
		snprintf(why, sizeof(why), "%s is no peer: a region is leeched from peer://HOST:PORT/REGION",
			 leecher->from);
	}
	if (!ret)
		ret = backend_check(leecher->local, why, sizeof(why));
	if (ret)
		control_fail(call, ret, "%s", why);
	return ret;
}
