// SPDX-License-Identifier: GPL-2.0
/* What a pusher sends, in which order, and what it does when that fails. */
#include "../pusher-private.h"
#include "push-world.h"

/* ---- order ---- */

static void two_generations(struct side *side)
{
	side_write(side, 0, 1, 1);
	side_write(side, 5, 1, 2);
	barriers_close(&barriers);
	side_write(side, 0, 1, 3);
}

static void test_order(void)
{
	struct side side;

	begin(&side, true, 64, false);
	two_generations(&side);
	tap_number(flush(&side), 0, "a flush ends well");
	tap_is(side.remote.trace, "W0+1=1 W5+1=2 S W0+1=3 S ", "generation by generation, with a SYNC between");
	tap_number((long long)pusher_stats(side.pusher)->generations, 2, "they are counted");
	tap_ok(side.store.syncs >= 3 && side.store.noted_synced == 2, "the store has synced what was pushed, and that it was");
	end(&side);
}

static void test_publish(void)
{
	struct side side;

	begin(&side, true, 64, true);
	two_generations(&side);
	tap_number(flush(&side), 0, "a flush ends well");
	tap_is(side.remote.trace, "W0+1=3 W5+1=2 P ", "with PUBLISH: the newest only, at once");
	tap_number((long long)pusher_stats(side.pusher)->saved, PAGE, "what was saved is told");
	tap_number(side.pushed, 1, "and that something was pushed");
	end(&side);
}

/* What was published in one run before a restart must not come in two afterwards: the first one would bring old bytes back. */
static void test_recovered(void)
{
	struct side side;
	struct waiter waiter;

	barriers_init(&barriers);
	side_setup(&side, &barriers, 64, true);
	side.policy.max_unpushed = 8 * PAGE;
	for (uint32_t i = 1; i <= 3; i++)
		store_write(&side.store, i, i * 4, 3, i);
	side.store.recovered = 3;
	barriers_hold(&barriers);
	side_open(&side, 1);
	flush_start(&side, &waiter);
	pass(20);
	tap_is(side.remote.trace, "", "what was recovered waits until it is known what the other regions have");
	barriers_release(&barriers);
	pass(50);
	tap_is(side.remote.trace, "W4+3=1 W8+3=2 W12+3=3 P ", "in one run, however much it is");
	for (uint32_t i = 1; i <= 3; i++) {
		store_write(&side.store, barriers_gen(&barriers), i * 4, 3, i);
		barriers_close(&barriers);
	}
	side.remote.trace[0] = '\0';
	tap_number(flush(&side), 0, "what is new");
	tap_is(side.remote.trace, "W4+3=1 P W8+3=2 P W12+3=3 P ", "comes in parts of max_unpushed");
	end(&side);
}

static void test_any(void)
{
	struct side side;

	begin(&side, false, 64, true);
	side.remote.state = REMOTE_AWAY;
	for (uint32_t i = 1; i < 4; i++) {
		side_write(&side, i % 2, 1, i);
		pass(40);
	}
	tap_number((long long)pusher_gen(side.pusher), 2, "order any: there is a generation whenever it begins to push");
	side.remote.state = REMOTE_UP;
	tap_number(flush(&side), 0, "they go together, and not by PUBLISH, which nobody needs here");
	tap_is(side.remote.trace, "W0+2=2 S ", "the newest only, neighbours in one");
	end(&side);
}

static void test_requests(void)
{
	struct side side;
	struct waiter waiter;

	begin(&side, true, 64, false);
	side.remote.hold = true;
	for (uint32_t i = 0; i < 3; i++)
		side_write(&side, i, 1, i + 1);
	side_write(&side, 8, 2, 0);
	side_write(&side, 10, 2, 0);
	side_write(&side, 20, 4, ZEROES);
	side_write(&side, 62, 4, ZEROES);
	side_write(&side, 70, 4, 0);
	store_resize(&side.store, barriers_gen(&barriers), 64 * PAGE, 50 * PAGE);
	flush_start(&side, &waiter);
	pass(20);
	tap_is(side.remote.trace, "Z64 ", "a RESIZE goes first, and alone");
	remote_release(&side.remote);
	pass(50);
	tap_is(side.remote.trace, "Z64 D8+4 D70+3 W73+1=0 D20+4 W62+4=0 W0+3=1 S ",
	       "neighbours go together; zeroes are a DISCARD, but not where they make the source longer");
	end(&side);
}

static void test_headers(void)
{
	struct side side;
	struct waiter waiter;
	const struct backend_req *req;

	begin(&side, true, 64, true);
	side.remote.hold = true;
	side_write(&side, 0, 1, 1);
	side_write(&side, 9, 1, 2);
	flush_start(&side, &waiter);
	pass(20);
	tap_number(side.remote.nr, 1, "the first staged request goes alone");
	req = list_entry(side.remote.queue.next, struct backend_req, list);
	tap_ok(req->first && req->batch && req->flags == (BACKEND_STAGED | BACKEND_BULK) && req->attach_gen == 7 &&
	       req->epoch == 9 && req->loop == loop, "and has all it needs");
	remote_release(&side.remote);
	pass(50);
	tap_number(waiter.calls, 1, "then come the others");
	end(&side);
}

/* ---- a database and its log ---- */

static void test_two_regions(void)
{
	struct side wal, db;
	struct waiter waiter;

	begin(&wal, true, 64, true);
	side_setup(&db, &barriers, 64, true);
	side_open(&db, 2);
	side_write(&wal, 0, 1, 1);
	barriers_close(&barriers);
	side_write(&db, 0, 1, 2);
	barriers_close(&barriers);
	side_write(&wal, 0, 1, 3);
	wal.remote.hold = true;
	flush_start(&db, &waiter);
	pass(50);
	tap_is(db.remote.trace, "W0+1=2 ", "the database is staged while its log is not there yet, but not published");
	tap_is(wal.remote.trace, "W0+1=1 ", "the log is asked for what is older, up to where the database has something");
	remote_release(&wal.remote);
	pass(50);
	tap_ok(waiter.calls == 1 && !waiter.error, "then it is published");
	tap_is(wal.remote.trace, "W0+1=1 P ", "the log's next generation waits for its own time");
	tap_number(flush(&wal), 0, "which comes");
	tap_is(wal.remote.trace, "W0+1=1 P W0+1=3 P ", "(it is pushed)");
	side_close(&db);
	side_free(&db);
	end(&wal);
}

/* ---- trouble ---- */

static void test_away(void)
{
	struct side side;
	struct waiter waiter;

	begin(&side, true, 64, false);
	side.remote.state = REMOTE_AWAY;
	two_generations(&side);
	flush_start(&side, &waiter);
	pass(50);
	tap_ok(!side.remote.trace[0] && !waiter.calls && pusher_stats(side.pusher)->away, "while the source is away nothing is sent");
	side.remote.state = REMOTE_UP;
	pusher_kick(side.pusher);
	pass(50);
	tap_is(side.remote.trace, "W0+1=1 W5+1=2 S W0+1=3 S ", "when it is back all goes on by itself, in order");
	tap_ok(waiter.calls == 1 && !waiter.error, "and who waited is told");
	end(&side);
}

static void test_error(void)
{
	struct side side;

	begin(&side, true, 64, false);
	side.remote.fail[BACKEND_WRITE] = -ENOSPC;
	side_write(&side, 0, 1, 1);
	tap_number(flush(&side), -ENOSPC, "who waits gets a final error");
	tap_ok(side.errors == 1 && side.error == -ENOSPC, "it is told once");
	tap_ok(pusher_stats(side.pusher)->error == -ENOSPC && pusher_stats(side.pusher)->unpushed == PAGE, "and all is still here");
	pass(500);
	tap_number(side.remote.count[BACKEND_WRITE], 1, "it is not tried again at once");
	pass(700);
	tap_ok(side.remote.count[BACKEND_WRITE] == 2 && side.pushed == 1, "but a second later, and then arrives");
	tap_number(pusher_stats(side.pusher)->error, 0, "the error is gone");
	side.remote.fail[BACKEND_SYNC] = -EIO;
	side_write(&side, 0, 1, 2);
	tap_number(flush(&side), -EIO, "a failed SYNC is an error");
	tap_number(flush(&side), 0, "a flush tries again at once");
	tap_is(side.remote.trace, "W0+1=1 W0+1=1 S W0+1=2 S W0+1=2 S ", "with all of the generation");
	end(&side);
}

static void test_stale(void)
{
	struct side side;

	begin(&side, true, 64, true);
	side.remote.fail[BACKEND_PUBLISH] = -ESTALE;
	two_generations(&side);
	tap_number(flush(&side), 0, "a source that has forgotten what was staged is no error");
	tap_is(side.remote.trace, "W0+1=3 W5+1=2 P W0+1=3 W5+1=2 P ", "all is staged again");
	side.remote.forever = true;
	side.remote.fail[BACKEND_PUBLISH] = -ESTALE;
	side_write(&side, 0, 1, 4);
	tap_number(flush(&side), -ESTALE, "until it does so again and again");
	end(&side);
}

static void test_reopened(void)
{
	struct side side;
	struct waiter waiter;

	begin(&side, true, 64, false);
	side_write(&side, 0, 1, 1);
	side.remote.hold = true;
	flush_start(&side, &waiter);
	pass(20);
	side.remote.opened++;
	remote_release(&side.remote);
	pass(50);
	tap_is(side.remote.trace, "W0+1=1 S W0+1=1 S ", "what a source had answered before it was opened anew is sent again");
	tap_number(waiter.calls, 1, "before it counts as there");
	end(&side);
}

/* A change gets into its generation while that is being sent. */
static void late_begin(struct side *side, struct waiter *waiter)
{
	begin(side, true, 64, false);
	side_write(side, 5, 1, 1);
	side->remote.hold = true;
	flush_start(side, waiter);
	pass(20);
	store_write(&side->store, 1, 2, 1, 2);
}

static void test_late(void)
{
	struct side side;
	struct waiter waiter;

	late_begin(&side, &waiter);
	remote_release(&side.remote);
	pass(50);
	tap_is(side.remote.trace, "W5+1=1 S W2+1=2 W5+1=1 S ", "a change that gets late into its generation is not lost");
	side_write(&side, 6, 1, 3);
	store_gen_oldest(&side.store)->pending++;
	flush_start(&side, &waiter);
	pass(20);
	tap_number(side.remote.count[BACKEND_WRITE], 3, "and what is not whole yet is not begun");
	store_gen_oldest(&side.store)->pending--;
	pusher_kick(side.pusher);
	pass(20);
	tap_ok(waiter.calls == 1 && !waiter.error, "but when it is");
	end(&side);
}

/* What was being sent then may be refused, or be in pieces: that is nobody's error. */
static void test_late_fails(void)
{
	struct side side;
	struct waiter waiter;

	late_begin(&side, &waiter);
	side.remote.fail[BACKEND_WRITE] = -EIO;
	remote_release(&side.remote);
	pass(50);
	tap_ok(waiter.calls == 1 && !waiter.error && !side.errors, "a batch that a late change has broken is begun anew, and nobody told");
	end(&side);
}

static void test_store_trouble(void)
{
	struct side side;

	begin(&side, true, 64, false);
	side.store.sync_error = -EIO;
	side_write(&side, 0, 1, 1);
	tap_number(flush(&side), -EIO, "a store that can't be synced is an error");
	tap_is(side.remote.trace, "", "nothing goes out that it may forget");
	side.store.sync_error = 0;
	side.store.read_error = -EIO;
	tap_number(flush(&side), -EIO, "so is a log that can't be read");
	tap_is(pusher_stats(side.pusher)->why, "what is unpushed could not be read from the local store: Input/output error",
	       "it is told what it is");
	side.store.read_error = 0;
	tap_number(flush(&side), 0, "both may pass");
	end(&side);
}

/* It is at the source, but the store can't note it. */
static void test_not_noted(void)
{
	struct side side;
	struct waiter waiter;

	begin(&side, true, 64, false);
	side.remote.hold = true;
	side_write(&side, 0, 1, 1);
	flush_start(&side, &waiter);
	pass(20);
	side.store.sync_error = -EIO;
	remote_release(&side.remote);
	pass(50);
	tap_ok(waiter.calls == 1 && waiter.error == -EIO, "what the store can't note as pushed is not done");
	side_write(&side, 0, 1, 2);
	side.store.sync_error = 0;
	tap_number(flush(&side), 0, "later it can");
	tap_is(side.remote.trace, "W0+1=1 S W0+1=2 S ", "it is not sent again for that");
	end(&side);
}

/* What the store has found noted may be lost with the next power cut: nobody may count on it before it is durable. */
static void test_opening(void)
{
	struct side side, other;
	struct waiter waiter;

	begin(&side, true, 64, false);
	side_setup(&other, &barriers, 64, false);
	other.store.sync_error = -EIO;
	side_open(&other, 2);
	side_write(&side, 0, 1, 1);
	flush_start(&side, &waiter);
	pass(50);
	tap_ok(!waiter.calls && other.error == -EIO, "nobody pushes while a store can't make durable what it has found");
	other.store.sync_error = 0;
	tap_number(flush(&other), 0, "then it can");
	pass(50);
	tap_ok(waiter.calls == 1 && !waiter.error, "and the others go on");
	side_close(&other);
	side_free(&other);
	end(&side);
}

/* The store syncs well, but the record that says what is at the source was not written. */
static void test_no_record(void)
{
	struct side side;
	struct waiter waiter;

	begin(&side, true, 64, false);
	side.store.note_error = -ENOSPC;
	side_write(&side, 0, 1, 1);
	tap_number(flush(&side), -ENOSPC, "what has no record is not noted");
	tap_number((long long)side.pusher->member.oldest(&side.pusher->member), 1, "nor do the others count on it");
	side.store.note_error = 0;
	flush_start(&side, &waiter);
	pass(50);
	tap_ok(waiter.calls == 1 && !waiter.error && side.store.noted_synced == 1, "before there is one");
	tap_is(side.remote.trace, "W0+1=1 S ", "(it was not sent again)");
	end(&side);
}

/* A region that fails to open leaves the others no more to wait for than what its store has. */
static void test_opening_fails(void)
{
	struct side side, other;
	struct waiter waiter;

	begin(&side, true, 64, false);
	side_setup(&other, &barriers, 64, false);
	other.store.sync_error = -EIO;
	side_open(&other, 2);
	pass(20);
	side_close(&other);
	side_write(&side, 0, 1, 1);
	flush_start(&side, &waiter);
	pass(50);
	tap_ok(waiter.calls == 1 && !waiter.error, "a region that could not be opened, with an empty store, holds nobody back");
	store_write(&other.store, barriers_gen(&barriers), 0, 1, 2);
	side_open(&other, 2);
	pass(20);
	side_close(&other);
	side_write(&side, 0, 1, 3);
	tap_number(flush(&side), 0, "with changes it does only after them");
	side_write(&side, 0, 1, 4);
	tap_number(flush_within(&side, 2000), -ETIME, "(then it does)");
	tap_number((long long)pusher_stats(side.pusher)->waits_for, 2, "and it is told who it is");
	barriers_forget(&barriers, 2);
	tap_number(flush(&side), 0, "until it is gone");
	side_free(&other);
	end(&side);
}

static void pair_begin(struct side *held, struct side *away)
{
	begin(held, true, 64, false);
	side_setup(away, &barriers, 64, false);
	side_open(away, 2);
	away->remote.state = REMOTE_AWAY;
	side_write(away, 0, 1, 1);
	barriers_close(&barriers);
	side_write(held, 0, 1, 2);
}

static void pair_end(struct side *held, struct side *away)
{
	side_close(away);
	barriers_forget(&barriers, 2);
	side_free(away);
	end(held);
}

/* The way out: the one whose source is away leaves the domain. */
static void test_leave_domain(void)
{
	struct side held, away;
	struct waiter waiter;

	pair_begin(&held, &away);
	flush_start(&held, &waiter);
	pass(50);
	tap_ok(!waiter.calls && pusher_stats(held.pusher)->waits_for == 2, "a source that is away holds the others, and they know it");
	tap_number(pusher_set_barriers(away.pusher, NULL), 0, "it can leave the domain");
	pass(50);
	tap_ok(waiter.calls == 1 && !pusher_stats(held.pusher)->waits_for, "then the others go on");
	side_write(&away, 1, 1, 3);
	tap_number(pusher_set_barriers(away.pusher, &barriers), -EBUSY, "it can't come back with changes");
	away.remote.state = REMOTE_UP;
	tap_number(flush(&away), 0, "it pushes by itself");
	tap_is(away.remote.trace, "W0+2=1 S ", "(in no order)");
	barriers_close(&barriers);
	tap_number(pusher_set_barriers(away.pusher, &barriers), 0, "with none it can");
	side_write(&away, 0, 1, 4);
	barriers_close(&barriers);
	side_write(&held, 0, 1, 5);
	tap_number(flush(&held), 0, "and is in order again");
	tap_number(away.remote.seen[0], 4, "(it came first)");
	pair_end(&held, &away);
}

/* The one that is held leaves. */
static void test_held_leaves(void)
{
	struct side held, away;
	struct waiter waiter;

	pair_begin(&held, &away);
	flush_start(&held, &waiter);
	pass(50);
	pusher_set_barriers(held.pusher, NULL);
	pass(50);
	tap_ok(waiter.calls == 1 && !waiter.error && held.remote.seen[0] == 2, "so can one that waits for it");
	tap_ok(list_empty(&barriers.left), "and leaves nothing behind");
	pair_end(&held, &away);
}

/* Merged for a source that could publish, and then there is one that can't. */
static void test_torn(void)
{
	struct side side;

	begin(&side, true, 64, true);
	side.remote.fail[BACKEND_PUBLISH] = -EIO;
	two_generations(&side);
	tap_number(flush(&side), -EIO, "(a run is not published)");
	side.remote.caps.publish = false;
	side.remote.trace[0] = '\0';
	tap_number(flush(&side), -EOPNOTSUPP, "a source that can't publish any more gets no run");
	tap_is(side.remote.trace, "", "not a bit of it");
	tap_ok(strstr(pusher_stats(side.pusher)->why, "publish") && side.error == -EOPNOTSUPP, "why is told");
	side.remote.caps.publish = true;
	tap_number(flush(&side), 0, "when it can again it does");
	tap_is(side.remote.trace, "W0+1=3 W5+1=2 P ", "at once");
	end(&side);
}

static struct pusher *stubborn;
static unsigned int stubborn_calls;

static void flush_again(struct pusher_wait *wait, int error)
{
	stubborn_calls++;
	if (stubborn)
		pusher_flush(stubborn, wait);
}

static void test_stubborn(void)
{
	struct side side;
	struct pusher_wait wait = { .done = flush_again };

	begin(&side, true, 64, false);
	side.remote.fail[BACKEND_WRITE] = -EROFS;
	side.remote.forever = true;
	stubborn = side.pusher;
	side_write(&side, 0, 1, 1);
	pusher_flush(side.pusher, &wait);
	pass(500);
	tap_ok(side.remote.count[BACKEND_WRITE] <= 3, "who flushes again and again does not keep the source busy (%u)",
	       side.remote.count[BACKEND_WRITE]);
	pass(1200);
	tap_ok(side.remote.count[BACKEND_WRITE] >= 3 && side.remote.count[BACKEND_WRITE] <= 5, "but is tried once a second (%u)",
	       side.remote.count[BACKEND_WRITE]);
	stubborn = NULL;
	end(&side);
}

int main(void)
{
	if (loop_open(&loop, 0))
		return EXIT_FAILURE;
	test_order();
	test_publish();
	test_recovered();
	test_any();
	test_requests();
	test_headers();
	test_two_regions();
	test_away();
	test_error();
	test_stale();
	test_reopened();
	test_late();
	test_late_fails();
	test_store_trouble();
	test_not_noted();
	test_opening();
	test_no_record();
	test_opening_fails();
	test_leave_domain();
	test_held_leaves();
	test_torn();
	test_stubborn();
	loop_close(loop);
	return tap_end();
}
