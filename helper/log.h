/* SPDX-License-Identifier: GPL-2.0 */
/* log: what regiond has to say. One sentence a line, to stderr, or to syslog once it has gone to the background. */
#ifndef REGIONFS_LOG_H
#define REGIONFS_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR = 3,	/* syslog's numbers */
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* name: the instance's. Lines above level are dropped. */
void log_start(const char *name, enum log_level level);
void log_to_syslog(void);
/* Any thread. More than a few dozen lines in a few seconds are counted, not printed. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
