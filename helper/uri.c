// SPDX-License-Identifier: GPL-2.0
/* uri: taking a source apart. See backend.h for the two forms. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "text.h"
#include "units.h"

/* Decodes len bytes of text into a new string; a NUL can't be encoded. */
static int decode(char **out, const char *text, size_t len)
{
	char *to = malloc(len + 1);

	*out = to;
	if (!to)
		return -ENOMEM;
	for (size_t i = 0; i < len; i++) {
		int high, low;

		if (text[i] != '%') {
			*to++ = text[i];
			continue;
		}
		if (i + 2 >= len)
			return -EINVAL;
		high = text_hex_digit(text[i + 1]);
		low = text_hex_digit(text[i + 2]);
		if (high < 0 || low < 0 || !(high | low))
			return -EINVAL;
		*to++ = (char)(high << 4 | low);
		i += 2;
	}
	*to = '\0';
	return 0;
}

char *uri_encode(const char *path)
{
	static const char plain[] = "-._~/:@!$'()*,;=+";
	char *text = malloc(strlen(path) * 3 + 1), *to = text;

	if (!text)
		return NULL;
	for (; *path; path++) {
		if (isalnum((unsigned char)*path) || (unsigned char)*path >= 0x80 || strchr(plain, *path))
			*to++ = *path;
		else
			to += sprintf(to, "%%%02X", (unsigned char)*path);
	}
	*to = '\0';
	return text;
}

static int parse_scheme(struct uri *uri, const char **text, char *why, size_t why_len)
{
	size_t len = strcspn(*text, ":/?#%@");

	if ((*text)[len] != ':' || !isalpha((unsigned char)**text))
		return text_fail(why, why_len, -EINVAL, "\"%s\" has no scheme: a source is SCHEME:REST, as in file:/srv/data", *text);
	uri->scheme = strndup(*text, len);
	if (!uri->scheme)
		return -ENOMEM;
	for (char *c = uri->scheme; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("+-.", *c))
			return text_fail(why, why_len, -EINVAL, "\"%s\" is no scheme of a source", uri->scheme);
		*c = (char)tolower((unsigned char)*c);
	}
	*text += len + 1;
	return 0;
}

static int parse_option(struct uri *uri, const char *text, size_t len, char *why, size_t why_len)
{
	const char *equals = memchr(text, '=', len);
	size_t key_len = equals ? (size_t)(equals - text) : len;
	unsigned int n = uri->nr_options;
	int err;

	if (!len)
		return 0;
	if (n == URI_OPTIONS_MAX)
		return text_fail(why, why_len, -EINVAL, "%s has more than %d options", uri->text, URI_OPTIONS_MAX);
	uri->nr_options++;
	err = decode(&uri->option[n].key, text, key_len);
	if (!err)
		err = equals ? decode(&uri->option[n].value, equals + 1, len - key_len - 1)
			     : decode(&uri->option[n].value, "", 0);
	if (!err && !*uri->option[n].key)
		err = -EINVAL;
	return err == -EINVAL ? text_fail(why, why_len, -EINVAL, "the option \"%.*s\" of %s can't be read", (int)len, text, uri->text)
			      : err;
}

static int parse_options(struct uri *uri, const char *text, char *why, size_t why_len)
{
	int err = 0;

	while (!err && *text) {
		size_t len = strcspn(text, "&");

		err = parse_option(uri, text, len, why, why_len);
		text += len + (text[len] == '&');
	}
	return err;
}

static int parse_port(struct uri *uri, const char *text, size_t len, char *why, size_t why_len)
{
	unsigned long port = 0;

	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]) || port > 65535)
			return text_fail(why, why_len, -EINVAL, "\"%.*s\" is no port", (int)len, text);
		port = port * 10 + (unsigned long)(text[i] - '0');
	}
	if (!port || port > 65535)
		return text_fail(why, why_len, -EINVAL, "\"%.*s\" is no port (1 to 65535)", (int)len, text);
	uri->port = (uint16_t)port;
	return 0;
}

/* HOST, HOST:PORT, [V6] or [V6]:PORT */
static int parse_host(struct uri *uri, const char *text, size_t len, char *why, size_t why_len)
{
	const char *end = text + len, *colon = memchr(text, ':', len), *host_end = colon ? colon : end;
	int err;

	if (len && *text == '[') {
		host_end = memchr(text, ']', len);
		if (!host_end || (host_end + 1 != end && host_end[1] != ':'))
			return text_fail(why, why_len, -EINVAL, "the address in %s is not closed by ]", uri->text);
		colon = host_end + 1 == end ? NULL : host_end + 1;
		text++;
	}
	if (colon && memchr(colon + 1, ':', (size_t)(end - colon - 1)))
		return text_fail(why, why_len, -EINVAL, "an IPv6 address stands in brackets: [::1]:PORT");
	err = decode(&uri->host, text, (size_t)(host_end - text));
	if (err)
		return err == -EINVAL ? text_fail(why, why_len, -EINVAL, "the host of %s can't be read", uri->text) : err;
	if (!*uri->host)
		return text_fail(why, why_len, -EINVAL, "%s has no host where one should be", uri->text);
	return colon ? parse_port(uri, colon + 1, (size_t)(end - colon - 1), why, why_len) : 0;
}

static int parse_authority(struct uri *uri, const char *text, size_t len, char *why, size_t why_len)
{
	const char *at = memrchr(text, '@', len);
	int err = 0;

	if (!len)
		return 0;
	if (at && memchr(text, ':', (size_t)(at - text)))
		return text_fail(why, why_len, -EINVAL, "a source must not contain a password: put it in a file (mode 0600) in "
			      "/etc/regionfs/credentials and name that with ?credential=NAME");
	if (at) {
		err = decode(&uri->user, text, (size_t)(at - text));
		len -= (size_t)(at + 1 - text);
		text = at + 1;
	}
	if (err)
		return err == -EINVAL ? text_fail(why, why_len, -EINVAL, "the user of %s can't be read", uri->text) : err;
	return parse_host(uri, text, len, why, why_len);
}

static int parse_rest(struct uri *uri, const char *text, char *why, size_t why_len)
{
	size_t len;
	int err;

	if (text[0] == '/' && text[1] == '/') {
		len = strcspn(text + 2, "/?");
		err = parse_authority(uri, text + 2, len, why, why_len);
		if (err)
			return err;
		text += 2 + len;
	}
	len = strcspn(text, "?");
	err = decode(&uri->path, text, len);
	if (err == -EINVAL)
		return text_fail(why, why_len, -EINVAL, "%s has a %% that isn't followed by two hex digits: a %% itself is written %%25",
			      uri->text);
	return err || !text[len] ? err : parse_options(uri, text + len + 1, why, why_len);
}

int uri_parse(struct uri *uri, const char *text, char *why, size_t why_len)
{
	int err = 0;

	memset(uri, 0, sizeof(*uri));
	if (why && why_len)
		*why = '\0';
	for (const char *c = text; *c && !err; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			err = text_fail(why, why_len, -EINVAL, "a source can't contain control characters");
	if (!err) {
		uri->text = strdup(text);
		err = uri->text ? parse_scheme(uri, &text, why, why_len) : -ENOMEM;
	}
	if (!err)
		err = parse_rest(uri, text, why, why_len);
	if (!err && (uri_option(uri, "password") || uri_option(uri, "secret")))
		err = text_fail(why, why_len, -EINVAL, "a source must not contain a password: put it in a file (mode 0600) in "
			     "/etc/regionfs/credentials and name that with ?credential=NAME");
	if (err) {
		if (err == -ENOMEM && why && why_len)
			snprintf(why, why_len, "out of memory");
		uri_free(uri);
	}
	return err;
}

void uri_free(struct uri *uri)
{
	free(uri->text);
	free(uri->scheme);
	free(uri->user);
	free(uri->host);
	free(uri->path);
	for (unsigned int i = 0; i < uri->nr_options; i++) {
		free(uri->option[i].key);
		free(uri->option[i].value);
	}
	memset(uri, 0, sizeof(*uri));
}

const char *uri_option(const struct uri *uri, const char *key)
{
	for (unsigned int i = 0; i < uri->nr_options; i++)
		if (!strcmp(uri->option[i].key, key))
			return uri->option[i].value;
	return NULL;
}
