// SPDX-License-Identifier: GPL-2.0
/*
 * Encoding and decoding of the peer protocol. Each message is a table of fields, so that there is one place
 * that checks bounds, and none that a new message could forget.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "wire.h"

enum field_kind {
	F_END,
	F_INT,		/* size bytes, little-endian */
	F_BYTES,	/* size bytes as they are */
	F_STRING,	/* u16 length, bytes; in the struct NUL-terminated in an array of size bytes */
};

struct field {
	uint8_t kind;
	uint16_t offset;
	uint16_t size;
};

#define MEMBER_SIZE(s, m)	sizeof(((struct s *)0)->m)
#define INT(s, m)		{ F_INT, offsetof(struct s, m), MEMBER_SIZE(s, m) }
#define BYTES(s, m)		{ F_BYTES, offsetof(struct s, m), MEMBER_SIZE(s, m) }
#define STRING(s, m)		{ F_STRING, offsetof(struct s, m), MEMBER_SIZE(s, m) }
#define FIELDS(...)		((const struct field[]){ __VA_ARGS__, { F_END, 0, 0 } })
#define SHAPE(s, ...)		{ sizeof(struct s), FIELDS(__VA_ARGS__) }

#define DIRTY_REPLY(s, p) \
	INT(s, p round), INT(s, p size), INT(s, p total), INT(s, p next), INT(s, p count)

static const struct shape {
	size_t size;
	const struct field *fields;
} shapes[__WIRE_S_MAX] = {
	[WIRE_S_HELLO] = SHAPE(wire_hello, INT(wire_hello, magic), INT(wire_hello, version_min),
			       INT(wire_hello, version_max), INT(wire_hello, features),
			       INT(wire_hello, max_data), BYTES(wire_hello, client),
			       STRING(wire_hello, name)),
	[WIRE_S_HELLO_REPLY] = SHAPE(wire_hello_reply, INT(wire_hello_reply, version),
				     INT(wire_hello_reply, features), INT(wire_hello_reply, max_data),
				     INT(wire_hello_reply, max_requests),
				     INT(wire_hello_reply, ping_ms), BYTES(wire_hello_reply, server),
				     STRING(wire_hello_reply, name)),
	[WIRE_S_AUTH] = SHAPE(wire_auth_msg, INT(wire_auth_msg, method), STRING(wire_auth_msg, token)),
	[WIRE_S_OPEN] = SHAPE(wire_open, INT(wire_open, flags), BYTES(wire_open, session),
			      INT(wire_open, slot), INT(wire_open, incarnation),
			      STRING(wire_open, region)),
	[WIRE_S_INFO] = SHAPE(wire_info, INT(wire_info, size), INT(wire_info, epoch),
			      INT(wire_info, lineage), INT(wire_info, chunk), INT(wire_info, mode),
			      INT(wire_info, flags)),
	[WIRE_S_RANGE] = SHAPE(wire_range, INT(wire_range, offset), INT(wire_range, length)),
	[WIRE_S_RESIZE] = SHAPE(wire_resize, INT(wire_resize, size), INT(wire_resize, low)),
	[WIRE_S_BATCH] = SHAPE(wire_batch, INT(wire_batch, batch)),
	[WIRE_S_PUBLISHED] = SHAPE(wire_published, INT(wire_published, offset), INT(wire_published, length),
				   INT(wire_published, size), INT(wire_published, resized)),
	[WIRE_S_LIST] = SHAPE(wire_list, STRING(wire_list, after)),
	[WIRE_S_LIST_ENTRY] = SHAPE(wire_list_entry, INT(wire_list_entry, size),
				    INT(wire_list_entry, flags), STRING(wire_list_entry, region)),
	[WIRE_S_TRACK] = SHAPE(wire_track, INT(wire_track, chunk)),
	[WIRE_S_DIRTY] = SHAPE(wire_dirty, INT(wire_dirty, round), INT(wire_dirty, from)),
	[WIRE_S_DIRTY_REPLY] = SHAPE(wire_dirty_reply, DIRTY_REPLY(wire_dirty_reply,)),
	[WIRE_S_EXTENT] = SHAPE(wire_extent, INT(wire_extent, chunk), INT(wire_extent, count)),
	[WIRE_S_FINALIZE] = SHAPE(wire_finalize, BYTES(wire_finalize, group)),
	[WIRE_S_FINALIZE_FLAGS] = SHAPE(wire_finalize_flags, INT(wire_finalize_flags, flags)),
	[WIRE_S_GROUP_REPLY] = SHAPE(wire_group_reply, INT(wire_group_reply, count), STRING(wire_group_reply, name)),
	[WIRE_S_FINALIZE_REPLY] = SHAPE(wire_finalize_reply, INT(wire_finalize_reply, epoch),
					INT(wire_finalize_reply, lineage),
					BYTES(wire_finalize_reply, nonce),
					INT(wire_finalize_reply, mode), INT(wire_finalize_reply, uid), INT(wire_finalize_reply, gid),
					INT(wire_finalize_reply, suspend_ms),
					INT(wire_finalize_reply, freeze_ms),
					DIRTY_REPLY(wire_finalize_reply, dirty.)),
	[WIRE_S_OWNED] = SHAPE(wire_owned, INT(wire_owned, epoch), BYTES(wire_owned, nonce)),
	[WIRE_S_TEXT] = SHAPE(wire_text, STRING(wire_text, text)),
	[WIRE_S_STATUS_ASK] = SHAPE(wire_status_ask, INT(wire_status_ask, flags)),
	[WIRE_S_STATUS] = SHAPE(wire_status, INT(wire_status, state), INT(wire_status, round),
				INT(wire_status, dirty), INT(wire_status, epoch), INT(wire_status, unflushed),
				INT(wire_status, dirty_rate), INT(wire_status, flush_rate), INT(wire_status, throttle)),
	[WIRE_S_THROTTLE] = SHAPE(wire_throttle, INT(wire_throttle, rate)),
	[WIRE_S_LAST] = SHAPE(wire_last, INT(wire_last, index), INT(wire_last, most)),
	[WIRE_S_LAST_REPLY] = SHAPE(wire_last_reply, BYTES(wire_last_reply, nonce), INT(wire_last_reply, chunk)),
	[WIRE_S_WANT] = SHAPE(wire_want, INT(wire_want, count)),
};

static uint64_t load_int(const void *at, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, at, size);	/* little-endian hosts only store so; see store_int() */
#if __BYTE_ORDER == __BIG_ENDIAN
	value >>= 8 * (8 - size);
#endif
	return value;
}

static void store_int(void *at, size_t size, uint64_t value)
{
#if __BYTE_ORDER == __BIG_ENDIAN
	value <<= 8 * (8 - size);
#endif
	memcpy(at, &value, size);
}

static void put_le(uint8_t *buf, size_t size, uint64_t value)
{
	while (size--) {
		*buf++ = (uint8_t)value;
		value >>= 8;
	}
}

static uint64_t get_le(const uint8_t *buf, size_t size)
{
	uint64_t value = 0;

	while (size--)
		value = value << 8 | buf[size];
	return value;
}

void wire_head_encode(uint8_t buf[WIRE_HEAD_SIZE], const struct wire_head *head)
{
	put_le(buf, 4, head->length);
	buf[4] = head->type;
	buf[5] = head->flags;
	put_le(buf + 6, 2, head->error);
	put_le(buf + 8, 4, head->credit);
	put_le(buf + 12, 4, head->generation);
	put_le(buf + 16, 8, head->id);
	put_le(buf + 24, 8, head->epoch);
}

int wire_head_decode(const uint8_t buf[WIRE_HEAD_SIZE], uint32_t limit, struct wire_head *head)
{
	unsigned int type;

	head->length = (uint32_t)get_le(buf, 4);
	head->type = buf[4];
	head->flags = buf[5];
	head->error = (uint16_t)get_le(buf + 6, 2);
	head->credit = (uint32_t)get_le(buf + 8, 4);
	head->generation = (uint32_t)get_le(buf + 12, 4);
	head->id = get_le(buf + 16, 8);
	head->epoch = get_le(buf + 24, 8);
	type = head->type & ~WIRE_REPLY;
	if (!type || type >= __WIRE_TYPE_MAX || head->flags & ~WIRE_F_ALL)
		return -EPROTO;
	if (head->length < WIRE_HEAD_SIZE || head->error > 4095)
		return -EPROTO;
	return head->length > limit ? -EMSGSIZE : 0;
}

/* How many bytes a field takes on the wire, or a negative errno. */
static int encode_field(const struct field *f, const uint8_t *msg, uint8_t *buf, size_t room)
{
	const uint8_t *at = msg + f->offset;
	size_t len = f->size, head = 0;

	if (f->kind == F_STRING) {
		len = strnlen((const char *)at, f->size);
		if (len == f->size)
			return -EINVAL;
		head = 2;
	}
	if (head + len > room)
		return -EMSGSIZE;
	if (f->kind == F_INT) {
		put_le(buf, len, load_int(at, len));
		return (int)len;
	}
	put_le(buf, head, len);
	memcpy(buf + head, at, len);
	return (int)(head + len);
}

int wire_encode(enum wire_shape shape, const void *msg, uint8_t *buf, size_t room)
{
	size_t used = 0;
	int ret;

	for (const struct field *f = shapes[shape].fields; f->kind; f++) {
		ret = encode_field(f, msg, buf + used, room - used);
		if (ret < 0)
			return ret;
		used += (size_t)ret;
	}
	return (int)used;
}

static int decode_string(const struct field *f, const uint8_t *buf, size_t len, uint8_t *at)
{
	size_t size;

	if (len < 2)
		return -EPROTO;
	size = (size_t)get_le(buf, 2);
	if (size >= f->size || size > len - 2 || memchr(buf + 2, 0, size))
		return -EPROTO;
	memcpy(at, buf + 2, size);
	at[size] = 0;
	return (int)(size + 2);
}

static int decode_field(const struct field *f, const uint8_t *buf, size_t len, uint8_t *msg)
{
	uint8_t *at = msg + f->offset;

	if (f->kind == F_STRING)
		return decode_string(f, buf, len, at);
	if (f->size > len)
		return -EPROTO;
	if (f->kind == F_INT)
		store_int(at, f->size, get_le(buf, f->size));
	else
		memcpy(at, buf, f->size);
	return f->size;
}

int wire_decode(enum wire_shape shape, const uint8_t *buf, size_t len, void *msg)
{
	size_t used = 0;
	int ret;

	memset(msg, 0, shapes[shape].size);
	for (const struct field *f = shapes[shape].fields; f->kind; f++) {
		ret = decode_field(f, buf + used, len - used, msg);
		if (ret < 0)
			return ret;
		used += (size_t)ret;
	}
	return (int)used;
}

size_t wire_shape_size(enum wire_shape shape)
{
	return shapes[shape].size;
}

const char *wire_type_name(unsigned int type)
{
	static const char *const names[__WIRE_TYPE_MAX] = {
		[WIRE_HELLO] = "HELLO", [WIRE_AUTH] = "AUTH", [WIRE_OPEN] = "OPEN",
		[WIRE_READ] = "READ", [WIRE_WRITE] = "WRITE", [WIRE_SYNC] = "SYNC",
		[WIRE_DISCARD] = "DISCARD", [WIRE_RESIZE] = "RESIZE", [WIRE_INFO] = "INFO",
		[WIRE_LIST] = "LIST", [WIRE_PING] = "PING", [WIRE_CLOSE] = "CLOSE",
		[WIRE_PUBLISH] = "PUBLISH", [WIRE_GET_VERSION] = "VERSION",
		[WIRE_TRACK] = "TRACK", [WIRE_DIRTY] = "DIRTY", [WIRE_FINALIZE] = "FINALIZE",
		[WIRE_OWNED] = "OWNED", [WIRE_COMPLETE] = "COMPLETE", [WIRE_ABORT] = "ABORT",
		[WIRE_STATUS] = "STATUS", [WIRE_THROTTLE] = "THROTTLE", [WIRE_HASHES] = "HASHES",
		[WIRE_GROUP] = "GROUP",
		[WIRE_LAST] = "LAST",
		[WIRE_WANT] = "WANT",
	};

	type &= ~WIRE_REPLY;
	return type < __WIRE_TYPE_MAX && names[type] ? names[type] : "unknown";
}

const char *wire_seed_state_name(unsigned int state)
{
	static const char *const names[] = {
		[WIRE_SEED_SERVING] = "serving", [WIRE_SEED_TRACKING] = "tracking",
		[WIRE_SEED_FROZEN] = "frozen", [WIRE_SEED_HANDED_OFF] = "handed off",
		[WIRE_SEED_MOVED] = "moved", [WIRE_SEED_ABORTED] = "aborted",
		[WIRE_SEED_RESOLVED] = "resolved", [WIRE_SEED_DIVERGED] = "diverged",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}
