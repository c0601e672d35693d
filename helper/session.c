// SPDX-License-Identifier: GPL-2.0
/* session: the connections of a client with one region of a peer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "session.h"

#define TICK_MS		250u
#define OPEN_MS		3000u
#define BYE_MS		1000u
/* It doubles with each round trip until there is a queue, and so is ahead of TCP, which begins with a thirtieth of it. */
#define WINDOW_START	(512u << 10)
/* Bulk gives way when the demand connection's round trip is over 5/4 of its best, and this much; */
#define RTT_SLACK_NS	2000000u
/* so much where no program waits for what comes on demand. */
#define RTT_SLACK_ALONE_NS 50000000u
/* A single late answer says little: the best one rises by an eighth, and this. */
#define RTT_STEP_NS	50000u
/* While bulk is under way the round trip is looked at so often. */
#define RTT_EVERY_NS	200000000u
/* A queue makes so many answers in a row late, or all that come in so long a time; a host that is busy now and then does not. */
#define RTT_LATE	4u
#define RTT_LATE_NS	200000000u
/* What TCP's initial window has room for, of the shortest segments that are usual. */
#define COLD_MAX	(12u << 10)
/* The shortest that a long request is cut into. */
#define PIECE_MIN	(32u << 10)

/* ---- how much bulk may be on its way ---- */

/* The next one, after this link, that waits for room. */
static struct link *next_turn(struct session *session, const struct link *link)
{
	for (unsigned int i = 1; i < session->nr_links; i++) {
		struct link *other = &session->links[(link->slot + i) % session->nr_links];

		if (other != link && link_awaits_room(other))
			return other;
	}
	return NULL;
}

/* Each link has its own queue: without turns a long request at the head of one would wait for as long as short ones on the others fill the window. */
bool session_room(struct session *session, struct link *link, uint32_t bytes)
{
	bool fits = !session->bulk_in_flight || session->bulk_in_flight + bytes <= session->window;
	bool others = session->turn && session->turn != link && link_awaits_room(session->turn);

	session->window_full |= !fits;
	if (fits && !others) {
		session->turn = next_turn(session, link);
		return true;
	}
	if (!others)
		session->turn = link;
	return false;
}

bool session_wants(const struct session *session)
{
	uint64_t load = 0;

	for (unsigned int i = 1; i < session->nr_links; i++)
		if (link_is_up(&session->links[i]))
			load += session->links[i].load - session->links[i].urgent;
	return load < session->window + session->window / 4;
}

void session_sent(struct session *session, uint32_t bytes)
{
	session->bulk_in_flight += bytes;
	if (session->bulk_in_flight > session->peak)
		session->peak = session->bulk_in_flight;
}

/* As long as each of them has room. */
static void pump_turns(struct session *session)
{
	struct link *link;

	do {
		link = session->turn;
		if (link)
			link_pump(link);
	} while (session->turn && session->turn != link);
}

void session_answered(struct session *session, struct link *link, uint32_t bytes)
{
	if (!link->slot)
		return;
	session->bulk_in_flight -= bytes;
	if ((session->starting && session->window_full) || loop_now_ns() - session->rtt_at > RTT_EVERY_NS)
		link_measure(&session->links[0]);
	pump_turns(session);
	for (unsigned int i = 1; i < session->nr_links; i++)
		if (&session->links[i] != link && !list_empty(&session->links[i].waiting))
			link_pump(&session->links[i]);
}

/*
 * The best one is what the path takes by itself. When the path gets longer that shows where next to no bulk is in its way, and
 * only there: of a path that always has a queue the best would else rise with it, and the queue with the best.
 */
static void note_best(struct session *session, uint64_t ns)
{
	uint64_t step = session->rtt_min / 8 + RTT_STEP_NS;

	if (!session->rtt_min || ns < session->rtt_min)
		session->rtt_min = ns;
	else if (session->peak <= SESSION_WINDOW_MIN)
		session->rtt_min += (ns - session->rtt_min) / 8 < step ? (ns - session->rtt_min) / 8 : step;
}

/*
 * The least of the last few late answers, or 0: there are too few yet. A busy host makes single ones late, also many of them, and a window that
 * each makes smaller never fills the path; a queue makes all of them so. (The filter of RFC 6817, 4.2.) The next one is asked for at once.
 */
static uint64_t late_least(struct session *session, uint64_t ns)
{
	if (!session->nr_late)
		session->late_since = session->rtt_at;
	if (!session->nr_late || ns < session->late)
		session->late = ns;
	if (++session->nr_late < RTT_LATE && (session->nr_late < 2 || session->rtt_at - session->late_since < RTT_LATE_NS)) {
		link_measure(&session->links[0]);
		return 0;
	}
	session->nr_late = 0;
	return session->late;
}

/* So much less that the queue goes; by half at most, since the other side may just have been busy. */
static uint64_t less_window(const struct session *session, uint64_t most, uint64_t ns)
{
	uint64_t fits = (uint64_t)((double)session->peak * (double)most / (double)ns);

	if (fits >= session->window)
		return session->window;
	return fits > session->window / 2 ? fits : session->window / 2;
}

void session_rtt(struct session *session, uint64_t ns)
{
	uint64_t window = session->window, most;

	note_best(session, ns);
	most = session->rtt_min + session->rtt_min / 4 + (session->bulk_alone ? RTT_SLACK_ALONE_NS : RTT_SLACK_NS);
	session->rtt = ns;
	session->rtt_at = loop_now_ns();
	if (ns > most && session->peak > SESSION_WINDOW_MIN) {
		ns = late_least(session, ns);
		if (!ns)
			return;
		window = less_window(session, most, ns);
		session->starting = false;
	} else {
		session->nr_late = 0;
		if (ns <= most && session->window_full)
			window = session->starting ? window * 2 : window * 3 / 2;
	}
	session->window_full = false;
	session->peak = session->bulk_in_flight;
	session->starting &= window < SESSION_WINDOW_MAX;
	session->window = window < SESSION_WINDOW_MIN ? SESSION_WINDOW_MIN :
			  window > SESSION_WINDOW_MAX ? SESSION_WINDOW_MAX : window;
}

/* ---- requests ---- */

static void submit(struct link *link, struct link_req *req)
{
	struct session *session = link->session;

	req->generation = req->generation ? req->generation : session->config.generation;
	req->epoch = req->epoch ? req->epoch : session->config.epoch;
	link_submit(link, req);
	/* What comes too late fails as well, but not from within. */
	if (link->state == LINK_DEAD && !session->falling) {
		session->falling = true;
		loop_post(session->config.loop, &session->fall);
	}
}

/*
 * One that is down is taken only when all are. Of equal bytes under way the slower one's take longer: it gets no more while it has some
 * that it could not even send.
 */
static bool is_better(const struct link *link, const struct link *than)
{
	bool up = link_is_up(link), waits = !list_empty(&link->waiting);

	if (up != link_is_up(than))
		return up;
	if (waits != !list_empty(&than->waiting))
		return !waits;
	return link->unsent != than->unsent ? link->unsent < than->unsent : link->load < than->load;
}

/* In [first, end) */
static struct link *pick(struct session *session, unsigned int first, unsigned int end)
{
	struct link *best = &session->links[first];

	for (unsigned int i = first + 1; i < end; i++)
		if (is_better(&session->links[i], best))
			best = &session->links[i];
	return best;
}

/*
 * The first one that WRITEs have to themselves: on a connection that brings many bytes TCP takes their dense acknowledgements
 * for a path that is full (HyStart), long before much was sent, and what is sent on it later gains speed a segment a round trip.
 */
static unsigned int first_sending(const struct session *session)
{
	return session->nr_links - session->config.nr_writing;
}

/* They are dialled when there is something to be sent; until then it goes with the others. */
static struct link *sending_link(struct session *session, unsigned int first)
{
	for (unsigned int i = first; i < session->nr_links; i++)
		link_start(&session->links[i]);
	return pick(session, first, session->nr_links);
}

static struct link *link_for(struct session *session, const struct link_req *req)
{
	unsigned int some = session->nr_links > 1, first = first_sending(session);
	struct link *link = pick(session, some, first), *sending;

	if (first == session->nr_links)
		return link;
	if (req->type == WIRE_WRITE)
		sending = sending_link(session, first);
	else
		sending = pick(session, first, session->nr_links);
	return link_is_up(sending) && (req->type == WIRE_WRITE || !link_is_up(link)) ? sending : link;
}

void session_bulk(struct session *session, struct link_req *req)
{
	submit(link_for(session, req), req);
}

/*
 * The demand connection has little to carry, so TCP lets no more than its initial window of ten segments on it at once: a chunk takes three
 * round trips there, and one on a connection that has just brought many.
 */
static struct link *warm_link(struct session *session)
{
	struct link *best = NULL;

	for (unsigned int i = 1; i < first_sending(session); i++) {
		struct link *link = &session->links[i];

		if (link_is_up(link) && link->load == link->urgent && (!best || link->load < best->load))
			best = link;
	}
	return best;
}

void session_demand(struct session *session, struct link_req *req)
{
	submit(&session->links[0], req);
}

void session_urgent(struct session *session, struct link_req *req)
{
	struct link *warm = req->type == WIRE_READ && req->into_len > COLD_MAX ? warm_link(session) : NULL;

	submit(warm ? warm : &session->links[0], req);
}

void session_beside(struct session *session, unsigned int index, struct link_req *req)
{
	unsigned int bulk = first_sending(session) - 1;

	for (unsigned int i = 0; i < bulk; i++) {
		struct link *link = &session->links[1 + (index + i) % bulk];

		if (link_is_up(link)) {
			submit(link, req);
			return;
		}
	}
	submit(&session->links[0], req);
}

/* Where little may be under way, pieces are short, or a single one would be more than the window. */
uint32_t session_max_data(const struct session *session, bool bulk)
{
	const struct link *link = &session->links[bulk && session->nr_links > 1];
	uint32_t most = link->max_data;

	while (bulk && most > PIECE_MIN && most > session->window / 4)
		most /= 2;
	return most;
}

/* ---- what the server has promised ---- */

void session_server(struct session *session, const uint8_t id[16])
{
	static const uint8_t none[16];

	if (memcmp(session->server_id, none, 16) && memcmp(session->server_id, id, 16) && session->changes != session->synced)
		session->lost = true;
	memcpy(session->server_id, id, 16);
}

void session_changed(struct session *session, const struct link *link)
{
	session->changes++;
	/* by the old one, though another link has seen the new one already */
	if (memcmp(link->server_id, session->server_id, 16))
		session->lost = true;
}

/* ---- links come and go ---- */

static void session_settle(struct session *session);

/* The way is free again. */
static void hurry_bulk(struct session *session)
{
	for (unsigned int i = 1; i < session->nr_links; i++)
		link_hurry(&session->links[i]);
}

static void tell_changed(struct session *session, const struct link *link)
{
	if (!link->slot && session->changed && !session->closed)
		session->changed(session->changed_arg);
}

void session_link_up(struct session *session, struct link *link)
{
	/* Another connection may go another way; but a sample among bulk would be taken for what the path takes by itself. */
	if (!link->slot) {
		if (session->bulk_in_flight <= SESSION_WINDOW_MIN)
			session->rtt_min = 0;
		link_measure(link);
	}
	if (session->closing)
		return;
	if (session->is_open) {
		tell_changed(session, link);
		hurry_bulk(session);
		return;
	}
	/* the server takes them only once it has this one, slot 0 */
	for (unsigned int i = 1; i < first_sending(session); i++)
		link_start(&session->links[i]);
	session->is_open = true;
	session->config.opened(session, 0, "");
}

/* A no that time does not change. */
static bool is_final(int error)
{
	return error == -ESTALE || error == -EPROTONOSUPPORT || error == -EROFS || error == -EINVAL;
}

static bool give_up(const struct session *session, int error, bool refused)
{
	if (session->closing || session->error)
		return true;
	if (session->is_open)
		return refused && is_final(error);
	/* What is not there yet may be about to come; who is not let in at first never will be. */
	if (refused && error != -ENOENT && error != -EAGAIN)
		return true;
	return loop_now_ns() > session->opening_until;
}

bool session_link_down(struct session *session, struct link *link, int error, const char *why,
		       bool refused)
{
	snprintf(session->why, sizeof(session->why), "%s", why);
	tell_changed(session, link);
	if (!give_up(session, error, refused))
		return true;
	if (!session->error) {
		session->error = error;
		session->falling = true;
		loop_post(session->config.loop, &session->fall);
	}
	return false;
}

/* Once one link has given up, none goes on. Out of the loop: links stop one another from within else. */
static void session_fall(struct loop_task *task)
{
	struct session *session = container_of(task, struct session, fall);

	session->falling = false;
	for (unsigned int i = 0; i < session->nr_links; i++) {
		link_stop(&session->links[i], session->error);
		if (session->links[i].state == LINK_DEAD)
			link_fail_all(&session->links[i], session->error);
	}
	session_settle(session);
}

static void session_free(struct loop_task *task)
{
	struct session *session = container_of(task, struct session, end);

	loop_timer_cancel(session->config.loop, &session->tick);
	tls_context_put(session->config.tls);
	session->closed(session);
	free(session);
}

/* When all links have stopped: opening has failed, or closing is done. */
static void session_settle(struct session *session)
{
	if (session->nr_stopped < session->nr_links || session->falling)
		return;
	if (session->closed && !session->ending) {
		session->ending = true;
		loop_post(session->config.loop, &session->end);
	} else if (!session->closed && !session->is_open && !session->told) {
		session->told = true;
		session->config.opened(session, session->error, session->why);
	}
}

void session_link_ended(struct session *session, struct link *link)
{
	session->nr_stopped++;
	session_settle(session);
}

/* ---- time ---- */

static void fail_if_away(struct session *session, struct link *link)
{
	uint64_t limit = (uint64_t)session->config.away_ms * 1000000;

	if (limit && link->down_since && loop_now_ns() - link->down_since > limit)
		link_fail_harmless(link, -ETIMEDOUT);
}

static void session_tick(struct loop_timer *timer)
{
	struct session *session = container_of(timer, struct session, tick);

	for (unsigned int i = 0; i < session->nr_links; i++)
		fail_if_away(session, &session->links[i]);
	loop_timer_set(session->config.loop, &session->tick, TICK_MS);
}

/* ---- life ---- */

int session_open(struct session **result, const struct session_config *config)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return -ENOMEM;
	session->config = *config;
	if (strlen(config->region) > WIRE_REGION_MAX ||
	    getrandom(session->id, sizeof(session->id), 0) != sizeof(session->id)) {
		free(session);
		return -EINVAL;
	}
	strcpy(session->region, config->region);
	tls_context_get(config->tls);
	session->window = WINDOW_START;
	session->starting = true;
	session->nr_links = 1 + config->nr_bulk + config->nr_writing;
	session->opening_until = loop_now_ns() + 1000000ULL * (config->open_ms ? config->open_ms : OPEN_MS);
	for (unsigned int i = 0; i < session->nr_links; i++)
		link_init(&session->links[i], session, i);
	session->fall.run = session_fall;
	session->end.run = session_free;
	session->tick.fire = session_tick;
	if (config->away_ms)
		loop_timer_set(config->loop, &session->tick, TICK_MS);
	link_start(&session->links[0]);
	*result = session;
	return 0;
}

static void stop_links(struct session *session)
{
	session->closing = true;
	for (unsigned int i = 0; i < session->nr_links; i++)
		link_stop(&session->links[i], -ESHUTDOWN);
	session_settle(session);
}

static void bye_late(struct loop_timer *timer)
{
	stop_links(container_of(timer, struct session, tick));
}

static void bye_done(struct link_req *req, int error)
{
	struct session *session = container_of(req, struct session, bye);

	if (session->closing)
		return;
	loop_timer_cancel(session->config.loop, &session->tick);
	stop_links(session);
}

/* Lets go of what the session holds over there, so that others need not wait for it to be missed. */
static void say_bye(struct session *session)
{
	session->bye.type = WIRE_CLOSE;
	session->bye.done = bye_done;
	session->tick.fire = bye_late;
	loop_timer_set(session->config.loop, &session->tick, BYE_MS);
	session_urgent(session, &session->bye);
}

void session_close(struct session *session, void (*closed)(struct session *session))
{
	session->closed = closed;
	if (session->is_open && !session->error && session->links[0].state == LINK_UP)
		say_bye(session);
	else
		stop_links(session);
}
