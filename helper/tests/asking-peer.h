/* SPDX-License-Identifier: GPL-2.0 */
/* A leecher that a test makes do as it pleases: one session, one message at a time. */
#ifndef REGIONFS_TESTS_ASKING_PEER_H
#define REGIONFS_TESTS_ASKING_PEER_H

#include "host.h"
#include "session.h"

struct peer {
	struct session *session;
	struct uri uri;
	bool opened, done;
	int error;
	struct link_req req;
	uint8_t body[64], reply[8192];
};

static void peer_is_open(struct session *session, int error, const char *why)
{
	struct peer *peer = session->config.arg;

	peer->opened = true;
	peer->error = error;
}

/* error says whether it is let in. */
static struct peer *peer_dial(const char *source, const char *region, uint8_t client)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	struct session_config config = {
		.loop = loop, .uri = &peer->uri, .region = region, .client = { client }, .open_flags = WIRE_OPEN_SEED,
		.generation = 1, .epoch = 1, .nr_bulk = 1, .arg = peer, .opened = peer_is_open,
	};

	if (uri_parse(&peer->uri, source, NULL, 0) || session_open(&peer->session, &config))
		exit(97);
	until(peer->opened);
	return peer;
}

static void peer_answered(struct link_req *req, int error)
{
	struct peer *peer = container_of(req, struct peer, req);

	peer->done = true;
	peer->error = error;
}

static void peer_send(struct peer *peer, uint8_t type, enum wire_shape shape, const void *msg)
{
	memset(&peer->req, 0, sizeof(peer->req));
	peer->done = false;
	peer->req.type = type;
	peer->req.data = peer->body;
	peer->req.data_len = msg ? (uint32_t)wire_encode(shape, msg, peer->body, sizeof(peer->body)) : 0;
	peer->req.into = peer->reply;
	peer->req.into_len = sizeof(peer->reply);
	peer->req.done = peer_answered;
	session_urgent(peer->session, &peer->req);
}

static int peer_ask(struct peer *peer, uint8_t type, enum wire_shape shape, const void *msg)
{
	peer_send(peer, type, shape, msg);
	return until(peer->done) ? peer->error : -ETIMEDOUT;
}

static int peer_track(struct peer *peer)
{
	struct wire_track track = { .chunk = 65536 };

	return peer_ask(peer, WIRE_TRACK, WIRE_S_TRACK, &track);
}

#endif
