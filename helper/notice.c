// SPDX-License-Identifier: GPL-2.0
/* notice: see notice.h. The record first, then the other side. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/peer.h"
#include "config.h"
#include "hash-file.h"
#include "leech-record.h"
#include "log.h"
#include "notice.h"
#include "region.h"
#include "regiond.h"
#include "session.h"
#include "state.h"

#define WAIT_MS		3000u		/* for who asked */
#define AGAIN_MS	20u
#define AGAIN_MOST_MS	30000u
#define AWAY_MOST	2880u		/* times that the region is not to be found there, until nobody is thought to wait for us: a day */

struct notice {
	struct regiond *regiond;
	enum notice_kind kind;
	char token[33];
	char *from;
	struct chunkmap_owner owner;
	char path[4096];
	void (*told)(void *arg), (*noted)(void *arg);
	void *arg, *noted_arg;
	struct state_waiter synced;
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

static void answer(struct notice *notice)
{
	void (*told)(void *) = notice->told;

	notice->told = NULL;
	if (told)
		told(notice->arg);
}

static void is_noted(struct notice *notice)
{
	void (*noted)(void *) = notice->noted;

	notice->noted = NULL;
	if (noted)
		noted(notice->noted_arg);
}

static void waited(struct loop_timer *timer)
{
	answer(container_of(timer, struct notice, limit));
}

/* What is known of the other side's chunks went with the region, unless its helper died. */
static void unlink_hashes(struct regiond *regiond, const char *token)
{
	char path[4096];

	hash_file_path(path, sizeof(path), regiond->config->state_dir, token);
	leech_record_unlink(regiond->loop, path);
}

static void end(struct notice *notice)
{
	struct loop *loop = notice->regiond->loop;

	loop_timer_cancel(loop, &notice->again);
	loop_timer_cancel(loop, &notice->limit);
	leech_record_free(notice->record);
	if (notice->heard && notice->regiond->config->state_dir) {
		unlink_hashes(notice->regiond, notice->token);
		leech_record_unlink(loop, notice->path);
	}
	is_noted(notice);
	answer(notice);
	free(notice->from);
	free(notice);
}

static void again(struct notice *notice, void (*fire)(struct loop_timer *timer))
{
	notice->again.fire = fire;
	loop_timer_set(notice->regiond->loop, &notice->again, notice->pause_ms);
	notice->pause_ms = notice->pause_ms * 2 < AGAIN_MOST_MS ? notice->pause_ms * 2 : AGAIN_MOST_MS;
}

/* ---- saying it ---- */

static void call(struct loop_timer *timer);

static void hung_up(void *arg)
{
	struct notice *notice = arg;

	notice->peer = NULL;
	if (notice->heard)
		end(notice);
	else
		again(notice, call);
}

static void say(struct notice *notice, uint8_t type, int length, void (*done)(struct link_req *req, int error))
{
	memset(&notice->message, 0, sizeof(notice->message));
	notice->message.type = type;
	notice->message.data = notice->body;
	notice->message.data_len = (uint32_t)length;
	notice->message.done = done;
	session_urgent(peer_session(notice->peer), &notice->message);
}

/* EINVAL: it does not wait for us. ESTALE: its operator has decided. All else may be another answer the next time. */
static bool counts(int error)
{
	return !error || error == -EINVAL || error == -ESTALE;
}

static void said(struct link_req *req, int error)
{
	struct notice *notice = container_of(req, struct notice, message);

	notice->heard = counts(error);
	if (notice->heard)
		log_info("the other side of %s has heard that %s", notice->from,
			 notice->kind == NOTICE_REFUSED ? "it keeps its region" : "all of it is here");
	backend_close(notice->peer, hung_up, notice);
}

/* Whether or not it knows that already. */
static void said_owned(struct link_req *req, int error)
{
	struct notice *notice = container_of(req, struct notice, message);

	if (!error) {
		say(notice, WIRE_COMPLETE, 0, said);
		return;
	}
	if (error == -ESTALE)
		log_error("the other side of %s was taken back by its operator, though it is owned here", notice->from);
	notice->heard = counts(error);
	backend_close(notice->peer, hung_up, notice);
}

static void say_it(struct notice *notice)
{
	struct wire_text text = { .text = "it was given up there" };
	struct wire_owned owned = { .epoch = notice->owner.epoch };

	memcpy(owned.nonce, notice->owner.nonce, sizeof(owned.nonce));
	if (notice->kind == NOTICE_REFUSED)
		say(notice, WIRE_ABORT, wire_encode(WIRE_S_TEXT, &text, notice->body, sizeof(notice->body)), said);
	else
		say(notice, WIRE_OWNED, wire_encode(WIRE_S_OWNED, &owned, notice->body, sizeof(notice->body)), said_owned);
}

static void reached(struct backend_open *open, struct backend *backend, int error)
{
	struct notice *notice = container_of(open, struct notice, open);

	if (!error) {
		notice->peer = backend;
		say_it(notice);
		return;
	}
	/* another leech has it, or it has given up: it does not wait for us */
	notice->heard = error == -ESTALE || error == -ECANCELED || error == -EBUSY;
	if (error == -ENOENT && ++notice->away >= AWAY_MOST) {
		log_error("nothing is left of the other side of %s, for a day", notice->from);
		notice->heard = true;
	}
	hung_up(notice);
}

static void call(struct loop_timer *timer)
{
	struct notice *notice = container_of(timer, struct notice, again);
	const struct config *config = notice->regiond->config;
	struct backend_open *open = &notice->open;
	char source[LEECH_RECORD_FROM + 64];

	if (notice->regiond->stopping)
		return;
	memset(open, 0, sizeof(*open));
	snprintf(source, sizeof(source), "%s%cseed&client=%s", notice->from, strchr(notice->from, '?') ? '&' : '?', notice->token);
	if (uri_parse(&open->uri, source, open->why, sizeof(open->why))) {
		log_error("%s: %s", source, open->why);
		end(notice);
		return;
	}
	open->loop = notice->regiond->loop;
	open->instance = config->name;
	open->run_dir = config->run_dir;
	open->state_dir = config->state_dir;
	open->credentials = config->credentials;
	open->instance_id = notice->regiond->instance_id;
	open->attach_gen = notice->regiond->attach_gen;
	open->done = reached;
	backend_open(open);
}

/* ---- writing it down ---- */

static void load_again(struct loop_timer *timer);

static void written(struct leech_record_waiter *waiter, int error)
{
	struct notice *notice = container_of(waiter, struct notice, saved);

	if (error) {
		log_error("what the other side of %s is to hear could not be written down: %s", notice->from, strerror(-error));
		again(notice, load_again);
		return;
	}
	notice->pause_ms = AGAIN_MS;
	is_noted(notice);
	call(&notice->again);
}

/* A decision whose write has failed may be there nevertheless. Nobody was told of it, and the region is gone. */
static void loaded(struct loop_work *work, int res)
{
	struct notice *notice = container_of(work, struct notice, loading);
	struct leech_record_head *head = leech_record_head(notice->record);

	if (res) {
		leech_record_free(notice->record);
		notice->record = NULL;
		again(notice, load_again);
		return;
	}
	head->state = notice->kind == NOTICE_REFUSED ? LEECH_RECORD_REFUSED : LEECH_RECORD_COMPLETE;
	head->chunk = head->chunk ? head->chunk : WIRE_SEED_CHUNK;
	head->owner = notice->owner;
	snprintf(head->from, sizeof(head->from), "%s", notice->from);
	notice->saved.done = written;
	leech_record_save(notice->record, &notice->saved);
}

static int load(struct loop_work *work)
{
	return leech_record_load(container_of(work, struct notice, loading)->record);
}

/* The leech's own backend may have the record still; it is closing. */
static void load_again(struct loop_timer *timer)
{
	struct notice *notice = container_of(timer, struct notice, again);
	bool durable = notice->regiond->config->state_dir;

	if (notice->regiond->stopping)
		return;
	leech_record_free(notice->record);
	notice->record = NULL;
	if (leech_record_new(&notice->record, notice->regiond->loop, durable ? notice->path : NULL)) {
		again(notice, load_again);
		return;
	}
	notice->loading.work = load;
	notice->loading.done = loaded;
	loop_work(notice->regiond->loop, &notice->loading);
}

/* ---- the state log first: without the record, what it said of the region before would be taken for true ---- */

static void sync_again(struct loop_timer *timer);

static void synced(struct state_waiter *waiter, int error)
{
	struct notice *notice = container_of(waiter, struct notice, synced);

	if (error) {
		again(notice, sync_again);
		return;
	}
	notice->pause_ms = AGAIN_MS;
	if (notice->kind != NOTICE_NOTHING) {
		load_again(&notice->again);
		return;
	}
	notice->heard = true;
	end(notice);
}

static void sync_again(struct loop_timer *timer)
{
	struct notice *notice = container_of(timer, struct notice, again);

	if (notice->regiond->stopping)
		return;
	notice->synced.done = synced;
	state_sync(notice->regiond->state, &notice->synced);
}

/* ---- the beginning ---- */

void notice_start(struct regiond *regiond, const struct notice_words *words, void (*told)(void *arg), void *arg)
{
	struct notice *notice = calloc(1, sizeof(*notice));

	if (notice)
		notice->from = strdup(words->from);
	if (!notice || !notice->from) {
		log_error("%s waits for word from here: out of memory", words->from);
		free(notice);
		if (words->noted)
			words->noted(words->noted_arg);
		if (told)
			told(arg);
		return;
	}
	notice->regiond = regiond;
	notice->kind = words->kind;
	notice->owner = words->owner;
	snprintf(notice->token, sizeof(notice->token), "%s", words->token);
	leech_record_path(notice->path, sizeof(notice->path), regiond->config->state_dir ? regiond->config->state_dir : "", words->token);
	notice->told = told;
	notice->arg = arg;
	notice->noted = words->noted;
	notice->noted_arg = words->noted_arg;
	notice->pause_ms = AGAIN_MS;
	notice->limit.fire = waited;
	if (told)
		loop_timer_set(regiond->loop, &notice->limit, WAIT_MS);
	sync_again(&notice->again);
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

static bool has_region(struct regiond *regiond, const char *token)
{
	struct search search = { .token = token };

	region_each(regiond->regions, has_token, &search);
	return search.found;
}

/* A region that is on its way here, or owned here, has its leecher. */
static void look(struct regiond *regiond, const char *token)
{
	struct notice_words words = { .token = token };
	struct leech_record_head head;
	char path[4096];

	leech_record_path(path, sizeof(path), regiond->config->state_dir, token);
	if (has_region(regiond, token) || leech_record_peek(path, &head))
		return;
	if (head.state == LEECH_RECORD_OWNED || head.state == LEECH_RECORD_DIVERGED || head.state == LEECH_RECORD_LOST) {
		log_error("%s says that the region of %s is owned here, but there is none", path, head.from);
		return;
	}
	words.kind = head.state == LEECH_RECORD_COMPLETE ? NOTICE_COMPLETE : NOTICE_REFUSED;
	words.from = head.from;
	words.owner = head.owner;
	notice_start(regiond, &words, NULL, NULL);
}

/* Hashes are of no use without the record. */
static void look_at_hashes(struct regiond *regiond, const char *token)
{
	char path[4096];

	leech_record_path(path, sizeof(path), regiond->config->state_dir, token);
	if (access(path, F_OK) && errno == ENOENT && !has_region(regiond, token))
		unlink_hashes(regiond, token);
}

static bool is_of(const char *name, const char *kind)
{
	size_t len = strlen(kind);

	return !strncmp(name, kind, len) && strlen(name) == len + 32;
}

void notice_restart(struct regiond *regiond)
{
	DIR *dir = regiond->config->state_dir ? opendir(regiond->config->state_dir) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (is_of(entry->d_name, "leech-"))
			look(regiond, entry->d_name + strlen("leech-"));
		else if (is_of(entry->d_name, "hashes-"))
			look_at_hashes(regiond, entry->d_name + strlen("hashes-"));
	if (dir)
		closedir(dir);
}
