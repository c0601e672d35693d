// SPDX-License-Identifier: GPL-2.0
/* Sources: what is understood, what is refused and why, and what becomes of files made in a mount. */
#include <errno.h>

#include "tap.h"
#include "../backend.h"

static const char *text(const char *string)
{
	return string ? string : "(none)";
}

static void check(const char *source, const char *scheme, const char *user, const char *host, unsigned int port,
		  const char *path)
{
	struct uri uri;
	char why[256];
	int err = uri_parse(&uri, source, why, sizeof(why));

	if (!tap_ok(!err, "%s is understood", source)) {
		printf("# %s\n", why);
		return;
	}
	tap_ok(!strcmp(uri.scheme, scheme) && !strcmp(text(uri.user), user) && !strcmp(text(uri.host), host) &&
	       uri.port == port && !strcmp(uri.path, path) && !strcmp(uri.text, source),
	       "as %s, %s, %s, %u, %s", scheme, user, host, port, path);
	uri_free(&uri);
}

static void refused(const char *source, const char *part)
{
	struct uri uri;
	char why[256];
	int err = uri_parse(&uri, source, why, sizeof(why));

	tap_ok(err == -EINVAL && strstr(why, part), "'%.*s' is refused: %s", (int)strcspn(source, "\n"), source, why);
	if (!err)
		uri_free(&uri);
}

static void check_options(void)
{
	struct uri uri;

	if (!tap_ok(!uri_parse(&uri, "dir:/a?chunk=64K&x=%26%3D&owned&", NULL, 0), "options"))
		return;
	tap_is(text(uri_option(&uri, "chunk")), "64K", "a value");
	tap_is(text(uri_option(&uri, "x")), "&=", "a decoded value");
	tap_is(text(uri_option(&uri, "owned")), "", "a key alone");
	tap_ok(!uri_option(&uri, "y"), "a key that isn't there");
	uri_free(&uri);
}

static void check_child(const char *base, const char *wanted)
{
	char *child = backend_child(base, "name-1");

	tap_is(text(child), wanted, base);
	tap_ok(child && backend_owned(child) && !backend_generic(child), "is owned, and names its bytes");
	free(child);
}

static void check_checks(void)
{
	char why[256];

	tap_number(backend_check("memory:64M", why, sizeof(why)), 0, "memory:64M");
	tap_number(backend_check("memory:lots", why, sizeof(why)), -EINVAL, why);
	tap_number(backend_check("memory:1M?name=../x", why, sizeof(why)), -EINVAL, why);
	tap_number(backend_check("memory:1M?delay=10ms", why, sizeof(why)), 0, "memory:1M?delay=10ms");
	tap_number(backend_check("memory:1M?delay=soon", why, sizeof(why)), -EINVAL, why);
	tap_number(backend_check("memory:1M?delay", why, sizeof(why)), -EINVAL, why);
	tap_number(backend_check("memory:1M?delay=61s", why, sizeof(why)), -EINVAL, why);
	tap_number(backend_check("file:relative", why, sizeof(why)), -EINVAL, why);
	tap_number(backend_check("dir://host/x", why, sizeof(why)), -EINVAL, why);
	tap_number(backend_check("gopher:x", why, sizeof(why)), -EPROTONOSUPPORT, why);
	tap_ok(backend_generic("memory:64M") && !backend_generic("memory:64M?name=x") && !backend_generic("file:/x"),
	       "memory without a name names no bytes");
	tap_ok(!backend_owned("file:/x") && backend_owned("file:/x?owned"), "owned");
}

int main(void)
{
	char long_uri[600] = "dir:/?";
	char *encoded;

	check("memory:64M", "memory", "(none)", "(none)", 0, "64M");
	check("file:/srv/a%20b%25", "file", "(none)", "(none)", 0, "/srv/a b%");
	check("file:///srv/x", "file", "(none)", "(none)", 0, "/srv/x");
	check("FILE:/X", "file", "(none)", "(none)", 0, "/X");
	check("peer://host:99/db", "peer", "(none)", "host", 99, "/db");
	check("peer://host/db?tls=no", "peer", "(none)", "host", 0, "/db");
	check("peer://me@host/", "peer", "me", "host", 0, "/");
	check("peer://host", "peer", "(none)", "host", 0, "");
	check("peer://[::1]:7/x", "peer", "(none)", "::1", 7, "/x");
	check("peer://[fe80::1]/x", "peer", "(none)", "fe80::1", 0, "/x");
	check("peer+unix:/run/x", "peer+unix", "(none)", "(none)", 0, "/run/x");
	check("peer+exec:ssh host regionctl", "peer+exec", "(none)", "(none)", 0, "ssh host regionctl");
	refused("", "no scheme");
	refused("/srv/x", "no scheme");
	refused("srv", "no scheme");
	refused(":x", "no scheme");
	refused("fi le:/x", "no scheme");
	refused("file:/100%", "%25");
	refused("file:/%zz", "%25");
	refused("file:/%00", "%25");
	refused("peer://me:secret@host/", "password");
	refused("s3://b/x?password=y", "credentials");
	refused("peer://host:0/x", "port");
	refused("peer://host:65536/x", "port");
	refused("peer://host:7x/x", "port");
	refused("peer://::1/x", "brackets");
	refused("peer://[::1/x", "closed");
	refused("file:/a\nb", "control");
	refused("dir:/x?=y", "option");
	for (int i = 0; i <= URI_OPTIONS_MAX; i++)
		strcat(long_uri, "abcd&");
	refused(long_uri, "more than");
	check_options();
	encoded = uri_encode("/a b%?#/\xc3\xa4");
	tap_is(text(encoded), "/a%20b%25%3F%23/\xc3\xa4", "uri_encode");
	free(encoded);
	check_child("memory:", "memory:?name=name-1&owned");
	check_child("memory:64M", "memory:64M?name=name-1&owned");
	check_child("memory:?delay=0.25s", "memory:?name=name-1&delay=250ms&owned");
	check_child("dir:/srv", "dir:/srv/name-1?owned");
	check_child("dir:/srv/?chunk=64K", "dir:/srv/name-1?chunk=64K&owned");
	check_child("peer://h:1/x", "peer://h:1/x/name-1?owned");
	check_checks();
	return tap_end();
}
