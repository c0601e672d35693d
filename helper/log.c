// SPDX-License-Identifier: GPL-2.0
/* log: see log.h. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "log.h"
#include "loop.h"

#define LOG_WINDOW_NS	5000000000ULL
#define LOG_PER_WINDOW	60

static struct {
	pthread_mutex_t lock;
	char ident[80];
	enum log_level level;
	bool syslog;
	bool journal;		/* stderr is read by journald, which takes <priority> */
	uint64_t window;
	unsigned int lines;
	unsigned int dropped;
} log_state = { .lock = PTHREAD_MUTEX_INITIALIZER, .ident = "regiond", .level = LOG_LEVEL_INFO };

void log_start(const char *name, enum log_level level)
{
	snprintf(log_state.ident, sizeof(log_state.ident), "regiond[%s]", name);
	log_state.level = level;
	log_state.journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_to_syslog(void)
{
	openlog(log_state.ident, LOG_PID, LOG_DAEMON);
	log_state.syslog = true;
}

static void put(enum log_level level, const char *text)
{
	char prefix[8] = "";

	if (log_state.syslog) {
		syslog((int)level, "%s", text);
		return;
	}
	if (log_state.journal)
		snprintf(prefix, sizeof(prefix), "<%d>", (int)level);
	fprintf(stderr, "%s%s: %s\n", prefix, log_state.ident, text);
}

/* Under the lock: may this line be printed? */
static bool admit(void)
{
	uint64_t now = loop_now_ns();
	char text[64];

	if (now - log_state.window > LOG_WINDOW_NS) {
		if (log_state.dropped) {
			snprintf(text, sizeof(text), "%u more lines were not printed", log_state.dropped);
			put(LOG_LEVEL_WARNING, text);
		}
		log_state.window = now;
		log_state.lines = 0;
		log_state.dropped = 0;
	}
	if (log_state.lines++ < LOG_PER_WINDOW)
		return true;
	log_state.dropped++;
	return false;
}

/* What others have chosen may be in it: it stays one line, and does nothing to a terminal. */
static void tame(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	if (level > log_state.level)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	tame(text);
	pthread_mutex_lock(&log_state.lock);
	if (level >= LOG_LEVEL_DEBUG || admit())
		put(level, text);
	pthread_mutex_unlock(&log_state.lock);
}
