// SPDX-License-Identifier: GPL-2.0
/* Sources: a line that is one, then a name, which is put below it and into it. */
#include <ctype.h>
#include <errno.h>

#include "backend.h"
#include "backends/memory-uri.h"
#include "backends/peer-uri.h"
#include "fuzz/fuzz-text.h"
#include "text.h"

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* With all of it encoded that can be. */
static void add(struct text *text, const char *before, const char *part)
{
	char hex[4];

	text_string(text, before);
	for (; part && *part; part++) {
		snprintf(hex, sizeof(hex), isalnum((unsigned char)*part) ? "%c" : "%%%02x", (unsigned char)*part);
		text_string(text, hex);
	}
}

/* From its parts. */
static void write_uri(struct text *text, const struct uri *uri)
{
	text_string(text, uri->scheme);
	text_string(text, uri->host ? "://" : ":");
	if (uri->user)
		add(text, "", uri->user);
	if (uri->host)
		add(text, uri->user ? "@" : "", uri->host);
	if (uri->port) {
		text_string(text, ":");
		text_number(text, uri->port);
	}
	add(text, uri->host && *uri->path ? "/" : "", uri->path + (uri->host && *uri->path));
	for (unsigned int i = 0; i < uri->nr_options; i++) {
		add(text, i ? "&" : "?", uri->option[i].key);
		add(text, "=", uri->option[i].value);
	}
}

static void check_parts(const struct uri *uri, const char *text)
{
	CHECK(same(uri->text, text) && *uri->scheme && uri->path && uri->nr_options <= URI_OPTIONS_MAX);
	CHECK(uri->host ? *uri->host && (!*uri->path || *uri->path == '/') : !uri->user && !uri->port);
	for (unsigned int i = 0; i < uri->nr_options; i++)
		CHECK(*uri->option[i].key && uri->option[i].value && uri_option(uri, uri->option[i].key));
	CHECK(!uri_option(uri, "password") && !uri_option(uri, "secret"));
}

/* Written anew from its parts, it has the same parts. */
static void check_anew(const struct uri *uri)
{
	struct text text = { .len = 0 };
	struct uri again;

	write_uri(&text, uri);
	CHECK(!uri_parse(&again, text.data, NULL, 0));
	CHECK(same(again.scheme, uri->scheme) && same(again.user, uri->user) && same(again.host, uri->host));
	CHECK(again.port == uri->port && same(again.path, uri->path) && again.nr_options == uri->nr_options);
	for (unsigned int i = 0; i < uri->nr_options; i++)
		CHECK(same(again.option[i].key, uri->option[i].key) && same(again.option[i].value, uri->option[i].value));
	uri_free(&again);
	text_free(&text);
}

static void check_memory(const struct uri *uri)
{
	uint64_t size, ms;
	char why[256] = "";
	int err = memory_uri_check(uri, why, sizeof(why));

	CHECK(!err == !*why);
	CHECK(err || (!memory_uri_size(uri, &size) && !memory_uri_delay(uri, &ms) && ms <= 60000));
}

static void check_peer(const struct uri *uri)
{
	uint32_t number = 7;
	char why[256] = "";
	int err = peer_uri_check(uri, why, sizeof(why));

	CHECK(!err == !*why);
	CHECK(err || *peer_uri_region(uri));
	for (unsigned int i = 0; i < uri->nr_options; i++)
		if (!peer_uri_number(uri, uri->option[i].key, 1000, &number)) {
			CHECK(number <= 1000);
			CHECK(isdigit((unsigned char)*uri_option(uri, uri->option[i].key)));
		}
}

/* A file that is made below it is its own, until it is told that it is not. */
static void check_child(const char *base, const char *name)
{
	char why[256] = "", *child = backend_child(base, name), *disowned;
	struct uri uri;

	if (!child)
		return;
	CHECK(backend_owned(child) && !backend_generic(child) && backend_local(child) == backend_local(base));
	disowned = backend_disown(child);
	CHECK(disowned && !backend_owned(disowned) && !uri_parse(&uri, disowned, why, sizeof(why)));
	uri_free(&uri);
	free(disowned);
	free(child);
}

/* As a path, and as an option's value. */
static void check_encode(const char *name)
{
	char *encoded = uri_encode(name), *text;
	struct uri uri;

	CHECK(encoded && asprintf(&text, "x:./%s?key=%s", encoded, encoded) >= 0);
	CHECK(!uri_parse(&uri, text, NULL, 0));
	CHECK(same(uri.path + 2, name) && same(uri_option(&uri, "key"), name));
	uri_free(&uri);
	free(text);
	free(encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[256] = "", *all = fuzz_text(data, size), *line, *source;
	const char *name = all;
	struct uri uri;

	line = fuzz_cut(&name, "\n");
	source = fuzz_text((const uint8_t *)line, strlen(line));
	if (uri_parse(&uri, source, why, sizeof(why))) {
		CHECK(*why && !uri.text && !uri.nr_options);
		CHECK(backend_check(source, why, sizeof(why)));
	} else {
		CHECK(!*why);
		check_parts(&uri, line);
		check_anew(&uri);
		check_memory(&uri);
		check_peer(&uri);
		uri_free(&uri);
		if (!backend_check(source, why, sizeof(why)))
			check_child(source, "name-1");
	}
	check_encode(name);
	free(source);
	free(line);
	free(all);
	return 0;
}
