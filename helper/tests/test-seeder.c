// SPDX-License-Identifier: GPL-2.0
/* The seeder, asked by leechers that do as they please: whose the region is after each of their moves. */
#include "asking-peer.h"
#include "export.h"
#include "listener.h"
#include "seeder-private.h"

#define CHUNK	65536u
#define SIZE	(4 * CHUNK)

static struct host *host;
static struct kernel_region *region;

/* ---- a leecher ---- */

static struct peer *peer_open(uint8_t client)
{
	struct server *server = host->regiond->server;
	char source[256];

	snprintf(source, sizeof(source), "peer+plain://%s/db", list_entry(server->listeners.next, struct listener, list)->address);
	return peer_dial(source, "db", client);
}

static void peer_closed(struct session *session)
{
	((struct peer *)session->config.arg)->done = true;
}

static void peer_close(struct peer *peer)
{
	peer->done = false;
	session_close(peer->session, peer_closed);
	until(peer->done);
	pass(50);
	uri_free(&peer->uri);
	free(peer);
}

static struct wire_finalize_reply final;

static int peer_finalize(struct peer *peer)
{
	int error = peer_ask(peer, WIRE_FINALIZE, 0, NULL);

	if (!error && wire_decode(WIRE_S_FINALIZE_REPLY, peer->reply, peer->req.got, &final) < 0)
		return -EPROTO;
	return error;
}

static int peer_own(struct peer *peer)
{
	struct wire_owned owned = { .epoch = final.epoch };

	memcpy(owned.nonce, final.nonce, sizeof(owned.nonce));
	return peer_ask(peer, WIRE_OWNED, WIRE_S_OWNED, &owned);
}

static int peer_abort(struct peer *peer)
{
	struct wire_text text = { "no more" };

	return peer_ask(peer, WIRE_ABORT, WIRE_S_TEXT, &text);
}

/* ---- the seeder's host ---- */

static char hook_path[128];

/* A file says that a hook was run. */
static const char *hook(const char *name)
{
	static char command[2][256];
	static unsigned int n;

	snprintf(hook_path, sizeof(hook_path), "%s/%s", dir, name);
	unlink(hook_path);
	n = !n;
	snprintf(command[n], sizeof(command[0]), "touch %s", hook_path);
	return command[n];
}

static bool was_run(const char *name)
{
	snprintf(hook_path, sizeof(hook_path), "%s/%s", dir, name);
	return !access(hook_path, F_OK);
}

static bool is_frozen(void)
{
	return region->flags & REGIONFS_REGION_FROZEN;
}

static bool is_moved(void)
{
	return region->flags & REGIONFS_REGION_MOVED;
}

static void backing(char *path, size_t len)
{
	snprintf(path, len, "%s/db", dir);
}

static int seed(void)
{
	return host_do(host, "seed", json_pack("{s:s,s:s,s:s,s:s,s:b}", "region", "db", "listen", "127.0.0.1:0",
					       "on_suspend", hook("suspended"), "on_resume", hook("resumed"), "detach", 1));
}

/* A region of SIZE on a host of its own, which seeds it. */
static void seed_new(const char *name)
{
	char path[128], source[160];
	struct netlink_attrs attrs = { 0 };
	int fd;

	host = host_new(name);
	backing(path, sizeof(path));
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, SIZE) || pwrite(fd, "old", 3, 0) != 3)
		exit(96);
	close(fd);
	snprintf(source, sizeof(source), "file:%s?direct=no&owned", path);
	netlink_set(&attrs, PATH, path, "db");
	netlink_set(&attrs, SOURCE, source, source);
	netlink_set(&attrs, SIZE, size, SIZE);
	netlink_set(&attrs, MODE, mode, 0640);
	netlink_set(&attrs, EPOCH, epoch, 1);
	kernel_add(&host->kernel, &attrs);
	host_start(host);
	region = host_region(host, "db");
	tap_number(seed(), 0, "a host seeds");
}

static int unseed(bool force)
{
	return host_do(host, "abort", json_pack("{s:s,s:b}", "region", "db", "force", force));
}

/* ---- tests ---- */

static void test_second(void)
{
	struct peer *first, *second;

	seed_new("second");
	first = peer_open(1);
	tap_ok(!first->error && !peer_track(first) && !peer_finalize(first), "a leecher has it handed over");
	peer_close(first);
	tap_ok(is_frozen() && host_is(host, "db", "in doubt"), "it leaves, and the region stays frozen");
	second = peer_open(2);
	tap_number(second->error, -EBUSY, "another leecher is refused");
	if (!second->error)
		peer_abort(second);
	pass(50);
	tap_ok(is_frozen() && host_is(host, "db", "in doubt"), "and changes nothing");
	peer_close(second);
	first = peer_open(1);
	tap_number(first->error, 0, "the first one comes back");
	tap_number(peer_own(first), 0, "and owns it");
	tap_ok(is_moved() && !was_run("resumed"), "so it is not resumed here");
	peer_close(first);
	second = peer_open(2);
	tap_number(second->error, -EBUSY, "the other is still refused");
	peer_close(second);
	first = peer_open(1);
	tap_number(peer_ask(first, WIRE_COMPLETE, 0, NULL), 0, "that all is there");
	peer_close(first);
}

static unsigned int nr_lasts;
static int last_error;

static void last_answered(struct link_req *req, int error)
{
	nr_lasts++;
	last_error = error;
}

static void ask_last(struct peer *peer, struct link_req *req, uint8_t *reply, uint32_t index)
{
	static uint8_t body[8];
	struct wire_last last = { .index = index, .most = 4 };

	memset(req, 0, sizeof(*req));
	req->type = WIRE_LAST;
	req->data = body;
	req->data_len = (uint32_t)wire_encode(WIRE_S_LAST, &last, body, sizeof(body));
	req->into = reply;
	req->into_len = WIRE_LAST_HEAD + CHUNK;
	req->done = last_answered;
	session_beside(peer->session, 0, req);
	pass(50);
}

/* It may come before FINALIZE. */
static void test_last(void)
{
	static uint8_t reply[WIRE_LAST_HEAD + CHUNK], bytes[] = "new!";
	struct wire_last_reply last;
	struct link_req req;
	struct peer *peer;

	seed_new("last");
	peer = peer_open(1);
	tap_ok(!peer->error && !peer_track(peer), "a leecher has a region tracked");
	host_request(host, region->id, BACKEND_WRITE, 0, 4, bytes);
	ask_last(peer, &req, reply, 0);
	tap_number(nr_lasts, 0, "what will have been changed last is not told before it is handed over");
	tap_ok(!peer_finalize(peer) && until(nr_lasts) && !last_error, "but then");
	tap_ok(req.got == WIRE_LAST_HEAD + CHUNK && wire_decode(WIRE_S_LAST_REPLY, reply, req.got, &last) >= 0 && !last.chunk &&
	       !memcmp(last.nonce, final.nonce, 16) && !memcmp(reply + WIRE_LAST_HEAD, "new!", 4), "with its bytes, and whose");
	ask_last(peer, &req, reply, 1);
	tap_ok(until(nr_lasts == 2) && last_error == -ENOENT, "there is no second chunk");
	ask_last(peer, &req, reply, 16);
	tap_ok(until(nr_lasts == 3) && last_error == -EPROTO, "nor a seventeenth");
	tap_number(peer_abort(peer), 0, "the leecher gives up");
	peer_track(peer);
	ask_last(peer, &req, reply, 0);
	tap_number(nr_lasts, 3, "one that asks again");
	tap_number(peer_abort(peer), 0, "and gives up again");
	tap_ok(until(nr_lasts == 4) && last_error == -ECANCELED, "is told that it will not be");
	peer_close(peer);
	tap_number(unseed(false), 0, "that was it");
}

static void test_abort(void)
{
	struct peer *peer;

	seed_new("abort");
	peer = peer_open(1);
	tap_ok(!peer_track(peer) && !peer_finalize(peer) && is_frozen(), "a leecher has it handed over");
	tap_number(peer_abort(peer), 0, "and gives it back");
	tap_ok(until(host_is(host, "db", "serving")) && !is_frozen() && was_run("resumed"), "the program goes on here");
	peer_close(peer);
	tap_ok(until(host_is(host, "db", "serving")), "it is for others to have");
	peer = peer_open(2);
	tap_ok(!peer->error && !peer_track(peer), "who are let in");
	peer_close(peer);
	tap_number(unseed(false), 0, "until seeding ends");
}

/* The next helper of the leecher that has it now comes before its old session is forgotten. */
static void test_again(void)
{
	struct peer *old, *peer;

	seed_new("again");
	old = peer_open(1);
	tap_ok(!peer_track(old) && !peer_finalize(old), "a leecher has it handed over");
	peer = peer_open(1);
	tap_number(peer->error, 0, "its next helper is let in while the old one's session is there");
	tap_number(peer_own(old), -ECANCELED, "the old one is not heard any more");
	tap_number(peer_own(peer), 0, "the next one is");
	peer_close(old);
	peer_close(peer);
}

/* The kernel has counted bytes that were dirtied after it had frozen the region. */
static void dirty_late(struct kernel_region *frozen)
{
	frozen->dirty = 4096;
}

static void test_late_dirty(void)
{
	struct peer *peer;

	seed_new("dirty");
	host->kernel.freezing = dirty_late;
	peer = peer_open(1);
	peer_track(peer);
	tap_number(peer_finalize(peer), -ECANCELED, "what was written after the freeze stops the hand-over");
	tap_ok(!is_frozen() && was_run("resumed") && host_is(host, "db", "tracking"), "the program goes on here");
	host->kernel.freezing = NULL;
	region->dirty = 0;
	tap_number(peer_finalize(peer), 0, "without that it is handed over");
	peer_close(peer);
}

static void test_late_event(uint32_t event)
{
	struct peer *peer;

	seed_new(event ? "event" : "gap");
	host->kernel.hold = REGIONFS_CMD_REGION_GET;
	peer = peer_open(1);
	peer_track(peer);
	peer_send(peer, WIRE_FINALIZE, 0, NULL);
	tap_ok(until(!list_empty(&host->kernel.held)), "a region was frozen");
	if (event)
		kernel_event(&host->kernel, region, event);
	else
		events_gap(host->regiond);
	host_release(host);
	tap_ok(until(peer->done) && peer->error == -ECANCELED, "%s stops the hand-over",
	       event ? "the kernel's word of a late write" : "a gap, that may hide the kernel's word of one,");
	tap_ok(!is_frozen() && was_run("resumed"), "the program goes on here");
	peer_close(peer);
}

/* Who has asked for the hand-over has gone before that was ready. */
static void test_gone(void)
{
	struct peer *first, *second;

	seed_new("gone");
	host->kernel.hold = REGIONFS_CMD_FREEZE;
	first = peer_open(1);
	peer_track(first);
	peer_send(first, WIRE_FINALIZE, 0, NULL);
	tap_ok(until(!list_empty(&host->kernel.held)), "the region is being frozen for a leecher");
	peer_close(first);
	second = peer_open(2);
	tap_number(second->error, -EBUSY, "which goes; nobody else takes its place");
	peer_close(second);
	host_release(host);
	tap_ok(until(host_is(host, "db", "tracking")) && !is_frozen() && was_run("resumed"), "the program goes on here");
}

static bool is_there(void)
{
	char path[128];

	backing(path, sizeof(path));
	return !access(path, F_OK);
}

/* Until the leecher says that it has all, the bytes are here, whatever is tried. */
static void test_remove(void)
{
	struct peer *peer;

	seed_new("remove");
	peer = peer_open(1);
	tap_ok(!peer_track(peer) && !peer_finalize(peer) && !peer_own(peer) && is_moved(), "a leecher owns it");
	pass(50);
	tap_number(host_do(host, "rm", json_pack("{s:s}", "region", "db")), -EBUSY, "rm is refused");
	tap_number(kernel_unlink(&host->kernel, region), -EBUSY, "unlink as well");
	tap_ok(is_there(), "its bytes are there for the leecher");
	tap_number(peer_ask(peer, WIRE_COMPLETE, 0, NULL), 0, "that has all of them");
	peer_close(peer);
	pass(50);
	tap_ok(is_there(), "they are there still");
	tap_number(host_do(host, "rm", json_pack("{s:s}", "region", "db")), 0, "rm is not refused any more");
	tap_ok(until(!is_there()), "they are gone");
}

/* It had been unlinked, and its last user goes when it has been handed over. */
static void test_unlinked(void)
{
	struct peer *peer;

	seed_new("unlinked");
	peer = peer_open(1);
	tap_ok(!peer_track(peer) && !peer_finalize(peer), "a leecher has it handed over");
	region->flags &= ~REGIONFS_REGION_FROZEN;
	tap_number(kernel_unlink(&host->kernel, region), 0, "its last user here goes");
	pass(50);
	tap_ok(is_there(), "its bytes stay");
	tap_number(peer_own(peer), 0, "the leecher owns it");
	tap_ok(is_there(), "and can have them");
	tap_number(peer_ask(peer, WIRE_COMPLETE, 0, NULL), 0, "it has all of them");
	peer_close(peer);
	tap_ok(until(!is_there()), "so they go");
}

static void test_unlinked_early(void)
{
	struct peer *peer;

	seed_new("early");
	peer = peer_open(1);
	tap_number(peer_track(peer), 0, "a leecher tracks it");
	tap_number(kernel_unlink(&host->kernel, region), 0, "it is removed here");
	tap_number(peer_finalize(peer), -ECANCELED, "then there is nothing to be handed over");
	peer_close(peer);
	tap_ok(until(!is_there()), "its bytes are gone");
}

/* The leecher that owns it will never be back. */
static void test_forced(void)
{
	struct peer *peer;

	seed_new("forced");
	peer = peer_open(1);
	tap_ok(!peer_track(peer) && !peer_finalize(peer) && !peer_own(peer) && is_moved(), "a leecher owns it");
	peer_close(peer);
	tap_number(unseed(false), -EBUSY, "it is not given up without force");
	tap_number(unseed(true), 0, "but with it");
	tap_ok(is_moved() && !is_frozen(), "it can be removed then, no more");
	pass(50);
	tap_number(host_do(host, "rm", json_pack("{s:s}", "region", "db")), 0, "as it is");
	tap_ok(until(!is_there()), "then its bytes are gone: the next ones are at the same place");
}

/* ---- its helper dies ---- */

static void restart(void)
{
	host_kill(host);
	host_start(host);
	seeder_restart(host->regiond);
}

static void test_killed_freezing(void)
{
	struct peer *peer;

	seed_new("kfreezing");
	host->kernel.hold = REGIONFS_CMD_REGION_GET;
	peer = peer_open(1);
	peer_track(peer);
	peer_send(peer, WIRE_FINALIZE, 0, NULL);
	tap_ok(until(!list_empty(&host->kernel.held)) && is_frozen(), "a helper is killed when it has frozen a region");
	restart();
	tap_ok(until(!is_frozen() && was_run("resumed")), "the next one lets its program go on");
	peer_close(peer);
	unlink(hook_path);
	pass(500);
	restart();
	pass(100);
	tap_ok(!was_run("resumed"), "the one after that has nothing to do");
}

static void test_killed_handed(void)
{
	struct peer *peer, *other;

	seed_new("khanded");
	peer = peer_open(1);
	tap_ok(!peer_track(peer) && !peer_finalize(peer), "a helper is killed when it has handed a region over");
	restart();
	pass(100);
	tap_ok(is_frozen() && !was_run("resumed"), "the next one leaves it frozen");
	tap_number(unseed(false), -EBUSY, "nobody aborts it by mistake");
	peer_close(peer);
	tap_number(seed(), 0, "it is seeded again");
	tap_ok(host_is(host, "db", "in doubt"), "that takes the hand-over up");
	other = peer_open(2);
	tap_number(other->error, -EBUSY, "nobody else is let in");
	peer_close(other);
	peer = peer_open(1);
	tap_ok(!peer->error && !peer_own(peer) && is_moved(), "who has it says so");
	restart();
	peer_close(peer);
	tap_number(seed(), 0, "after another kill it is seeded again");
	tap_ok(host_is(host, "db", "moved"), "as what it is");
	peer = peer_open(1);
	tap_ok(!peer_own(peer) && !peer_ask(peer, WIRE_COMPLETE, 0, NULL), "all is there");
	peer_close(peer);
	tap_ok(until(host_is(host, "db", "complete")) && !is_frozen() && is_moved() && !was_run("resumed"), "that was it");
}

/* The other side has said that it does not have it, and the kernel has not heard of that yet. */
static void test_killed_going_back(void)
{
	struct wire_text text = { "no more" };
	struct peer *peer;

	seed_new("kback");
	peer = peer_open(1);
	tap_ok(!peer_track(peer) && !peer_finalize(peer), "a region is handed over");
	host->kernel.hold = REGIONFS_CMD_THAW;
	peer_send(peer, WIRE_ABORT, WIRE_S_TEXT, &text);
	tap_ok(until(!list_empty(&host->kernel.held)) && is_frozen(), "and given back; the helper is killed before it is thawed");
	tap_ok(!peer->done, "and before the other side has heard that, who would forget it then");
	restart();
	tap_ok(until(!is_frozen() && was_run("resumed")), "the next one lets its program go on");
	peer_close(peer);
}

/* The answer to FINALIZE, that the leecher never got, is given again. */
static void test_killed_unheard(void)
{
	struct wire_finalize_reply first;
	struct peer *peer;

	seed_new("kunheard");
	peer = peer_open(1);
	tap_ok(!peer_track(peer) && !peer_finalize(peer), "a helper is killed when it has handed a region over");
	first = final;
	restart();
	peer_close(peer);
	seed();
	peer = peer_open(1);
	tap_number(peer_finalize(peer), 0, "who asks for that again is told again");
	tap_ok(final.epoch == first.epoch && !memcmp(final.nonce, first.nonce, sizeof(first.nonce)) &&
	       final.dirty.round == first.dirty.round && final.dirty.total == first.dirty.total, "the same");
	tap_number(peer_abort(peer), 0, "it gives up");
	tap_ok(until(host_is(host, "db", "serving")) && !is_frozen() && was_run("resumed"), "the program goes on here");
	tap_number(peer_track(peer), 0, "and may be had again");
	peer_close(peer);
}

static void test_killed_forced(void)
{
	struct peer *peer;

	seed_new("kforced");
	peer = peer_open(1);
	tap_ok(!peer_track(peer) && !peer_finalize(peer), "a helper is killed when it has handed a region over");
	restart();
	peer_close(peer);
	tap_number(unseed(true), 0, "who is sure aborts it with force");
	tap_ok(!is_frozen() && was_run("resumed"), "the program goes on here");
	tap_number(seed(), 0, "it can be seeded");
	tap_ok(host_is(host, "db", "serving"), "anew");
}

/* The record alone knows it after a reboot: the region comes back locked, and its address is somebody else's. */
static void test_booted_forced(void)
{
	struct peer *peer = (seed_new("bforced"), peer_open(1));

	tap_ok(!peer_track(peer) && !peer_finalize(peer) && !peer_own(peer) && is_moved(), "a leecher owns it");
	host_kill(host);
	host_boot(host);
	region = host_region(host, "db");
	seeder_restart(host->regiond);
	peer_close(peer);
	tap_ok(unseed(false) == -EBUSY && !unseed(true), "the host is booted, and cannot seed it again: it is given up with force alone");
	tap_ok(until(!(region->flags & REGIONFS_REGION_LOCKED)) && is_moved() && !was_run("resumed"), "as what has moved: nobody is let in");
	tap_number(seed(), -ESTALE, "nor is it seeded");
	tap_ok(!host_do(host, "rm", json_pack("{s:s}", "region", "db")) && until(!is_there()), "it can be removed, with its bytes");
}

/* Until the kernel knows that it has moved, the record alone keeps programs out after a boot. */
static void test_booted_refused(void)
{
	struct peer *peer = (seed_new("brefused"), peer_open(1));

	tap_ok(!peer_track(peer) && !peer_finalize(peer) && !peer_own(peer) && is_moved(), "a leecher owns it");
	peer_close(peer);
	for (int boot = 0; boot < 2; boot++) {
		host_kill(host);
		host_boot(host);
		region = host_region(host, "db");
		tap_ok(region->flags & REGIONFS_REGION_LOCKED, "boot %d: it is locked", boot);
		host->kernel.refuse_moved = region->id;
		tap_ok(unseed(true) < 0 && region->flags & REGIONFS_REGION_LOCKED, "the kernel does not take it: it is not given up");
	}
	host->kernel.refuse_moved = 0;
	tap_number(unseed(true), 0, "when it does, it is");
	tap_ok(until(!(region->flags & REGIONFS_REGION_LOCKED)) && is_moved(), "nobody is let in");
}

/* What its operator has said is not undone by the way, nor is it forgotten that there are two owners. */
static void test_resolved_left(bool owned)
{
	struct peer *peer = (seed_new(owned ? "dleft" : "rleft"), peer_open(1));

	tap_ok(!peer_track(peer) && !peer_finalize(peer), "a leecher may own it");
	tap_number(host_resolve(host, json_pack("{s:s,s:b}", "region", "db", "i_own_it", 1)), 0, "its operator says that it is this host's");
	if (owned)
		tap_ok(peer_own(peer) && until(host_is(host, "db", "diverged")), "the leecher's, too");
	peer_close(peer);
	host_kill(host);
	host_start(host);
	tap_ok(unseed(false) == -EBUSY && unseed(true) == -EBUSY, "the next helper does not seed it: that is not aborted");
	tap_ok(seeder_is_resolved(&region_find_path(host->regiond->regions, "db")->info), "nor forgotten");
}

static void test_stopped(void)
{
	struct peer *peer;

	seed_new("stopped");
	host->kernel.hold = REGIONFS_CMD_FREEZE;
	peer = peer_open(1);
	peer_track(peer);
	peer_send(peer, WIRE_FINALIZE, 0, NULL);
	tap_ok(until(!list_empty(&host->kernel.held)), "a helper is stopped when it is freezing a region");
	host->regiond->stopping = true;
	tap_ok(seeder_leave(host->regiond), "that is waited for");
	host_release(host);
	tap_ok(until(!seeder_leave(host->regiond)) && !is_frozen() && was_run("resumed"), "until the program goes on");
	tap_ok(until(peer->done) && peer->error == -ECANCELED, "and the leecher has heard of it");
	peer_close(peer);
}

/* ---- what the leecher decides by ---- */

static struct wire_status status;

static int peer_status(struct peer *peer, uint32_t flags)
{
	struct wire_status_ask ask = { .flags = flags };
	int error = peer_ask(peer, WIRE_STATUS, WIRE_S_STATUS_ASK, &ask);

	if (!error && wire_decode(WIRE_S_STATUS, peer->reply, peer->req.got, &status) < 0)
		return -EPROTO;
	return error;
}

static int peer_throttle(struct peer *peer, uint64_t rate)
{
	struct wire_throttle throttle = { .rate = rate };

	return peer_ask(peer, WIRE_THROTTLE, WIRE_S_THROTTLE, &throttle);
}

static struct region *known(void)
{
	struct region *found = region_find_path(host->regiond->regions, "db");

	region_put(found);
	return found;
}

static struct seeder *seeder(void)
{
	return container_of(handover_of(known()), struct seeder, handover);
}

static void test_status(void)
{
	static uint8_t bytes[CHUNK];
	struct wire_dirty dirty = { .round = 1 };
	struct peer *peer;

	seed_new("status");
	peer = peer_open(1);
	tap_number(peer_ask(peer, WIRE_STATUS, 0, NULL), 0, "STATUS may have no body");
	tap_ok(!peer_track(peer) && !peer_status(peer, 0) && status.state == WIRE_SEED_TRACKING, "a leecher is told how it is");
	tap_ok(!status.dirty && !status.unflushed && !status.flush_rate && !status.throttle, "that there is nothing yet");
	region->dirty = 8 << 20;
	tap_ok(!peer_status(peer, 0) && status.unflushed == 8 << 20, "what is dirty in the kernel");
	tap_ok(!host->kernel.asked[REGIONFS_CMD_WRITEBACK], "is left there");
	tap_ok(!peer_status(peer, WIRE_STATUS_FLUSH) && host->kernel.asked[REGIONFS_CMD_WRITEBACK] == 1, "until it shall be written");
	tap_ok(status.flush_rate > 0 && !status.unflushed, "which tells how fast that goes");
	host_request(host, region->id, BACKEND_WRITE, 0, CHUNK, bytes);
	pass(300);
	tap_ok(!peer_status(peer, 0) && status.dirty == 1 && status.dirty_rate > 0 && status.dirty_rate < 4 * CHUNK,
	       "what is changed, and how fast");
	tap_ok(!peer_ask(peer, WIRE_DIRTY, WIRE_S_DIRTY, &dirty) && !peer_status(peer, 0) && !status.dirty && status.dirty_rate > 0,
	       "still, when the round has just been closed");
	peer_close(peer);
}

/* The kernel is being asked when it ends. */
static void test_status_ended(void)
{
	struct peer *peer;

	seed_new("asked");
	peer = peer_open(1);
	peer_track(peer);
	host->kernel.hold = REGIONFS_CMD_REGION_GET;
	peer_send(peer, WIRE_STATUS, 0, NULL);
	tap_ok(until(!list_empty(&host->kernel.held)), "the kernel is asked for a STATUS");
	tap_number(unseed(false), 0, "when seeding is aborted");
	pass(2000);
	peer_close(peer);
	host_release(host);
	pass(50);
	tap_ok(!known()->handover, "that was it");
}

/* A peer that tracks, and has writers slowed. */
static struct peer *slowed(const char *name)
{
	struct peer *peer;

	seed_new(name);
	peer = peer_open(1);
	tap_ok(!peer_track(peer) && !peer_throttle(peer, 100000) && until(region->write_rate == 100000), "a leecher has writers slowed");
	return peer;
}

static void test_throttle(void)
{
	struct peer *peer = slowed("throttle");

	tap_ok(!peer_status(peer, 0) && status.throttle == 100000, "it is told that they are");
	region_limit_writers(known(), REGION_RATE_PUSHER, 50000);
	tap_ok(until(region->write_rate == 50000), "who wants them slower still has it so");
	tap_ok(!peer_throttle(peer, 20000) && until(region->write_rate == 20000), "now the leecher");
	region_limit_writers(known(), REGION_RATE_PUSHER, 0);
	pass(50);
	tap_number((long long)region->write_rate, 20000, "whose word holds when the other has no wish");
	tap_ok(!peer_throttle(peer, 0) && until(!region->write_rate), "until it has none either");
	peer_close(peer);
}

static void test_throttle_ends(void)
{
	struct peer *peer = slowed("freeze"), *next;

	host->kernel.hold = REGIONFS_CMD_FREEZE;
	peer_send(peer, WIRE_FINALIZE, 0, NULL);
	tap_ok(until(!list_empty(&host->kernel.held)) && region->write_rate, "they still are when they are told to stop");
	pass(1600);
	tap_number((long long)region->write_rate, 0, "but not if that takes long");
	host_release(host);
	tap_ok(until(peer->done) && !peer->error, "it is handed over");
	tap_number(peer_throttle(peer, 1), -EINVAL, "then there is nothing to be slowed");
	peer_close(peer);

	peer = slowed("frozen");
	tap_ok(!peer_finalize(peer) && until(!region->write_rate), "they are not when the region is frozen");
	peer_close(peer);
	peer = slowed("abort2");
	tap_ok(!peer_abort(peer) && until(!region->write_rate), "they are not when it gives up");
	peer_close(peer);
	peer = slowed("leave");
	peer_close(peer);
	tap_ok(until(!region->write_rate), "nor when it leaves");
	peer = slowed("unseed");
	tap_ok(!unseed(false) && until(!region->write_rate), "nor when seeding ends");
	peer_close(peer);
	peer = slowed("next");
	next = peer_open(1);
	tap_ok(!next->error && until(!region->write_rate), "nor for its next helper, until that says so");
	peer_close(peer);
	peer_close(next);
}

/* It is there still, but has not asked for it again. */
static void test_throttle_lease(void)
{
	struct peer *peer = slowed("lease");

	pass(1200);
	tap_number((long long)region->write_rate, 100000, "for some seconds that holds");
	seeder()->gauge.throttle_at -= 9 * 1000000000ULL;
	tap_ok(until(!region->write_rate), "but not for ever");
	peer_close(peer);
}

static void test_throttle_killed(void)
{
	struct peer *peer = slowed("kslowed");

	restart();
	pass(100);
	tap_number((long long)region->write_rate, 0, "the next helper knows nothing of it");
	peer_close(peer);
	tap_ok(!seed() && host_is(host, "db", "tracking"), "it goes on tracking");
	tap_ok(seeder()->began, "and knows since when it counts, for its rates");
}

int main(void)
{
	if (!hosts_open())
		return 99;
	test_second();
	test_last();
	test_abort();
	test_again();
	test_gone();
	test_late_dirty();
	test_late_event(REGIONFS_EVENT_LATE_DIRTY);
	test_late_event(0);
	test_remove();
	test_unlinked();
	test_unlinked_early();
	test_forced();
	test_killed_freezing();
	test_killed_handed();
	test_killed_going_back();
	test_killed_unheard();
	test_killed_forced();
	test_booted_forced();
	test_booted_refused();
	test_resolved_left(false);
	test_resolved_left(true);
	test_stopped();
	test_status();
	test_status_ended();
	test_throttle();
	test_throttle_ends();
	test_throttle_lease();
	test_throttle_killed();
	return hosts_end();
}
