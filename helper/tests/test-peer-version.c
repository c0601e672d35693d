// SPDX-License-Identifier: GPL-2.0
/* BACKEND_VERSION by the peer protocol: of a file, whoever changes it, across servers that go and come back; and with one that knows of none. */
#include "peer-file.h"

static uint8_t bytes[8192];
static char first[BACKEND_VERSION_MAX], again[BACKEND_VERSION_MAX];

static struct backend *client(uint64_t instance)
{
	return client_open(source, (struct who){ .instance = instance, .generation = 1 });
}

static int look(struct backend *backend, char text[BACKEND_VERSION_MAX])
{
	memset(text, 0, BACKEND_VERSION_MAX);
	return request(backend, BACKEND_VERSION, 0, 0, text);
}

static void test_version(void)
{
	struct export *export = serve_file(true);
	struct backend *backend = client(1);

	tap_ok(backend && backend->caps.version, "a file has a version through a peer");
	tap_ok(!look(backend, first) && !strncmp(first, "file-", 5), "it is the file's (%s)", first);
	client_close(backend);
	backend = client(1);
	tap_ok(!look(backend, again) && !strcmp(first, again), "the same when it is opened again");
	client_close(backend);
	backend = client(2);
	request(backend, BACKEND_WRITE, 4096, sizeof(bytes), bytes);
	client_close(backend);
	backend = client(1);
	tap_ok(!look(backend, again) && strcmp(first, again), "another one when another client has written");
	request(backend, BACKEND_WRITE, 0, 4096, bytes);
	request(backend, BACKEND_SYNC, 0, 0, NULL);
	tap_ok(!look(backend, first) && strcmp(first, again), "and when this one has");
	client_close(backend);
	unexport(export);
	export = serve_file(false);
	backend = client(1);
	tap_ok(!look(backend, again) && !strcmp(first, again), "that is the same for the next server");
	client_close(backend);
	unexport(export);
}

static void test_without(void)
{
	struct export *export = serve_file(false);
	struct backend *backend;

	server->features &= ~WIRE_FEAT_VERSION;
	backend = client(1);
	tap_ok(backend && !backend->caps.version, "an older server has none");
	tap_number(look(backend, first), -EOPNOTSUPP, "and is not asked");
	client_close(backend);
	tap_number(raw_once(export, WIRE_GET_VERSION, 0, WIRE_HEAD_SIZE, "", 0), EOPNOTSUPP, "what was not agreed on is refused");
	server->features = WIRE_FEAT_ALL;
	tap_number(raw_once(export, WIRE_GET_VERSION, 0, WIRE_HEAD_SIZE, "", 0), 0, "else it is answered");
	unexport(export);
}

/* A target whose backend can't tell. */
static void test_unknown(void)
{
	struct export *export = export_array(&options, false);
	struct backend *backend = client(1);

	tap_ok(backend && !backend->caps.version, "what has no version there has none here");
	client_close(backend);
	unexport(export);
}

int main(void)
{
	if (!peer_file_begin())
		return 99;
	memset(bytes, 'p', sizeof(bytes));
	test_version();
	test_without();
	test_unknown();
	return peer_file_end();
}
