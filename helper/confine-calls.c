// SPDX-License-Identifier: GPL-2.0
/*
 * confine-calls: the system calls that regiond, its libraries and the C library make once it serves. All others fail with EPERM and are written to
 * the kernel's log (audit type 1326): a call that was forgotten here is an error of one operation, not the end of a process that holds data. What is
 * left out on purpose: exec and fork, ptrace and other processes' memory, mounts and namespaces, modules, bpf, perf, keys, users and groups, clocks,
 * reboot, personality, devices' nodes. Requests to io_uring don't come by here, but it knows none of these.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

static const uint16_t allowed[] = {
	/* files */
	SYS_read, SYS_write, SYS_pread64, SYS_pwrite64, SYS_readv, SYS_writev, SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2,
	SYS_close, SYS_close_range, SYS_lseek, SYS_fcntl, SYS_ioctl, SYS_flock, SYS_dup, SYS_dup3, SYS_openat, SYS_openat2, SYS_faccessat,
	SYS_faccessat2, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_statfs, SYS_fstatfs, SYS_getdents64, SYS_getcwd, SYS_chdir, SYS_fchdir,
	SYS_readlinkat, SYS_mkdirat, SYS_unlinkat, SYS_renameat, SYS_renameat2, SYS_linkat, SYS_symlinkat, SYS_fchmod, SYS_fchmodat,
	SYS_fchown, SYS_fchownat, SYS_utimensat, SYS_umask, SYS_truncate, SYS_ftruncate, SYS_fallocate, SYS_fsync, SYS_fdatasync, SYS_sync,
	SYS_syncfs, SYS_sync_file_range, SYS_fadvise64, SYS_readahead, SYS_copy_file_range, SYS_sendfile, SYS_splice, SYS_tee, SYS_fgetxattr,
	SYS_getxattr, SYS_memfd_create, SYS_pipe2, SYS_inotify_init1, SYS_inotify_add_watch, SYS_inotify_rm_watch,
	/* memory */
	SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_msync, SYS_mincore, SYS_brk, SYS_mlock, SYS_mlock2, SYS_munlock, SYS_mlockall,
	/* sockets */
	SYS_socket, SYS_socketpair, SYS_bind, SYS_listen, SYS_connect, SYS_accept, SYS_accept4, SYS_shutdown, SYS_getsockname, SYS_getpeername,
	SYS_getsockopt, SYS_setsockopt, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg, SYS_recvmmsg,
	/* waiting */
	SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register, SYS_ppoll, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait,
	SYS_eventfd2, SYS_signalfd4, SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime, SYS_nanosleep, SYS_clock_nanosleep,
	SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_wait4, SYS_waitid, SYS_restart_syscall,
	/* threads and signals, of this process */
	SYS_futex, SYS_set_robust_list, SYS_get_robust_list, SYS_rseq, SYS_set_tid_address, SYS_membarrier, SYS_sched_yield, SYS_sched_getaffinity,
	SYS_sched_setaffinity, SYS_getcpu, SYS_sigaltstack, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigpending,
	SYS_rt_sigtimedwait, SYS_exit, SYS_exit_group, SYS_prctl,
	/* what there is to know */
	SYS_getpid, SYS_gettid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getgroups, SYS_getrandom, SYS_getrusage,
	SYS_getrlimit, SYS_sysinfo, SYS_uname, SYS_times, SYS_capget,
#ifdef __x86_64__
	/* the same by their old names, which the C library still uses */
	SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_mkdir, SYS_rmdir, SYS_unlink, SYS_rename, SYS_link, SYS_symlink, SYS_chmod,
	SYS_chown, SYS_lchown, SYS_creat, SYS_getdents, SYS_dup2, SYS_pipe, SYS_poll, SYS_select, SYS_epoll_create, SYS_epoll_wait, SYS_eventfd,
	SYS_signalfd, SYS_time, SYS_arch_prctl,
#endif
};

#define NR_ALLOWED (sizeof(allowed) / sizeof(allowed[0]))

#define LOAD(field)	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what)	BPF_STMT(BPF_RET | BPF_K, what)
#define REFUSE(error)	RETURN(SECCOMP_RET_ERRNO | (error))
/* skips the next n unless the loaded is value */
#define IF(value, n)	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, n)

static int install(const struct sock_filter *code, size_t len, unsigned int flags)
{
	struct sock_fprog program = { .len = (unsigned short)len, .filter = (struct sock_filter *)code };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC | flags, &program) ? -errno : 0;
}

#ifdef ARCH
/* What a clone3() does stands in memory, where a filter can't look; the C library then takes clone(). Not worth a line in the log. */
static const struct sock_filter quiet[] = {
	LOAD(nr),
	IF(SYS_clone3, 1),
	REFUSE(ENOSYS),
	RETURN(SECCOMP_RET_ALLOW),
};

static const struct sock_filter head[] = {
	LOAD(arch),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
	REFUSE(EPERM),
	LOAD(nr),
	IF(SYS_clone3, 1),
	RETURN(SECCOMP_RET_ALLOW),	/* to the other filter */
};

#define COUNT(code) (sizeof(code) / sizeof(code[0]))
#define TAIL 14

/* Threads, but no processes; signals and limits, but not of others. */
static void make_tail(struct sock_filter code[TAIL], uint32_t pid)
{
	const struct sock_filter tail[TAIL] = {
		IF(SYS_tgkill, 4),
		LOAD(args[0]),
		IF(pid, 1),
		RETURN(SECCOMP_RET_ALLOW),
		REFUSE(EPERM),
		IF(SYS_prlimit64, 4),
		LOAD(args[0]),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		IF(pid, 1),
		RETURN(SECCOMP_RET_ALLOW),
		IF(SYS_clone, 3),
		LOAD(args[0]),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1),
		RETURN(SECCOMP_RET_ALLOW),
	};

	memcpy(code, tail, sizeof(tail));
}

int confine_calls(void)
{
	struct sock_filter code[COUNT(head) + 2 * NR_ALLOWED + TAIL + 1], *at = code;
	int err;

	for (size_t i = 0; i < COUNT(head); i++)
		*at++ = head[i];
	for (size_t i = 0; i < NR_ALLOWED; i++) {
		*at++ = (struct sock_filter)IF(allowed[i], 1);
		*at++ = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
	}
	make_tail(at, (uint32_t)getpid());
	at += TAIL;
	*at++ = (struct sock_filter)REFUSE(EPERM);
	/* the quiet one first: the other does not let more of them in */
	err = install(quiet, COUNT(quiet), 0);
	return err ? err : install(code, (size_t)(at - code), SECCOMP_FILTER_FLAG_LOG);
}
#else
int confine_calls(void)
{
	return -EOPNOTSUPP;
}
#endif
