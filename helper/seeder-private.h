/* SPDX-License-Identifier: GPL-2.0 */
/* What seeder.c (the machine), seeder-command.c (begin and end) and seeder-message.c (the peer's requests) share. */
#ifndef REGIONFS_SEEDER_PRIVATE_H
#define REGIONFS_SEEDER_PRIVATE_H

#include "events.h"
#include "export.h"
#include "followed.h"
#include "group.h"
#include "seeder.h"
#include "state.h"
#include "suspend.h"
#include "tracker.h"

/* For the kernel to freeze a region. */
#define SEEDER_FREEZE_MS 30000u

/* What a record says before its promise; seeder-left.c. */
#define SEEDER_FREEZING	"freezing"
#define SEEDER_MOVED	"moved:"
#define SEEDER_RESOLVED	"resolved:"
#define SEEDER_DIVERGED	"diverged:"
struct seeder_look;

/* What STATUS tells, and what the leecher has asked for. Rates are in bytes a second. */
struct seeder_gauge {
	uint64_t began;			/* as the seeder's: what follows is of that tracking */
	uint64_t round_at;		/* when the running round began */
	uint64_t dirty_rate;		/* of the round before it */
	uint64_t unflushed;		/* bytes, as the kernel told last */
	uint64_t unflushed_before;	/* of these, those of before the running round */
	uint64_t flush_rate;
	uint64_t throttle, throttle_at;	/* what writers are slowed to, and when that was said last */
	uint64_t pulled, asked, owned;	/* bytes that had been sent when the first round was closed, at FINALIZE, at OWNED */
	struct seeder_look *look;	/* a STATUS that the kernel is being asked for */
};

struct seeder {
	struct handover handover;	/* first */
	enum wire_seed_state state;
	struct control_call *call;	/* "seed", until it is answered */
	struct control_call *aborting;	/* "abort" */
	struct control_call *resolving;	/* "resolve" */
	struct export *export;
	struct export_session *session;	/* of the leecher */
	uint8_t client[16];		/* who asked for the hand-over: from then on it is nobody else's */
	struct tracker *tracker;
	struct suspend suspend;
	struct events_watch late;	/* while frozen: for writes that were let through */
	bool watching;
	struct state_waiter written;
	struct serve_req *finalizing;	/* FINALIZE or OWNED, until it is answered */
	struct serve_req *lasts[WIRE_LAST_MAX];	/* LAST, until it is handed over, or will not be */
	struct serve_req *giving_back;	/* ABORT, likewise: once it would be in service after any death */
	bool stepping;			/* a hook or netlink call of the machine is under way */
	bool give_up;			/* go back to service after that step */
	bool forget;			/* and stop tracking: the leecher has given up */
	bool frozen;
	bool complete;
	bool adopted;			/* FINALIZE said that the region's source moves with it */
	bool leaving;			/* its group is aborted: it ends once it is in service */
	int unwritten;			/* that it is in service again */
	uint8_t asked_by[16];		/* FINALIZE said of which leecher's group it is */
	uint32_t chunk, round;
	uint8_t nonce[16];
	uint64_t epoch;			/* the new owner's, as it was promised */
	uint64_t lineage;		/* RESOLVED: ours since */
	uint64_t size;			/* when it was frozen */
	uint64_t final_dirty;		/* chunks */
	uint64_t began, asked, stopped, froze, owned, ended;	/* loop_now_ns() */
	char peer[WIRE_NAME_MAX + 1];
	char why[256];			/* of the last failure */
	struct seeder_gauge gauge;
	uint64_t follow_limit;		/* bytes that are copied for each follower's round */
	uint8_t promoting[16];		/* the follower that was told that it may be promoted, and when */
	uint64_t promoting_at;
	struct seeder_flush *flush;	/* that followers wait for; NULL: none is under way */
	struct loop_timer timer;
	struct loop_timer freezing;	/* it has two owners, and could not be frozen: until it is tried again */
};

static inline struct seeder *seeder_of(struct handover *handover)
{
	return container_of(handover, struct seeder, handover);
}

/* The region's own may be gone by now. */
static inline const char *seeder_name(const struct seeder *seeder)
{
	return seeder->export->name;
}

/* seeder.c */
void seeder_finalize(struct seeder *seeder);
/* The other side, or the user, gives up: THAW, the resume hook, and on with what was asked for. */
void seeder_back(struct seeder *seeder, const char *why);
void seeder_moved(struct seeder *seeder, struct serve_req *req);
/* Having moved keeps everybody out; a frozen region cannot be removed, so it is thawed when nobody needs its bytes any more. */
void seeder_unfreeze(struct seeder *seeder);
/* The same of one without a seeder; epoch: the new owner's. */
void seeder_unfreeze_region(struct region *region, uint64_t epoch);

/* seeder-message.c */
/* Is it for the client that is connected? */
bool seeder_is_tracked(const struct seeder *seeder);
extern const struct export_seed_ops seeder_ops;
/* As the drop of these, of a region that has no seeder any more. */
void seeder_drop_reads(struct region *region, const struct export_session *session, unsigned int slot);
void seeder_reply_final(struct seeder *seeder, struct serve_req *req);

/* seeder-group.c */
/* FINALIZE has come, and is seeder->finalizing: begins when it has for all of its group. */
void seeder_asked(struct seeder *seeder, const uint8_t *body, size_t len);
/* It will not for one of them, so the others' are answered with why (ECANCELED). Where none waits, or it is in no group, nothing. */
void seeder_ungate(struct seeder *seeder, const char *why);
/* back(seeder) for each of its group, as soon as none of them has a step under way. */
void seeder_group_back(struct seeder *seeder, void (*back)(struct seeder *seeder));
/* The one that is not to be handed over after all, or NULL. */
struct seeder *seeder_group_failed(struct seeder *seeder);
/* It has moved, and so have all of its group, whatever becomes of this one. */
void seeder_group_moved(struct seeder *seeder);
/* Has any of its group ever? */
bool seeder_group_has_moved(struct seeder *seeder);
/* Does that apply to any of its group? */
bool seeder_group_any(struct seeder *seeder, bool (*is)(const struct seeder *seeder));
/* GROUP: the name of the group, and whose regions are in it. */
void seeder_take_group(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len);

/* It is in service: does it end, since that was asked for, or one of its group was removed meanwhile? */
bool seeder_group_ends(struct seeder *seeder);
/* The other side has one of its group as well, so all: those that were resolved are frozen, too. */
void seeder_group_diverge(struct seeder *seeder);

/* seeder-group-begin.c */
/* "seed" of more than one region, or of a named group. */
void seeder_group_run(struct control_call *call);

/* seeder-group-left.c */
/* At start: of the groups that an earlier helper was seeding. */
void seeder_group_restart(struct regiond *regiond);
/* "abort" on one of a group that an earlier helper has seeded, and nobody has taken up. */
void seeder_group_abort_left(struct control_call *call, struct region *region, bool force);
/* Head of a message, then as many runs of the tracker's closed round as fit; the frame stays below what a demand connection takes. */
void seeder_reply_list(struct tracker *tracker, struct serve_req *req, enum wire_shape shape, void *msg,
		       struct wire_dirty_reply *dirty, uint64_t from);
/* seeder-hashes.c */
void seeder_take_hashes(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len);
/* In chunks of that size, whatever the seeder's state. */
void seeder_hash(struct seeder *seeder, uint32_t chunk, struct serve_req *req, const uint8_t *body, size_t len);

/* seeder-last.c */
void seeder_take_last(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len);
/* It is handed over: those who have asked get the bytes. */
void seeder_answer_lasts(struct seeder *seeder);
/* It will not be. */
void seeder_fail_lasts(struct seeder *seeder);

/* seeder-follow.c */
/* The number of followers' bytes that may be copied, from the command. -EINVAL: it has been failed. */
int seeder_follow_args(struct seeder *seeder, struct control_call *call);
int seeder_follow_open(struct seeder *seeder, struct export_session *session);
void seeder_follow_message(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len);
/* A READ of a follower's: of the round that it fetches, if it does. */
bool seeder_follow_read(void *arg, struct export_session *session, struct backend_req *req);
/* It is about to be frozen: nobody waits for copies then. */
void seeder_follow_freeze(struct seeder *seeder);
void seeder_follow_gone(struct seeder *seeder, struct export_session *session);
/* A leecher has come: if it was a follower, what was tracked for it goes on. */
void seeder_follow_promote(struct seeder *seeder, const struct export_session *session);
/* Was another one told just now that it may be promoted? */
bool seeder_follow_promises(const struct seeder *seeder, const struct export_session *session);
/* Has any that is connected not heard yet that the region has moved? */
bool seeder_follow_owes(const struct seeder *seeder);
void seeder_follow_show(const struct seeder *seeder, json_t *show);
/* It is about to be freed. */
void seeder_follow_forget(struct seeder *seeder);

/* seeder-status.c */
void seeder_status(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len);
/* A round has just been closed. */
void seeder_round_closed(struct seeder *seeder);
/* FINALIZE has come; OWNED has. */
void seeder_note_asked(struct seeder *seeder);
void seeder_note_owned(struct seeder *seeder);
/* For stat: how it is, and what it was. */
void seeder_show_gauge(const struct seeder *seeder, json_t *show);
/* It is about to be freed: a STATUS that is being asked for is answered without it. */
void seeder_forget(struct seeder *seeder);

/* seeder-throttle.c */
void seeder_take_throttle(struct seeder *seeder, struct serve_req *req, const uint8_t *body, size_t len);
void seeder_unthrottle(struct seeder *seeder);
/* Every now and then: is there still a reason for it? */
void seeder_check_throttle(struct seeder *seeder);

/* seeder-left.c */
/*
 * What outlives the helper, in the state directory. done(written, error) when it is on the disk. Being frozen: the next helper undoes it.
 * Handed over: it is not to be undone.
 */
void seeder_note_freezing(struct seeder *seeder, void (*done)(struct state_waiter *waiter, int error));
void seeder_note_handed(struct seeder *seeder, void (*done)(struct state_waiter *waiter, int error));
/* what: one of the above. */
void seeder_note_promise(struct seeder *seeder, const char *what, void (*done)(struct state_waiter *waiter, int error));
void seeder_note_moved(struct seeder *seeder, void (*done)(struct state_waiter *waiter, int error));
/* The region is in service: nothing is promised to anybody. */
void seeder_note_service(struct region *region);
/* And not seeded any more: nothing is to be known of it. */
void seeder_note_over(struct region *region);
/* That of an earlier helper's which was, or was about to be, handed over, is to be undone; not on the disk yet. */
void seeder_note_undone(struct region *region);
/* What is noted of its changes, for the leecher and for followers, is wanted by nobody any more: a region without a seeder. */
void seeder_drop_tracking(struct region *region);
/* The abort hook of one that an earlier helper was seeding; of a group the first one's. */
void seeder_tell_aborted(struct region *region);
/* It was handed over, so that is not aborted without --force. */
void seeder_fail_handed(struct control_call *call, const struct region *region);
/* It was resolved, so nothing is aborted. */
void seeder_fail_resolved(struct control_call *call, const struct region *region);
/* Is it noted that it was handed over, whatever has become of it since? */
bool seeder_is_handed(const struct region_info *info);
/* Is it the other side's, as the kernel or the record has it? */
bool seeder_says_moved(const struct region_info *info);
/* Goes on with what an earlier helper has left, if it has. */
void seeder_take_up(struct seeder *seeder);
/* The final list, which may have gone with the host: then it is everything. -ENOMEM. */
int seeder_take_list(struct seeder *seeder);
/*
 * Lets programs at the region again: what is frozen is thawed, and what came back locked after a reboot is unlocked. then(arg, error, why, got), not from
 * within.
 */
void seeder_let_in(struct region *region, void (*then)(void *arg, int error, const char *why, const struct netlink_attrs *got),
		   void *arg);

/* seeder-given-up.c */
/* Nobody is to bring the rest of its bytes anywhere, which has moved: it is not seeded any more, nor is it made to make room by others' word. */
void seeder_note_given_up(struct region *region);
/*
 * Of regions that have moved by what the record says, and have no seeder (some may be NULL; there is one): the kernel is told, then the record goes, then who waits for
 * them is told, too. then(arg, error, why), maybe from within. On error what is not known to the kernel stays as it was.
 */
void seeder_give_up_moved(struct region *const *regions, size_t nr, void (*then)(void *arg, int error, const char *why), void *arg);

/* seeder-resolve.c */
/* The other side says that it owns what was resolved here. */
void seeder_diverge(struct seeder *seeder, struct serve_req *req);
void seeder_resolve_again(struct seeder *seeder);
void seeder_diverge_again(struct seeder *seeder);

/* seeder-command.c */
void seeder_end(struct seeder *seeder);
/* May the region be seeded now? Why not, as a negative errno; region->why is said where that is the reason. */
int seeder_check(const struct region *region, int error, char *why, size_t why_len);
/* Of an open region, as a member of the group, which may be NULL. Answers call; the group's is somebody else's. */
void seeder_start(struct control_call *call, struct region *region, struct group *group, unsigned int nth);
/* What it was asked for is over, by the user's word, or since the region was removed. */
void seeder_give_up(struct seeder *seeder, const char *why);

#endif
