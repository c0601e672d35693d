/* SPDX-License-Identifier: GPL-2.0 */
/* A peer who is none: frames by hand, over a UNIX socket. With peer-pair.h. */
#ifndef REGIONFS_TESTS_RAW_PEER_H
#define REGIONFS_TESTS_RAW_PEER_H

static inline int raw_connect(const struct export *export)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = 2 };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", export->listener->text + 5);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		exit(95);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static inline void send_frame(int fd, uint8_t type, enum wire_shape shape, const void *msg)
{
	uint8_t frame[512];
	int n = wire_encode(shape, msg, frame + WIRE_HEAD_SIZE, sizeof(frame) - WIRE_HEAD_SIZE);
	struct wire_head head = { .length = WIRE_HEAD_SIZE + (uint32_t)n, .type = type, .id = type };

	wire_head_encode(frame, &head);
	if (n < 0 || write(fd, frame, head.length) < 0)
		exit(93);
}

static inline void introduce_raw(int fd)
{
	struct wire_hello hello = { .magic = WIRE_MAGIC, .version_min = WIRE_VERSION, .version_max = WIRE_VERSION,
				    .features = WIRE_FEAT_ALL };
	struct wire_auth_msg auth = { .method = WIRE_AUTH_TRANSPORT };

	send_frame(fd, WIRE_HELLO, WIRE_S_HELLO, &hello);
	send_frame(fd, WIRE_AUTH, WIRE_S_AUTH, &auth);
}

/* false: the connection is closed, or nothing comes. */
static inline bool raw_take(int fd, uint8_t *to, size_t len)
{
	ssize_t n = 0;

	for (; len; to += n, len -= (size_t)n) {
		until((n = recv(fd, to, len, MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
		if (n <= 0)
			return false;
	}
	return true;
}

/* The head of the answer with that id; others are left out. */
static inline bool raw_answer(int fd, uint64_t id, struct wire_head *got)
{
	uint8_t head[WIRE_HEAD_SIZE], byte;

	do {
		if (!raw_take(fd, head, sizeof(head)) || wire_head_decode(head, UINT32_MAX, got))
			return false;
		for (size_t i = sizeof(head); i < got->length; i++)
			if (!raw_take(fd, &byte, 1))
				return false;
	} while (got->id != id);
	return true;
}

/* Opens the region for writing, as the demand connection; then any frame may be sent. */
static inline int raw_open(const struct export *export)
{
	struct wire_open open = { .flags = WIRE_OPEN_WRITE, .session = "raw", .region = "dir/db" };
	struct wire_head got;
	int fd = raw_connect(export);

	introduce_raw(fd);
	send_frame(fd, WIRE_OPEN, WIRE_S_OPEN, &open);
	if (!raw_answer(fd, WIRE_OPEN, &got))
		exit(92);
	return fd;
}

static uint32_t raw_credit;	/* that the last answer gave */

/* A frame whose head says length, of which len bytes of body are sent. What is it answered: an errno, 0, or -1: it is closed? */
static inline int raw_ask(int fd, uint8_t type, uint8_t flags, uint32_t length, const void *body, size_t len)
{
	struct wire_head head = { .length = length, .type = type, .flags = flags, .id = 5, .generation = 1, .epoch = 1 }, got;
	uint8_t frame[512] = { 0 };

	wire_head_encode(frame, &head);
	memcpy(frame + WIRE_HEAD_SIZE, body, len);
	if (send(fd, frame, WIRE_HEAD_SIZE + len, MSG_NOSIGNAL) < 0)
		return -1;
	if (!raw_answer(fd, head.id, &got))
		return -1;
	raw_credit = got.credit;
	return got.error;
}

#endif
