/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hand-over of a group of two regions, for spin: helper/seeder-group.c and helper/leecher-group.c. How one region is handed over is
 * handover.pml's; here its bytes, rounds and meetings are left out, and the steps in which the members wait for each other are looked at: who notes what
 * when, and what the next helper makes of what it finds. Member 0 leads.
 *
 * At most FAULTS times the connection breaks, a helper is killed, a host is rebooted, a freeze fails or a record's write fails, after which nobody knows whether
 * it is there; the user of the leecher aborts once, and it asks for the hand-over ASKS times.
 */
#ifndef FAULTS
#define FAULTS	3
#endif
#ifndef ASKS
#define ASKS	2
#endif

mtype = {
	Q_FINALIZE, Q_OWNED, Q_COMPLETE, Q_ABORT,
	A_OK, A_LIST, A_ECANCELED, A_EINVAL,
	/* the seeder's records and states */
	R_NONE, R_FREEZING, R_HANDED, R_MOVED, R_OVER,
	/* the leecher's; DONE and GONE: there is none any more, since all is there, or since it was refused and the other side knows */
	R_LEECHING, R_OWNED, R_COMPLETE, R_REFUSED, DONE, GONE,
	/* what it does with a member */
	READY, ASKING, ANSWERED
};

#define other	(1 - i)

/* ---- the network: of each member one request, or its answer ---- */
bool conn = true;
mtype req[2];
mtype rep[2];

/* ---- seeder: records, kernel, helper ---- */
mtype s_rec[2] = R_NONE;
bool s_run[2] = true;
bool s_up = true, s_ahead, s_back, s_give_up;
byte s_pos[2];			/* steps that have been done, ahead or back */
bool s_due[2], s_aborts[2];	/* FINALIZE, ABORT that are not answered */
bool s_deaf[2];			/* and cannot be, since the connection that they came by is not there any more */

/* ---- leecher ---- */
mtype l_rec[2] = R_LEECHING;
bool l_run[2];
bool l_up = true, l_decided, l_giving_up, l_aborted;
mtype l_state[2] = READY;
mtype l_waits[2];		/* what is not answered yet */
bool l_heard[2];		/* OWNED was answered */
byte l_asks, faults;

#define OWNED(i)	(l_rec[i] == R_OWNED || l_rec[i] == R_COMPLETE || l_rec[i] == DONE)
#define HAS_MOVED(i)	(s_rec[i] == R_MOVED || s_rec[i] == R_OVER)
#define QUIET		(!s_ahead && !s_back)
/* A step is done when the other one has come as far. */
#define MET(i)		(s_pos[i] == 0 || s_pos[1 - i] >= s_pos[i])

/* What is not waited for any more is dropped. */
inline answer(i, to, what)
{
	if
	:: conn && l_up && !s_deaf[i] && l_waits[i] == to -> rep[i] = what
	:: else -> skip
	fi
}

inline cut()
{
	conn = false;
	s_deaf[0] = true; s_deaf[1] = true;
	req[0] = 0; req[1] = 0;
	rep[0] = 0; rep[1] = 0
}

/* ==== seeder ==== */

inline go_back()
{
	s_ahead = false;
	s_back = true;
	s_give_up = false;
	s_pos[0] = 0;
	s_pos[1] = 0
}

inline take(i)
{
	s_deaf[i] = false;
	if
	:: req[i] == Q_FINALIZE && (s_rec[i] == R_NONE || !QUIET) -> s_due[i] = true
	:: req[i] == Q_FINALIZE && s_rec[i] == R_HANDED && QUIET -> answer(i, Q_FINALIZE, A_LIST)
	:: req[i] == Q_FINALIZE && HAS_MOVED(i) -> answer(i, Q_FINALIZE, A_EINVAL)
	:: req[i] == Q_OWNED && s_rec[i] == R_HANDED && QUIET ->
		s_rec[i] = R_MOVED;
		answer(i, Q_OWNED, A_OK)
	:: req[i] == Q_OWNED && HAS_MOVED(i) -> answer(i, Q_OWNED, A_OK)
	:: req[i] == Q_OWNED && !HAS_MOVED(i) && !(s_rec[i] == R_HANDED && QUIET) ->
		/* nobody says so who was not answered */
		assert(false)
	:: req[i] == Q_COMPLETE ->
		s_rec[i] = R_OVER;
		answer(i, Q_COMPLETE, A_OK)
	:: req[i] == Q_ABORT && (HAS_MOVED(0) || HAS_MOVED(1)) -> answer(i, Q_ABORT, A_EINVAL)
	:: req[i] == Q_ABORT && !HAS_MOVED(0) && !HAS_MOVED(1) && s_ahead ->
		s_aborts[i] = true;
		s_give_up = true
	:: req[i] == Q_ABORT && !HAS_MOVED(0) && !HAS_MOVED(1) && s_back -> s_aborts[i] = true
	:: req[i] == Q_ABORT && QUIET && s_rec[i] == R_HANDED && !HAS_MOVED(other) ->
		s_aborts[i] = true;
		go_back()
	:: req[i] == Q_ABORT && QUIET && s_rec[i] == R_NONE ->
		/* the other's FINALIZE is not waited with */
		s_due[i] = false;
		if
		:: s_due[other] -> answer(other, Q_FINALIZE, A_ECANCELED); s_due[other] = false
		:: else -> skip
		fi;
		answer(i, Q_ABORT, A_OK)
	fi;
	req[i] = 0
}

/* The gate opens: both are asked for. Or the other one is not, for too long. */
inline gate(i)
{
	if
	:: s_due[other] ->
		s_ahead = true;
		s_pos[0] = 0;
		s_pos[1] = 0
	:: !s_due[other] && req[other] == 0 ->
		s_due[i] = false;
		answer(i, Q_FINALIZE, A_ECANCELED)
	fi
}

inline ahead(i)
{
	if
	:: s_pos[i] == 0 -> s_rec[i] = R_FREEZING
	:: s_pos[i] == 1 -> s_run[i] = false
	:: s_pos[i] == 2 -> s_rec[i] = R_HANDED
	fi;
	s_pos[i]++;
#ifdef MUTANT_ANSWERS_EACH
	if
	:: s_pos[i] == 3 && s_due[i] -> s_due[i] = false; answer(i, Q_FINALIZE, A_LIST)
	:: else -> skip
	fi
#endif
}

inline hand_over()
{
	s_ahead = false;
	if
	:: s_due[0] -> s_due[0] = false; answer(0, Q_FINALIZE, A_LIST)
	:: else -> skip
	fi;
	if
	:: s_due[1] -> s_due[1] = false; answer(1, Q_FINALIZE, A_LIST)
	:: else -> skip
	fi
}

inline back(i)
{
	if
	:: s_pos[i] == 0 -> s_rec[i] = (s_rec[i] == R_HANDED -> R_FREEZING : s_rec[i])
	:: s_pos[i] == 1 -> s_run[i] = true
	:: s_pos[i] == 2 -> s_rec[i] = R_NONE
	fi;
	s_pos[i]++
}

inline in_service(i)
{
	if
	:: s_aborts[i] -> answer(i, Q_ABORT, A_OK)
	:: !s_aborts[i] && s_due[i] -> answer(i, Q_FINALIZE, A_ECANCELED)
	:: else -> skip
	fi;
	s_due[i] = false;
	s_aborts[i] = false
}

/* The next helper. One that is not noted as handed over has not been answered, nor has any; or it is on its way back. */
inline s_start()
{
	s_up = true;
	if
	:: HAS_MOVED(0) || HAS_MOVED(1) -> skip
	:: s_rec[0] == R_HANDED && s_rec[1] == R_HANDED -> skip
	:: s_rec[0] == R_NONE && s_rec[1] == R_NONE -> skip
#ifdef MUTANT_EACH_BY_ITS_NOTE
	:: else ->
		s_run[0] = s_run[0] || s_rec[0] != R_HANDED;
		s_run[1] = s_run[1] || s_rec[1] != R_HANDED;
		s_rec[0] = (s_rec[0] == R_FREEZING -> R_NONE : s_rec[0]);
		s_rec[1] = (s_rec[1] == R_FREEZING -> R_NONE : s_rec[1])
#else
	:: else -> go_back()
#endif
	fi
}

inline s_die()
{
	s_up = false;
	s_ahead = false;
	s_back = false;
	s_give_up = false;
	s_due[0] = false; s_due[1] = false;
	s_aborts[0] = false; s_aborts[1] = false;
	s_pos[0] = 0; s_pos[1] = 0;
	cut()
}

active proctype Seeder()
{
end:	do
	:: d_step { !s_up -> s_start() }
	:: d_step { s_up && req[0] != 0 -> take(0) }
	:: d_step { s_up && req[1] != 0 -> take(1) }
	:: d_step { s_up && QUIET && s_due[0] && s_rec[0] == R_NONE && (s_due[1] || req[1] == 0) -> gate(0) }
	:: d_step { s_up && QUIET && s_due[1] && s_rec[1] == R_NONE && !s_due[0] && req[0] == 0 -> gate(1) }
	:: d_step { s_up && s_ahead && !s_give_up && s_pos[0] < 3 && MET(0) -> ahead(0) }
	:: d_step { s_up && s_ahead && !s_give_up && s_pos[1] < 3 && MET(1) -> ahead(1) }
	:: d_step { s_up && s_ahead && !s_give_up && s_pos[0] == 3 && s_pos[1] == 3 -> hand_over() }
	:: d_step { s_up && s_ahead && s_give_up -> go_back() }
	:: d_step { s_up && s_back && s_pos[0] < 3 && MET(0) -> back(0) }
	:: d_step { s_up && s_back && s_pos[1] < 3 && MET(1) -> back(1) }
	:: d_step {
		s_up && s_back && s_pos[0] == 3 && s_pos[1] == 3 ->
		s_back = false;
		in_service(0);
		in_service(1)
	}
	/* a freeze fails, it is written to after it, the leecher's session ends */
	:: d_step { s_up && s_ahead && !s_give_up && faults < FAULTS -> faults++; s_give_up = true }
	od
}

/* ==== leecher ==== */

inline ask(i, what)
{
	l_waits[i] = what;
	if
	:: conn -> req[i] = what
	:: else -> skip
	fi
}

/* An answer holds no more when the other one's was no: it is met again, and asked again. */
inline told(i)
{
	if
	:: rep[i] == A_LIST && l_waits[i] == Q_FINALIZE && l_rec[i] == R_LEECHING ->
		l_state[i] = ANSWERED
	:: (rep[i] == A_ECANCELED || rep[i] == A_EINVAL) && l_waits[i] == Q_FINALIZE ->
		l_state[i] = READY;
		l_state[other] = (l_state[other] == ANSWERED && !l_decided -> READY : l_state[other])
	:: l_waits[i] == Q_OWNED -> l_heard[i] = true
	:: l_waits[i] == Q_COMPLETE -> l_rec[i] = DONE
	:: l_waits[i] == Q_ABORT -> l_rec[i] = GONE
	:: else -> skip
	fi;
	l_waits[i] = 0;
	rep[i] = 0
}

#ifdef MUTANT_OWNS_EACH
#define MAY_OWN_FIRST(i)	(l_state[i] == ANSWERED && !l_giving_up)
#else
#define MAY_OWN_FIRST(i)	(i == 0 && l_state[0] == ANSWERED && l_state[1] == ANSWERED && !l_giving_up)
#endif
#define MAY_OWN(i)	(l_rec[i] == R_LEECHING && l_waits[i] == 0 && (l_decided -> l_state[i] == ANSWERED : MAY_OWN_FIRST(i)))

/* That it could not be written leaves it open whether it was. Of the first one all are given up then; the others are tried again. */
inline own(i)
{
	if
	:: l_rec[i] = R_OWNED; l_decided = true
	:: faults < FAULTS && !l_decided -> faults++; l_giving_up = true
	:: faults < FAULTS && !l_decided -> faults++; l_rec[i] = R_OWNED; l_giving_up = true
	fi
}

/* The first one's refusal is there before the others' is said. */
#ifdef MUTANT_REFUSES_EACH
#define MAY_REFUSE(i)	(l_giving_up && !l_decided)
#else
#define MAY_REFUSE(i)	(l_giving_up && !l_decided && (i == 0 || l_rec[0] == R_REFUSED || l_rec[0] == GONE))
#endif

/* Programs are let in when all are noted as owned. */
#ifdef MUTANT_UNLOCKS_EACH
#define MAY_UNLOCK(i)	(OWNED(i) && l_decided && !l_run[i])
#else
#define MAY_UNLOCK(i)	(OWNED(0) && OWNED(1) && l_decided && !l_run[i])
#endif

#define MAY_TELL(i)	(l_decided && l_rec[i] == R_OWNED && !l_heard[i] && l_waits[i] == 0)
#define MAY_COMPLETE(i)	(l_rec[i] == R_OWNED && l_heard[i] && l_waits[i] == 0)
#ifdef MUTANT_FIRST_FORGETS
#define MAY_END(i)	(l_rec[i] == R_COMPLETE && l_waits[i] == 0)
#else
#define MAY_END(i)	(l_rec[i] == R_COMPLETE && l_waits[i] == 0 && l_run[i])
#endif
#define MAY_ABORT(i)	(l_rec[i] == R_REFUSED && l_waits[i] == 0)

/* The next helper: the first one's record says what becomes of all; where there is none it was refused, unless one is owned. */
inline l_start()
{
	l_up = true;
#ifdef MUTANT_NO_WAY_FORWARD
	l_decided = OWNED(0) && OWNED(1);
	l_giving_up = !l_decided && (OWNED(0) || OWNED(1));
#else
	l_decided = OWNED(0) || (l_rec[0] == GONE && OWNED(1));
#ifdef MUTANT_FIRST_FORGETS
	/* it finds no record */
	l_decided = l_rec[0] == R_OWNED || l_rec[0] == R_COMPLETE || l_rec[1] == R_OWNED || l_rec[1] == R_COMPLETE;
#endif
	l_giving_up = !l_decided && (l_rec[0] != R_LEECHING || l_rec[1] != R_LEECHING);
#endif
	l_state[0] = READY;
	l_state[1] = READY
}

inline l_die()
{
	l_up = false;
	l_decided = false; l_giving_up = false;
	l_waits[0] = 0; l_waits[1] = 0;
	l_heard[0] = false; l_heard[1] = false;
	l_state[0] = READY; l_state[1] = READY;
	cut()
}

/* Both at once; the next helper each by itself, where the other side may have handed over. */
#define MAY_ASK(i)	(l_rec[i] == R_LEECHING && l_state[i] == READY && l_waits[i] == 0 && !l_giving_up)

active proctype Leecher()
{
end:	do
	:: d_step { !l_up -> l_start() }
	:: d_step { l_up && rep[0] != 0 -> told(0) }
	:: d_step { l_up && rep[1] != 0 -> told(1) }
	:: d_step {
		l_up && MAY_ASK(0) && MAY_ASK(1) && l_asks < ASKS ->
		l_asks++;
		ask(0, Q_FINALIZE);
		ask(1, Q_FINALIZE);
		l_state[0] = ASKING;
		l_state[1] = ASKING
	}
	:: d_step { l_up && l_decided && MAY_ASK(0) -> ask(0, Q_FINALIZE); l_state[0] = ASKING }
	:: d_step { l_up && l_decided && MAY_ASK(1) -> ask(1, Q_FINALIZE); l_state[1] = ASKING }
	/* the other one has an answer that holds, which is found out by STATUS */
	:: d_step { l_up && !l_decided && MAY_ASK(0) && l_state[1] == ASKING && s_rec[0] == R_HANDED && QUIET -> ask(0, Q_FINALIZE); l_state[0] = ASKING }
	:: d_step { l_up && !l_decided && MAY_ASK(1) && l_state[0] == ASKING && s_rec[1] == R_HANDED && QUIET -> ask(1, Q_FINALIZE); l_state[1] = ASKING }
	:: atomic { l_up && MAY_OWN(0) -> own(0) }
	:: atomic { l_up && MAY_OWN(1) -> own(1) }
	:: d_step { l_up && MAY_UNLOCK(0) -> l_run[0] = true }
	:: d_step { l_up && MAY_UNLOCK(1) -> l_run[1] = true }
	:: d_step { l_up && MAY_TELL(0) -> ask(0, Q_OWNED) }
	:: d_step { l_up && MAY_TELL(1) -> ask(1, Q_OWNED) }
	:: d_step { l_up && MAY_COMPLETE(0) -> l_rec[0] = R_COMPLETE }
	:: d_step { l_up && MAY_COMPLETE(1) -> l_rec[1] = R_COMPLETE }
	:: d_step { l_up && MAY_END(0) -> ask(0, Q_COMPLETE) }
	:: d_step { l_up && MAY_END(1) -> ask(1, Q_COMPLETE) }

	/* ---- giving up: the user, no room, or no more wish to ask ---- */
	:: d_step { l_up && !l_decided && !l_giving_up && !l_aborted -> l_aborted = true; l_giving_up = true }
	:: d_step {
		l_up && !l_decided && !l_giving_up && l_asks == ASKS && l_state[0] == READY && l_state[1] == READY &&
		l_waits[0] == 0 && l_waits[1] == 0 -> l_giving_up = true
	}
	:: d_step { l_up && MAY_REFUSE(0) && l_rec[0] != R_REFUSED && l_rec[0] != GONE -> l_waits[0] = 0; req[0] = 0; rep[0] = 0; l_rec[0] = R_REFUSED }
	:: d_step { l_up && MAY_REFUSE(1) && l_rec[1] != R_REFUSED && l_rec[1] != GONE -> l_waits[1] = 0; req[1] = 0; rep[1] = 0; l_rec[1] = R_REFUSED }
	:: d_step { l_up && MAY_ABORT(0) -> ask(0, Q_ABORT) }
	:: d_step { l_up && MAY_ABORT(1) -> ask(1, Q_ABORT) }
	od
}

/* ==== what happens ==== */

active proctype World()
{
end:	do
	:: d_step {
		!conn && s_up && l_up ->
		conn = true;
		req[0] = l_waits[0];
		req[1] = l_waits[1]
	}
	:: d_step { conn && faults < FAULTS -> faults++; cut() }
	:: d_step { s_up && faults < FAULTS -> faults++; s_die() }
	:: d_step {
		s_up && faults < FAULTS ->
		faults++;
		/* a reboot: what is not noted as handed over is in service when it is restored */
		s_run[0] = (s_rec[0] == R_NONE || s_rec[0] == R_FREEZING);
		s_run[1] = (s_rec[1] == R_NONE || s_rec[1] == R_FREEZING);
		s_die()
	}
	:: d_step { l_up && faults < FAULTS -> faults++; l_die() }
	:: d_step {
		l_up && faults < FAULTS ->
		faults++;
		l_run[0] = l_run[0] && l_rec[0] == DONE;
		l_run[1] = l_run[1] && l_rec[1] == DONE;
		l_die()
	}
	od
}

/* ==== what has to be true ==== */

#define TWO_SIDES	((s_run[0] || s_run[1]) && (l_run[0] || l_run[1]))
/* The group is not let in by halves, whatever dies. */
#define HALF_LET_IN	((l_run[0] || l_run[1]) && !(OWNED(0) && OWNED(1)))
/* From the decision on, as the leecher goes by it. */
#define TWO_OWNERS	((s_run[0] || s_run[1]) && l_decided)
#define MOVED_WHOLE	(l_rec[0] == DONE && l_rec[1] == DONE && l_run[0] && l_run[1] && s_rec[0] == R_OVER && s_rec[1] == R_OVER && \
			 !s_run[0] && !s_run[1])
#define STAYED_WHOLE	(l_rec[0] == GONE && l_rec[1] == GONE && !l_run[0] && !l_run[1] && s_rec[0] == R_NONE && s_rec[1] == R_NONE && \
			 s_run[0] && s_run[1])

active proctype Monitor()
{
end:	do
	:: d_step { TWO_SIDES || TWO_OWNERS || HALF_LET_IN -> assert(false) }
	/* nobody has anything to do any more */
	:: timeout ->
#ifdef REACH
		assert(!(REACH));
#endif
		assert(MOVED_WHOLE || STAYED_WHOLE);
		break
	od
}
