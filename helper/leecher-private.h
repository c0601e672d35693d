/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What leecher.c (the machine), leecher-begin.c (meeting the other side), leecher-fail.c (giving up), leecher-command.c (begin and end),
 * leecher-round.c (rounds of dirty chunks) and leecher-own.c (the decision) share.
 */
#ifndef REGIONFS_LEECHER_PRIVATE_H
#define REGIONFS_LEECHER_PRIVATE_H

#include "backends/leech.h"
#include "group.h"
#include "leech-record.h"
#include "leecher.h"
#include "leecher-estimate.h"
#include "state.h"
#include "suspend.h"
#include "wire.h"

/* A list of dirty chunks fits a demand frame. */
#define LEECHER_REPLY	(256u + WIRE_RANGES_MAX * 12u)

enum leecher_state {
	LEECHER_CONNECTING,
	LEECHER_PULLING,
	LEECHER_FINALIZING,
	LEECHER_OWNED,
	LEECHER_DIVERGED,	/* and the other side has it as well */
	LEECHER_COMPLETE,
	LEECHER_FAILED,
};

/* When programs over there change as much as the link carries. */
enum leecher_on_stall {
	LEECHER_POSTCOPY,	/* hand over, fetch behind */
	LEECHER_THROTTLE,	/* have them slowed */
	LEECHER_WAIT,
};

/* What may be missing then. */
enum leecher_handover {
	LEECHER_WHEN_COMPLETE,	/* what the last list names, and that is little */
	LEECHER_EARLY,		/* anything */
	LEECHER_AS_TOLD,	/* the first, unless the user, or a stall, says otherwise */
};

/* When to hand over; leecher-when.c. Times are loop_now_ns(), rates bytes a second. */
struct leecher_when {
	uint32_t max_downtime;		/* ms */
	enum leecher_on_stall on_stall;
	enum leecher_handover handover;
	uint64_t fetch_rate;
	uint64_t pull_at, pull_from;	/* what is measured now: since when, and the bytes that had come by then */
	uint64_t looked_at;		/* pull_at, when the other side was asked last while pulling */
	uint64_t round_at;		/* when the last round was asked for */
	uint64_t rest_until;		/* no round before that */
	struct wire_status status;
	struct estimate estimate;
	bool estimated;			/* the two above are there */
	struct estimate_trend trend;
	struct estimate_curve curve;	/* of the first pull; */
	uint64_t curve_at, curve_from;	/* when that, or the first round, began, and what was changed by then */
	bool stalled;
	bool halfway;			/* that was seen in the middle of this round */
	bool flushing;			/* the STATUS that was asked last has what is dirty written first, */
	bool prepared;			/* that was done, and FINALIZE may follow */
	uint64_t throttle, throttle_at;	/* what writers over there are slowed to, and when that was told last */
	uint64_t hook;			/* ns that a FINALIZE took that came to nothing */
	uint64_t rtt;			/* the best, when FINALIZE was asked */
	bool pulled_once;
	uint64_t first, unlocked;	/* bytes that had come when all had come once, and when programs could go on here */
};

struct leecher {
	struct handover handover;	/* first; region is NULL until the kernel has it */
	enum leecher_state state;
	struct regiond *regiond;
	struct control_call *call;	/* "leech", until it is answered */
	struct control_call *finalizing;	/* "finalize" */
	struct control_call *aborting;	/* "abort" */
	struct control_call *resolving;	/* "resolve" */
	struct control_call *seeding;	/* "seed", that waits for a step to end */
	struct leech *leech;		/* NULL: not open yet, or gone */
	struct leech_watch watch;
	char *path, *local, *from, *source;
	struct region *left;		/* of the last stay, until it is removed; a reference; NULL: none */
	json_t *reuse_from;		/* paths of regions here that may have some of it; NULL: none */
	struct chunk_index *index;	/* of these, while it is built */
	struct places *places;		/* where else its bytes may be; NULL: nowhere */
	char *policy;			/* how it will be managed, with local as its source; NULL: it will be a direct one */
	bool looked;			/* local was looked at, before it was asked for: */
	bool source_fixed;		/* it can't grow, nor shrink */
	uint64_t source_size;
	bool unfenced;			/* also with a source that lets the other side's last writes come late */
	char *again;			/* the command's arguments, as control_again() takes them */
	char token[33];
	bool detach;			/* "leech" is answered once pulling has begun */
	bool manual;			/* finalize when told to only */
	bool reuse;			/* the local store has it from its last stay */
	bool wanted;			/* told to */
	bool asking;			/* a message is under way */
	bool stepping;			/* the kernel, a hook or the store is being waited for: none of us is freed before that */
	bool settled;			/* nothing is missing of what is known */
	bool moved_in;			/* the kernel has the local source */
	bool closing;			/* it was removed, and the leech, which is being closed, needs its map for as long */
	bool all_here;			/* but the resume hook has not ended yet */
	bool resumed;			/* the resume hook was run, by whichever helper */
	bool asked_ever;		/* FINALIZE may have been sent, by whichever helper: giving up is to be told until it is heard */
	bool also_more;			/* some were named with "resolve", which is to be durable before that is answered */
	bool lost;			/* the other side is, for good: it need not hear anything */
	bool diverged;			/* and that has been written down */
	unsigned int attempt;		/* its group's, when FINALIZE was asked */
	bool stuck;			/* its group was owned here, but it never was */
	bool dropped;			/* nor will be, by its operator's word */
	void (*waited)(struct handover *handover);	/* for what it goes on waiting once it is noted that the other side is lost */
	bool deciding;			/* the decision is being written */
	bool was_follower;
	uint64_t heard_at;		/* of that: loop_now_ns() when its owner was there last, before FINALIZE */
	bool giving_up;
	bool ending;			/* "abort --force": what was a follower is none again */
	bool follows;			/* it was one, and is one again */
	bool begun;			/* it pulls, and the next helper would go on with it */
	bool held;			/* it has been given up, which waits for the first of its group to have refused */
	bool parted;			/* the other side was let go of, since it did not hear that we give up */
	int error;			/* why */
	struct link_req message;
	uint8_t body[WIRE_TEXT_MAX + 8];
	uint8_t *reply;			/* LEECHER_REPLY bytes */
	uint32_t round, told_round;	/* whose list was taken whole; that the other side has closed, as it said when we met */
	uint64_t round_dirty;		/* chunks of the last round */
	struct leecher_when when;
	struct wire_finalize_reply final;
	struct chunkmap_owner owner;	/* once that is us */
	struct regionfs_range *ranges;	/* of the final round, to be dropped from the page cache */
	unsigned int nr_ranges, max_ranges;
	bool forgot;			/* these are not the final list alone */
	struct suspend suspend;
	struct state_waiter noted;
	struct loop_timer timer;	/* progress, and when to look for dirty chunks again */
	struct loop_timer limit;	/* of connecting, of giving up */
	uint64_t began, asked, handed, owned, done;	/* loop_now_ns() */
	uint64_t resuming, went_on;	/* the resume hook's begin and end, the same; 0: this helper has not run it */
	uint64_t pulled;		/* bytes before the hand-over */
	uint64_t risked;		/* bytes that only the other side had then */
	struct {
		void (*then)(void *arg, int error, const char *why);
		void *arg;
		struct loop_timer limit;
	} pass;				/* who waits until it may be handed on */
	struct {
		void (*then)(void *arg, int error);
		void *arg;
	} let_go;
	char why[WIRE_TEXT_MAX + 128];
};

/* Nothing more is to be made of what comes. */
static inline bool leecher_leaves(const struct leecher *leecher)
{
	return leecher->giving_up || !leecher->leech;
}

static inline struct leecher *leecher_of(struct handover *handover)
{
	return container_of(handover, struct leecher, handover);
}

/* leecher-group.c */
/* FINALIZE is asked for all of its group as soon as each of them is ready for that. */
void leecher_group_finalize(struct leecher *leecher);
/* This one is to be handed over, so all are. */
void leecher_group_want(struct leecher *leecher);
/* Is a hand-over of all of them worth it, in ns? */
bool leecher_group_worth(const struct leecher *leecher);
/* Has all of it been pulled once, and of the others of its group? */
bool leecher_group_pulled(const struct leecher *leecher);
/* The other side has gone back to service: whatever those that wait for this one were told holds no more. */
void leecher_group_unasked(struct leecher *leecher);
/* FINALIZE is about to be asked. */
void leecher_group_asks(struct leecher *leecher);
/* It has an answer, and room; true: that holds no more, and it has begun anew. */
bool leecher_group_outdated(struct leecher *leecher);
/* Its group is owned here, but this one is not noted so yet: there is no way back. */
bool leecher_group_forward(const struct leecher *leecher);
/* May any of its group become owned here this very moment? */
bool leecher_group_deciding(struct leecher *leecher);
/* It is noted as owned here: once the first one is, the others follow. */
void leecher_group_owned(struct leecher *leecher);
/* It is given up: so are the others. */
void leecher_group_fail(struct leecher *leecher, int error, const char *why);
/* Has its refusal to wait for the first one's? Then leecher_ended() comes again. */
bool leecher_group_holds(struct leecher *leecher);
/* The first one's refusal is on stable storage; arg: its group, whose reference is given up. */
void leecher_group_refused(void *arg);
/* Where there is no way back, what has failed is tried again. */
void leecher_group_retry(struct leecher *leecher, const char *why);
/* For who is not waited for. */
void leecher_group_nothing(struct handover *handover);
/* One of the group pulls. */
void leecher_group_begun(struct leecher *leecher);
/* At start, once all leechers that an earlier helper has left are there: what becomes of this one's group. */
void leecher_group_restart(struct leecher *leecher);

/* leecher-group-resolve.c */
/* The other side has it in service, though its group is owned here. */
void leecher_group_stuck(struct leecher *leecher);
/* Is what is to move with a region of this size its source, as far as that can be told? false: why says why not. */
bool leecher_fits_source(const struct leecher *leecher, uint64_t size, char *why, size_t len);
/* It has diverged: so have the others. */
void leecher_group_diverge(struct leecher *leecher, const char *why);
/*
 * It is owned here, and is to be let in, or its program started: true where its group has diverged, and that is left out; leecher_stepped() has come by then.
 * locked: programs have not been let in yet.
 */
bool leecher_group_stops(struct leecher *leecher, bool locked);
/* Its backend is open: it may have heard of it too early. */
void leecher_group_opened(struct leecher *leecher);
/* Its group is owned here, and it is not. */
bool leecher_group_never_owned(const struct leecher *leecher);
/* Is it removed by that, since its group has to do without it? */
bool leecher_group_drops(const struct leecher *leecher, enum resolution resolution);
/* Those are; call: answered when the named one is gone; both, and group, may be NULL. */
void leecher_group_drop(struct group *group, enum resolution resolution, struct leecher *named, struct control_call *call);
/* What to say instead, where there is nothing to resolve; begins with a comma, or is empty. */
const char *leecher_group_remedy(const struct leecher *leecher);

/* leecher-group-begin.c */
/* "leech" with --group. */
void leecher_group_run(struct control_call *call);

/* leecher-begin.c */
/* Asks how far the other side is, and goes on from there: at first, in the next helper, and when it does not know us any more. */
void leecher_meet(struct leecher *leecher);

/* What is here already need not come; arg is the leecher. */
void leecher_reused(void *arg);

/* leecher.c */
/* Looks at what is to be done next. */
void leecher_next(struct leecher *leecher);
void leecher_finalize_now(struct leecher *leecher);
/* All that is known to be missing has come. */
void leecher_settled(struct leech_watch *watch);

/* leecher-fail.c */
void leecher_fail(struct leecher *leecher, int error, const char *why);
void leecher_fail_later(struct leecher *leecher, int error, const char *why);

/* leecher-round.c */
/* Sends a message; done comes with the reply in leecher->reply, req.got bytes of it. */
void leecher_send(struct leecher *leecher, uint8_t type, uint32_t len, void (*done)(struct link_req *req, int error));
/* Asks for the next round, or for the rest of the final one from a chunk on. */
void leecher_ask_dirty(struct leecher *leecher, uint32_t round, uint64_t from);
/* Marks what a list in the reply names. used: where its entries begin. -EPROTO. */
/* A range to be dropped from the page cache with the hand-over. -ENOMEM. */
int leecher_add_range(struct leecher *leecher, uint64_t offset, uint64_t length);
int leecher_take_list(struct leecher *leecher, const struct wire_dirty_reply *list, size_t used);

/* leecher-resolve.c */
void leecher_diverge(struct leecher *leecher, const char *why);
void leecher_diverge_now(struct leecher *leecher);
/* The next helper: the last one may have died before it was frozen. */
void leecher_diverge_again(struct leecher *leecher);
/* The chunks that were changed last are fetched before all else, if they are few. */
void leecher_hurry(struct leecher *leecher);

/* leecher-when.c */
void leecher_pull(struct leecher *leecher);
/* All that was missing has come. */
void leecher_pulled(struct leecher *leecher);
/*
 * Asks the other side how it is there; then goes on with the first pull, a round, or FINALIZE. What is dirty in its page cache is written before
 * each of them: what was pulled before that would come twice.
 */
void leecher_ask_status(struct leecher *leecher);
/* For the next round? */
bool leecher_is_time(const struct leecher *leecher);
/* A round of so many chunks has been closed. */
void leecher_judge(struct leecher *leecher, uint64_t total);
/* FINALIZE is about to be asked; it has come to nothing; the region was unlocked here. */
void leecher_begin_finalize(struct leecher *leecher);
void leecher_not_now(struct leecher *leecher);
void leecher_unlocked(struct leecher *leecher);
/* Writers over there are not slowed any more, or may not be: rounds tell anew whether they are to be. */
void leecher_unthrottled(struct leecher *leecher);
/* Every now and then. */
void leecher_look(struct leecher *leecher);

/* leecher-show.c */
/* Bytes that are here on no disk and in no memory: lost with the other side, should it be lost for good. */
uint64_t leecher_at_risk(const struct leecher *leecher);
/* What it is doing, as progress has it; into text where it needs room. */
const char *leecher_what(const struct leecher *leecher, char *text, size_t len);
/* For stat: what has come, and what has not. */
void leecher_show_bytes(const struct leecher *leecher, json_t *show);
/* For stat: before the hand-over, and since then. */
void leecher_show_way(const struct leecher *leecher, json_t *show);
void leecher_show_end(const struct leecher *leecher, json_t *show);

/* leecher-own.c */
void leecher_own(struct leecher *leecher);
/* The decision itself, or what follows from the first one's. */
void leecher_own_now(struct leecher *leecher);
/* The resume hook. Ends in leecher_stepped(). */
void leecher_resume(struct leecher *leecher);
/* The kernel gets what the other side's had, and lets the programs in. Ends in leecher_stepped(). */
void leecher_tell_kernel(struct leecher *leecher);


/* The backend, as soon as that can be. */
void leecher_open_again(struct leecher *leecher);

/* leecher-chain.c */
/* No step is under way any more. */
void leecher_seed_now(struct leecher *leecher);
/* The other side has heard that it is owned here, or never will. */
void leecher_heard(struct leecher *leecher, int error, const char *why);
/* It ends; its region has no leecher any more. */
void leecher_leave_chain(struct leecher *leecher, int error);

/* leecher-replace.c */
/* Does what is here make room? Else why not, as a negative errno. */
int leecher_may_replace(const struct region *region, char *why, size_t len);
/* The same, where another host says that there is one of that name, and the user has not said it. */
int leecher_may_replace_unnamed(const struct region *region, char *why, size_t len);
/* The bytes that a moved region has left here, or NULL. */
const char *leecher_store_left(const struct region *region);
/* then(leecher, error, why), maybe from within: there is no region any more, where it is to be. */
void leecher_replace(struct leecher *leecher, struct region *region, void (*then)(struct leecher *leecher, int error, const char *why));
/* leecher-left.c */
/* Of the group, once all are owned here: the kernel is told if it was not, and the program resumed. */
void leecher_go_on(struct leecher *leecher);
/* leecher-follow.c */
/* Was it a follower? By its arguments. */
bool leecher_was_follower(const struct leecher *leecher);
/* And may it be one again? */
bool leecher_may_follow(const struct leecher *leecher);
/* From here on its local store is no state that was shown: the other side is there, and what is newer there comes. */
void leecher_spoil(const struct leecher *leecher);
/* Every now and then: an owner that has gone before it was asked for the hand-over is followed again, when it comes back. */
void leecher_look_followed(struct leecher *leecher);
/* It has not come to that: its files are the follower's again. */
bool leecher_is_unspoilt(const struct leecher *leecher);
/* The kernel has the region as a follower's again, locked as it is. */
void leecher_return(struct leecher *leecher, void (*done)(void *arg, int error, const char *why), void *arg);
/* What is to be known of it when the leecher is gone; then, whose region follows. Takes was. */
struct leecher_was {
	char *again, *local;
};
struct leecher_was leecher_was(const struct leecher *leecher);
void leecher_follow(struct region *region, struct leecher_was *was);
/* leecher-adopt.c */
/* Of the command's arguments: how it will be managed. Negative: the call has been failed. */
int leecher_take_policy(struct control_call *call, struct leecher *leecher);
/* Does the region's source move with it? Not one that is made here for it: the other side's stays that one's. */
bool leecher_adopts(const struct leecher *leecher);
/* Looks whether this host may take the source over; then then(leecher, 0, ""), or an error and why. Maybe from within. */
void leecher_look_at_source(struct leecher *leecher, void (*then)(struct leecher *leecher, int error, const char *why));
/* What it is to be managed by is on the disk, before the kernel hears where its bytes are: then(waiter, error). */
void leecher_note_policy(struct leecher *leecher, void (*then)(struct state_waiter *waiter, int error));
/* For stat: how far the source is that moves with it. */
void leecher_show_adoption(const struct leecher *leecher, json_t *show);

/* leecher-args.c */
/* The other side's URI, with the keys of the call, NULL without memory. Negative: the call has been failed. */
int leecher_take_from(struct control_call *call, char **from);
/* Negative: the call has been failed. */
int leecher_take_args(struct control_call *call, struct leecher *leecher);
/* Of these, when it is to be handed over. */
int leecher_take_when(struct control_call *call, struct leecher *leecher);
/* Of those of "finalize": how. */
int leecher_take_finalize(struct control_call *call, struct leecher *leecher);

/* A source as the command line has it, with the keys that are there; malloc'ed, NULL: no memory. */
char *leecher_source(struct control_call *call, const char *source);

/* leecher-reuse.c */
/* Negative: the call has been failed. */
int leecher_take_reuse(struct control_call *call, struct leecher *leecher);
/* Before anything is pulled; ends with leecher_reused(), maybe from within. */
void leecher_reuse(struct leecher *leecher);

/* leecher-also.c */
/* Of the command's arguments. Negative: the call has been failed. */
int leecher_take_also(struct control_call *call, struct leecher *leecher);
/* More of them, of another command's: from now on they are among the first one's. Negative: the call has been failed. */
int leecher_add_also(struct control_call *call, struct leecher *leecher);
/* The backend is open. */
void leecher_use_also(struct leecher *leecher);
/* All of them were asked, and the other side is lost: what is missing is so for good. */
void leecher_nowhere(struct leech_watch *watch);
void leecher_show_also(const struct leecher *leecher, json_t *show);

/* leecher-again.c */
/* What was asked for by the command, in an earlier helper. false: no memory. */
bool leecher_recall(struct leecher *leecher, struct region *region, const struct uri *uri);
/* The name of its files, and of us for the other side. -EIO: no random numbers. */
int leecher_make_token(struct leecher *leecher);
/* Its region's source, of what is wanted: leecher->source. -ENOMEM, -ENAMETOOLONG. */
int leecher_make_source(struct leecher *leecher);
/* It was noted as one of a group: it is one again. */
void leecher_join_again(struct leecher *leecher);

/* leecher-command.c */
/* Of its arguments; as a member of the group. The call is answered; its region is what is left here of the last stay, and will make room. */
void leecher_start(struct control_call *call, struct group *group, unsigned int nth);
/* All of its group have been started: what is left here makes room, and its region is made. Or, after leecher_fail(), it ends. Maybe from within. */
void leecher_set_off(struct leecher *leecher);
void leecher_ended(struct leecher *leecher, int error);
void leecher_begun(struct leecher *leecher);
/* A step after the decision has ended: goes on with what came meanwhile. */
void leecher_stepped(struct leecher *leecher);
/* One of an earlier helper's; its region is the caller's to have opened. */
struct leecher *leecher_again(struct region *region, const struct uri *uri, const struct leech_record_head *head);
/* Its backend is open: all may be here already. */
void leecher_opened_again(struct leecher *leecher);
/* The next helper is to know the arguments as they are now. */
void leecher_note_again(struct leecher *leecher);
/* The resume hook has been run, or there is none; the next helper does not run it again. */
void leecher_note_resumed(struct leecher *leecher);
void leecher_answer_finalize(struct leecher *leecher, int error);

#endif
