// SPDX-License-Identifier: GPL-2.0
/*
 * WRITE_RATE: a region's writers take turns, so that all of them together write no more than so many bytes a second.
 *
 * They stand in line, and only the first looks at the clock. It may go at ->rate_due, which its bytes, charged as it goes, then move
 * by the time that they take at this rate. So what is charged may be as large as it likes, there is no division by what could be
 * zero, and no one who comes when called is passed by. Of the time in which nobody wrote, REGIONFS_RATE_BURST counts for those who come.
 *
 * Who is in line holds no lock and is not counted in as a writer: freeze and lock need not wait for him. He leaves the line, without
 * paying, when he may not write anyway. Who is first and does not come although he may (frozen by a cgroup, or throttled) is passed by, from
 * a burst later on and until he runs; a timer looks for that, since those behind him may be no better off.
 *
 * The limit is the attached helper's and needs no undoing when that one goes: it is in force while the attach generation is the one
 * that it was set in.
 */
#include <linux/hash.h>
#include <linux/math64.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include "region.h"

#define REGIONFS_RATE_BURST	(NSEC_PER_SEC / 10)
#define REGIONFS_RATE_DEBT	(24ULL * 3600 * NSEC_PER_SEC)	/* at most; so that no sum overflows */
#define REGIONFS_RATE_TURN	SZ_16M				/* bytes */
/* While others are in line, so that a store to a page does not wait for 16 MiB of a write() each time. */
#define REGIONFS_RATE_SHARE	SZ_64K

/* Bytes a second; 0: no limit. */
u64 regionfs_rate(struct regionfs_region *region)
{
	struct regionfs_instance *inst = region->inst;

	if (likely(!READ_ONCE(region->rate)))
		return 0;
	if (!READ_ONCE(inst->chan) || READ_ONCE(region->rate_gen) != READ_ONCE(inst->attach_gen))
		return 0;
	return READ_ONCE(region->rate);
}

static u64 regionfs_rate_time(u64 rate, size_t len)
{
	return div64_u64((u64)min_t(size_t, len, REGIONFS_RATE_TURN) * NSEC_PER_SEC, rate);
}

/*
 * One turn is about a burst, so that other writers get theirs; a page at least. It ends where a page does, if it is not the last: a page
 * that two turns write in part would have to be read first.
 */
static size_t regionfs_rate_turn(u64 rate, loff_t pos, size_t len, size_t most)
{
	u64 burst = round_down(div_u64(rate, NSEC_PER_SEC / REGIONFS_RATE_BURST), PAGE_SIZE);

	burst = clamp_t(u64, burst, PAGE_SIZE, most);
	return len <= burst ? len : burst - offset_in_page(pos);
}

/* rate_lock held. */
static void regionfs_rate_charge(struct regionfs_region *region, u64 rate, size_t len, u64 now)
{
	u64 from = max_t(u64, region->rate_due, now - min_t(u64, now, REGIONFS_RATE_BURST));

	region->rate_due = min_t(u64, from + regionfs_rate_time(rate, len), now + REGIONFS_RATE_DEBT);
}

/* rate_lock held. The first in line but for those who are passed by. */
static struct regionfs_turn *regionfs_rate_first(struct regionfs_region *region)
{
	struct regionfs_turn *turn;

	list_for_each_entry(turn, &region->rate_line, node)
		if (!turn->passed)
			return turn;
	return NULL;
}

/* rate_lock held. There is somebody in line who is not passed by: from now on he is looked after. */
static void regionfs_rate_watch(struct regionfs_region *region)
{
	if (!timer_pending(&region->rate_timer))
		mod_timer(&region->rate_timer, jiffies + nsecs_to_jiffies(REGIONFS_RATE_BURST) + 1);
}

/* rate_lock held. @turn cannot leave before we unlock. */
static void regionfs_rate_call(struct regionfs_turn *turn, u64 now)
{
	turn->since = now;
	wake_up_process(turn->task);
}

static void regionfs_rate_look(struct timer_list *timer)
{
	struct regionfs_region *region = container_of(timer, struct regionfs_region, rate_timer);
	u64 now = ktime_get_ns();
	struct regionfs_turn *turn;

	spin_lock(&region->rate_lock);
	turn = regionfs_rate_first(region);
	if (turn && max(turn->since, region->rate_due) + REGIONFS_RATE_BURST <= now) {
		turn->passed = true;
		turn = regionfs_rate_first(region);
		if (turn)
			regionfs_rate_call(turn, now);
	}
	if (turn)
		regionfs_rate_watch(region);
	spin_unlock(&region->rate_lock);
}

void regionfs_rate_init(struct regionfs_region *region)
{
	spin_lock_init(&region->rate_lock);
	INIT_LIST_HEAD(&region->rate_line);
	timer_setup(&region->rate_timer, regionfs_rate_look, 0);
}

/* The last reference is gone. */
void regionfs_rate_destroy(struct regionfs_region *region)
{
	timer_delete_sync(&region->rate_timer);
}

/* rate_lock held. @turn, if it is in line, is looking at the clock itself. Is it first? */
static bool regionfs_rate_is_first(struct regionfs_region *region, struct regionfs_turn *turn, u64 now)
{
	struct regionfs_turn *first;

	if (turn->passed) {
		turn->passed = false;
		turn->since = now;
		regionfs_rate_watch(region);
	}
	first = regionfs_rate_first(region);
	return !first || first == turn;
}

/* rate_lock held. The first in line looks again every now and then, whatever happens. */
static long regionfs_rate_sleep(struct regionfs_region *region, bool first, u64 now)
{
	if (!first)
		return MAX_SCHEDULE_TIMEOUT;
	if (region->rate_due <= now)
		return 1;
	return nsecs_to_jiffies(min_t(u64, region->rate_due - now, REGIONFS_RATE_BURST)) + 1;
}

/* rate_lock held. How long a turn may be: one that is in line is one of those there. */
static size_t regionfs_rate_most(struct regionfs_region *region)
{
	bool others = !list_empty(&region->rate_line) && !list_is_singular(&region->rate_line);

	return others ? REGIONFS_RATE_SHARE : REGIONFS_RATE_TURN;
}

/* May @turn go now? Then it is charged, where there is a limit, and turn->len is how much it may write. Else turn->left is how long to sleep. */
static bool regionfs_rate_try(struct regionfs_region *region, struct regionfs_turn *turn)
{
	u64 now = ktime_get_ns(), rate;
	bool first, go;

	spin_lock_bh(&region->rate_lock);
	rate = regionfs_rate(region);
	first = regionfs_rate_is_first(region, turn, now);
	go = !rate || (first && region->rate_due <= now);
	turn->left = regionfs_rate_sleep(region, first, now);
	if (go && rate) {
		turn->len = regionfs_rate_turn(rate, turn->pos, turn->len, regionfs_rate_most(region));
		turn->rate = rate;
		regionfs_rate_charge(region, rate, turn->len, now);
	}
	spin_unlock_bh(&region->rate_lock);
	return go;
}

static bool regionfs_rate_over(struct regionfs_region *region, struct regionfs_turn *turn)
{
	turn->err = regionfs_region_may(region, REGIONFS_WANT_WRITE);
	return turn->err || regionfs_rate_try(region, turn);
}

static void regionfs_rate_leave(struct regionfs_region *region, struct regionfs_turn *turn)
{
	struct regionfs_turn *first;
	bool was_first;

	spin_lock_bh(&region->rate_lock);
	was_first = regionfs_rate_first(region) == turn;
	list_del(&turn->node);
	first = was_first ? regionfs_rate_first(region) : NULL;
	if (first)
		regionfs_rate_call(first, ktime_get_ns());
	spin_unlock_bh(&region->rate_lock);
}

/* Is there no need to wait for a turn of up to @len bytes? Then it is charged. */
bool regionfs_rate_now(struct regionfs_region *region, size_t len)
{
	struct regionfs_turn turn = { .len = len };

	return likely(!regionfs_rate(region)) || regionfs_rate_try(region, &turn) || regionfs_region_is_helper(region);
}

/* Charges @len bytes to who cannot wait: the others do, for longer. */
void regionfs_rate_owe(struct regionfs_region *region, size_t len)
{
	u64 rate;

	if (likely(!regionfs_rate(region)))
		return;
	spin_lock_bh(&region->rate_lock);
	rate = regionfs_rate(region);
	if (rate)
		regionfs_rate_charge(region, rate, len, ktime_get_ns());
	spin_unlock_bh(&region->rate_lock);
}

/* Gives back what @turn was charged for and has not written, at the rate that it was charged at; a change of rate has forgiven it already. */
void regionfs_rate_refund(struct regionfs_region *region, const struct regionfs_turn *turn, size_t written)
{
	if (likely(!turn->rate) || written >= turn->len)
		return;
	spin_lock_bh(&region->rate_lock);
	if (regionfs_rate(region) == turn->rate)
		region->rate_due -= min(region->rate_due, regionfs_rate_time(turn->rate, turn->len - written));
	spin_unlock_bh(&region->rate_lock);
}

/*
 * Waits for a turn to write @turn->len bytes at @turn->pos (the rest is zero), in @task_state, and pays for it; then @turn->len is how many
 * it is for. -ERESTARTSYS: a signal is pending; or what regionfs_region_may() gives. Call it with no lock, when one may write.
 */
int regionfs_rate_wait(struct regionfs_region *region, struct regionfs_turn *turn, unsigned int task_state)
{
	int err;

	if (likely(!regionfs_rate(region)) || regionfs_region_is_helper(region))
		return 0;
	turn->task = current;
	turn->since = ktime_get_ns();
	turn->passed = false;
	spin_lock_bh(&region->rate_lock);
	list_add_tail(&turn->node, &region->rate_line);
	regionfs_rate_watch(region);
	spin_unlock_bh(&region->rate_lock);
	err = ___wait_event(region->inst->wait, regionfs_rate_over(region, turn), task_state, 0, 0,
			    schedule_timeout(turn->left));
	regionfs_rate_leave(region, turn);
	return err ?: turn->err;
}

/* Who is in line looks again at whether he may write. */
void regionfs_rate_wake(struct regionfs_region *region)
{
	smp_mb();	/* what has changed before the look for waiters */
	if (!list_empty_careful(&region->rate_line))
		wake_up_all(&region->inst->wait);
}

/*
 * A store through a mapping pays in ->fault, where it can wait. By the time that it comes again, a reader may have mapped the page, so that
 * it ends up in ->page_mkwrite as one that has not paid; and again, for as long as somebody reads. So who has paid is
 * noted, as far as there is room: by what tells a task from all others, also from one that had its address before.
 */
static unsigned long regionfs_rate_payer(void)
{
	return (unsigned long)current ^ (unsigned long)current->start_boottime;
}

static unsigned long *regionfs_rate_slot(struct regionfs_region *region)
{
	return &region->rate_paid[hash_ptr(current, ilog2(REGIONFS_RATE_PAID))];
}

void regionfs_rate_note(struct regionfs_region *region)
{
	WRITE_ONCE(*regionfs_rate_slot(region), regionfs_rate_payer());
}

/* Has the caller paid? It is not forgotten yet. */
bool regionfs_rate_paid(struct regionfs_region *region)
{
	return READ_ONCE(*regionfs_rate_slot(region)) == regionfs_rate_payer();
}

bool regionfs_rate_noted(struct regionfs_region *region)
{
	unsigned long *slot = regionfs_rate_slot(region), payer = regionfs_rate_payer();

	return READ_ONCE(*slot) == payer && cmpxchg(slot, payer, 0) == payer;
}

/*
 * 0: no limit. -ENOTCONN: a limit, but no helper whose it could be. What is owed at the old rate is forgiven but for a burst, so that
 * the new one is felt at once; not more, so that who changes it often does not lift it.
 */
int regionfs_rate_set(struct regionfs_region *region, u64 rate)
{
	struct regionfs_instance *inst = region->inst;
	int err = 0;

	spin_lock(&inst->lock);
	if (rate && !inst->chan) {
		err = -ENOTCONN;
	} else {
		spin_lock_bh(&region->rate_lock);
		if (rate != region->rate)
			region->rate_due = min_t(u64, region->rate_due, ktime_get_ns() + REGIONFS_RATE_BURST);
		WRITE_ONCE(region->rate, rate);
		WRITE_ONCE(region->rate_gen, inst->attach_gen);
		spin_unlock_bh(&region->rate_lock);
	}
	spin_unlock(&inst->lock);
	regionfs_rate_wake(region);
	return err;
}
