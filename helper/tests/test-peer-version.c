// SPDX-License-Identifier: GPL-2.0
/* BACKEND_VERSION by the peer protocol: of a file, whoever changes it, across servers that go and come back; and with one that knows of none. */
#include "peer-pair.h"
#include "raw-peer.h"

static char listen_at[64], source[160], file_uri[96];
static const struct listener_options options = { .listen = listen_at };
static uint8_t bytes[8192];
static char first[BACKEND_VERSION_MAX], again[BACKEND_VERSION_MAX];

static struct export *serve_file(bool create)
{
	struct backend_open open = {
		.loop = loop, .instance = "server", .run_dir = dir, .create = create, .size = SIZE, .attach_gen = 1, .done = on_open,
	};
	struct listener *listener;
	struct export *export;
	struct target *target;
	char why[256];

	if (uri_parse(&open.uri, file_uri, open.why, sizeof(open.why)))
		exit(97);
	backend_open(&open);
	turn();
	if (!opened || target_source(&target, opened) || listener_find(server, &options, &listener, why, sizeof(why)) ||
	    export_open(&export, listener, "dir/db", target, false))
		exit(96);
	return export;
}

static struct backend *client(uint64_t instance)
{
	return client_open(source, (struct who){ .instance = instance, .generation = 1 });
}

static int look(struct backend *backend, char text[BACKEND_VERSION_MAX])
{
	memset(text, 0, BACKEND_VERSION_MAX);
	return request(backend, BACKEND_VERSION, 0, 0, text);
}

static int raw_once(const struct export *export, uint8_t type, uint8_t flags, uint32_t length, const void *body, size_t len)
{
	int fd = raw_open(export), got = raw_ask(fd, type, flags, length, body, len);

	close(fd);
	pass(100);
	return got;
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
	char command[64];

	if (!mkdtemp(dir) || loop_open(&loop, 0) || server_open(&server, loop))
		return 99;
	array.target.ops = &array_ops;
	list_init(&array.held);
	memset(bytes, 'p', sizeof(bytes));
	snprintf(listen_at, sizeof(listen_at), "unix:%s/socket", dir);
	snprintf(source, sizeof(source), "peer+%s?region=dir/db", listen_at);
	snprintf(file_uri, sizeof(file_uri), "file:%s/file", dir);
	test_version();
	test_without();
	test_unknown();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) ? 99 : tap_end();
}
