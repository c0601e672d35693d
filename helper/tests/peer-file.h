/* SPDX-License-Identifier: GPL-2.0 */
/* A file that is exported over a UNIX socket, and strangers to the protocol who ask for it. A test includes it once, in place of peer-pair.h. */
#ifndef REGIONFS_TESTS_PEER_FILE_H
#define REGIONFS_TESTS_PEER_FILE_H

#include "peer-pair.h"
#include "raw-peer.h"

static char listen_at[64], source[160], file_uri[96];
static const struct listener_options options = { .listen = listen_at };

/* Before all else; false: the test can't run. */
static inline bool peer_file_begin(void)
{
	if (!mkdtemp(dir) || loop_open(&loop, 0) || server_open(&server, loop))
		return false;
	array.target.ops = &array_ops;
	list_init(&array.held);
	snprintf(listen_at, sizeof(listen_at), "unix:%s/socket", dir);
	snprintf(source, sizeof(source), "peer+%s?region=dir/db", listen_at);
	snprintf(file_uri, sizeof(file_uri), "file:%s/file", dir);
	return true;
}

/* main's result. */
static inline int peer_file_end(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) ? 99 : tap_end();
}

static inline struct export *serve_file(bool create)
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

/* A connection of its own for one request. */
static inline int raw_once(const struct export *export, uint8_t type, uint8_t flags, uint32_t length, const void *body, size_t len)
{
	int fd = raw_open(export), got = raw_ask(fd, type, flags, length, body, len);

	close(fd);
	pass(100);
	return got;
}

#endif
