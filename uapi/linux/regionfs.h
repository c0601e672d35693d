/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * regionfs: memory of another host behind an ordinary, mmap-able file.
 *
 * This file is the whole contract between the kernel module and its helper (regiond), in two planes:
 *
 *   data     io_uring commands on /dev/regionfs: a helper attaches to one instance, parks tags, is handed
 *            requests (READ, WRITE, ...) and answers them. Below, from REGIONFS_IO_ATTACH on.
 *   control  generic netlink, family "regionfs": regions, states, statistics, events. Below, from
 *            REGIONFS_CMD_INSTANCE_NEW on; uapi/regionfs.yaml says the same for the ynl tool.
 *
 * Conventions: fixed-width little structs with natural alignment; reserved fields must be zero, else
 * -EINVAL; an unknown command or flag is -EOPNOTSUPP. Offsets and lengths are bytes unless said otherwise.
 * Opening the device and every control command need CAP_SYS_ADMIN in the initial user namespace; but the helper that is attached to an instance
 * needs none for commands that name this instance, on a netlink socket that was opened with it: it can drop all that it has.
 *
 * Words: an instance is one mounted regionfs with the one helper that serves it; a region is one file in it.
 */
#ifndef _UAPI_LINUX_REGIONFS_H
#define _UAPI_LINUX_REGIONFS_H

#include <linux/types.h>
#include <linux/ioctl.h>

#define REGIONFS_ABI		1		/* raised when old helpers cannot work any more */
#define REGIONFS_MAGIC		0x52474653	/* statfs f_type, "RGFS" */
#define REGIONFS_DEVICE		"/dev/regionfs"

#define REGIONFS_NAME_MAX	63		/* an instance's name, without the NUL; no '/' */
#define REGIONFS_SOURCE_MAX	4095		/* a region's source string, without the NUL */
#define REGIONFS_PATH_MAX	4095		/* a region's path below the mount, without the NUL */

/*
 * Limits of an attach. Requests are at most max_request bytes; a page-aligned power of two in this range.
 */
#define REGIONFS_QUEUES_MAX	64
#define REGIONFS_DEPTH_MAX	1024
#define REGIONFS_REQUEST_MIN	(64u << 10)
#define REGIONFS_REQUEST_MAX	(16u << 20)
#define REGIONFS_REQUEST_DEFAULT (1u << 20)

/* ---------------------------------------------------------------- data plane ---------------------------------------------------------------- */

/*
 * Features, negotiated at attach: the helper says which it would use, the kernel answers with those that
 * it grants. A helper must work when a bit it asked for is not granted, unless it says otherwise itself.
 */
/* The helper answers READ with any address of its own in COMMIT, not only the tag's buffer. */
#define REGIONFS_F_ANY_ADDR	(1ULL << 0)
/* REGIONFS_IO_STORE and REGIONFS_IO_TOKEN work. */
#define REGIONFS_F_STORE	(1ULL << 1)
/* Requests are queued again when a helper dies, fenced by the attach generation. Always granted. */
#define REGIONFS_F_RECOVER	(1ULL << 2)
/* REGIONFS_IO_LOCAL works: the kernel reads a file that holds a region's bytes itself, without asking. */
#define REGIONFS_F_LOCAL_STORE	(1ULL << 16)
/* LOCAL_MAP works: a LOCAL may name a file that has some of the bytes. */
#define REGIONFS_F_LOCAL_MAP	(1ULL << 18)
/* Kept for later: ranges are downgraded or invalidated because another host wants them. */
#define REGIONFS_F_COHERENT	(1ULL << 17)

/*
 * The io_uring commands (cmd_op of an IORING_OP_URING_CMD on the device). The 16 bytes of sqe->cmd are a
 * struct regionfs_io_cmd; no SQE128 is needed. Commands must be issued by the task that owns the ring:
 * a command that comes from an io worker or an SQPOLL thread is refused with -EOPNOTSUPP.
 *
 * ATTACH   addr points to a struct regionfs_attach. Binds this open file to an instance, once. -EBUSY
 *          while another live helper is attached to it; -ENOENT when there is no such instance and
 *          REGIONFS_ATTACH_CREATE is not set.
 * FETCH    parks tag; addr is the tag's buffer of max_request bytes, kept for as long as the tag is used.
 *          Completes with 0 when a request was handed over: its descriptor then stands in desc[tag], and
 *          the bytes of a WRITE stand in the buffer. The thread that first parks a tag of a queue owns
 *          the queue: others get -EPERM. Completes with -ECANCELED when the file or the ring goes away.
 * COMMIT_AND_FETCH
 *          answers the request that the tag holds, then parks the tag again as FETCH does (the buffer is
 *          the one FETCH named). cookie must be the low 32 bits of the request's id, else -ESTALE, and the
 *          tag keeps what it holds. error is 0 or a negative errno (of which EBUSY, EAGAIN and EINTR become EIO). For a
 *          successful READ, addr is where the bytes are (length of them), or 0 for all zeroes; a READ is answered whole or
 *          not at all.
 *          An answer to a request that the kernel has taken back meanwhile is accepted and ignored.
 * COMMIT   as COMMIT_AND_FETCH, but the tag is left idle; completes at once. FETCH parks it again.
 * STORE    addr points to a struct regionfs_store: puts bytes that were pulled from the source into the
 *          page cache before anyone asks. Completes with the number of bytes that became present (0 where
 *          all were there already, or memory was short), or -ESTALE when the token is too old for a part
 *          of the range (that part and what follows was not stored).
 * TOKEN    addr points to a struct regionfs_token: fills in the token for STORE.
 * LOCAL    addr points to a struct regionfs_local: the region's bytes are in a file of this host.
 */
struct regionfs_io_cmd {
	__u64 addr;
	__u32 cookie;
	__s16 error;
	__u16 tag;		/* 0 .. nr_queues * depth - 1; queue = tag / depth */
};

struct regionfs_attach {
	__u32 size;		/* in: sizeof(struct regionfs_attach) */
	__u32 abi;		/* in: REGIONFS_ABI */
	__u64 features;		/* in: wanted, out: granted */
	__u32 flags;		/* in: REGIONFS_ATTACH_* */
	__u16 nr_queues;	/* in: 1 .. REGIONFS_QUEUES_MAX */
	__u16 depth;		/* in: tags per queue, 1 .. REGIONFS_DEPTH_MAX */
	__u32 max_request;	/* in: bytes; 0 for the default; out: granted */
	__u32 attach_gen;	/* out: grows with each attach to the instance; fences the older helpers */
	__u64 desc_addr;	/* in: struct regionfs_io_desc desc[nr_queues * depth], 64-byte aligned */
	__u64 instance_id;	/* out: random, of this life of the instance */
	__u8 name[64];		/* in: the instance, NUL-terminated */
	__u64 reserved[4];
};

/* Create the instance when there is none of that name in the caller's network namespace. */
#define REGIONFS_ATTACH_CREATE	(1u << 0)

#define REGIONFS_IO_ATTACH		_IOWR('R', 0x01, struct regionfs_io_cmd)
#define REGIONFS_IO_FETCH		_IOWR('R', 0x02, struct regionfs_io_cmd)
#define REGIONFS_IO_COMMIT_AND_FETCH	_IOWR('R', 0x03, struct regionfs_io_cmd)
#define REGIONFS_IO_COMMIT		_IOWR('R', 0x04, struct regionfs_io_cmd)
#define REGIONFS_IO_STORE		_IOWR('R', 0x05, struct regionfs_io_cmd)
#define REGIONFS_IO_TOKEN		_IOWR('R', 0x06, struct regionfs_io_cmd)
#define REGIONFS_IO_LOCAL		_IOWR('R', 0x07, struct regionfs_io_cmd)

/*
 * What is asked of the helper. Every operation is acknowledged by COMMIT and is handed to the next helper
 * when this one dies before that. The kernel orders: no two of WRITE, DISCARD, RESIZE that overlap are in
 * the helper's hands at once, and no READ is handed over while one of them that it overlaps is; all else may be answered
 * in any order. (A READ that was handed over first may be overtaken: then its bytes are no longer wanted.)
 * Every operation may be repeated after a helper's death, and must be harmless when repeated.
 *
 * READ     length bytes from offset; the range lies within the region's size as the kernel knows it. Bytes
 *          that were never written read zero.
 * WRITE    length bytes at offset; past its size it makes the region grow. An answer of 0 says that later READs, also by the next helper, see them.
 * SYNC     answer 0 when every WRITE, DISCARD and RESIZE of the region that was answered before is durable, as the
 *          region's policy defines it.
 * DISCARD  the range reads zero afterwards; its room may be given back.
 * RESIZE   the region's size is now length; arg is the lowest size that it had on the way (arg <= length):
 *          bytes from arg on read zero until they are written again.
 * DESTROY  the region was unlinked and the last user is gone: its local things can go. The kernel has
 *          forgotten the region; what happens to the source is the helper's policy.
 */
enum regionfs_op {
	REGIONFS_OP_READ	= 0,
	REGIONFS_OP_WRITE	= 1,
	REGIONFS_OP_SYNC	= 2,
	REGIONFS_OP_DISCARD	= 3,
	REGIONFS_OP_RESIZE	= 4,
	REGIONFS_OP_DESTROY	= 5,
};

/* A hint on READ: a program waits for it now (else it is readahead). */
#define REGIONFS_REQ_DEMAND	(1u << 0)
/* READ and WRITE: by O_DIRECT. */
#define REGIONFS_REQ_DIRECT	(1u << 1)
/* It was, or may have been, in an earlier helper's hands. */
#define REGIONFS_REQ_REPEATED	(1u << 2)
/* A hint on READ: the program looks for the answer for a moment before it sleeps. So it may soon ask for more, if it is answered soon. */
#define REGIONFS_REQ_POLLED	(1u << 3)

struct regionfs_io_desc {
	__u64 id;		/* grows with each request of the instance; cookie is its low half */
	__u64 region;		/* region id */
	__u64 offset;
	__u64 length;
	__u64 epoch;		/* of the region's ownership */
	__u64 arg;		/* RESIZE: see there; else 0 */
	__u32 attach_gen;
	__u32 region_gen;	/* grows when the region's bytes are replaced as a whole (invalidate, unlock) */
	__u16 op;		/* enum regionfs_op */
	__u16 flags;		/* REGIONFS_REQ_* */
	__u32 reserved;
};

/*
 * A token is taken before the bytes are read from the source. STORE refuses a range that a write-back,
 * O_DIRECT write, punch, truncate, invalidate or change of epoch has touched since its token was taken.
 */
struct regionfs_token {
	__u64 region;
	__u64 token;		/* out */
	__u64 reserved;
};

struct regionfs_store {
	__u64 region;
	__u64 offset;		/* page-aligned */
	__u64 addr;		/* the bytes; 0: zeroes */
	__u64 token;
	__u64 epoch;		/* must be the region's */
	__u32 length;		/* page-aligned, or up to the region's size; at most max_request */
	__u32 flags;		/* must be 0 */
};

/*
 * The file fd of the caller's holds, at any time from now on, what a READ of the region would be answered with, at the same offsets
 * (past its end: zeroes). The kernel may then read it itself and send no READ, though it still may send one, and does for
 * pages that a WRITE, DISCARD or RESIZE is on its way for. That ends with fd -1, with another file, with the channel, when
 * the region's source is set to another or the region has moved. The descriptor may be closed afterwards. Once a LOCAL that ends it (fd
 * -1, or another file) has completed, nothing more of the old file becomes visible, whatever its bytes are then: what was read from it
 * before stays in the page cache. The same holds for what is put into the file between LOCK and UNLOCK, until UNLOCK.
 * But for one thing: an O_DIRECT read may have been copying from the file just then, or while such a request was on its way. What it then got
 * does not count as read, and a READ brings other bytes; but until that has come (and for good, if it fails or the program is killed)
 * they stand in the program's buffer, for whoever looks there. So a file that was given to a region must never get bytes
 * that the readers of that region may not see: not another region's, when it is used again. Such a read keeps the file open, too, for as long as
 * the program's memory has to be waited for.
 *
 * With LOCAL_MAP the file holds, of these bytes, those of which map_fd says so: a file on a tmpfs (a memfd, say), open for reading and writing, that
 * begins with a struct regionfs_local_map and is the helper's to change at any time, by sequentially consistent atomic operations on a mapping
 * of it. A bit is set when the bytes of that PAGE are there, all of them: beyond the region's end they are zero before a growth is answered. Before
 * a byte changes that the map speaks of, and before the file lets go of it, the bit is cleared, then seq is added to, and only then comes the change:
 * whoever has begun to copy before looks at seq afterwards, and drops what he has. Not so for a WRITE, DISCARD or RESIZE of the
 * region's own, as long as it has no answer, be that an error; nor for a change by others which an INVALIDATE follows before they
 * hear that it is done: of such a one readers may see a part meanwhile. To cut the map to nothing takes back all of it at once, also from who is
 * copying. The kernel may set USED for as long as the helper lives, so its memory is not to become anything else's. A page of it that is on a swap
 * device counts as zero. The file may be on a block device then: of such a one only what stands in its page cache is read so.
 *
 * A LOCAL that fails leaves the one before it in force.
 * -EBADF: not a regular file that is open for reading (the map: and writing). -EOPNOTSUPP: not on a tmpfs, nor, with a map, on a block device; or
 * an unknown flag, LOCAL_MAP without F_LOCAL_MAP among them. -ESTALE: the epoch is not the region's (not with fd -1).
 */
struct regionfs_local {
	__u64 region;
	__u64 epoch;
	__s32 fd;
	__u32 flags;			/* LOCAL_MAP, or 0; 0 with fd -1 */
	__s32 map_fd;			/* LOCAL_MAP; else 0 */
	__u32 reserved;
	__u64 reserved2;
};

#define REGIONFS_LOCAL_MAP	(1U << 0)

#define REGIONFS_LOCAL_CHUNK	65536u
#define REGIONFS_LOCAL_PAGE	4096u

/* In this host's byte order. Words beyond the end of the file count as zero. */
struct regionfs_local_map {
	__u64 seq;
	__u64 reserved[7];
	__u32 word[];			/* for each CHUNK of the region */
};

/* Of a word. The others are the helper's own. */
#define REGIONFS_LOCAL_PRESENT	0xffffU		/* bit n: PAGE n of the chunk is in the file */
#define REGIONFS_LOCAL_USED	(1U << 16)	/* the kernel sets it when it looks at the chunk for a reader; the helper may clear it */
#define REGIONFS_LOCAL_UNSURE	(1U << 17)	/* none of them counts yet */

/* -------------------------------------------------------------- control plane --------------------------------------------------------------- */

#define REGIONFS_GENL_NAME		"regionfs"
#define REGIONFS_GENL_VERSION		1
#define REGIONFS_GENL_MCGRP_EVENTS	"events"

/*
 * Every command names its instance (A_INSTANCE) within the caller's network namespace, and most their
 * region (A_REGION, its id; or A_PATH). Every refusal has an extended-ack sentence.
 *
 * Long commands (marked L) are acknowledged when they have been started; their end is told to the
 * caller alone, in a DONE message with the request's sequence number: A_ERROR (0 or a negative errno), A_MESSAGE
 * (a sentence, on error), and what the command gives. A_DEADLINE bounds them (milliseconds, default 30,000).
 * They run on when the caller is gone.
 *
 * INSTANCE_NEW   A_INSTANCE, [settings]. -EEXIST when there is one.
 * INSTANCE_GET   one (A_INSTANCE), or a dump of all in this network namespace.
 * INSTANCE_SET   A_TAKEBACK, A_DIRTY_RATIO.
 * INSTANCE_STOP  L. -EBUSY while mounted or a helper is attached that is not the caller's. Waits within the deadline for what runs on its
 *                regions, and writes dirty bytes, else -EBUSY and nothing is lost. A_DISCARD: what runs is broken off instead (-ENODEV), and dirty bytes
 *                are discarded, A_COUNT of them.
 * REGION_ADD     A_PATH (parents are made as needed), A_SOURCE, A_SIZE, A_MODE, A_UID, A_GID, A_EPOCH, A_LINEAGE,
 *                A_FLAGS with A_FLAGS_MASK, A_TIMEOUT. Gives A_REGION. No RESIZE request is sent for A_SIZE.
 * REGION_DEL     unlinks it (as unlink(2) does; open files go on). -EBUSY with dirty bytes, unless A_DISCARD.
 * REGION_GET     one, or a dump of all of an instance, unlinked but open ones too.
 * REGION_SET     A_SOURCE, A_MODE, A_UID, A_GID, A_SIZE (tells the kernel of a size that the source already has: no RESIZE is
 *                sent; -EBUSY when it grows and its last page is dirty, or while a RESIZE is not answered: a program has set another size),
 *                A_EPOCH and A_LINEAGE (never down), A_FLAGS with A_FLAGS_MASK (READ_ONLY, FIXED_SIZE), A_TIMEOUT.
 *                Setting READ_ONLY revokes write access at once, then writes what is dirty.
 * FREEZE         L. No one writes from now on; all dirty bytes are written and synced. A_FORCE: in spite of pinned pages. -EBUSY with A_COUNT
 *                (pages) and A_OFFSET (the first) when pages that were written through a mapping stay pinned until the deadline; then the
 *                region is thawed again.
 * THAW           undoes it.
 * LOCK           L. No one reads, writes or maps until UNLOCK; only STORE fills.
 * UNLOCK         [A_OFFSET, A_LENGTH repeated in A_RANGES] drops these ranges from the page cache first; bumps the region generation.
 * INVALIDATE     L. A_OFFSET, A_LENGTH: writes what is dirty in the range, then drops it from the page cache. Where it is dirty again each time, the
 *                region's writers (truncates excepted) are kept out meanwhile, for some seconds at most in one go.
 *                A_DISCARD: drops it without writing.
 * WRITEBACK      L. A_OFFSET, A_LENGTH: writes what is dirty in the range; A_SYNC: and sends SYNC.
 * MOVED          L. A_EPOCH (newer): the region lives elsewhere. Nobody gets in any more once it is acknowledged: open files get ESTALE, mappings
 *                SIGBUS; cached bytes are dropped when it is done, which A_DEADLINE doesn't bound. Gives A_COUNT, late dirty bytes that were lost by it.
 * EVENT          from the kernel, multicast: A_EVENT, and what changed. A hint: after a gap, dump again. Two that come of things done
 *                at once may come in either order: what depends on the state asks for it (REGION_GET).
 * WRITE_RATE     A_WRITE_RATE: the region's writers (write(2), stores through mappings, O_DIRECT; all of them together) are slowed to
 *                so many bytes a second, in the order in which they came; 0: no limit. A change, also one that lifts it, takes effect at once,
 *                for those too that are asleep. Truncate and fallocate are not slowed, readers neither. The limit is the attached helper's:
 *                it ends with it, and when the region is unlinked. -ENOTCONN: a limit, and there is no helper.
 * TRACK is reserved, -EOPNOTSUPP: for a migration the helper keeps track of what it is given to write.
 */
enum regionfs_cmd {
	REGIONFS_CMD_UNSPEC,
	REGIONFS_CMD_INSTANCE_NEW,
	REGIONFS_CMD_INSTANCE_GET,
	REGIONFS_CMD_INSTANCE_SET,
	REGIONFS_CMD_INSTANCE_STOP,
	REGIONFS_CMD_REGION_ADD,
	REGIONFS_CMD_REGION_DEL,
	REGIONFS_CMD_REGION_GET,
	REGIONFS_CMD_REGION_SET,
	REGIONFS_CMD_FREEZE,
	REGIONFS_CMD_THAW,
	REGIONFS_CMD_LOCK,
	REGIONFS_CMD_UNLOCK,
	REGIONFS_CMD_INVALIDATE,
	REGIONFS_CMD_WRITEBACK,
	REGIONFS_CMD_MOVED,
	REGIONFS_CMD_EVENT,
	REGIONFS_CMD_DONE,
	REGIONFS_CMD_TRACK,
	REGIONFS_CMD_WRITE_RATE,
	__REGIONFS_CMD_MAX,
};

#define REGIONFS_CMD_MAX	(__REGIONFS_CMD_MAX - 1)

enum regionfs_attr {
	REGIONFS_A_UNSPEC,
	REGIONFS_A_PAD,
	REGIONFS_A_INSTANCE,		/* string: name */
	REGIONFS_A_INSTANCE_ID,		/* u64: as in struct regionfs_attach */
	REGIONFS_A_REGION,		/* u64: id, never used twice in an instance's life */
	REGIONFS_A_PATH,		/* string: below the mount, no leading '/' */
	REGIONFS_A_SOURCE,		/* string: opaque to the kernel; never a secret */
	REGIONFS_A_SIZE,		/* u64 */
	REGIONFS_A_MODE,		/* u32: permission bits */
	REGIONFS_A_UID,			/* u32 */
	REGIONFS_A_GID,			/* u32 */
	REGIONFS_A_EPOCH,		/* u64 */
	REGIONFS_A_LINEAGE,		/* u64 */
	REGIONFS_A_FLAGS,		/* u32: REGIONFS_REGION_* */
	REGIONFS_A_FLAGS_MASK,		/* u32: which of A_FLAGS to change */
	REGIONFS_A_TIMEOUT,		/* u32: ms; 0: accesses wait for an absent helper as long as it takes; else they fail with EIO after it */
	REGIONFS_A_TAKEBACK,		/* u32: ms; how long a request may stay unanswered, default 10,000, 100 to 3,600,000 */
	REGIONFS_A_DIRTY_RATIO,		/* u32: percent of the dirty limit that this instance may use, default 20 */
	REGIONFS_A_OFFSET,		/* u64 */
	REGIONFS_A_LENGTH,		/* u64: 0 is "to the end" */
	REGIONFS_A_RANGES,		/* binary: array of struct regionfs_range */
	REGIONFS_A_DEADLINE,		/* u32: ms */
	REGIONFS_A_DISCARD,		/* flag */
	REGIONFS_A_FORCE,		/* flag */
	REGIONFS_A_SYNC,		/* flag */
	REGIONFS_A_EVENT,		/* u32: enum regionfs_event */
	REGIONFS_A_ERROR,		/* s32 */
	REGIONFS_A_MESSAGE,		/* string */
	REGIONFS_A_COUNT,		/* u64 */
	REGIONFS_A_STATS,		/* nest of REGIONFS_STAT_*, each u64 */
	REGIONFS_A_ATTACHED,		/* u32: attach generation of the helper, 0 when there is none */
	REGIONFS_A_PID,			/* u32: the helper's, in the caller's pid namespace */
	REGIONFS_A_OPENS,		/* u32: open files; one that only a mapping holds counts on */
	REGIONFS_A_WRITERS,		/* u32: of these, writable; a store through a mapping needs one */
	REGIONFS_A_GENERATION,		/* u32: region generation */
	REGIONFS_A_MOUNTS,		/* u32: mounts of the instance */
	REGIONFS_A_REGIONS,		/* u64: regions in the instance */
	REGIONFS_A_NLINK,		/* u32: 0 for unlinked but open */
	REGIONFS_A_MTIME,		/* s64: ns since the epoch */
	REGIONFS_A_WRITE_RATE,		/* u64: bytes a second; told where there is a limit */
	REGIONFS_A_WAITS,		/* binary: u64[REGIONFS_WAITS_BUCKETS], not aligned */
	__REGIONFS_A_MAX,
};

#define REGIONFS_A_MAX		(__REGIONFS_A_MAX - 1)

struct regionfs_range {
	__u64 offset;
	__u64 length;
};

/*
 * A_WAITS: how often a program's access (a fault, a read, a write to a part of a page) had to wait for a READ to be answered, by how long: [i]
 * counts waits of at least 2^i and less than 2^(i+1) microseconds, [0] also those below 1, the last also all longer ones.
 * Waits for a helper to come, for thaw or unlock are not among them.
 */
#define REGIONFS_WAITS_BUCKETS	24

/* Revoked for all, root too: writes EROFS, stores SIGBUS. */
#define REGIONFS_REGION_READ_ONLY	(1u << 0)
/* Its size cannot be changed through the file system (EPERM). */
#define REGIONFS_REGION_FIXED_SIZE	(1u << 1)
/* Set by FREEZE, LOCK and MOVED; LOCKED may also be given to REGION_ADD. */
#define REGIONFS_REGION_FROZEN		(1u << 2)
#define REGIONFS_REGION_LOCKED		(1u << 3)
#define REGIONFS_REGION_MOVED		(1u << 4)
/* Only told: it was created through the file system, and has no source of its own until the helper sets one. */
#define REGIONFS_REGION_DEFAULT_SOURCE	(1u << 5)

enum regionfs_event {
	REGIONFS_EVENT_CREATED		= 1,	/* region, by the file system or REGION_ADD */
	REGIONFS_EVENT_RESIZED		= 2,
	REGIONFS_EVENT_CHANGED		= 3,	/* mode, owner, times, flags, source */
	REGIONFS_EVENT_RENAMED		= 4,	/* A_PATH is the new one */
	REGIONFS_EVENT_UNLINKED		= 5,
	REGIONFS_EVENT_OPENED		= 6,	/* the first open file */
	REGIONFS_EVENT_CLOSED		= 7,	/* the last one */
	REGIONFS_EVENT_FROZEN		= 8,
	REGIONFS_EVENT_THAWED		= 9,
	REGIONFS_EVENT_LOCKED		= 10,
	REGIONFS_EVENT_UNLOCKED		= 11,
	REGIONFS_EVENT_MOVED		= 12,
	REGIONFS_EVENT_LATE_DIRTY	= 13,	/* a page was dirtied after freeze had succeeded */
	REGIONFS_EVENT_ATTACHED		= 14,	/* instance */
	REGIONFS_EVENT_LOST		= 15,	/* instance: the helper is gone */
	REGIONFS_EVENT_INSTANCE_NEW	= 16,
	REGIONFS_EVENT_INSTANCE_GONE	= 17,
	REGIONFS_EVENT_WRITERS		= 18,	/* the first writable file is open, or the last one gone: ask for A_WRITERS */
};

/*
 * Counters of a region, and summed over its life of an instance. All grow, except the gauges (G).
 */
enum regionfs_stat {
	REGIONFS_STAT_PAD,
	REGIONFS_STAT_READS,		/* READ requests sent */
	REGIONFS_STAT_READ_BYTES,
	REGIONFS_STAT_DEMAND_READS,	/* of these, with a program waiting */
	REGIONFS_STAT_WRITES,
	REGIONFS_STAT_WRITE_BYTES,
	REGIONFS_STAT_SYNCS,
	REGIONFS_STAT_DISCARDS,
	REGIONFS_STAT_STORED_BYTES,	/* by STORE */
	REGIONFS_STAT_ERRORS,		/* requests answered with an error */
	REGIONFS_STAT_TAKEN_BACK,	/* requests taken back after the limit, or at a helper's death */
	REGIONFS_STAT_LATE_COMMITS,	/* answers to requests that were no longer wanted */
	REGIONFS_STAT_OUTSTANDING,	/* G: requests queued or in the helper's hands; instance only */
	REGIONFS_STAT_CACHED_PAGES,	/* G: region only */
	REGIONFS_STAT_DIRTY_BYTES,	/* G: at least; region only */
	REGIONFS_STAT_LOCAL_BYTES,	/* read by the kernel from a LOCAL file */
	REGIONFS_STAT_WAITS,		/* accesses that waited for a READ to be answered: the sum of A_WAITS */
	REGIONFS_STAT_WAIT_NS,		/* and for how long in all */
	REGIONFS_STAT_STORE_SHORT,	/* bytes that STORE did not put, for lack of memory */
	__REGIONFS_STAT_MAX,
};

#define REGIONFS_STAT_MAX	(__REGIONFS_STAT_MAX - 1)

/*
 * The sizes are part of the contract. Old compilers know the check under another name.
 */
#if defined(__cplusplus)
#define __regionfs_size_check(type, bytes) static_assert(sizeof(type) == (bytes), #type)
#else
#define __regionfs_size_check(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#endif
__regionfs_size_check(struct regionfs_io_cmd, 16);
__regionfs_size_check(struct regionfs_attach, 144);
__regionfs_size_check(struct regionfs_io_desc, 64);
__regionfs_size_check(struct regionfs_token, 24);
__regionfs_size_check(struct regionfs_store, 48);
__regionfs_size_check(struct regionfs_local, 40);
__regionfs_size_check(struct regionfs_range, 16);

#endif /* _UAPI_LINUX_REGIONFS_H */
