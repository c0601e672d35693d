/* SPDX-License-Identifier: GPL-2.0 */
/* What each side has, and where; and what happens between them. */

/* ---- the network: one request at a time ---- */

bool conn;			/* as the leecher sees it */
mtype req;			/* what is left of it when a connection breaks may come nevertheless, until the next connection is made */
byte req_round;
mtype rep;			/* its answer may not */
byte rep_round, rep_list;
mtype rep_state;
#ifdef MUTANT_OLD_CONNECTION_HEARD
mtype old_req;
byte old_round;
#endif

/* ---- seeder ---- */

/* record */
mtype s_rec = R_NONE;
bool s_seed = true;		/* it is to be exported again */
/* disk */
byte s_disk[CHUNKS];
/* its store, as others than a power cut see it */
byte s_store[CHUNKS];
/* kernel */
bool s_there = true;		/* restored since the boot */
bool s_run = true;		/* programs may go on */
byte s_ver[CHUNKS];		/* what they see there; dirty where the store has something else */
/* tmpfs: the tracker */
bool t_on;
byte t_round, t_open, t_closed;
#ifdef OTHER
bool t_others;			/* it was begun by another client */
#endif
/* helper */
bool s_up = true;
mtype s_state = SERVING;
mtype s_step;
mtype s_due;			/* the request that waits for the end of the step */
byte s_asked;			/* the round that FINALIZE was asked with */
bool s_session, s_give_up, s_aborting;
#ifdef OTHER
bool s_busy;			/* another client has the session */
#else
#define s_busy	false
#endif

/* ---- leecher ---- */

mtype l_rec = R_LEECHING;
byte l_rec_bits;		/* chunks that are present, the durable map */
#ifdef MUTANT_MAP_KEPT_BEFORE_OWNED
byte l_rec_round;
#endif
byte l_disk[CHUNKS];
byte l_store[CHUNKS];
/* kernel */
bool l_run;
/* tmpfs: the map */
byte m_bits, m_round;
#ifdef MUTANT_NO_DURABLE_OWNED
bool m_owned;
#else
#define m_owned	false
#endif
#ifdef MUTANT_ASKED_NOT_DURABLE
bool m_asked;
#endif
/* helper */
bool l_up = true;
mtype l_state = CONNECTING;
mtype l_step;
mtype l_asked;			/* the request that is not answered yet */
bool l_track;			/* STATUS was answered, TRACK is next */
bool l_told;			/* OWNED was answered */
byte l_list, l_round;		/* of an answer that is being taken */
byte l_fetching, l_stale;	/* READs that are under way; those whose bytes were too old before they came */
byte l_bytes[CHUNKS];

/* ---- what nobody there can see ---- */

byte clock;			/* the last version on the seeder */
byte l_wrote[CHUNKS];		/* by programs on the leecher: 1, and 2 once synced */
bool l_served;			/* the leecher's region was in service */
byte faults;
byte leeches = 1;
bool s_aborted, l_aborted, resolved;	/* they had their turn */
#ifdef OTHER
bool other;
#else
#define other	true
#endif
#ifdef RESOLVE
byte want[CHUNKS];		/* what was handed over */
bool s_stopped, l_stopped;	/* it has known of the other lineage */
#define WANT(c)	want[c]
#else
#define WANT(c)	s_ver[c]
#endif

byte nth;			/* of a loop; 0 outside */

/* ==== the network ==== */

inline answer(what, round, list, state)
{
	if
	:: conn ->
		rep = what;
		rep_round = round;
		rep_list = list;
		rep_state = state
	:: else -> skip
	fi
}

inline forget_answer()
{
	rep = 0;
	rep_round = 0;
	rep_list = 0;
	rep_state = 0
}

inline forget_request()
{
	req = 0;
	req_round = 0
}

/* Whoever has ended it: the answer is lost, and the request may be. Other connections may still bring what was read. */
inline hang_up()
{
	conn = false;
	forget_answer();
	l_asked = 0;
	s_due = 0
}

inline stop_fetching()
{
	l_fetching = 0;
	l_stale = 0;
	for (nth : 0 .. CHUNKS - 1) {
		l_bytes[nth] = 0
	};
	nth = 0
}
