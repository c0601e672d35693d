/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The peer protocol's frames and messages, as bytes: docs/protocol.md says what they mean.
 *
 * Nothing here knows of sockets, TLS or the reactor, and nothing allocates: decoding reads from a buffer
 * that the caller bounds, into a struct that the caller owns. Everything on the wire is little-endian.
 */
#ifndef REGIONFS_WIRE_H
#define REGIONFS_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define WIRE_MAGIC		0x5245455053464752ULL	/* "RGFSPEER" */
#define WIRE_VERSION		1

#define WIRE_HEAD_SIZE		32u
#define WIRE_RANGE_SIZE		16u		/* offset, length: what stands before the bytes of a WRITE */
#define WIRE_BATCH_SIZE		8u		/* what follows it in a staged one */
#define WIRE_UNAUTH_MAX		4096u		/* longest frame before authorization, and of any small message */
#define WIRE_DATA_DEMAND	(64u << 10)	/* most bytes of a READ or WRITE on the demand connection */
#define WIRE_DATA_BULK		(256u << 10)	/* on a bulk connection */
#define WIRE_BEFORE_DATA	(WIRE_HEAD_SIZE + WIRE_RANGE_SIZE + WIRE_BATCH_SIZE)
#define WIRE_FRAME_DEMAND	(WIRE_BEFORE_DATA + WIRE_DATA_DEMAND)
#define WIRE_FRAME_BULK		(WIRE_BEFORE_DATA + WIRE_DATA_BULK)

#define WIRE_NAME_MAX		255u		/* a host's name for itself, a token */
#define WIRE_REGION_MAX		1023u		/* a region's path in OPEN and LIST */
#define WIRE_TEXT_MAX		1023u		/* the sentence in an error reply */
#define WIRE_SLOTS_MAX		9u		/* connections of one session: 0 is demand, the rest bulk */
#define WIRE_SEED_CHUNK		65536u		/* bytes of one in the lists of dirty chunks, unless TRACK says otherwise */
#define WIRE_HASHES_MAX		256u		/* chunks whose hashes are asked for at once */
#define WIRE_LAST_MAX		16u		/* chunks that LAST is asked for */
#define WIRE_LAST_HEAD		24u		/* what stands before the bytes in its answer */
#define WIRE_RANGES_MAX		2048u		/* entries in one list of dirty chunks */

enum wire_type {
	WIRE_HELLO	= 1,
	WIRE_AUTH	= 2,
	WIRE_OPEN	= 3,
	WIRE_READ	= 4,
	WIRE_WRITE	= 5,
	WIRE_SYNC	= 6,
	WIRE_DISCARD	= 7,
	WIRE_RESIZE	= 8,
	WIRE_INFO	= 9,
	WIRE_LIST	= 10,
	WIRE_PING	= 11,
	WIRE_CLOSE	= 12,
	WIRE_PUBLISH	= 13,
	WIRE_GET_VERSION = 14,	/* VERSION in docs/protocol.md */
	WIRE_TRACK	= 16,
	WIRE_DIRTY	= 17,
	WIRE_FINALIZE	= 18,
	WIRE_OWNED	= 19,
	WIRE_COMPLETE	= 20,
	WIRE_ABORT	= 21,
	WIRE_STATUS	= 22,
	WIRE_THROTTLE	= 23,
	WIRE_HASHES	= 24,
	WIRE_GROUP	= 25,
	WIRE_LAST	= 26,
	WIRE_WANT	= 27,
	__WIRE_TYPE_MAX,
};

#define WIRE_REPLY		0x80u		/* or'ed into the type of an answer */

/* Frame flags. */
#define WIRE_F_ZERO		(1u << 0)	/* READ reply, WRITE: the bytes are all zero and not sent */
#define WIRE_F_DEMAND		(1u << 1)	/* READ: a program waits for it */
#define WIRE_F_MORE		(1u << 2)	/* LIST, DIRTY, FINALIZE, GROUP reply: ask again from where it ended */
#define WIRE_F_STAGED		(1u << 3)	/* WRITE, DISCARD, RESIZE: not to be seen before the PUBLISH of its batch */
#define WIRE_F_FIRST		(1u << 4)	/* STAGED: it begins the batch */
#define WIRE_F_ZSTD		(1u << 5)	/* READ: the bytes may come as a frame of zstd; its reply: they do */
#define WIRE_F_ALL		0x3fu

/* Features, in HELLO. */
#define WIRE_FEAT_WRITE		(1ULL << 0)
#define WIRE_FEAT_DISCARD	(1ULL << 1)
#define WIRE_FEAT_RESIZE	(1ULL << 2)
#define WIRE_FEAT_SEED		(1ULL << 3)
#define WIRE_FEAT_PUBLISH	(1ULL << 4)	/* STAGED, FIRST and PUBLISH */
#define WIRE_FEAT_VERSION	(1ULL << 5)	/* VERSION */
#define WIRE_FEAT_ZSTD		(1ULL << 6)	/* READs with ZSTD */
#define WIRE_FEAT_HASHES	(1ULL << 7)	/* HASHES */
#define WIRE_FEAT_GROUP		(1ULL << 8)	/* GROUP, and the group in FINALIZE */
#define WIRE_FEAT_LAST		(1ULL << 9)	/* LAST */
#define WIRE_FEAT_ADOPT		(1ULL << 10)	/* FINALIZE's flags */
#define WIRE_FEAT_ALL		0x7ffULL

/* OPEN flags. */
#define WIRE_OPEN_WRITE		(1u << 0)	/* read-write: there is one such session of a region */
#define WIRE_OPEN_SEED		(1u << 1)	/* for migration: TRACK and what follows it */
#define WIRE_OPEN_FOLLOW	(1u << 2)	/* to stay up to date: TRACK, DIRTY and so on, but no hand-over */
#define WIRE_OPEN_ALL		0x07u

/* Flags in OPEN's and INFO's reply. */
#define WIRE_INFO_READ_ONLY	(1u << 0)
#define WIRE_INFO_SEEDING	(1u << 1)
#define WIRE_INFO_DISCARD	(1u << 2)
#define WIRE_INFO_RESIZE	(1u << 3)
#define WIRE_INFO_PUBLISH	(1u << 4)
#define WIRE_INFO_VERSION	(1u << 5)
#define WIRE_INFO_GROUP		(1u << 6)	/* it is seeded with others, and moves with them or not at all */

/* Flags of FINALIZE. */
#define WIRE_FINALIZE_ADOPT	(1u << 0)	/* the region's source moves with it */

/* Flags of STATUS. */
#define WIRE_STATUS_FLUSH	(1u << 0)	/* write what is dirty in the page cache first, for a while */
#define WIRE_STATUS_HERE	(1u << 1)	/* a follower's: the round is there whole */

enum wire_auth {
	WIRE_AUTH_TRANSPORT	= 0,	/* what TLS proved, or that the transport is trusted, is all there is */
};

/* What the seeder says of itself in STATUS; docs/protocol.md has the machine. */
enum wire_seed_state {
	WIRE_SEED_SERVING	= 0,
	WIRE_SEED_TRACKING	= 1,
	WIRE_SEED_FROZEN	= 2,
	WIRE_SEED_HANDED_OFF	= 3,
	WIRE_SEED_MOVED		= 4,
	WIRE_SEED_ABORTED	= 5,
	WIRE_SEED_RESOLVED	= 6,	/* an operator has taken it back from who it was handed to */
	WIRE_SEED_DIVERGED	= 7,	/* and that one has it as well */
};

struct wire_head {
	uint32_t length;	/* of the whole frame */
	uint8_t type;
	uint8_t flags;
	uint16_t error;		/* reply: a positive errno of Linux, 0 for success */
	uint32_t credit;	/* reply: bytes of WRITE data that the client may send beyond what it could */
	uint32_t generation;	/* request: attach generation of the client's helper */
	uint64_t id;
	uint64_t epoch;
};

struct wire_hello {
	uint64_t magic;
	uint16_t version_min;
	uint16_t version_max;
	uint64_t features;
	uint32_t max_data;
	uint8_t client[16];	/* who writes: fencing goes by it; outlives the client's process */
	char name[WIRE_NAME_MAX + 1];
};

struct wire_hello_reply {
	uint16_t version;
	uint64_t features;
	uint32_t max_data;
	uint32_t max_requests;	/* unanswered requests of a connection */
	uint32_t ping_ms;
	uint8_t server[16];
	char name[WIRE_NAME_MAX + 1];
};

struct wire_auth_msg {
	uint8_t method;
	char token[WIRE_NAME_MAX + 1];
};

struct wire_open {
	uint32_t flags;
	uint8_t session[16];
	uint8_t slot;
	uint32_t incarnation;	/* of the slot: grows with each reconnect */
	char region[WIRE_REGION_MAX + 1];
};

struct wire_info {
	uint64_t size;
	uint64_t epoch;
	uint64_t lineage;
	uint32_t chunk;
	uint32_t mode;
	uint32_t flags;
};

/* READ, DISCARD; WRITE, whose bytes follow in the frame. */
struct wire_range {
	uint64_t offset;
	uint64_t length;
};

struct wire_resize {
	uint64_t size;
	uint64_t low;
};

/* PUBLISH; and after the range of a WRITE or DISCARD, or the sizes of a RESIZE, that is STAGED. */
struct wire_batch {
	uint64_t batch;
};

/* The reply to PUBLISH: struct backend_published. */
struct wire_published {
	uint64_t offset;
	uint64_t length;
	uint64_t size;
	uint8_t resized;
};

struct wire_list {
	char after[WIRE_REGION_MAX + 1];
};

/* One of many in the reply to LIST. */
struct wire_list_entry {
	uint64_t size;
	uint32_t flags;
	char region[WIRE_REGION_MAX + 1];
};

struct wire_track {
	uint32_t chunk;
};

struct wire_dirty {
	uint32_t round;
	uint64_t from;		/* chunk to begin the list with */
};

/* The head of a follower's list of chunks that it has not got; struct wire_extent follows, count times. */
struct wire_want {
	uint32_t count;
};

/* The head of a list of dirty chunks; struct wire_extent follows, count times. */
struct wire_dirty_reply {
	uint32_t round;
	uint64_t size;		/* the region's, when the round was closed */
	uint64_t total;		/* dirty chunks in the round */
	uint64_t next;		/* with WIRE_F_MORE: from of the next ask */
	uint32_t count;
};

struct wire_extent {
	uint64_t chunk;
	uint32_t count;
};

/* May be left out: it is leeched alone. */
struct wire_finalize {
	uint8_t group[16];	/* of the leecher: the same for all that it takes over together; zeroes: none */
};

/* Behind it; may be left out. */
struct wire_finalize_flags {
	uint32_t flags;		/* WIRE_FINALIZE_* */
};

/* The head of the reply to GROUP, which is asked as LIST is; count names follow, as in that. */
struct wire_group_reply {
	uint32_t count;
	char name[WIRE_REGION_MAX + 1];
};

struct wire_finalize_reply {
	uint64_t epoch;		/* the new one, of whoever says OWNED */
	uint64_t lineage;
	uint8_t nonce[16];
	uint32_t mode, uid, gid;
	uint32_t suspend_ms;
	uint32_t freeze_ms;
	struct wire_dirty_reply dirty;
};

struct wire_owned {
	uint64_t epoch;
	uint8_t nonce[16];
};

struct wire_text {
	char text[WIRE_TEXT_MAX + 1];
};

/* May be left out: nothing of it is asked for. */
struct wire_status_ask {
	uint32_t flags;		/* WIRE_STATUS_* */
};

/* Rates are in bytes a second. */
struct wire_status {
	uint8_t state;
	uint32_t round;
	uint64_t dirty;		/* chunks in the running round */
	uint64_t epoch;
	uint64_t unflushed;	/* bytes that are dirty in the page cache, and in no round yet */
	uint64_t dirty_rate;	/* of the rounds */
	uint64_t flush_rate;	/* of what is written from the page cache; 0: not known yet */
	uint64_t throttle;	/* that is in force; 0: none */
};

struct wire_throttle {
	uint64_t rate;		/* that writers are to be slowed to; 0: not any more */
};

_Static_assert(WIRE_HEAD_SIZE + WIRE_LAST_HEAD + WIRE_SEED_CHUNK <= WIRE_FRAME_DEMAND, "LAST has to fit a demand frame");

struct wire_last {
	uint32_t index;		/* in the final list */
	uint32_t most;		/* of a list that is longer nothing is wanted */
};

/* The chunk's bytes follow; none: they are all zero. */
struct wire_last_reply {
	uint8_t nonce[16];	/* of the hand-over */
	uint64_t chunk;
};

/* The shapes that wire_encode() and wire_decode() know. */
enum wire_shape {
	WIRE_S_HELLO,
	WIRE_S_HELLO_REPLY,
	WIRE_S_AUTH,
	WIRE_S_OPEN,
	WIRE_S_INFO,
	WIRE_S_RANGE,
	WIRE_S_RESIZE,
	WIRE_S_BATCH,
	WIRE_S_PUBLISHED,
	WIRE_S_LIST,
	WIRE_S_LIST_ENTRY,
	WIRE_S_TRACK,
	WIRE_S_DIRTY,
	WIRE_S_DIRTY_REPLY,
	WIRE_S_EXTENT,
	WIRE_S_FINALIZE,
	WIRE_S_FINALIZE_FLAGS,
	WIRE_S_GROUP_REPLY,
	WIRE_S_FINALIZE_REPLY,
	WIRE_S_OWNED,
	WIRE_S_TEXT,
	WIRE_S_STATUS_ASK,
	WIRE_S_STATUS,
	WIRE_S_THROTTLE,
	WIRE_S_LAST,
	WIRE_S_LAST_REPLY,
	WIRE_S_WANT,
	__WIRE_S_MAX,
};

void wire_head_encode(uint8_t buf[WIRE_HEAD_SIZE], const struct wire_head *head);

/*
 * Decode and check a frame's head, before a byte of memory is taken for the rest. limit is the longest frame
 * that is acceptable now. -EMSGSIZE: longer than that. -EPROTO: no frame of this protocol.
 */
int wire_head_decode(const uint8_t buf[WIRE_HEAD_SIZE], uint32_t limit, struct wire_head *head);

/* Bytes written to buf, or -EMSGSIZE when there is no room, or -EINVAL for a string that is too long. */
int wire_encode(enum wire_shape shape, const void *msg, uint8_t *buf, size_t room);

/*
 * Bytes used of buf, or -EPROTO. What follows in buf is the caller's: data, more entries, or fields of a
 * later version, which are to be ignored. Strings end up NUL-terminated; a NUL within one is refused.
 */
int wire_decode(enum wire_shape shape, const uint8_t *buf, size_t len, void *msg);

/* The struct's size for a shape, for tests and the fuzzer. */
size_t wire_shape_size(enum wire_shape shape);

const char *wire_type_name(unsigned int type);
const char *wire_seed_state_name(unsigned int state);

#endif /* REGIONFS_WIRE_H */
