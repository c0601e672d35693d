// SPDX-License-Identifier: GPL-2.0
/* peer-uri: what may stand in a peer's URI; peer.c says what it means. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backends/peer-uri.h"
#include "units.h"
#include "wire.h"

const char *peer_uri_region(const struct uri *uri)
{
	if (uri->host)
		return *uri->path == '/' ? uri->path + 1 : uri->path;
	return uri_option(uri, "region");
}

int peer_uri_number(const struct uri *uri, const char *key, uint32_t max, uint32_t *value)
{
	const char *text = uri_option(uri, key);
	uint64_t number;

	if (!text)
		return 0;
	if (regionfs_number_parse(text, 0, max, &number))
		return -EINVAL;
	*value = (uint32_t)number;
	return 0;
}

static bool option_known(const char *key)
{
	static const char *const known[] = { "credential", "psk", "cert", "key", "ca", "region",
					     "connections", "timeout", "seed", "follow", "client", "owned", "compress" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(key, known[i]))
			return true;
	return false;
}

static int check_options(const struct uri *uri, char *why, size_t why_len)
{
	uint32_t number = 1;

	for (unsigned int i = 0; i < uri->nr_options; i++) {
		if (option_known(uri->option[i].key))
			continue;
		snprintf(why, why_len, "%s: has no option \"%s\"", uri->scheme, uri->option[i].key);
		return -EINVAL;
	}
	if (peer_uri_number(uri, "connections", WIRE_SLOTS_MAX - 1, &number) || !number) {
		snprintf(why, why_len, "connections= is a number from 1 to %u", WIRE_SLOTS_MAX - 1);
		return -EINVAL;
	}
	if (peer_uri_number(uri, "timeout", 86400, &number)) {
		snprintf(why, why_len, "timeout= is a number of seconds, at most 86400");
		return -EINVAL;
	}
	if (uri_option(uri, "compress") && strcmp(uri_option(uri, "compress"), "zstd")) {
		snprintf(why, why_len, "compress=%s: only zstd is known", uri_option(uri, "compress"));
		return -EINVAL;
	}
	return 0;
}

bool peer_uri_credential(const struct uri *uri)
{
	return uri_option(uri, "credential") || uri_option(uri, "psk") || uri_option(uri, "cert");
}

int peer_uri_check(const struct uri *uri, char *why, size_t why_len)
{
	const char *region = peer_uri_region(uri);
	bool local = !strcmp(uri->scheme, "peer+unix") || !strcmp(uri->scheme, "peer+exec");

	if (!local && !uri->host) {
		snprintf(why, why_len, "%s needs a host: %s://HOST:PORT/REGION", uri->scheme, uri->scheme);
		return -EINVAL;
	}
	if (!region || !*region || strlen(region) > WIRE_REGION_MAX) {
		snprintf(why, why_len, "which region of the peer? %s", local ?
			 "Add ?region=NAME" : "Name it as the path, peer://HOST:PORT/REGION");
		return -EINVAL;
	}
	if (!strcmp(uri->scheme, "peer") && !peer_uri_credential(uri)) {
		snprintf(why, why_len, "peer:// is TLS and needs ?credential=NAME; peer+plain:// is clear text");
		return -EINVAL;
	}
	return check_options(uri, why, why_len);
}
