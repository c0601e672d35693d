/* SPDX-License-Identifier: GPL-2.0 */
/* What neither helper does: programs write, machines and lines fail, users change their minds. */

/* ==== programs ==== */

#define writes(c)	(s_run && clock < WRITES)
#define flushes(c)	(s_up && s_state != STARTING && s_run && s_store[c] != s_ver[c])
#define writes_here(c)	(l_run && l_up && !l_wrote[c] && !(l_fetching & BIT(c)))

inline write(c)
{
	clock++;
	s_ver[c] = clock
}

/* The helper gets it, does it, notes it. */
inline flush(c)
{
	s_store[c] = s_ver[c];
	if
	:: t_on -> t_open = t_open | BIT(c)
	:: else -> skip
	fi
}

/* A chunk as a whole: nothing is fetched for that. */
inline write_here(c)
{
	l_store[c] = HERE;
	m_bits = m_bits | BIT(c);
	l_wrote[c] = 1
}

active proctype Programs()
{
end:	do
	:: d_step { writes(0) -> write(0) }
	:: d_step { flushes(0) -> flush(0) }
	:: d_step { writes_here(0) -> write_here(0) }
#if CHUNKS > 1
	:: d_step { writes(1) -> write(1) }
	:: d_step { flushes(1) -> flush(1) }
	:: d_step { writes_here(1) -> write_here(1) }
#endif
	od
}

/* ==== what goes wrong, and users ==== */

inline s_crash()
{
	hang_up();
	forget_request();
	s_up = false;
	s_state = 0;
	s_step = 0;
	s_asked = 0;
	s_session = false;
#ifdef OTHER
	s_busy = false;
#endif
	s_give_up = false;
	s_aborting = false
}

/* What nobody has synced is gone; so are programs that have seen it, unless they are about to go on elsewhere. */
inline s_reboot()
{
	s_crash();
	track_off();
	for (nth : 0 .. CHUNKS - 1) {
		s_store[nth] = s_disk[nth];
		if
		:: s_run || s_rec == R_NONE || s_rec == R_FREEZING -> s_ver[nth] = s_store[nth]
		:: else -> skip
		fi
	};
	nth = 0;
	s_there = false;
	s_run = false
}

inline l_crash()
{
	stop_fetching();
	hang_up();
	l_up = false;
	l_state = 0;
	l_step = 0;
	l_track = false;
	l_told = false;
	l_list = 0;
	l_round = 0
}

/* A map of a region that is not owned yet is not worth keeping: which of its chunks were forgotten later it doesn't say. */
inline l_reboot()
{
	l_crash();
#ifdef MUTANT_ASKED_NOT_DURABLE
	m_asked = false;
#endif
#ifdef MUTANT_NO_DURABLE_OWNED
	m_owned = false;
#endif
	if
	:: l_rec == R_OWNED || l_rec == R_COMPLETE || l_rec == R_DIVERGED ->
		m_bits = l_rec_bits
#ifdef MUTANT_MAP_KEPT_BEFORE_OWNED
	:: l_rec == R_LEECHING || l_rec == R_ASKED ->
		m_bits = l_rec_bits;
		m_round = l_rec_round
#endif
	:: else ->
		m_bits = 0;
		m_round = 0
	fi;
	for (nth : 0 .. CHUNKS - 1) {
		l_store[nth] = l_disk[nth];
		if
		:: l_wrote[nth] == 1 -> l_wrote[nth] = 0
		:: else -> skip
		fi
	};
	nth = 0;
	l_run = false
}

#ifdef MUTANT_SEEDER_ABORTS_ALONE
#define s_abortable	(s_state == SERVING || s_state == TRACKING || s_state == FROZEN || s_state == HANDED_OFF)
#else
#define s_abortable	(s_state == SERVING || s_state == TRACKING || s_state == FROZEN)
#endif

inline s_abort()
{
	if
	:: s_state == FROZEN ->
		s_aborting = true;
		s_give_up = true
	:: s_state == HANDED_OFF ->
		s_aborting = true;
		s_state = FROZEN;
		s_step = UNNOTE_HANDED
	:: else ->
		s_seed = false;
		s_session = false;
#ifdef OTHER
		s_busy = false;
#endif
		s_state = ABORTED;
		track_off()
	fi
}

#define fails	(faults < FAULTS)

active proctype Faults()
{
end:	do
	/* enough for now: this is how each run ends */
	:: d_step {
		faults < FAULTS || leeches < LEECHES || !s_aborted || !l_aborted || !resolved || !other ->
		faults = FAULTS;
		leeches = LEECHES;
		s_aborted = true;
		l_aborted = true;
#ifdef OTHER
		other = true;
#endif
		resolved = true
	}
	:: d_step { fails && conn -> faults++; hang_up() }
	:: d_step { fails && s_up -> faults++; s_crash() }
	:: d_step { fails && s_there -> faults++; s_reboot() }
	:: d_step { fails && l_up -> faults++; l_crash() }
	:: d_step { fails -> faults++; l_reboot() }
	:: d_step { fails && s_up && (s_step == FREEZE || s_step == NOTE_HANDED) && !s_give_up -> faults++; s_give_up = true }
	:: d_step { s_up && !s_aborted && s_abortable && (s_step == 0 || s_ahead) -> s_aborted = true; s_abort() }
	:: d_step { l_up && !l_aborted && l_before -> l_aborted = true; give_up() }
#ifdef OTHER
	/* a leecher of another host takes its turn, and is soon gone */
	:: d_step {
		s_up && !conn && !s_session && !other && s_state == SERVING ->
		other = true;
		s_busy = true;
		s_state = TRACKING;
		t_on = true;
		t_others = true
	}
	:: d_step { s_up && s_busy && t_round < ROUNDS -> close_round() }
#endif
#if LEECHES > 1
	:: d_step { l_up && l_state == GONE && leeches < LEECHES -> leeches++; l_rec = R_LEECHING; l_state = CONNECTING }
#endif
	od
}
