// SPDX-License-Identifier: GPL-2.0
/* regionctl watch: a managed region as a map that moves. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cmd.h"
#include "progress.h"
#include "watch-draw.h"

#define STEP_MS		500
#define JSON_STEP_MS	1000
#define COLUMNS_MIN	20u
#define COLUMNS_MAX	240u

struct watch {
	struct cmd_context *ctx;
	bool once, screen;
	struct termios before;		/* if screen, and keys are read */
	bool keys;
	int stop_fd;
	json_t *now, *last, *map;
	uint64_t now_ms, last_ms;
};

static unsigned int columns(void)
{
	const char *given = getenv("COLUMNS");
	struct winsize size;
	unsigned int n = 80;

	/* less one: what stands in the last one is cleared on some terminals, when the rest of the line is */
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
		n = size.ws_col - 1u;
	else if (given && atoi(given) > 0)
		n = (unsigned int)atoi(given);
	return n < COLUMNS_MIN ? COLUMNS_MIN : n > COLUMNS_MAX ? COLUMNS_MAX : n;
}

/* ---- the terminal ---- */

static void screen_begin(struct watch *watch)
{
	struct termios raw;

	watch->keys = !tcgetattr(STDIN_FILENO, &watch->before);
	if (watch->keys) {
		raw = watch->before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	/* cleared; no cursor */
	fputs("\033[2J\033[?25l", stdout);
}

static void screen_end(struct watch *watch)
{
	fputs("\033[?25h", stdout);
	fflush(stdout);
	if (watch->keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &watch->before);
}

/* Over the frame before, without blinking: each line is cleared behind its end. */
static void screen_show(const char *text)
{
	struct winsize size = { 0 };
	unsigned int lines = 0;

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	fputs("\033[H", stdout);
	for (; *text && (!size.ws_row || lines + 1 < size.ws_row); lines++) {
		size_t len = strcspn(text, "\n");

		fwrite(text, 1, len, stdout);
		fputs("\033[K\r\n", stdout);
		text += len + (text[len] == '\n');
	}
	fputs("\033[J", stdout);
}

/* Until the next frame is due; false: the user wants to leave. */
static bool pause_frames(struct watch *watch)
{
	struct pollfd fds[] = {
		{ .fd = watch->stop_fd, .events = POLLIN },
		{ .fd = watch->keys ? STDIN_FILENO : -1, .events = POLLIN },
	};
	char key = 0;

	if (poll(fds, 2, watch->ctx->json ? JSON_STEP_MS : STEP_MS) < 0)
		return errno == EINTR;
	if (fds[1].revents && read(STDIN_FILENO, &key, 1) <= 0)
		watch->keys = false;
	return !fds[0].revents && key != 'q' && key != 'Q';
}

/* ---- a frame ---- */

static bool is_open(const struct watch *watch)
{
	return json_object_get(json_object_get(watch->now, "managed"), "pull") != NULL;
}

static int get_map(struct watch *watch)
{
	json_int_t size = json_integer_value(json_object_get(watch->now, "size"));
	int code;

	json_object_set_new(watch->ctx->args, "n", json_integer(watch_buckets((uint64_t)size, columns())));
	code = cmd_call(watch->ctx, "map", &watch->map);
	json_object_del(watch->ctx->args, "n");
	return code;
}

static int get_frame(struct watch *watch)
{
	int code;

	json_decref(watch->last);
	json_decref(watch->map);
	watch->last = watch->now;
	watch->last_ms = watch->now_ms;
	watch->now = watch->map = NULL;
	code = cmd_call(watch->ctx, "stat", &watch->now);
	watch->now_ms = regionfs_progress_now();
	if (code)
		return code;
	if (!json_object_get(watch->now, "managed"))
		return cmd_fail(watch->ctx, -EINVAL, "%s is a direct region, of which there is nothing to watch: 'regionctl stat' "
				"has its counters", cmd_text(watch->ctx, "region"));
	return is_open(watch) ? get_map(watch) : CMD_OK;
}

static int show_frame(struct watch *watch)
{
	struct watch_frame frame = {
		.now = watch->now, .before = watch->last, .elapsed_ms = watch->now_ms - watch->last_ms, .map = watch->map,
		.columns = columns(),
	};
	struct text text = { 0 };

	watch_draw(&text, &frame);
	if (text.failed || !text.data)
		return cmd_fail(watch->ctx, -ENOMEM, "out of memory");
	if (watch->screen)
		screen_show(text.data);
	else
		fputs(text.data, stdout);
	text_free(&text);
	return CMD_OK;
}

static void show_object(const struct watch *watch)
{
	json_t *object = json_pack("{s:O}", "stat", watch->now);

	if (watch->map)
		json_object_set(object, "map", watch->map);
	show_json(object, false);
	json_decref(object);
}

/* There is a first frame. */
static int watch_frames(struct watch *watch)
{
	int code = CMD_OK;

	while (!code) {
		if (watch->ctx->json)
			show_object(watch);
		else
			code = show_frame(watch);
		/* Whoever reads this through a pipe wants each when it is there. */
		fflush(stdout);
		if (code || watch->once || !pause_frames(watch))
			break;
		code = get_frame(watch);
	}
	return code == CMD_DETACHED ? CMD_OK : code;
}

static int run(struct cmd_context *ctx)
{
	struct watch watch = { .ctx = ctx, .once = cmd_take_flag(ctx, "once") };
	int code;

	watch.stop_fd = cmd_stop_fd();
	watch.screen = !watch.once && !ctx->json && isatty(STDOUT_FILENO);
	/* What fails at once leaves the screen as it is. */
	code = get_frame(&watch);
	watch.screen &= !code;
	if (watch.screen)
		screen_begin(&watch);
	if (!code)
		code = watch_frames(&watch);
	if (watch.screen)
		screen_end(&watch);
	json_decref(watch.now);
	json_decref(watch.last);
	json_decref(watch.map);
	close(watch.stop_fd);
	return code;
}

const struct cmd cmd_watch = {
	.name = "watch",
	.summary = "show where a managed region's bytes are, as it changes",
	.details =
		"A map with a character for each part of the region, and below it how pulling and\n"
		"pushing get on, how many reads found their bytes here, how long the others took, and\n"
		"what the source has not got yet. q or Ctrl-C ends it. With --json an object a second:\n"
		"what 'stat' and the control socket's 'map' answer.\n\n"
		"  .  remote           >  on its way        #  local\n"
		"  *  local, and not at the source yet      ^  being pushed there\n",
	.operands = CMD_ONE_REGION,
	.options = (const struct cmd_option[]) {
		{ CMD_TRUE, "once", NULL, NULL, "one look, without escape codes, and end" },
		CMD_OPTIONS_END,
	},
	.flags = CMD_WATCHES,
	.run = run,
};
