// SPDX-License-Identifier: GPL-2.0
/*
 * peer: a region of another regiond, by the protocol of docs/protocol.md.
 *
 *   peer://HOST:PORT/REGION?credential=NAME	TLS
 *   peer+plain://HOST:PORT/REGION		clear text
 *   peer+unix:PATH?region=REGION		a UNIX socket
 *   peer+exec:COMMAND?region=REGION		a command's stdin and stdout, such as ssh's
 *
 * Options: credential=NAME (a file in the credentials directory), or psk=FILE, or cert=FILE, key=FILE, ca=FILE;
 * connections=N (bulk ones, default 2; of more than one, 2 more for what is written); timeout=SECONDS (fail requests when the peer was away so long,
 * but for changes that were sent once and may still land; default: wait); compress=zstd (what is read comes shrunk, where that pays; what is written
 * goes as it is); seed, follow, client (for migration).
 *
 * Everything happens on the home loop; requests of other threads are moved there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/peer.h"
#include "backends/peer-uri.h"
#include "key16.h"
#include "tls-files.h"
#include "zero.h"

#define PEER_REQUEST	(1u << 20)
#define PEER_CHUNK	(64u << 10)
#define PEER_PARALLEL	64u

struct peer {
	struct backend backend;
	struct session *session;
	struct tls_context *tls;
	bool read_only;		/* the other side lets us read only */
	bool compress;		/* what is read may come shrunk */
	int error;		/* of open, while the session closes */
};

/* One frame's worth of a request. */
struct piece {
	struct link_req link;
	struct backend_req *req;
};

/* A request's own state, in its private part. */
struct peer_io {
	struct piece *pieces;
	unsigned int nr, left;
	uint64_t changes;	/* SYNC: what was answered before */
	bool begins;		/* a batch: the first piece is answered before the others are sent */
	int error;
	uint8_t published[64];	/* PUBLISH's reply */
};

static struct peer *to_peer(struct backend *backend)
{
	return container_of(backend, struct peer, backend);
}

struct session *peer_session(struct backend *backend)
{
	return to_peer(backend)->session;
}

/* ---- opening ---- */

static int open_tls(struct peer *peer)
{
	const struct uri *uri = &peer->backend.uri;
	const char *name = uri_option(uri, "credential");
	struct tls_options options = {
		.psk = uri_option(uri, "psk"), .cert = uri_option(uri, "cert"),
		.key = uri_option(uri, "key"), .ca = uri_option(uri, "ca"), .host = uri->host,
	};
	struct tls_credential *credential;
	char why[256] = "";
	int ret = 0;

	if (!peer_uri_credential(uri))
		return 0;
	credential = calloc(1, sizeof(*credential));
	if (!credential)
		return -ENOMEM;
	if (name)
		ret = tls_credential_read(peer->backend.open->credentials, name, credential, why,
					  sizeof(why));
	tls_credential_use(credential, &options);
	if (!ret)
		ret = tls_context_open(&peer->tls, &options, why, sizeof(why));
	free(credential);
	return ret ? backend_error(&peer->backend, ret, "%s", why) : 0;
}

static void peer_fail(struct peer *peer, int error)
{
	struct backend *backend = &peer->backend;

	tls_context_put(peer->tls);
	backend_opened(backend, error);
}

/* As many as there are slots left for. */
static unsigned int writing_beside(unsigned int bulk)
{
	unsigned int left = WIRE_SLOTS_MAX - 1 - bulk;

	return left < SESSION_WRITING ? left : SESSION_WRITING;
}

static int start_session(struct peer *peer);

/* Who may not write is asked to read. */
static void failed_closed(struct session *session)
{
	struct peer *peer = session->config.arg;

	if (peer->error == -EROFS && !peer->read_only) {
		peer->read_only = true;
		peer->error = start_session(peer);
		if (!peer->error)
			return;
	}
	peer_fail(peer, peer->error);
}

static void fill_caps(struct peer *peer)
{
	const struct wire_info *info = &peer->session->info;
	struct backend_caps *caps = &peer->backend.caps;

	caps->size = info->size;
	caps->chunk = PEER_CHUNK;
	caps->align = 1;
	caps->max_request = PEER_REQUEST;
	caps->parallel = PEER_PARALLEL;
	caps->fixed_size = !(info->flags & WIRE_INFO_RESIZE);
	caps->read_only = peer->read_only || info->flags & WIRE_INFO_READ_ONLY;
	caps->abortable = true;
	caps->publish = !caps->read_only && info->flags & WIRE_INFO_PUBLISH && peer->session->features & WIRE_FEAT_PUBLISH;
	caps->publish_max = BACKEND_PUBLISH_MAX;
	caps->version = info->flags & WIRE_INFO_VERSION && peer->session->features & WIRE_FEAT_VERSION;
	caps->fence = FENCE_GENERATION;
	caps->durability = DURABLE_SYNC;
}

static void peer_opened(struct session *session, int error, const char *why)
{
	struct peer *peer = session->config.arg;

	if (error) {
		const char *source = peer->backend.uri.text;

		/* its options are long, and no part of where it is: the sentence must not be cut off for them */
		peer->error = backend_error(&peer->backend, error, "%.*s: %s", (int)strcspn(source, "?"), source, why);
		session_close(session, failed_closed);
		return;
	}
	fill_caps(peer);
	backend_opened(&peer->backend, 0);
}

/*
 * Who writes, for the other side's fence. It must be the same for the next helper of this instance, and other than
 * that of any other instance or region.
 */
static void fill_client(const struct backend_open *open, const char *token, uint8_t client[16])
{
	/* of a leech: it outlives the instance */
	if (token && strlen(token) == 2 * KEY16 && key16_take(token, client))
		return;
	memcpy(client, &open->instance_id, 8);
	memcpy(client + 8, &open->region, 8);
}

static int start_session(struct peer *peer)
{
	const struct backend_open *open = peer->backend.open;
	const struct uri *uri = &peer->backend.uri;
	struct session_config config = {
		.loop = peer->backend.loop, .uri = uri, .tls = peer->tls,
		.region = peer_uri_region(uri), .generation = open->attach_gen, .epoch = open->epoch,
		.nr_bulk = SESSION_BULK_DEFAULT, .arg = peer, .opened = peer_opened,
	};

	fill_client(open, uri_option(uri, "client"), config.client);
	if (uri_option(uri, "seed"))
		config.open_flags |= WIRE_OPEN_SEED;
	else if (uri_option(uri, "follow"))
		config.open_flags |= WIRE_OPEN_FOLLOW;
	else if (!open->read_only && !peer->read_only)
		config.open_flags |= WIRE_OPEN_WRITE;
	peer_uri_number(uri, "connections", WIRE_SLOTS_MAX - 1, &config.nr_bulk);
	if (config.open_flags & WIRE_OPEN_WRITE && config.nr_bulk > 1)
		config.nr_writing = writing_beside(config.nr_bulk);
	if (!peer_uri_number(uri, "timeout", 86400, &config.away_ms))
		config.away_ms *= 1000;
	return session_open(&peer->session, &config);
}

static void peer_open(struct backend *backend)
{
	struct peer *peer = to_peer(backend);
	int ret = open_tls(peer);

	peer->compress = uri_option(&backend->uri, "compress");
	if (!ret)
		ret = start_session(peer);
	if (ret)
		peer_fail(peer, ret);
}

/* ---- closing ---- */

static void session_gone(struct session *session)
{
	struct peer *peer = session->config.arg;

	tls_context_put(peer->tls);
	backend_closed(&peer->backend);
}

static void peer_close(struct backend *backend)
{
	session_close(to_peer(backend)->session, session_gone);
}

/* ---- requests ---- */

static void finish_read(struct backend_req *req, const struct peer_io *io)
{
	bool zero = true;

	for (unsigned int i = 0; i < io->nr; i++)
		zero &= (io->pieces[i].link.reply_flags & WIRE_F_ZERO) != 0;
	if (zero && req->flags & BACKEND_ZERO_NULL) {
		req->data = NULL;
		return;
	}
	for (unsigned int i = 0; i < io->nr; i++)
		if (io->pieces[i].link.reply_flags & WIRE_F_ZERO)
			memset(io->pieces[i].link.into, 0, io->pieces[i].link.into_len);
}

static int finish_publish(struct backend_req *req, const struct peer_io *io)
{
	struct wire_published published;

	if (wire_decode(WIRE_S_PUBLISHED, io->published, io->pieces[0].link.got, &published) < 0)
		return -EPROTO;
	/* it goes to the kernel: what no file has is not to be added up there */
	if (published.size > INT64_MAX || published.offset > INT64_MAX || published.length > UINT64_MAX - published.offset)
		return -EPROTO;
	req->published = (struct backend_published){
		.offset = published.offset, .length = published.length, .size = published.size,
		.resized = published.resized,
	};
	if (published.resized)
		backend_set_size(req->backend, published.size);
	else
		backend_grow(req->backend, published.size);
	return 0;
}

static int finish_version(struct backend_req *req, const struct peer_io *io)
{
	struct wire_text version;

	if (wire_decode(WIRE_S_TEXT, req->data, io->pieces[0].link.got, &version) < 0)
		return -EPROTO;
	if (!*version.text || strlen(version.text) >= BACKEND_VERSION_MAX)
		return -EPROTO;
	strcpy(req->data, version.text);
	return 0;
}

static void io_done(struct backend_req *req)
{
	struct peer_io *io = backend_private(req, struct peer_io);
	struct peer *peer = to_peer(req->backend);
	int error = io->error;

	if (!error && req->op == BACKEND_READ)
		finish_read(req, io);
	if (!error && req->op == BACKEND_PUBLISH)
		error = finish_publish(req, io);
	if (!error && req->op == BACKEND_VERSION)
		error = finish_version(req, io);
	if (!error && req->op == BACKEND_SYNC && io->changes > peer->session->synced)
		peer->session->synced = io->changes;
	if (!error && req->op == BACKEND_RESIZE && !(req->flags & BACKEND_STAGED))
		__atomic_store_n(&peer->backend.caps.size, req->length, __ATOMIC_RELAXED);
	free(io->pieces);
	backend_done(req, error);
}

static void send_pieces(struct backend_req *req, unsigned int from, unsigned int to);

/* Who writes again what may be lost goes by whether another backend has been opened. */
static void note_lost(struct peer *peer)
{
	atomic_store(&peer->backend.lost, true);
	atomic_store(&peer->backend.dead, true);
}

static bool is_change(const struct backend_req *req)
{
	return (req->op == BACKEND_WRITE || req->op == BACKEND_DISCARD || req->op == BACKEND_RESIZE) && !(req->flags & BACKEND_STAGED);
}

static void piece_done(struct link_req *link, int error)
{
	struct piece *piece = container_of(link, struct piece, link);
	struct peer_io *io = backend_private(piece->req, struct peer_io);
	struct peer *peer = to_peer(piece->req->backend);

	if (!error && is_change(piece->req))
		session_changed(peer->session, link->link);
	if (error && link->type == WIRE_SYNC && peer->session->lost)
		note_lost(peer);
	/* A session that was told a final no never comes back; where only reading was allowed, writing may be by now. */
	if (error && (peer->session->error || (error == -EROFS && peer->read_only)))
		atomic_store(&peer->backend.dead, true);
	if (error && !io->error)
		io->error = backend_error(piece->req->backend, error, "%s of %s: %s",
					  wire_type_name(link->type), piece->req->backend->uri.text,
					  link_why(link, error));
	if (io->begins && piece == io->pieces) {
		io->left = error ? 1 : io->left;
		if (io->left-- > 1)
			send_pieces(piece->req, 1, io->nr);
		else
			io_done(piece->req);
		return;
	}
	if (!--io->left)
		io_done(piece->req);
}

static void fill_range(struct piece *piece, uint64_t offset, uint64_t length)
{
	struct wire_range range = { .offset = offset, .length = length };

	piece->link.body_len = (uint32_t)wire_encode(WIRE_S_RANGE, &range, piece->link.body,
						     sizeof(piece->link.body));
}

static void fill_resize(struct piece *piece, const struct backend_req *req)
{
	struct wire_resize resize = { .size = req->length, .low = req->arg };

	piece->link.body_len = (uint32_t)wire_encode(WIRE_S_RESIZE, &resize, piece->link.body,
						     sizeof(piece->link.body));
}

/* After what else there is. */
static void fill_batch(struct piece *piece, struct backend_req *req, bool first)
{
	struct wire_batch batch = { .batch = req->batch };
	struct link_req *link = &piece->link;

	link->body_len += (uint32_t)wire_encode(WIRE_S_BATCH, &batch, link->body + link->body_len,
						sizeof(link->body) - link->body_len);
	if (req->op == BACKEND_PUBLISH) {
		link->into = backend_private(req, struct peer_io)->published;
		link->into_len = sizeof(backend_private(req, struct peer_io)->published);
	} else {
		link->flags |= WIRE_F_STAGED;
		if (req->first && first)
			link->flags |= WIRE_F_FIRST;
	}
}

static void fill_piece(struct piece *piece, struct backend_req *req, uint64_t at, uint32_t len)
{
	struct link_req *link = &piece->link;
	uint8_t *data = req->data ? (uint8_t *)req->data + at : NULL;

	piece->req = req;
	link->generation = req->attach_gen;
	link->epoch = req->epoch;
	link->done = piece_done;
	if (req->op == BACKEND_RESIZE)
		fill_resize(piece, req);
	else if (req->op != BACKEND_SYNC && req->op != BACKEND_PUBLISH && req->op != BACKEND_VERSION)
		fill_range(piece, req->offset + at, req->op == BACKEND_DISCARD ? req->length : len);
	if (req->op == BACKEND_VERSION) {
		link->into = data;
		link->into_len = BACKEND_VERSION_MAX;
	} else if (req->op == BACKEND_READ) {
		link->into = data;
		link->into_len = len;
		link->flags = req->flags & BACKEND_DEMAND ? WIRE_F_DEMAND : 0;
		link->flags |= to_peer(req->backend)->compress ? WIRE_F_ZSTD : 0;
	} else if (req->op == BACKEND_WRITE && is_zero(data, len)) {
		link->flags = WIRE_F_ZERO;
	} else if (req->op == BACKEND_WRITE) {
		link->data = data;
		link->data_len = len;
	}
	if (req->op == BACKEND_PUBLISH || req->flags & BACKEND_STAGED)
		fill_batch(piece, req, !at);
}

/* Demand goes alone and in small pieces; what is long, or that no one waits for, is bulk. */
static bool is_bulk(const struct backend_req *req)
{
	if (req->op == BACKEND_READ)
		return !(req->flags & BACKEND_DEMAND) || req->length > WIRE_DATA_BULK;
	return req->op == BACKEND_WRITE || (req->op == BACKEND_DISCARD && req->flags & BACKEND_BULK);
}

static const uint8_t wire_types[BACKEND_OPS] = {
	[BACKEND_READ] = WIRE_READ, [BACKEND_WRITE] = WIRE_WRITE, [BACKEND_SYNC] = WIRE_SYNC,
	[BACKEND_DISCARD] = WIRE_DISCARD, [BACKEND_RESIZE] = WIRE_RESIZE, [BACKEND_PUBLISH] = WIRE_PUBLISH,
	[BACKEND_VERSION] = WIRE_GET_VERSION,
};

/* The request may end within the last submit: nothing of it is touched after that. */
static void send_pieces(struct backend_req *req, unsigned int from, unsigned int to)
{
	struct session *session = to_peer(req->backend)->session;
	struct piece *pieces = backend_private(req, struct peer_io)->pieces;
	bool bulk = is_bulk(req);

	for (unsigned int i = from; i < to; i++) {
		if (bulk)
			session_bulk(session, &pieces[i].link);
		else
			session_urgent(session, &pieces[i].link);
	}
}

/* It was there when the backend was opened, but an older server has taken over: another backend, opened now, will know. */
static bool has_lost(struct backend_req *req)
{
	bool batch = req->op == BACKEND_PUBLISH || req->flags & BACKEND_STAGED;

	if (req->op == BACKEND_VERSION && !(to_peer(req->backend)->session->features & WIRE_FEAT_VERSION)) {
		backend_done(req, -EOPNOTSUPP);
		return true;
	}
	if (!batch || to_peer(req->backend)->session->features & WIRE_FEAT_PUBLISH)
		return false;
	atomic_store(&req->backend->dead, true);
	backend_done(req, -EOPNOTSUPP);
	return true;
}

/* Bytes that were answered are gone. */
static bool has_lost_bytes(struct backend_req *req)
{
	if (req->op != BACKEND_SYNC || !to_peer(req->backend)->session->lost)
		return false;
	note_lost(to_peer(req->backend));
	backend_done(req, backend_error(req->backend, -EIO, "%s: the server was booted, or replaced, before it had synced all that was written",
					req->backend->uri.text));
	return true;
}

static void peer_start(struct backend_req *req)
{
	struct session *session = to_peer(req->backend)->session;
	struct peer_io *io = backend_private(req, struct peer_io);
	bool bulk = is_bulk(req), data = req->op == BACKEND_READ || req->op == BACKEND_WRITE;
	uint32_t max = session_max_data(session, bulk);
	unsigned int nr = data ? (unsigned int)((req->length + max - 1) / max) : 1;

	if (has_lost(req) || has_lost_bytes(req))
		return;
	memset(io, 0, sizeof(*io));
	io->nr = io->left = nr;
	io->changes = session->changes;
	io->pieces = calloc(nr ? nr : 1, sizeof(*io->pieces));
	if (!nr || !io->pieces) {
		free(io->pieces);
		backend_done(req, nr ? -ENOMEM : 0);
		return;
	}
	for (unsigned int i = 0; i < nr; i++) {
		uint64_t at = (uint64_t)i * max, left = req->length - at;

		io->pieces[i].link.type = wire_types[req->op];
		fill_piece(&io->pieces[i], req, at, data ? (uint32_t)(left < max ? left : max) : 0);
	}
	io->begins = req->flags & BACKEND_STAGED && req->first;
	send_pieces(req, 0, io->begins ? 1 : nr);
}

static void peer_moved(struct loop_task *task)
{
	peer_start(container_of(task, struct backend_req, task));
}

static void peer_submit(struct backend *backend, struct backend_req *req)
{
	if (req->op == BACKEND_DROP) {
		/* its session's end does that there */
		backend_done(req, -EOPNOTSUPP);
		return;
	}
	if (req->op == BACKEND_DESTROY) {
		backend_done(req, backend_error(backend, -EOPNOTSUPP, "a peer's region is removed there"));
		return;
	}
	req->task.run = peer_moved;
	loop_call(backend->loop, &req->task);
}

#define PEER_OPS(ident, name, text) \
	const struct backend_ops ident = { \
		.scheme = name, .summary = text, .size = sizeof(struct peer), \
		.check = peer_uri_check, .open = peer_open, .close = peer_close, .submit = peer_submit, \
	}

extern const struct backend_ops peer_backend, peer_plain_backend, peer_unix_backend, peer_exec_backend;

PEER_OPS(peer_backend, "peer", "peer://HOST:PORT/REGION?credential=NAME: a region of another regiond, by TLS");
PEER_OPS(peer_plain_backend, "peer+plain", "peer+plain://HOST:PORT/REGION: the same in clear text");
PEER_OPS(peer_unix_backend, "peer+unix", "peer+unix:PATH?region=REGION: the same over a UNIX socket");
PEER_OPS(peer_exec_backend, "peer+exec", "peer+exec:COMMAND?region=REGION: the same over a command's stdin and stdout");
