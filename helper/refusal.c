// SPDX-License-Identifier: GPL-2.0
/* refusal: see refusal.h. The record first, then the other side. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/peer.h"
#include "config.h"
#include "leech-record.h"
#include "log.h"
#include "refusal.h"
#include "region.h"
#include "regiond.h"
#include "session.h"

#define WAIT_MS		3000u		/* for who asked */
#define AGAIN_MS	500u
#define AGAIN_MOST_MS	30000u
#define AWAY_MOST	20u		/* times that the region is not to be found there, until nobody is thought to wait for us */

struct refusal {
	struct regiond *regiond;
	char token[33];
	char *from;
	char path[4096];
	void (*told)(void *arg);
	void *arg;
	struct leech_record *record;
	struct loop_work loading;
	struct leech_record_waiter saved;
	struct backend_open open;
	struct backend *peer;
	struct link_req message;
	uint8_t body[WIRE_TEXT_MAX + 8];
	struct loop_timer again, limit;
	uint64_t pause_ms;
	unsigned int away;
	bool heard;
};

static void answer(struct refusal *refusal)
{
	void (*told)(void *) = refusal->told;

	refusal->told = NULL;
	if (told)
		told(refusal->arg);
}

static void waited(struct loop_timer *timer)
{
	answer(container_of(timer, struct refusal, limit));
}

static void end(struct refusal *refusal)
{
	struct loop *loop = refusal->regiond->loop;

	loop_timer_cancel(loop, &refusal->again);
	loop_timer_cancel(loop, &refusal->limit);
	leech_record_free(refusal->record);
	if (refusal->heard && refusal->regiond->config->state_dir)
		leech_record_unlink(loop, refusal->path);
	answer(refusal);
	free(refusal->from);
	free(refusal);
}

static void again(struct refusal *refusal, void (*fire)(struct loop_timer *timer))
{
	refusal->again.fire = fire;
	loop_timer_set(refusal->regiond->loop, &refusal->again, refusal->pause_ms);
	refusal->pause_ms = refusal->pause_ms * 2 < AGAIN_MOST_MS ? refusal->pause_ms * 2 : AGAIN_MOST_MS;
}

/* ---- saying it ---- */

static void call(struct loop_timer *timer);

static void hung_up(void *arg)
{
	struct refusal *refusal = arg;

	refusal->peer = NULL;
	if (refusal->heard)
		end(refusal);
	else
		again(refusal, call);
}

/* Any answer will do: a no means that it does not wait for us. */
static void said(struct link_req *req, int error)
{
	struct refusal *refusal = container_of(req, struct refusal, message);

	refusal->heard = error != -ESHUTDOWN;
	if (refusal->heard)
		log_info("the other side of %s has heard that it keeps its region", refusal->from);
	backend_close(refusal->peer, hung_up, refusal);
}

static void reached(struct backend_open *open, struct backend *backend, int error)
{
	struct refusal *refusal = container_of(open, struct refusal, open);
	struct wire_text text = { .text = "it was given up there" };

	if (error) {
		/* it does not let us in any more, so it waits for somebody else, if at all */
		refusal->heard = error == -ESTALE || error == -ECANCELED || error == -EBUSY ||
				 (error == -ENOENT && ++refusal->away >= AWAY_MOST);
		hung_up(refusal);
		return;
	}
	refusal->peer = backend;
	memset(&refusal->message, 0, sizeof(refusal->message));
	refusal->message.type = WIRE_ABORT;
	refusal->message.data = refusal->body;
	refusal->message.data_len = (uint32_t)wire_encode(WIRE_S_TEXT, &text, refusal->body, sizeof(refusal->body));
	refusal->message.done = said;
	session_urgent(peer_session(backend), &refusal->message);
}

static void call(struct loop_timer *timer)
{
	struct refusal *refusal = container_of(timer, struct refusal, again);
	const struct config *config = refusal->regiond->config;
	struct backend_open *open = &refusal->open;
	char source[LEECH_RECORD_FROM + 64];

	if (refusal->regiond->stopping)
		return;
	memset(open, 0, sizeof(*open));
	snprintf(source, sizeof(source), "%s%cseed&client=%s", refusal->from, strchr(refusal->from, '?') ? '&' : '?', refusal->token);
	if (uri_parse(&open->uri, source, open->why, sizeof(open->why))) {
		log_error("%s: %s", source, open->why);
		end(refusal);
		return;
	}
	open->loop = refusal->regiond->loop;
	open->instance = config->name;
	open->run_dir = config->run_dir;
	open->state_dir = config->state_dir;
	open->credentials = config->credentials;
	open->instance_id = refusal->regiond->instance_id;
	open->attach_gen = refusal->regiond->attach_gen;
	open->done = reached;
	backend_open(open);
}

/* ---- writing it down ---- */

static void load_again(struct loop_timer *timer);

static void written(struct leech_record_waiter *waiter, int error)
{
	struct refusal *refusal = container_of(waiter, struct refusal, saved);

	if (error) {
		log_error("that the region of %s was refused could not be written down: %s", refusal->from, strerror(-error));
		again(refusal, load_again);
		return;
	}
	refusal->pause_ms = AGAIN_MS;
	call(&refusal->again);
}

static void loaded(struct loop_work *work, int res)
{
	struct refusal *refusal = container_of(work, struct refusal, loading);
	struct leech_record_head *head = leech_record_head(refusal->record);

	if (res) {
		leech_record_free(refusal->record);
		refusal->record = NULL;
		again(refusal, load_again);
		return;
	}
	if (head->state != LEECH_RECORD_PULLING && head->state != LEECH_RECORD_REFUSED) {
		log_error("%s is owned here, but there is no region of it: its record is kept", refusal->from);
		end(refusal);
		return;
	}
	head->state = LEECH_RECORD_REFUSED;
	head->chunk = head->chunk ? head->chunk : 65536;
	snprintf(head->from, sizeof(head->from), "%s", refusal->from);
	refusal->saved.done = written;
	leech_record_save(refusal->record, &refusal->saved);
}

static int load(struct loop_work *work)
{
	return leech_record_load(container_of(work, struct refusal, loading)->record);
}

/* The leech's own backend may have the record still; it is closing. */
static void load_again(struct loop_timer *timer)
{
	struct refusal *refusal = container_of(timer, struct refusal, again);
	bool durable = refusal->regiond->config->state_dir;

	if (refusal->regiond->stopping)
		return;
	leech_record_free(refusal->record);
	refusal->record = NULL;
	if (leech_record_new(&refusal->record, refusal->regiond->loop, durable ? refusal->path : NULL)) {
		again(refusal, load_again);
		return;
	}
	refusal->loading.work = load;
	refusal->loading.done = loaded;
	loop_work(refusal->regiond->loop, &refusal->loading);
}

/* ---- the beginning ---- */

void refusal_start(struct regiond *regiond, const char *token, const char *from, void (*told)(void *arg), void *arg)
{
	struct refusal *refusal = calloc(1, sizeof(*refusal));

	if (refusal)
		refusal->from = strdup(from);
	if (!refusal || !refusal->from) {
		log_error("%s may wait for the word that it keeps its region: out of memory", from);
		free(refusal);
		if (told)
			told(arg);
		return;
	}
	refusal->regiond = regiond;
	snprintf(refusal->token, sizeof(refusal->token), "%s", token);
	leech_record_path(refusal->path, sizeof(refusal->path), regiond->config->state_dir ? regiond->config->state_dir : "", token);
	refusal->told = told;
	refusal->arg = arg;
	refusal->pause_ms = 20;
	refusal->limit.fire = waited;
	if (told)
		loop_timer_set(regiond->loop, &refusal->limit, WAIT_MS);
	load_again(&refusal->again);
}

/* ---- at start ---- */

struct search {
	const char *token;
	bool found;
};

static int has_token(struct region *region, void *arg)
{
	struct search *search = arg;
	const char *source = region->info.source;

	search->found |= source && !strncmp(source, "leech:", 6) && !strncmp(source + 6, search->token, 32);
	return search->found;
}

/* A region that is on its way here, or owned here, has its leecher; what has none was given up, or was never begun. */
static void look(struct regiond *regiond, const char *token)
{
	struct search search = { .token = token };
	struct leech_record_head head;
	char path[4096];

	leech_record_path(path, sizeof(path), regiond->config->state_dir, token);
	region_each(regiond->regions, has_token, &search);
	if (search.found || leech_record_peek(path, &head))
		return;
	if (head.state == LEECH_RECORD_COMPLETE)
		leech_record_unlink(regiond->loop, path);
	else
		refusal_start(regiond, token, head.from, NULL, NULL);
}

void refusal_restart(struct regiond *regiond)
{
	DIR *dir = regiond->config->state_dir ? opendir(regiond->config->state_dir) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "leech-", 6) && strlen(entry->d_name) == 6 + 32)
			look(regiond, entry->d_name + 6);
	if (dir)
		closedir(dir);
}
