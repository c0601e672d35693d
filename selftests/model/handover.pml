/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hand-over of a region from one host to another, for spin. docs/protocol.md, "Migration", is what it models; run.sh
 * checks it, and that what comes of each MUTANT_, a rule left out, is found.
 *
 * It is about what is lost when. Each side keeps things in four places:
 *	helper	lost when the helper is killed
 *	tmpfs	and what the kernel knows: lost when the host is rebooted
 *	disk	the local store; a host that is rebooted has of it what was synced
 *	record	a word in the state directory, which is replaced at once, and durable
 *
 * What the main loop does without waiting is one step here. Where it waits for the disk, the kernel or a hook, the next step is another
 * one, and before it anything may happen: at most FAULTS times a connection breaks, a helper is killed, a host is rebooted or a freeze
 * fails, and the user of either side aborts once.
 *
 * Nobody repeats anything for ever unless something fails, so no state is ever reached again (run.sh has spin look), and each run has an end. That
 * it is a good one is what Monitor says.
 *
 * Not in it: nonces and epochs (there is one hand-over at a time), sizes, the connections of a session. With OTHER a second leecher
 * gets as far as TRACK.
 */

#ifndef CHUNKS
#define CHUNKS	1	/* of the region, 1 or 2 */
#endif
#ifndef WRITES
#define WRITES	2	/* by programs on the seeder */
#endif
#ifndef ROUNDS
#define ROUNDS	1	/* of DIRTY, before a leecher asks for the hand-over at the latest */
#endif
#ifndef FAULTS
#define FAULTS	3
#endif
#ifndef LEECHES
#define LEECHES	1	/* one after the other, each with a token of its own */
#endif

#define ALL	((1 << CHUNKS) - 1)
#define BIT(c)	(1 << (c))
#define HERE	9	/* the version that a program on the leecher writes */

mtype = {
	/* what the leecher asks, and what it is answered */
	Q_STATUS, Q_TRACK, Q_DIRTY, Q_FINALIZE, Q_OWNED, Q_COMPLETE, Q_ABORT,
	A_OK, A_STATUS, A_LIST, A_ECANCELED, A_EINVAL, A_ENOENT, A_ESTALE,

	/* the seeder's states. ENDED: COMPLETE has come; STARTING is the mutant's alone */
	SERVING, TRACKING, FROZEN, HANDED_OFF, MOVED, ENDED, ABORTED, RESOLVED, DIVERGED, STARTING,
	/* what it does next, forward and back */
	NOTE_FREEZING, FREEZE, NOTE_HANDED, HAND_OVER,
	UNNOTE_HANDED, THAW, NOTE_NONE,
	NOTE_MOVED, TELL_MOVED, NOTE_OVER, TELL_OVER,
	NOTE_RESOLVED, THAW_RESOLVED, NOTE_DIVERGED, FREEZE_DIVERGED, LOCK_DIVERGED,

	/* the leecher's states. GONE: nothing of it is left here; DONE: it was told that COMPLETE has come */
	CONNECTING, PULLING, FINALIZING, OWNED, COMPLETE, REFUSED, GONE, DONE,
	/* what it does next */
	TAKE_LIST, TAKE_ROUND, DECIDE, UNLOCK,

	/* records */
	R_NONE, R_FREEZING, R_HANDED, R_MOVED, R_OVER, R_RESOLVED, R_DIVERGED,
	R_LEECHING, R_ASKED, R_REFUSED, R_OWNED, R_COMPLETE
};

#include "state.pml"
#include "seeder.pml"
#include "leecher.pml"
#include "world.pml"

/* ==== what has to be true ==== */

/* Only he who has said so wrongly, with resolve, makes two of one; until both know. */
#define s_claims	(s_rec == R_RESOLVED || s_rec == R_DIVERGED)

/* A chunk as the programs on the leecher see it: their own, or the last that was written before the freeze; what is absent is still there. */
#define absent_right(c)	(s_claims || (s_rec != R_OVER && s_store[c] == WANT(c)))
#define chunk_right(c)	(l_wrote[c] -> ((m_bits & BIT(c)) && l_store[c] == HERE) : \
			 ((m_bits & BIT(c)) -> l_store[c] == WANT(c) : absent_right(c)))

#define moved_whole	(l_state == DONE && l_run && s_state == ENDED && !s_run)
#define stayed_whole	(l_state == GONE && !l_run && s_run && s_rec == R_NONE && (s_state == SERVING || s_state == ABORTED))
#define both_stopped	(l_state == DIVERGED && s_state == DIVERGED && !l_run && !s_run)

active proctype Monitor()
{
end:	do
	/* 1: one at most is in service, and not the seeder after the leecher was; who has found that there are two stays stopped */
	:: d_step { s_run && l_run && !s_claims -> assert(false) }
	:: d_step { s_run && l_served && !s_claims -> assert(false) }
#ifdef RESOLVE
	:: d_step { (s_stopped && s_run) || (l_stopped && l_run) -> assert(false) }
#endif
	/* 2: nothing that was written is lost */
	:: d_step { l_run && !chunk_right(0) -> assert(false) }
#if CHUNKS > 1
	:: d_step { l_run && !chunk_right(1) -> assert(false) }
#endif
	/* 3: when nobody has anything left to do, there is one owner, and neither waits for the other */
	:: timeout ->
#ifdef REACH
		assert(!(REACH));
#endif
		assert(s_up && l_up);
#ifdef RESOLVE
		assert(moved_whole || stayed_whole || both_stopped);
#else
		assert(moved_whole || stayed_whole);
#endif
		break
	od
}
