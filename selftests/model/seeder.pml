/* SPDX-License-Identifier: GPL-2.0 */
/* The seeder's helper: the names are those of helper/seeder.h and helper/wire.h. */

#define s_backs		(s_step == UNNOTE_HANDED || s_step == THAW || s_step == NOTE_NONE)
#define s_ahead		(s_step == NOTE_FREEZING || s_step == FREEZE || s_step == NOTE_HANDED || s_step == HAND_OVER)
#define s_over		(s_state == ENDED || s_state == ABORTED || s_state == STARTING)
/* While it is in the middle of something, what would have to wait anyway is left where it is. */
#define s_hears		(s_step == 0 || req == Q_STATUS || ((s_backs || s_ahead) && (req == Q_FINALIZE || req == Q_ABORT)))

inline track_off()
{
#ifdef OTHER
	t_others = false;
#endif
	t_on = false;
	t_round = 0;
	t_open = 0;
	t_closed = 0
}

/* A session begins. What was tracked for somebody else says nothing of what this one has. */
inline open_session()
{
#if defined(OTHER) && !defined(MUTANT_TRACKER_OF_ANOTHER)
	if
	:: t_others ->
		track_off();
		s_state = (s_state == TRACKING -> SERVING : s_state)
	:: else -> skip
	fi;
#endif
	s_session = !s_over
}

#define READABLE	(s_state == SERVING || s_state == TRACKING || s_state == FROZEN || s_state == HANDED_OFF || s_state == MOVED)
#ifdef MUTANT_READ_AFTER_RESOLVE
#define s_reads		(s_up && (READABLE || s_state == RESOLVED || s_state == DIVERGED))
#else
#define s_reads		(s_up && READABLE)
#endif

/* A round that is closed: what was noted in it is a list that can be had again. */
inline close_round()
{
	t_closed = t_open;
	t_open = 0;
	t_round++
}

/*
 * The last round for a leecher that has taken those up to s_asked. An attempt before this one may have closed a round that
 * it has never heard of.
 */
inline close_final()
{
#ifdef MUTANT_FINALIZE_WITHOUT_ROUND
	close_round()
#else
	if
	:: t_round == s_asked -> close_round()
	:: t_round == s_asked + 1 ->
		t_closed = t_closed | t_open;
		t_open = 0
	:: else ->
		t_closed = ALL;
		t_open = 0;
		t_round = s_asked + 1
	fi
#endif
}

inline answer_final(round)
{
	if
#ifdef MUTANT_FINALIZE_WITHOUT_ROUND
	:: t_on -> answer(A_LIST, t_round, t_closed, 0)
#else
	:: t_on && (t_round == round || t_round == round + 1) -> answer(A_LIST, t_round, t_closed, 0)
#endif
	/* the tracker went with a reboot, or the leecher's map did */
	:: else -> answer(A_LIST, round + 1, ALL, 0)
	fi
}

inline take_track()
{
	if
	:: s_state == SERVING ->
		t_on = true;
		s_state = TRACKING;
		answer(A_OK, 0, 0, 0)
	:: s_state == TRACKING -> answer(A_OK, t_round, 0, 0)
	:: s_state == RESOLVED || s_state == DIVERGED -> answer(A_ESTALE, 0, 0, 0)
	:: else -> answer(A_EINVAL, 0, 0, 0)
	fi
}

inline take_dirty(round)
{
	if
	:: s_state == TRACKING && round == t_round + 1 -> close_round()
	:: else -> skip
	fi;
	if
	:: s_state == TRACKING && round == t_round -> answer(A_LIST, round, t_closed, 0)
	:: s_state == RESOLVED || s_state == DIVERGED -> answer(A_ESTALE, 0, 0, 0)
	:: else -> answer(A_EINVAL, 0, 0, 0)
	fi
}

/* Asked again on another connection, it is answered there. */
inline due(what)
{
	if
	:: conn -> s_due = what
	:: else -> skip
	fi
}

inline take_finalize(round)
{
	if
	:: s_state == TRACKING ->
		s_state = FROZEN;
		s_step = NOTE_FREEZING;
		s_asked = round;
		due(Q_FINALIZE)
	:: s_state == FROZEN ->
		s_asked = round;
		due(Q_FINALIZE)
	:: s_state == HANDED_OFF ->
#ifdef MUTANT_LIST_NOT_REPEATED
		answer(A_LIST, t_round, 0, 0)
#else
		answer_final(round)
#endif
	:: s_state == RESOLVED || s_state == DIVERGED -> answer(A_ESTALE, 0, 0, 0)
	:: else -> answer(A_EINVAL, 0, 0, 0)
	fi
}

inline take_owned()
{
	if
	:: s_state == HANDED_OFF ->
		s_step = NOTE_MOVED;
		due(Q_OWNED)
	:: s_state == MOVED -> answer(A_OK, 0, 0, 0)
	:: s_state == RESOLVED ->
		s_step = NOTE_DIVERGED;
		due(Q_OWNED)
	:: s_state == DIVERGED -> answer(A_ESTALE, 0, 0, 0)
	:: else -> answer(A_EINVAL, 0, 0, 0)
	fi
}

inline take_complete()
{
	if
	:: s_state == MOVED ->
		s_step = NOTE_OVER;
		due(Q_COMPLETE)
	:: s_state == RESOLVED || s_state == DIVERGED -> answer(A_ESTALE, 0, 0, 0)
	:: else -> answer(A_EINVAL, 0, 0, 0)
	fi
}

/* What is being done ends first, and the way back is on the disk, before the leecher may forget that it has refused. */
inline take_abort()
{
	if
	:: s_state == FROZEN || s_state == HANDED_OFF ->
#ifdef MUTANT_ABORT_ANSWERED_EARLY
		answer(A_OK, 0, 0, 0);
#else
		due(Q_ABORT);
#endif
		if
		:: s_state == HANDED_OFF -> s_step = UNNOTE_HANDED
		:: else -> s_give_up = true
		fi;
		s_state = FROZEN
	:: s_state == SERVING || s_state == TRACKING -> answer(A_OK, 0, 0, 0)
	:: s_state == RESOLVED ->
		s_rec = R_NONE;
		s_state = SERVING;
		answer(A_OK, 0, 0, 0)
	:: else -> answer(A_EINVAL, 0, 0, 0)
	fi
}

inline take(what, round)
{
	if
	:: s_over -> answer(A_ENOENT, 0, 0, 0)
	:: !s_over && what == Q_STATUS -> answer(A_STATUS, t_round, 0, s_state)
	:: !s_over && what == Q_TRACK -> take_track()
	:: !s_over && what == Q_DIRTY -> take_dirty(round)
	:: !s_over && what == Q_FINALIZE -> take_finalize(round)
	:: !s_over && what == Q_OWNED -> take_owned()
	:: !s_over && what == Q_COMPLETE -> take_complete()
	:: !s_over && what == Q_ABORT -> take_abort()
	fi
}

/* The kernel writes what is dirty, and syncs it; nobody writes from then on. */
inline freeze()
{
	for (nth : 0 .. CHUNKS - 1) {
		if
		:: s_store[nth] != s_ver[nth] && t_on -> t_open = t_open | BIT(nth)
		:: else -> skip
		fi;
		s_store[nth] = s_ver[nth];
#ifndef MUTANT_FREEZE_WITHOUT_SYNC
		s_disk[nth] = s_store[nth]
#endif
	};
	nth = 0;
	s_run = false
}

#ifdef RESOLVE
inline hand_down()
{
	for (nth : 0 .. CHUNKS - 1) {
		want[nth] = s_ver[nth]
	};
	nth = 0
}
#endif

inline thaw()
{
	for (nth : 0 .. CHUNKS - 1) {
		/* what the programs had before the freeze */
		assert(s_run || s_store[nth] == s_ver[nth])
	};
	nth = 0;
	s_run = true
}

inline in_service()
{
	s_rec = R_NONE;
	s_give_up = false;
	s_asked = 0;
	if
	:: s_aborting ->
		s_seed = false;
		s_aborting = false;
		s_session = false;
		s_state = ABORTED;
		track_off()
	:: !s_aborting && t_on -> s_state = TRACKING
	:: else -> s_state = SERVING
	fi;
	if
	:: s_due == Q_FINALIZE && s_state == ABORTED -> answer(A_ENOENT, 0, 0, 0)
	:: s_due == Q_FINALIZE && s_state != ABORTED -> answer(A_ECANCELED, 0, 0, 0)
	:: s_due == Q_ABORT -> answer(A_OK, 0, 0, 0)
	:: else -> skip
	fi;
	s_due = 0;
	s_step = 0
}

/* The next helper: what it finds says where it goes on. */
inline s_start()
{
	if
	:: s_rec == R_NONE && !s_seed -> s_state = ABORTED
	:: s_rec == R_NONE && s_seed && t_on -> s_state = TRACKING
	:: s_rec == R_NONE && s_seed && !t_on -> s_state = SERVING
	:: s_rec == R_FREEZING ->
		s_state = FROZEN;
		s_step = THAW
	:: s_rec == R_HANDED -> s_state = HANDED_OFF
	:: s_rec == R_MOVED -> s_state = MOVED
	:: s_rec == R_OVER -> s_state = ENDED
	:: s_rec == R_RESOLVED ->
		s_state = RESOLVED;
		s_step = THAW_RESOLVED
	:: s_rec == R_DIVERGED ->
		s_state = RESOLVED;
		s_step = FREEZE_DIVERGED
	fi;
	if
	:: s_rec == R_NONE && !s_there -> s_run = true
	:: else -> skip
	fi;
	s_there = true;
	s_up = true
}

active proctype Seeder()
{
end:	do
	/* the state of each before anything else: a helper is exported again before it listens */
#ifdef MUTANT_LISTENS_TOO_EARLY
	:: d_step { !s_up -> s_up = true; s_state = STARTING }
	:: d_step { s_up && s_state == STARTING -> s_start() }
#else
	:: d_step { !s_up -> s_start() }
#endif

	/* ---- what is asked ---- */
	:: d_step {
		s_up && req != 0 && (conn || s_session) && s_hears && s_due == 0 ->
		take(req, req_round);
		forget_request()
	}
	/* what a connection has left behind is lost; that of a session that is over is not heard */
	:: d_step { req != 0 && !conn -> forget_request() }
#ifdef MUTANT_OLD_CONNECTION_HEARD
	:: d_step {
		s_up && old_req != 0 && s_step == 0 && s_due == 0 && !conn && s_session ->
		take(old_req, old_round);
		old_req = 0;
		old_round = 0
	}
#endif
	/* it was away for 30 s */
	:: d_step {
		s_up && !conn && (s_session || s_state == TRACKING) && (s_state != FROZEN || s_ahead) ->
		s_session = false;
#ifdef OTHER
		s_busy = false;
#endif
		forget_request();
		if
		:: s_state == FROZEN -> s_give_up = true
		:: s_state == TRACKING ->
			track_off();
			s_state = SERVING
		:: else -> skip
		fi
	}

	/* ---- FINALIZE ---- */
	:: d_step { s_up && s_ahead && s_give_up -> s_step = UNNOTE_HANDED }
	:: d_step {
		s_up && s_step == NOTE_FREEZING && !s_give_up ->
#ifndef MUTANT_FREEZING_NOT_NOTED
		s_rec = R_FREEZING;
#endif
		s_step = FREEZE
	}
	:: d_step {
		s_up && s_step == FREEZE && !s_give_up ->
		freeze();
#ifdef RESOLVE
		hand_down();
#endif
		close_final();
		s_step = NOTE_HANDED
	}
	:: d_step { s_up && s_step == NOTE_HANDED && !s_give_up -> s_rec = R_HANDED; s_step = HAND_OVER }
	:: d_step {
		s_up && s_step == HAND_OVER && !s_give_up ->
		s_state = HANDED_OFF;
		s_step = 0;
		if
		:: s_due == Q_FINALIZE -> answer_final(s_asked)
		:: else -> skip
		fi;
		s_due = 0;
		s_asked = 0
	}

	/* ---- back to service: that it was not handed over comes first, lest the next helper answers FINALIZE while programs go on ---- */
	:: d_step {
		s_up && s_step == UNNOTE_HANDED ->
#ifndef MUTANT_THAW_BEFORE_NOTE
		if
		:: s_rec == R_HANDED -> s_rec = R_FREEZING
		:: else -> skip
		fi;
#endif
		s_step = THAW
	}
	:: d_step { s_up && s_step == THAW -> thaw(); s_step = NOTE_NONE }
	:: d_step { s_up && s_step == NOTE_NONE -> in_service() }

	/* ---- OWNED, COMPLETE ---- */
	:: d_step { s_up && s_step == NOTE_MOVED -> s_rec = R_MOVED; s_step = TELL_MOVED }
	:: d_step {
		s_up && s_step == TELL_MOVED ->
		s_state = MOVED;
		s_step = 0;
		if
		:: s_due == Q_OWNED -> answer(A_OK, 0, 0, 0)
		:: else -> skip
		fi;
		s_due = 0
	}
	:: d_step {
		s_up && s_step == NOTE_OVER ->
#ifdef MUTANT_COMPLETE_FORGETS
		s_rec = R_NONE;
		s_seed = false;
#else
		s_rec = R_OVER;
#endif
		s_step = TELL_OVER
	}
	:: d_step {
		s_up && s_step == TELL_OVER ->
		s_state = ENDED;
		s_session = false;
		s_step = 0;
		track_off();
		if
		:: s_due == Q_COMPLETE -> answer(A_OK, 0, 0, 0)
		:: else -> skip
		fi;
		s_due = 0
	}

#ifdef RESOLVE
	/* ---- resolve --i-own-it ---- */
	:: d_step { s_up && s_state == HANDED_OFF && s_step == 0 && !resolved -> resolved = true; s_step = NOTE_RESOLVED }
	:: d_step { s_up && s_step == NOTE_RESOLVED -> s_rec = R_RESOLVED; s_state = RESOLVED; s_step = THAW_RESOLVED }
	:: d_step { s_up && s_step == THAW_RESOLVED -> thaw(); track_off(); s_step = 0 }
	:: d_step {
		s_up && s_step == NOTE_DIVERGED ->
#ifndef MUTANT_DIVERGED_NOT_NOTED
		s_rec = R_DIVERGED;
#endif
		s_step = FREEZE_DIVERGED
	}
	:: d_step {
		s_up && s_step == FREEZE_DIVERGED ->
		freeze();
		s_stopped = true;
		s_state = DIVERGED;
		s_step = 0;
		if
		:: s_due == Q_OWNED -> answer(A_ESTALE, 0, 0, 0)
		:: else -> skip
		fi;
		s_due = 0
	}
#endif
	od
}
