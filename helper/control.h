/* SPDX-License-Identifier: GPL-2.0 */
/*
 * control: what regionctl says to regiond, over a UNIX stream socket, /run/regionfs/NAME/control (mode 0600;
 * the peer's credentials are checked too: root, or for commands marked R a member of --allow-group).
 *
 * Newline-delimited JSON, one object a line, at most CONTROL_LINE bytes. A connection carries one request after the
 * other (a second one sent before the first is answered waits). Request:
 *
 *     {"cmd": "add", "args": {"region": "db", "source": "file:/x", "size": 1048576}}
 *
 * Answer: any number of progress (and, for "events", event) lines, then exactly one ok or error line:
 *
 *     {"progress": {"done": 1048576, "total": 4194304, "unit": "bytes", "what": "pulling"}}
 *     {"event": {"event": "created", ...}}
 *     {"ok": {...}}
 *     {"error": {"errno": 2, "message": "no region named db in instance demo"}}
 *
 * errno is positive. total 0: unknown. Closing the connection detaches from a long command: those marked D
 * go on without it, the others are given up. Numbers are integers, sizes bytes; 64-bit ids and lineages are
 * JSON integers below 2^63, else strings "0x...". A region is named by "region": its path below the mount (no leading '/'), or
 * "#ID". An unknown key in args is refused (EINVAL), so a misspelled option is never ignored.
 *
 * The commands; ? marks what may be left out, R read-only ones, D those that go on when the client leaves.
 *
 * ping R                                     -> {}
 * version R                                  -> {version, abi, protocol: 1}
 * add       region source? size? chunk? mode? uid? gid? timeout? read_only? fixed_size? exclusive? managed? direct? POLICY?
 *           no source: the instance's default. size: else the source's own. mode: integer (0o600 = 384).
 *           parents are made. managed, or any of POLICY: a managed region; direct: none though the instance's are. EEXIST when the path is taken, or with no "exclusive": equal ones are fine only from /etc.
 *                                            -> {REGION}
 * ls R      path? fields?                    -> {regions: [REGION...]} sorted by path; path: those at or below it;
 *                                               fields: "path size ..." gives only these members of each, as arrays: {rows: [[...]...]}
 * stat R    region                           -> {REGION, stats: {reads, read_bytes, demand_reads, writes, write_bytes, syncs,
 *                                               discards, stored_bytes, local_bytes, errors, taken_back, late_commits,
 *                                               outstanding, cached_pages, dirty_bytes, wait_count, wait_ns, store_short,
 *                                               waits: [24 of them]}, backend: {BACKEND} or null, managed?: {MANAGED},
 *                                               handover?: {HANDOVER}, export?: {EXPORT}, write_rate? (what its writers are slowed to, bytes a second)}
 *                                               waits: as A_WAITS
 * map R     region n?                        -> {bucket, buckets: [[present, coming, unpushed, going]...]}   of a managed region, in n parts
 *                                               (64) of bucket bytes; how many bytes of each are so
 * record    region reset?                    -> {chunks, profile}   of a managed region: which of its chunks were touched, in order, as
 *                                               the text of a profile; reset: and from now on anew
 * rm        region discard? purge?           -> {}   discard: with dirty or unpushed bytes too; purge: deletes the backing bytes
 * sync D    region? timeout?                 -> {}   writes what is dirty and makes it durable, at the source; no region: all. timeout:
 *                                               ms; progress
 * pull      region offset? length? pause? resume? rate?
 *                                            -> {bytes}   brings bytes into the page cache; progress. Of a managed region, without
 *                                               offset and length: waits until its order is complete, or with one of pause,
 *                                               resume, rate (bytes a second, 0: no limit), at once: {state, rate}
 * drop      region offset? length? discard?  -> {}   writes, then drops from the page cache; discard: without writing
 * set       region mode? uid? gid? read_only? fixed_size? timeout? source? size? POLICY?
 *                                            -> {REGION}   read_only: true | false (--read-only, --read-write)
 * freeze    region timeout? force?           -> {}
 * thaw      region                           -> {}
 * lock      region timeout?                  -> {}
 * unlock    region                           -> {}
 * events R                                   streams {"event": {event, instance, region?, path?, size?, mode?, ...}} until
 *                                            the client closes
 * drain D   timeout?                         -> {dirty_bytes, unpushed_bytes}   all regions: written, synced and pushed; progress;
 *                                               ETIMEDOUT
 * instance.stat R                            -> {INSTANCE}
 * instance.stop  discard? timeout?           -> {discarded}   writes and pushes what is dirty, ends the instance and regiond. EBUSY while mounted
 * instance.set   takeback? dirty_ratio?      -> {INSTANCE}
 * detach                                     -> {}   ends regiond alone; regions and dirty bytes stay in the kernel
 *
 * of the peer's file control-peer.c:
 * export    region listen source? tls_psk? tls_cert? tls_key? tls_ca? insecure? read_only? allow?   -> {EXPORT}
 *           allow, also of seed: ["WHO=ACTION,..."...], as access.h has it
 * unexport  region                           -> {}
 * seed  D   region more? group? listen allow? tls_psk? tls_cert? tls_key? tls_ca? insecure? on_suspend? on_resume? on_abort? suspend_unit? suspend_cgroup?
 *           hook_timeout? follow_copies? detach?  -> {HANDOVER} or {GROUP}; progress   hook_timeout: ms; follow_copies: bytes. more: [a region...]; with that, or group (a name,
 *           if not the first one's), they are one
 * leech D   region or group, source tls_...? local_source? reuse? reuse_from? compress? also? follow? max_age? finalize? max_downtime? on_stall? handover? on_resume? on_abort?
 *           resume_unit? hook_timeout? detach?   -> {HANDOVER} or {GROUP}; progress
 *           group: a name; then source names no region, and local_source is where each of them gets its own.
 *           finalize: "auto" or "manual", the latter unless one of the next three is given. max_downtime: ms (300). on_stall: "postcopy"
 *           (so if finalize is auto), "throttle" or "wait" (so if it is manual, or handover "complete"). handover: "complete" or "early".
 *           also: [URI or "region:PATH"...], reuse_from: [path...]. A region that has moved away, and is complete there, is replaced
 *           follow: it stays up to date, and is not handed over; instead of the latter, max_age: ms (1000). Ends when it is shown. On a
 *           region that follows already, source is whom to follow from now on.
 * promote D region source_lost? force? on_resume? resume_unit? hook_timeout?  -> {HANDOVER}   of one that follows; force: with source_lost
 * finalize D region handover?                -> {HANDOVER}, or of one in a group {GROUP}; it, abort and resolve are then about all of them
 * abort     region force?                    -> {}
 * resolve   region i_own_it? keep? discard? source_lost? force? also?  -> {}   one of the four; also: with source_lost
 *
 * REGION: id, path, source, size, mode, uid, gid, epoch, lineage, flags: ["read-only", "fixed-size", "frozen",
 *   "locked", "moved"], timeout, opens, writers, nlink, mtime (ns), state ("new", "opening", "ready", "failed", ...), error (sentence, or
 *   absent), policy ("local=memory durability=local ...", as policy.h has it; absent: a direct region).
 * EXPORT: listen, read_only, allow?: ["WHO=ACTION,..."...] (with what the actions bring along; a seeder's HANDOVER has it, too).
 * HANDOVER, also of stat: region, role ("seeder", "leecher", "follower"), state, bytes, rounds, peer, error?, and more, each from when on it is known. ms, bytes,
 *   bytes a second. Leecher, before the hand-over: doing (as progress has it), finalize, handover?, max_downtime, on_stall, stalled, throttle? (what writers there are slowed to),
 *   fetch_rate, dirty_rate, flush_rate, unflushed (dirty in the page cache there), last_round_bytes, remaining, estimate_ms (downtime, if
 *   it came now), behind_ms (what programs may have to wait for after it). Since then at_risk (bytes that only the other side has), risked (that were so at the hand-over), in the end the summary: total_ms, downtime (from the suspend
 *   hook's begin until who waits here is let in), of which suspend_ms, freeze_ms, handover_ms; resume_ms? (what starts the program here, after that, took; if there is something); pull_bytes, round_bytes, final_bytes, behind_bytes; dirty_bytes (the final
 *   list), faults, fault_wait_us, fault_wait_max_us, fault_waits: [faults that took less than 2, 4, 8 ... us]. The seeder has those of
 *   them that it can know, behind?: {HANDOVER}, the leecher's of a region that is seeded on before all of it has come.
 *   Of one in a group, as stat tells it, also group: {name, state (of the one that is least far), members: [{region, state, done?, total?, error?}...],
 *   and of what a HANDOVER has: sums of bytes, faults and estimates, the longest of the other times}.
 * GROUP: group as just said, members: [HANDOVER...].
 *   Of a seeder's followers nr_followers, followers: [{connected, rounds, copied_bytes, peer?}]. Follower: age_ms (of what is shown), max_age,
 *   connected, moved, remaining, states (shown so far), lock_ms and lock_most_ms (that readers waited for one), lost_rounds, reused_bytes.
 * POLICY: local, local_size, pull_order, pull_rate, durability, push_order, push_interval, max_unpushed, on_before_open, on_after_pull,
 *   on_before_sync, on_after_sync: strings as regionctl takes them, or numbers (bytes, ms).
 * MANAGED: policy: {POLICY}; and once it is open hits, misses, hit_bytes, miss_bytes, fetched, bypassed, wait: [READs that took less than 2, 4,
 *   8 ... us, the last: longer], source: {state ("opening", "up", "away"), away_ms}, pull: {state ("pulling", "paused", "yielding",
 *   "complete", "idle"), pulled, in_flight, window, rate, trip_us}; and with a store, store: {present, room, evicted, corrupt,
 *   unpushed, log, oldest_ms, full}, push: {state ("pushing", "waiting", "idle", "away", "stopped"), unpushed, oldest_ms, pushed,
 *   generations, saved, rate, in_flight, limit, error?, waits_for? (the path of the region that has to push something older first),
 *   waits_for_why? ("away", "failing", "closed", "behind")}.
 * BACKEND: scheme, size, chunk, align, max_request, parallel, fence ("none", "process", "lock", "generation"), durability
 *   ("never", "sync", "write"), read_only.
 * INSTANCE: name, id ("0x..."), attach_gen, pid, mounts, regions, takeback, dirty_ratio, default_source, state_dir, queues, depth, max_request,
 *   dirty_bytes, unpushed_bytes, policy (of regions that say nothing else; absent: direct ones), stats: {...}, version.
 */
#ifndef REGIONFS_CONTROL_H
#define REGIONFS_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

#include <linux/regionfs.h>

#include "loop.h"

#define CONTROL_LINE (1u << 20)

struct regiond;
struct control;
struct control_call;

#define CONTROL_READ_ONLY (1u << 0)	/* R: also for --allow-group */
#define CONTROL_DETACHES  (1u << 1)	/* D */

/* One command. A file of commands has a table of them, ended by an empty one, and a line in control_tables[]. */
struct control_cmd {
	const char *name;
	unsigned int flags;
	const char *args;	/* the keys that it takes, separated by blanks; all others are refused before run */
	/* Must end, at once or later, with one control_ok() or control_fail(). */
	void (*run)(struct control_call *call);
};

/* control-region.c, control-instance.c, control-peer.c ... : see control.c */
extern const struct control_cmd *const control_tables[];

/* What a call that is part of another one has failed with; error 0: it has not, so far. */
struct control_failure {
	int error;
	char why[1024];
};

/* A request that is being answered; lives until control_ok() or control_fail(). Main loop only. */
struct control_call {
	struct regiond *regiond;
	const struct control_cmd *cmd;
	json_t *args;		/* an object, valid until the end */
	void *arg;		/* the handler's */
	/* Set by the handler when it wants to know that the client has gone. It must still end the call. */
	void (*gone)(struct control_call *call);
	struct control_client *client;	/* NULL: gone; the answers are dropped then */
	struct control_failure *failure;	/* NULL, or who wants to know */
	bool again;		/* nobody's: what an earlier helper was asked for is begun again; why it can't be is logged */
	bool ends_regiond;	/* instance.stop, detach: answered last */
	/* of the region that "region" names, as the kernel told just now; region NULL: there is none */
	struct region *region;
	uint32_t opens, writers, nlink;
	int64_t mtime;
	uint64_t stats[REGIONFS_STAT_MAX + 1];
};

void control_progress(struct control_call *call, uint64_t done, uint64_t total, const char *unit, const char *what);
/* Takes event. */
void control_event(struct control_call *call, json_t *event);
/* Takes result, NULL for {}. call is freed. */
void control_ok(struct control_call *call, json_t *result);
/* For large results: line is the whole answer, {"ok": ...}, whose text is freed. */
struct text;
void control_ok_text(struct control_call *call, struct text *line);
/* error negative errno; one clear sentence. call is freed. */
void control_fail(struct control_call *call, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * Arguments, with types checked. Each returns 0 (also when the key is absent: value is left alone) or has
 * failed the call with a sentence and returns a negative errno: then just return.
 */
int control_string(struct control_call *call, const char *key, const char **value);
/* An array of strings, or one; the call's, or an array that is empty. */
int control_strings(struct control_call *call, const char *key, json_t **values);
int control_u64(struct control_call *call, const char *key, uint64_t *value);	/* integers, "0x..." and sizes "64M" */
int control_u32(struct control_call *call, const char *key, uint32_t *value);
int control_bool(struct control_call *call, const char *key, bool *value);
bool control_has(struct control_call *call, const char *key);
/*
 * What an earlier helper was asked for, with arguments as control_again_text() gave them, on that region (or NULL). NULL: they make no sense, or no
 * memory.
 */
struct control_call *control_again(struct regiond *regiond, const char *text, struct region *region);
/*
 * A part of another call: with these arguments, which are taken, on that region (or NULL). Nobody is answered; failure, which is set to none, hears whether it failed at
 * once, as long as it is there. NULL: no memory.
 */
struct control_call *control_part(struct regiond *regiond, json_t *args, struct region *region, struct control_failure *failure);
/* malloc'ed, NULL: no memory. */
char *control_again_text(const struct control_call *call, const char *role);
/* Is it that of a role? NULL is of none. */
bool control_again_is(const char *text, const char *role);
/* The region that "region" names, with a reference; NULL: the call has been failed (ENOENT, EINVAL). */
struct region *control_region(struct control_call *call);

/* For results: a string that need not be UTF-8, an id that may be too large for JSON. */
json_t *control_text(const char *text);
json_t *control_id(uint64_t id);

/* ---- regiond's own part ---- */

int control_open(struct control **control, struct regiond *regiond, const char *path, gid_t allow_group, bool have_group);
/* No new requests from now on; those that run are failed with ESHUTDOWN. */
void control_close(struct control *control);
/* After control_close(): has everything that was answered left for its client? */
bool control_flushed(const struct control *control);

#endif
