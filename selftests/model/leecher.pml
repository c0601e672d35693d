/* SPDX-License-Identifier: GPL-2.0 */
/* The leecher's helper. */

#define l_before	(l_state == CONNECTING || l_state == PULLING || l_state == FINALIZING)
#define l_calls		(l_before || l_state == OWNED || l_state == COMPLETE || l_state == REFUSED)

inline forget_list(list)
{
	m_bits = m_bits & (ALL - (list));
#ifndef MUTANT_FETCH_NOT_STALE
	l_stale = l_stale | (l_fetching & (list))
#endif
}

inline forget_all(round)
{
	forget_list(ALL);
	m_round = round
}

inline forget_map()
{
	m_bits = 0;
	m_round = 0;
#ifdef MUTANT_ASKED_NOT_DURABLE
	m_asked = false;
#endif
	l_step = 0;
	l_list = 0;
	l_round = 0;
	l_track = false
}

/* ABORT was answered, or need not be sent. */
inline gone()
{
	l_rec = R_NONE;
	l_rec_bits = 0;
	l_state = GONE;
	stop_fetching();
	hang_up()
}

#ifdef MUTANT_ASKED_NOT_DURABLE
#define may_have_asked	m_asked
#else
#define may_have_asked	(l_rec == R_ASKED)
#endif

/* Before the decision only. Whoever may have sent FINALIZE has to tell, and its successors too. */
inline give_up()
{
	stop_fetching();
	if
	:: may_have_asked ->
#ifdef MUTANT_ABORT_WITHOUT_REFUSED
		l_rec = R_NONE;
#else
		l_rec = R_REFUSED;
#endif
		l_state = REFUSED
	:: else -> gone()
	fi;
	forget_map()
}

/* Where the seeder has lost its tracker, whatever is here may be old. So it is forgotten before TRACK is asked, whose answer may get lost. */
inline took_status()
{
	if
	:: rep_state == SERVING ->
#ifndef MUTANT_TRACK_BEFORE_FORGET
		forget_all(0);
#endif
		l_track = true
	:: rep_state == TRACKING ->
		if
		:: rep_round == m_round || rep_round == m_round + 1 -> skip
		:: else -> forget_all(rep_round)
		fi;
		l_state = PULLING
	:: rep_state == FROZEN || rep_state == HANDED_OFF -> l_state = FINALIZING
	:: rep_state == RESOLVED || rep_state == DIVERGED -> give_up()
	:: else -> assert(false)
	fi
}

/* It is not where it was thought to be, as it has gone on since STATUS: not the end, but asked again. */
inline ask_anew()
{
	l_state = CONNECTING;
#ifdef MUTANT_NO_STATUS_ON_RECONNECT
	l_track = true
#else
	l_track = false
#endif
}

inline take_list()
{
	l_list = rep_list;
	l_round = rep_round;
	l_step = TAKE_LIST
}

inline take_answer()
{
	if
	/* something that was asked before it was given up */
	:: l_state == REFUSED && l_asked != Q_ABORT -> skip
	:: l_state == REFUSED && l_asked == Q_ABORT ->
		assert(rep == A_OK || rep == A_ENOENT);
		gone()
	:: l_before && (rep == A_ENOENT || rep == A_ESTALE) -> give_up()
	:: rep == A_STATUS -> took_status()
	:: l_asked == Q_TRACK && rep == A_OK ->
#ifdef MUTANT_TRACK_BEFORE_FORGET
		forget_all(0);
#endif
		m_round = rep_round;
		l_track = false;
		l_state = PULLING
	:: rep == A_LIST -> take_list()
	:: l_asked == Q_FINALIZE && rep == A_ECANCELED -> l_state = PULLING
	:: l_before && rep == A_EINVAL -> ask_anew()
	:: l_asked == Q_OWNED && rep == A_OK -> l_told = true
	:: l_asked == Q_COMPLETE && (rep == A_OK || rep == A_ENOENT) ->
		l_state = DONE;
		hang_up()
	:: !l_before && rep == A_ESTALE -> l_step = NOTE_DIVERGED
#ifdef MUTANT_LISTENS_TOO_EARLY
	:: l_asked == Q_OWNED && rep == A_ENOENT -> hang_up()
#endif
	fi;
	l_asked = 0
}

/*
 * The decision. No chunk counts as durable with it: one that was synced, forgotten and fetched again is present, and on the disk is what it
 * was before. From here on none is forgotten any more.
 */
inline decide()
{
	assert(l_rec == R_ASKED || l_rec == R_LEECHING);
#ifdef MUTANT_NO_DURABLE_OWNED
	m_owned = true;
#else
	l_rec = R_OWNED;
#endif
#ifdef MUTANT_BITS_FROM_BEFORE_OWNED
	l_rec_bits = l_rec_bits & m_bits;
#endif
	l_state = OWNED;
	l_step = UNLOCK
}

/* What is written to the local store is synced, and then noted in the durable map; an fsync of a program's ends after that. */
inline l_sync()
{
	l_sync_store();
	l_rec_bits = m_bits;
#ifdef MUTANT_MAP_KEPT_BEFORE_OWNED
	l_rec_round = m_round
#endif
}

inline l_sync_store()
{
	for (nth : 0 .. CHUNKS - 1) {
		l_disk[nth] = l_store[nth];
		if
		:: l_wrote[nth] == 1 -> l_wrote[nth] = 2
		:: else -> skip
		fi
	};
	nth = 0
}

#if defined(MUTANT_BITS_FROM_BEFORE_OWNED) || defined(MUTANT_MAP_KEPT_BEFORE_OWNED)
#define l_syncs		(l_state == PULLING || l_state == OWNED)
#else
#define l_syncs		(l_state == OWNED)
#endif
#if CHUNKS == 1
#define l_unsynced	(l_disk[0] != l_store[0] || l_rec_bits != m_bits)
#else
#define l_unsynced	(l_disk[0] != l_store[0] || l_disk[1] != l_store[1] || l_rec_bits != m_bits)
#endif

inline l_start()
{
	if
	:: l_rec == R_NONE -> l_state = GONE
	:: (l_rec == R_LEECHING || l_rec == R_ASKED) && !m_owned -> l_state = CONNECTING
	:: l_rec == R_REFUSED -> l_state = REFUSED
	:: l_rec == R_OWNED || ((l_rec == R_LEECHING || l_rec == R_ASKED) && m_owned) ->
		l_state = OWNED;
		l_step = (l_run -> 0 : UNLOCK)
	:: l_rec == R_COMPLETE ->
		l_state = COMPLETE;
		l_step = (l_run -> 0 : UNLOCK)
	:: l_rec == R_DIVERGED ->
		l_state = DIVERGED;
		l_run = false
	fi;
	l_up = true
}

inline ask(what, round)
{
	req = what;
	req_round = round;
	l_asked = what
}

#define fetches(c)	(l_up && conn && s_reads && !((m_bits | l_fetching) & BIT(c)) && \
			 l_step != TAKE_LIST && l_step != TAKE_ROUND && (l_state == PULLING || l_state == FINALIZING || l_state == OWNED))

inline fetch(c)
{
	l_fetching = l_fetching | BIT(c);
	l_bytes[c] = s_store[c]
}

inline fetched(c)
{
	if
	:: !(l_stale & BIT(c)) ->
		l_store[c] = l_bytes[c];
		m_bits = m_bits | BIT(c)
	:: else -> skip
	fi;
	fetch_over(c)
}

inline fetch_over(c)
{
	l_fetching = l_fetching & (ALL - BIT(c));
	l_stale = l_stale & (ALL - BIT(c));
	l_bytes[c] = 0
}

#define l_free		(l_up && l_step == 0 && l_asked == 0)

active proctype Leecher()
{
end:	do
	:: d_step { !l_up -> l_start() }

	/* ---- connections: what an older one has left behind is not heard once there is a new one ---- */
	:: d_step {
		l_free && !conn && s_up && !s_busy && l_calls ->
#ifdef MUTANT_OLD_CONNECTION_HEARD
		old_req = req;
		old_round = req_round;
#endif
		forget_request();
		conn = true;
		open_session();
#ifndef MUTANT_NO_STATUS_ON_RECONNECT
		if
		:: l_before ->
			l_state = CONNECTING;
			l_track = false
		:: else -> skip
		fi
#endif
	}
	:: d_step { l_up && rep != 0 -> take_answer(); forget_answer() }

	/* ---- what it asks ---- */
	:: d_step { l_free && conn && l_state == CONNECTING && !l_track -> ask(Q_STATUS, 0) }
	:: d_step { l_free && conn && l_state == CONNECTING && l_track -> ask(Q_TRACK, 0) }
	:: d_step { l_free && conn && l_state == PULLING && m_round < ROUNDS -> ask(Q_DIRTY, m_round + 1) }
	:: d_step { l_free && conn && l_state == PULLING -> l_state = FINALIZING }
#ifndef MUTANT_ASKED_NOT_DURABLE
	:: d_step { l_free && l_state == FINALIZING && l_rec == R_LEECHING -> l_rec = R_ASKED }
	:: d_step { l_free && conn && l_state == FINALIZING && l_rec == R_ASKED -> ask(Q_FINALIZE, m_round) }
#else
	:: d_step { l_free && conn && l_state == FINALIZING -> m_asked = true; ask(Q_FINALIZE, m_round) }
#endif
	:: d_step { l_free && conn && l_state == OWNED && !l_told -> ask(Q_OWNED, 0) }
	:: d_step { l_free && conn && l_state == COMPLETE -> ask(Q_COMPLETE, 0) }
	:: d_step { l_free && conn && l_state == REFUSED -> ask(Q_ABORT, 0) }

	/* ---- a list: that it was taken is noted when it was ---- */
#ifdef MUTANT_ROUND_BEFORE_LIST
	:: d_step { l_up && l_step == TAKE_LIST -> m_round = l_round; l_step = TAKE_ROUND }
#else
	:: d_step { l_up && l_step == TAKE_LIST -> forget_list(l_list); l_step = TAKE_ROUND }
#endif
	:: d_step {
		l_up && l_step == TAKE_ROUND ->
#ifdef MUTANT_ROUND_BEFORE_LIST
		forget_list(l_list);
#else
		m_round = l_round;
#endif
		l_list = 0;
		l_round = 0;
		l_step = (l_state == FINALIZING -> DECIDE : 0)
	}

	/* ---- the hand-over ---- */
	:: d_step { l_up && l_step == DECIDE -> decide() }
	:: d_step { l_up && l_step == UNLOCK -> l_run = true; l_served = true; l_step = 0 }
	:: d_step {
		l_free && l_state == OWNED && l_told && m_bits == ALL && !l_fetching ->
		l_sync();
		l_rec = R_COMPLETE;
		l_state = COMPLETE
	}
#ifdef RESOLVE
	:: d_step {
		l_up && l_step == NOTE_DIVERGED ->
#ifndef MUTANT_LEECHER_NOTES_NO_DIVERGENCE
		l_rec = R_DIVERGED;
#endif
		l_step = LOCK_DIVERGED
	}
	:: d_step {
		l_up && l_step == LOCK_DIVERGED ->
		l_run = false;
		l_stopped = true;
		l_state = DIVERGED;
		l_step = 0;
		l_told = false;
		stop_fetching();
		hang_up()
	}
#endif

	/* ---- chunks ---- */
	:: d_step { fetches(0) -> fetch(0) }
	:: d_step { l_up && (l_fetching & BIT(0)) -> fetched(0) }
	:: d_step { l_up && (l_fetching & BIT(0)) && !conn -> fetch_over(0) }
#if CHUNKS > 1
	:: d_step { fetches(1) -> fetch(1) }
	:: d_step { l_up && (l_fetching & BIT(1)) -> fetched(1) }
	:: d_step { l_up && (l_fetching & BIT(1)) && !conn -> fetch_over(1) }
#endif
	:: d_step { l_up && l_step == 0 && l_syncs && l_unsynced -> l_sync() }
#ifdef MUTANT_FSYNC_BEFORE_BITS
	:: d_step { l_up && l_step == 0 && l_syncs && l_unsynced -> l_sync_store() }
#endif
	od
}
