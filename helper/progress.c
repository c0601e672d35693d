// SPDX-License-Identifier: GPL-2.0
/* Progress of long work: a bar that redraws itself on a terminal, now and then a line elsewhere. */
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "progress.h"
#include "units.h"

#define TERMINAL_STEP_MS	100
#define PLAIN_STEP_MS		5000
#define BAR_MAX			30
#define BESIDE_BAR		58	/* what figures may take: a bar that changes its width flickers */
#define LINE_MAX_BYTES		512

uint64_t regionfs_progress_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int terminal_columns(int fd)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) || !size.ws_col)
		return 80;
	return size.ws_col;
}

void regionfs_progress_init(struct regionfs_progress *progress, FILE *to, const char *label)
{
	memset(progress, 0, sizeof(*progress));
	progress->to = to;
	progress->label = label;
	progress->bytes = true;
	progress->terminal = isatty(fileno(to));
	progress->columns = progress->terminal ? terminal_columns(fileno(to)) : 100;
	progress->started_ms = regionfs_progress_now();
}

/* Bytes, or whatever unit it is, per second since the first update, while something moved. */
static uint64_t rate_of(const struct regionfs_progress *progress, uint64_t done, uint64_t now_ms)
{
	bool stands = progress->moved_ms && done == progress->last_done;
	uint64_t ms = (stands ? progress->moved_ms : now_ms) - progress->started_ms;

	if (!ms || done <= progress->first_done)
		return 0;
	return (uint64_t)((double)(done - progress->first_done) * 1000 / (double)ms);
}

static void format_amount(const struct regionfs_progress *progress, uint64_t amount,
			  char text[REGIONFS_UNITS_TEXT])
{
	if (progress->bytes)
		regionfs_size_format(amount, text);
	else
		snprintf(text, REGIONFS_UNITS_TEXT, "%" PRIu64, amount);
}

static void format_bar(uint64_t done, uint64_t total, int width, char *text)
{
	int filled = (int)((double)done / (double)total * width);

	text[0] = '[';
	for (int i = 0; i < width; i++)
		text[1 + i] = i < filled ? '#' : '.';
	text[1 + width] = ']';
	text[2 + width] = '\0';
}

/* "  12.0 MiB/s  ETA 1m20s"; empty while nothing can be said yet. */
static void format_rate(const struct regionfs_progress *progress, uint64_t done, uint64_t total,
			uint64_t now_ms, char *text, size_t room)
{
	uint64_t rate = rate_of(progress, done, now_ms);
	char speed[REGIONFS_UNITS_TEXT], eta[REGIONFS_UNITS_TEXT];
	int used;

	text[0] = '\0';
	if (!rate)
		return;
	format_amount(progress, rate, speed);
	used = snprintf(text, room, "  %s/s", speed);
	if (total <= done)
		return;
	regionfs_duration_format((uint64_t)((double)(total - done) * 1000 / (double)rate), eta);
	snprintf(text + used, room - (size_t)used, "  ETA %s", eta);
}

const char *regionfs_progress_line(const struct regionfs_progress *progress, uint64_t done,
				   uint64_t total, uint64_t now_ms, char *text, size_t room)
{
	char now[REGIONFS_UNITS_TEXT], all[REGIONFS_UNITS_TEXT], rate[96], bar[BAR_MAX + 3] = "";
	int spare;

	format_amount(progress, total && done > total ? total : done, now);
	format_rate(progress, done, total, now_ms, rate, sizeof(rate));
	if (!total) {
		snprintf(text, room, "%s  %s%s", progress->label, now, rate);
		return text;
	}
	if (done > total)
		done = total;
	format_amount(progress, total, all);
	snprintf(text, room, "%s  %3u%%  %s of %s%s", progress->label,
		 (unsigned int)((double)done * 100 / (double)total), now, all, rate);
	spare = progress->columns - (int)strlen(progress->label) - BESIDE_BAR;
	if (!progress->terminal || spare < 8)
		return text;
	format_bar(done, total, spare > BAR_MAX ? BAR_MAX : spare, bar);
	snprintf(text, room, "%s  %s %3u%%  %s of %s%s", progress->label, bar,
		 (unsigned int)((double)done * 100 / (double)total), now, all, rate);
	return text;
}

static bool is_due(const struct regionfs_progress *progress, bool complete, uint64_t now_ms)
{
	uint64_t step = progress->terminal ? TERMINAL_STEP_MS : PLAIN_STEP_MS;

	if (progress->terminal && (complete || !progress->shown))
		return true;
	/* Short work leaves no trace in a log file: the first line comes after one step, too. */
	return now_ms - (progress->shown ? progress->printed_ms : progress->started_ms) >= step;
}

void regionfs_progress_update(struct regionfs_progress *progress, uint64_t done, uint64_t total,
			      const char *unit, uint64_t now_ms)
{
	char text[LINE_MAX_BYTES];

	progress->bytes = !unit || !strcmp(unit, "bytes");
	if (!progress->has_first) {
		progress->has_first = true;
		progress->first_done = done;
		progress->started_ms = now_ms;
	}
	if (done != progress->last_done || !progress->moved_ms) {
		progress->last_done = done;
		progress->moved_ms = now_ms;
	}
	if (!is_due(progress, total && done >= total, now_ms))
		return;
	regionfs_progress_line(progress, done, total, now_ms, text, sizeof(text));
	if (progress->terminal)
		fprintf(progress->to, "\r%.*s\033[K", progress->columns - 1, text);
	else
		fprintf(progress->to, "%s\n", text);
	fflush(progress->to);
	progress->shown = true;
	progress->printed_ms = now_ms;
}

void regionfs_progress_end(struct regionfs_progress *progress)
{
	if (progress->shown && progress->terminal)
		fputc('\n', progress->to);
	progress->shown = false;
}
