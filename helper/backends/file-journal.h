/* SPDX-License-Identifier: GPL-2.0 */
/* file-journal: what a journal (journal.h) needs of a source that is one file. These block. */
#ifndef REGIONFS_FILE_JOURNAL_H
#define REGIONFS_FILE_JOURNAL_H

#include "backend.h"

/* Where the journal of the file or device fd is; malloc'ed. NULL: there is no place. */
char *file_journal_path(const struct backend *backend, int fd, bool block_device);
/* struct backend_ops' identity, of a file, a directory, or a device. -ENODATA: it has none. */
int file_journal_identity(int fd, uint64_t identity[BACKEND_IDENTITY]);
/* Lowest size on the way, new one: what lies past the end, and was reserved, stays where it can. */
int file_journal_resize(int fd, uint64_t low, uint64_t size);
/* struct backend_ops' missing. */
uint64_t file_journal_missing(int fd, uint64_t offset, uint64_t length);
/* struct backend_ops' reserve. */
int file_journal_reserve(int fd, uint64_t offset, uint64_t length);

#endif
