/*
 * The operations between peers: `hello`, files (node-and-handle based), jobs (ops_jobs.h), shared
 * values (ops_kv.h) and messages (ops_msg.h).
 *
 * Node 1 is what the peer shows at its top. A node number is counted: each entry that a reply
 * carries (LOOKUP, READDIR, CREATE, …) adds one, FORGET takes them back. File types and modes are
 * those of stat(2), flags of OPEN and CREATE are Linux's O_ flags (the server takes the access
 * mode, O_APPEND, O_TRUNC, O_EXCL, O_DIRECT, O_SYNC, O_DSYNC and O_NOATIME, nothing else).
 */
#ifndef PROTO_OPS_PEER_H
#define PROTO_OPS_PEER_H

#include "proto/ops.h"

#define OPS_NAME_MAX      255
#define OPS_TARGET_MAX    4095
#define OPS_IO_MAX        (128 * 1024) /* bytes of one READ or WRITE */
#define OPS_CONTENT_MAX   (64 * 1024)  /* bytes that OPEN returns at most */
#define OPS_XATTR_MAX     (64 * 1024)
#define OPS_DIR_BATCH_MAX (128 * 1024) /* bytes of entries in one reply or stream frame */
#define OPS_ROOT_NODE     1
#define OPS_ANY           UINT64_MAX

#include "proto/ops_jobs.h"
#include "proto/ops_kv.h"
#include "proto/ops_msg.h"

#define RECORD_attr(F, O, X)                                                                       \
	F(X, UINT, fs, OPS_ANY)  /* which file system: stable over reboots where it can be */      \
	F(X, UINT, ino, OPS_ANY) /* its inode number there */                                      \
	F(X, UINT, mode, UINT32_MAX)                                                               \
	F(X, UINT, nlink, UINT32_MAX)                                                              \
	F(X, UINT, uid, UINT32_MAX)                                                                \
	F(X, UINT, gid, UINT32_MAX)                                                                \
	F(X, UINT, rdev, UINT32_MAX)                                                               \
	F(X, UINT, size, INT64_MAX)                                                                \
	F(X, UINT, blocks, INT64_MAX) /* of 512 bytes */                                           \
	F(X, UINT, blksize, UINT32_MAX)                                                            \
	F(X, TIME, atime, 0)                                                                       \
	F(X, TIME, mtime, 0)                                                                       \
	F(X, TIME, ctime, 0)                                                                       \
	F(X, BOOL, plain, 0) /* it surely has no extended attributes, ACLs included */             \
	/* ctime was older than a tick of that clock: whatever changes from now on has another */  \
	F(X, BOOL, settled, 0)
RECORD_DECLARE(attr)

/* A name's object. `target` is what a symbolic link holds, so that no READLINK is needed. */
#define RECORD_entry(F, O, X)                                                                      \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, RECORD, attr, attr)                                                                   \
	F(X, BIN, target, OPS_TARGET_MAX)
RECORD_DECLARE(entry)

/* An element of READDIR: neither "." nor "..". With node 0 the object could not be looked at
 * (no permission, or too many nodes): only `ino` and the type in `mode` hold then. */
#define RECORD_dir_entry(F, O, X)                                                                  \
	F(X, NAME, name, OPS_NAME_MAX)                                                             \
	F(X, RECORD, entry, entry)
RECORD_DECLARE(dir_entry)

/* An element of READDIR's names. */
#define RECORD_dir_name(F, O, X)                                                                   \
	F(X, NAME, name, OPS_NAME_MAX)                                                             \
	F(X, UINT, ino, OPS_ANY)                                                                   \
	F(X, UINT, mode, UINT32_MAX) /* its type */                                                \
	F(X, UINT, at, OPS_ANY)      /* a READDIR `from` there begins with it */
RECORD_DECLARE(dir_name)

enum readdir_channel { READDIR_ENTRIES = 0, READDIR_NAMES = 1 };

/* An element of FORGET. */
#define RECORD_forgotten(F, O, X)                                                                  \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, UINT, count, OPS_ANY)
RECORD_DECLARE(forgotten)

/* An element of EXPORTS: a directory as it is called there, absolute, and the name below node 1
 * under which it is shown; an empty name is node 1 itself. One that is known by two paths comes
 * twice. */
#define RECORD_export_place(F, O, X)                                                               \
	F(X, BIN, name, OPS_NAME_MAX)                                                              \
	F(X, BIN, path, OPS_TARGET_MAX)
RECORD_DECLARE(export_place)

/* Bits of SETATTR's `valid`. */
enum setattr_valid {
	SETATTR_MODE = 1 << 0,
	SETATTR_UID = 1 << 1,
	SETATTR_GID = 1 << 2,
	SETATTR_SIZE = 1 << 3,
	SETATTR_ATIME = 1 << 4,
	SETATTR_MTIME = 1 << 5,
	SETATTR_ATIME_NOW = 1 << 6,
	SETATTR_MTIME_NOW = 1 << 7,
	SETATTR_KILL_SUIDGID = 1 << 8,
	SETATTR_ALL = (1 << 9) - 1,
};

enum lock_command {
	LOCK_GET = 0,      /* F_OFD_GETLK: who is in the way */
	LOCK_SET = 1,      /* fails with EAGAIN */
	LOCK_SET_WAIT = 2, /* waits; CANCEL ends it with EINTR */
	LOCK_COMMAND_MAX = 2,
};

enum lock_kind {
	LOCK_KIND_POSIX = 0, /* byte range, of `owner` (POSIX and OFD) */
	LOCK_KIND_FLOCK = 1, /* whole file */
	LOCK_KIND_MAX = 1,
};

/* --- hello ------------------------------------------------------------------------------------ */

/* The first request of each end on each link, as a client of the other. */
#define RECORD_args_hello(F, O, X)                                                                 \
	F(X, UINT, version_min, UINT16_MAX)                                                        \
	F(X, UINT, version_max, UINT16_MAX)                                                        \
	F(X, UINT, features, OPS_ANY)                                                              \
	F(X, UINT, instance, OPS_ANY) /* random, of this start of the daemon */                    \
	F(X, BIN, session, 16)        /* to resume; empty for a new one */                         \
	F(X, BIN, secret, 32)         /* of that session */                                        \
	F(X, TEXT, name, 255)         /* what this machine calls itself; proves nothing */         \
	F(X, TEXT, software, 64)
#define RECORD_result_hello(F, O, X)                                                               \
	F(X, UINT, version, UINT16_MAX)                                                            \
	F(X, UINT, features, OPS_ANY)                                                              \
	F(X, UINT, instance, OPS_ANY)                                                              \
	F(X, BIN, session, 16)                                                                     \
	F(X, BIN, secret, 32)                                                                      \
	F(X, BOOL, resumed, 0)                                                                     \
	F(X, TEXT, name, 255)                                                                      \
	F(X, TEXT, software, 64)                                                                   \
	F(X, UINT, uid, UINT32_MAX) /* as whom the server works: shown as the mounting user */     \
	F(X, UINT, gid, UINT32_MAX)                                                                \
	F(X, UINT, permissions, UINT16_MAX)  /* granted to the asking end */                       \
	F(X, TIME, clock, 0)                 /* the server's real time */                          \
	O(X, UINT, max_calls, OPS_ANY)       /* requests that may be in flight; 0: 1024 */         \
	O(X, UINT, max_streams, OPS_ANY)     /* of them, those with streams; 0: 256 */             \
	O(X, UINT, max_write_bytes, OPS_ANY) /* of payload in them; 0: 16 MiB */

/* Event: the permissions granted to you have changed. */
#define RECORD_args_granted(F, O, X) F(X, UINT, permissions, UINT16_MAX)
#define RECORD_result_granted(F, O, X)

/* Event: you are not paired any more; the link is closed after it. */
#define RECORD_args_unpaired(F, O, X)
#define RECORD_result_unpaired(F, O, X)

/* --- names ------------------------------------------------------------------------------------ */

#define RECORD_args_lookup(F, O, X)                                                                \
	F(X, UINT, parent, OPS_ANY)                                                                \
	F(X, NAME, name, OPS_NAME_MAX)
#define RECORD_result_lookup(F, O, X) F(X, RECORD, entry, entry)

#define RECORD_args_forget(F, O, X) F(X, LIST, nodes, 8192) /* of forgotten */
#define RECORD_result_forget(F, O, X)

#define RECORD_args_getattr(F, O, X)   F(X, UINT, node, OPS_ANY)
#define RECORD_result_getattr(F, O, X) F(X, RECORD, attr, attr)

#define RECORD_args_setattr(F, O, X)                                                               \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, UINT, handle, OPS_ANY) /* 0, or the open file through which ftruncate was asked */    \
	F(X, UINT, valid, SETATTR_ALL)                                                             \
	F(X, UINT, mode, 07777)                                                                    \
	F(X, UINT, uid, UINT32_MAX)                                                                \
	F(X, UINT, gid, UINT32_MAX)                                                                \
	F(X, UINT, size, INT64_MAX)                                                                \
	F(X, TIME, atime, 0)                                                                       \
	F(X, TIME, mtime, 0)
#define RECORD_result_setattr(F, O, X) F(X, RECORD, attr, attr)

/* The whole directory: `entries` are encoded dir_entries, one after the other. Where they do not
 * fit, `more` is set and channel 0 of the stream carries further ones, each frame whole
 * dir_entries; it ends with status 0 after the last. When n_entries (0: all) or somewhat more have
 * come so, the rest comes as dir_names, on channel 1. */
#define RECORD_args_readdir(F, O, X)                                                               \
	F(X, UINT, node, OPS_ANY)                                                                  \
	O(X, UINT, n_entries, OPS_ANY)                                                             \
	O(X, UINT, from, OPS_ANY) /* a dir_name's `at`; 0: the beginning */
#define RECORD_result_readdir(F, O, X)                                                             \
	F(X, RECORD, attr, attr) /* of the directory, read before its entries */                   \
	F(X, BOOL, more, 0)                                                                        \
	F(X, PAYLOAD, entries, OPS_DIR_BATCH_MAX)

#define RECORD_args_readlink(F, O, X)   F(X, UINT, node, OPS_ANY)
#define RECORD_result_readlink(F, O, X) F(X, BIN, target, OPS_TARGET_MAX)

#define RECORD_args_symlink(F, O, X)                                                               \
	F(X, UINT, parent, OPS_ANY)                                                                \
	F(X, NAME, name, OPS_NAME_MAX)                                                             \
	F(X, BIN, target, OPS_TARGET_MAX)
#define RECORD_result_symlink(F, O, X) F(X, RECORD, entry, entry)

#define RECORD_args_link(F, O, X)                                                                  \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, UINT, parent, OPS_ANY)                                                                \
	F(X, NAME, name, OPS_NAME_MAX)
#define RECORD_result_link(F, O, X) F(X, RECORD, entry, entry)

/* Modes are as the program gave them; the server applies `umask`, unless the parent has a default
 * ACL (acl(5)). */
#define RECORD_args_mknod(F, O, X)                                                                 \
	F(X, UINT, parent, OPS_ANY)                                                                \
	F(X, NAME, name, OPS_NAME_MAX)                                                             \
	F(X, UINT, mode, UINT16_MAX)                                                               \
	F(X, UINT, rdev, UINT32_MAX)                                                               \
	F(X, UINT, umask, 07777)
#define RECORD_result_mknod(F, O, X) F(X, RECORD, entry, entry)

#define RECORD_args_mkdir(F, O, X)                                                                 \
	F(X, UINT, parent, OPS_ANY)                                                                \
	F(X, NAME, name, OPS_NAME_MAX)                                                             \
	F(X, UINT, mode, UINT16_MAX)                                                               \
	F(X, UINT, umask, 07777)
#define RECORD_result_mkdir(F, O, X) F(X, RECORD, entry, entry)

#define RECORD_args_unlink(F, O, X)                                                                \
	F(X, UINT, parent, OPS_ANY)                                                                \
	F(X, NAME, name, OPS_NAME_MAX)
#define RECORD_result_unlink(F, O, X)

#define RECORD_args_rmdir(F, O, X)                                                                 \
	F(X, UINT, parent, OPS_ANY)                                                                \
	F(X, NAME, name, OPS_NAME_MAX)
#define RECORD_result_rmdir(F, O, X)

#define RECORD_args_rename(F, O, X)                                                                \
	F(X, UINT, parent, OPS_ANY)                                                                \
	F(X, NAME, name, OPS_NAME_MAX)                                                             \
	F(X, UINT, new_parent, OPS_ANY)                                                            \
	F(X, NAME, new_name, OPS_NAME_MAX)                                                         \
	F(X, UINT, flags, 7) /* RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT */
#define RECORD_result_rename(F, O, X)

/* --- open files ------------------------------------------------------------------------------- */

/* FUSE passes the kernel's __FMODE_EXEC (include/linux/fs.h) in OPEN's flags: the file is opened to
 * be executed. */
#define OPS_OPEN_EXECUTE 0x20

/* With content_max above 0 and a regular file of at most that size opened for reading only,
 * `content` is all of it and `whole` is set. With OPS_OPEN_EXECUTE, and fs:ids, a caller who may
 * not read it needs to be one who may execute it. */
#define RECORD_args_open(F, O, X)                                                                  \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, UINT, flags, UINT32_MAX)                                                              \
	F(X, UINT, content_max, OPS_CONTENT_MAX)
#define RECORD_result_open(F, O, X)                                                                \
	F(X, UINT, handle, OPS_ANY)                                                                \
	F(X, RECORD, attr, attr)                                                                   \
	F(X, BOOL, whole, 0)                                                                       \
	F(X, PAYLOAD, content, OPS_CONTENT_MAX)

#define RECORD_args_create(F, O, X)                                                                \
	F(X, UINT, parent, OPS_ANY)                                                                \
	F(X, NAME, name, OPS_NAME_MAX)                                                             \
	F(X, UINT, flags, UINT32_MAX)                                                              \
	F(X, UINT, mode, UINT16_MAX)                                                               \
	F(X, UINT, umask, 07777)
#define RECORD_result_create(F, O, X)                                                              \
	F(X, RECORD, entry, entry)                                                                 \
	F(X, UINT, handle, OPS_ANY)

/* Fewer bytes than asked for mean end of file. */
#define RECORD_args_read(F, O, X)                                                                  \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, UINT, handle, OPS_ANY)                                                                \
	F(X, UINT, offset, INT64_MAX)                                                              \
	F(X, UINT, size, OPS_IO_MAX)
#define RECORD_result_read(F, O, X) F(X, PAYLOAD, data, OPS_IO_MAX)

/* With `append`, `offset` is not looked at. `attr` is the file's after the write; `error` why fewer
 * bytes were written than were sent (0: not known). */
#define RECORD_args_write(F, O, X)                                                                 \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, UINT, handle, OPS_ANY)                                                                \
	F(X, UINT, offset, INT64_MAX)                                                              \
	F(X, BOOL, append, 0)                                                                      \
	F(X, PAYLOAD, data, OPS_IO_MAX)
#define RECORD_result_write(F, O, X)                                                               \
	F(X, UINT, written, OPS_IO_MAX)                                                            \
	F(X, RECORD, attr, attr)                                                                   \
	O(X, UINT, error, UINT16_MAX)

/* Releases the POSIX locks of `owner` (0: there is none), as close(2) does. */
#define RECORD_args_flush(F, O, X)                                                                 \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, UINT, handle, OPS_ANY)                                                                \
	F(X, UINT, owner, OPS_ANY)
#define RECORD_result_flush(F, O, X)

#define RECORD_args_fsync(F, O, X)                                                                 \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, UINT, handle, OPS_ANY)                                                                \
	F(X, BOOL, data_only, 0)
#define RECORD_result_fsync(F, O, X)

#define RECORD_args_fsyncdir(F, O, X)                                                              \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, BOOL, data_only, 0)
#define RECORD_result_fsyncdir(F, O, X)

/* The file is closed, and what was locked through it released. */
#define RECORD_args_release(F, O, X)                                                               \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, UINT, handle, OPS_ANY)
#define RECORD_result_release(F, O, X)

#define RECORD_args_fallocate(F, O, X)                                                             \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, UINT, handle, OPS_ANY)                                                                \
	F(X, UINT, mode, UINT32_MAX)                                                               \
	F(X, UINT, offset, INT64_MAX)                                                              \
	F(X, UINT, size, INT64_MAX)
#define RECORD_result_fallocate(F, O, X) F(X, RECORD, attr, attr)

#define RECORD_args_lseek(F, O, X)                                                                 \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, UINT, handle, OPS_ANY)                                                                \
	F(X, UINT, offset, INT64_MAX)                                                              \
	F(X, BOOL, hole, 0) /* SEEK_HOLE, else SEEK_DATA */
#define RECORD_result_lseek(F, O, X) F(X, UINT, offset, INT64_MAX)

#define RECORD_args_copy_range(F, O, X)                                                            \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, UINT, handle, OPS_ANY)                                                                \
	F(X, UINT, offset, INT64_MAX)                                                              \
	F(X, UINT, to_node, OPS_ANY)                                                               \
	F(X, UINT, to_handle, OPS_ANY)                                                             \
	F(X, UINT, to_offset, INT64_MAX)                                                           \
	F(X, UINT, size, INT64_MAX)
#define RECORD_result_copy_range(F, O, X)                                                          \
	F(X, UINT, copied, INT64_MAX)                                                              \
	F(X, RECORD, attr, attr) /* of the file copied to */

/* --- the rest --------------------------------------------------------------------------------- */

#define RECORD_args_getxattr(F, O, X)                                                              \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, BIN, name, OPS_NAME_MAX)
#define RECORD_result_getxattr(F, O, X) F(X, PAYLOAD, value, OPS_XATTR_MAX)

#define RECORD_args_setxattr(F, O, X)                                                              \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, BIN, name, OPS_NAME_MAX)                                                              \
	F(X, UINT, flags, 3) /* XATTR_CREATE, XATTR_REPLACE */                                     \
	F(X, PAYLOAD, value, OPS_XATTR_MAX)
#define RECORD_result_setxattr(F, O, X)

#define RECORD_args_listxattr(F, O, X) F(X, UINT, node, OPS_ANY)
#define RECORD_result_listxattr(F, O, X)                                                           \
	F(X, PAYLOAD, names, OPS_XATTR_MAX) /* each ends in NUL                                    \
					     */

#define RECORD_args_removexattr(F, O, X)                                                           \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, BIN, name, OPS_NAME_MAX)
#define RECORD_result_removexattr(F, O, X)

#define RECORD_args_statfs(F, O, X) F(X, UINT, node, OPS_ANY)
#define RECORD_result_statfs(F, O, X)                                                              \
	F(X, UINT, block_size, UINT32_MAX)                                                         \
	F(X, UINT, fragment_size, UINT32_MAX)                                                      \
	F(X, UINT, blocks, OPS_ANY)                                                                \
	F(X, UINT, blocks_free, OPS_ANY)                                                           \
	F(X, UINT, blocks_available, OPS_ANY)                                                      \
	F(X, UINT, files, OPS_ANY)                                                                 \
	F(X, UINT, files_free, OPS_ANY)                                                            \
	F(X, UINT, name_max, UINT32_MAX)

#define RECORD_args_access(F, O, X)                                                                \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, UINT, mask, 7)
#define RECORD_result_access(F, O, X)

#define RECORD_args_exports(F, O, X)   F(X, UINT, node, OPS_ANY) /* not looked at */
#define RECORD_result_exports(F, O, X) F(X, LIST, exports, 1024) /* of export_place */

/* `type` is F_RDLCK, F_WRLCK or F_UNLCK; `size` 0 reaches to the end of the file. */
#define RECORD_args_lock(F, O, X)                                                                  \
	F(X, UINT, node, OPS_ANY)                                                                  \
	F(X, UINT, handle, OPS_ANY)                                                                \
	F(X, UINT, owner, OPS_ANY)                                                                 \
	F(X, UINT, command, LOCK_COMMAND_MAX)                                                      \
	F(X, UINT, kind, LOCK_KIND_MAX)                                                            \
	F(X, UINT, type, 2)                                                                        \
	F(X, UINT, offset, INT64_MAX)                                                              \
	F(X, UINT, size, INT64_MAX)                                                                \
	O(X, UINT, pid, UINT32_MAX) /* who asks, on its machine: LOCK_GET tells others there */
/* For LOCK_GET, the lock that is in the way, with the `pid` that the same client gave for it (0: it
 * is not that client's); else type is as asked. */
#define RECORD_result_lock(F, O, X)                                                                \
	F(X, UINT, type, 2)                                                                        \
	F(X, UINT, offset, INT64_MAX)                                                              \
	F(X, UINT, size, INT64_MAX)                                                                \
	F(X, UINT, pid, UINT32_MAX)

/* --- changes ---------------------------------------------------------------------------------- */

enum watch_kind {
	WATCH_CREATED = 0,
	WATCH_CHANGED = 1, /* contents: written and closed, or truncated */
	WATCH_REMOVED = 2,
	WATCH_MOVED_FROM = 3, /* followed by MOVED_TO where the other name is watched too */
	WATCH_MOVED_TO = 4,
	WATCH_ATTRIBUTES = 5,
	WATCH_OVERFLOW = 6, /* some changes were missed: look at everything again */
	WATCH_GONE = 7,     /* a watched path itself is removed, moved or not shown any more */
	WATCH_KIND_MAX = 7,
};

/* Below what the peer shows at its top; without "." and "..". */
#define RECORD_watch_path(F, O, X) F(X, BIN, path, OPS_TARGET_MAX)
RECORD_DECLARE(watch_path)

#define RECORD_watch_event(F, O, X)                                                                \
	F(X, UINT, path, UINT16_MAX) /* which of the paths asked for */                            \
	F(X, UINT, kind, WATCH_KIND_MAX)                                                           \
	F(X, BOOL, dir, 0)                                                                         \
	F(X, BIN, name, OPS_TARGET_MAX) /* below that path; empty: itself */
RECORD_DECLARE(watch_event)

/* A stream: encoded watch_events on channel 0, each frame whole ones. The reply comes when the
 * watches are set: what changes after it is told. ENOENT and the like: one of the paths; ENOSPC:
 * the peer's inotify watches are used up. It ends only when it is given up. */
#define RECORD_args_watch(F, O, X)                                                                 \
	F(X, UINT, unused, OPS_ANY)                                                                \
	F(X, BOOL, recursive, 0) /* directories with all that is below, new ones too */            \
	F(X, LIST, paths, 256)   /* of watch_path */
#define RECORD_result_watch(F, O, X)

#define OPS_peer(OP)                                                                               \
	OP(1, HELLO, hello, NONE, OP_REPEATABLE, "opens or resumes a session")                     \
	OP(2, GRANTED, granted, NONE, OP_EVENT, "the permissions granted to you changed")          \
	OP(3, UNPAIRED, unpaired, NONE, OP_EVENT, "you are not paired any more")                   \
	OP(10, LOOKUP, lookup, FS_RO, OP_REPEATABLE | OP_KEEPS_REPLY,                              \
	   "finds a name in a directory")                                                          \
	OP(11, FORGET, forget, FS_RO, OP_EVENT, "gives back references to nodes")                  \
	OP(12, GETATTR, getattr, FS_RO, OP_REPEATABLE, "attributes of a node")                     \
	OP(13, SETATTR, setattr, FS_RW, OP_MUTATES, "changes attributes")                          \
	OP(14, READDIR, readdir, FS_RO, OP_REPEATABLE | OP_KEEPS_REPLY | OP_STREAMS,               \
	   "all entries of a directory with their attributes")                                     \
	OP(15, READLINK, readlink, FS_RO, OP_REPEATABLE, "what a symbolic link holds")             \
	OP(16, SYMLINK, symlink, FS_RW, OP_MUTATES, "makes a symbolic link")                       \
	OP(17, LINK, link, FS_RW, OP_MUTATES, "makes a hard link")                                 \
	OP(18, MKNOD, mknod, FS_RW, OP_MUTATES, "makes a file, fifo, socket or device")            \
	OP(19, MKDIR, mkdir, FS_RW, OP_MUTATES, "makes a directory")                               \
	OP(20, UNLINK, unlink, FS_RW, OP_MUTATES, "removes a name")                                \
	OP(21, RMDIR, rmdir, FS_RW, OP_MUTATES, "removes an empty directory")                      \
	OP(22, RENAME, rename, FS_RW, OP_MUTATES, "renames, replaces or exchanges")                \
	OP(30, OPEN, open, FS_RO, OP_KEEPS_REPLY, "opens a regular file")                          \
	OP(31, CREATE, create, FS_RW, OP_MUTATES, "makes and opens a file")                        \
	OP(32, READ, read, FS_RO, OP_REPEATABLE, "reads from an open file")                        \
	OP(33, WRITE, write, FS_RW, OP_MUTATES, "writes to an open file")                          \
	OP(34, FLUSH, flush, FS_RO, OP_MUTATES, "a descriptor was closed")                         \
	OP(35, FSYNC, fsync, FS_RO, OP_REPEATABLE, "data to disk")                                 \
	OP(36, FSYNCDIR, fsyncdir, FS_RO, OP_REPEATABLE, "a directory to disk")                    \
	OP(37, RELEASE, release, FS_RO, OP_MUTATES | OP_LAZY, "closes an open file")               \
	OP(38, FALLOCATE, fallocate, FS_RW, OP_MUTATES, "allocates or frees space")                \
	OP(39, LSEEK, lseek, FS_RO, OP_REPEATABLE, "finds data or a hole")                         \
	OP(40, COPY_RANGE, copy_range, FS_RW, OP_MUTATES, "copies between two open files")         \
	OP(41, LOCK, lock, FS_RO, OP_MUTATES, "takes, tests or releases a lock")                   \
	OP(50, GETXATTR, getxattr, FS_RO, OP_REPEATABLE, "value of an extended attribute")         \
	OP(51, SETXATTR, setxattr, FS_RW, OP_MUTATES, "sets an extended attribute")                \
	OP(52, LISTXATTR, listxattr, FS_RO, OP_REPEATABLE, "names of extended attributes")         \
	OP(53, REMOVEXATTR, removexattr, FS_RW, OP_MUTATES, "removes an extended attribute")       \
	OP(54, STATFS, statfs, FS_RO, OP_REPEATABLE, "space of the file system")                   \
	OP(55, ACCESS, access, FS_RO, OP_REPEATABLE, "may the server's user do this")              \
	OP(56, EXPORTS, exports, FS_RO, OP_REPEATABLE,                                             \
	   "what the exported directories are called there")                                       \
	OPS_jobs(OP) OP(80, WATCH, watch, FS_RO, OP_STREAMS, "tells of changes to files")          \
	    OPS_kv(OP) OPS_msg(OP)

enum op_peer_number { OPS_peer(OP_NUMBER) };
OPS_peer(OP_DECLARE)

    extern const struct op_table ops_peer;

/* Why an operation failed, for people: as ops_jobs_error, by the number of the operation. */
const char *ops_peer_error(uint16_t op, int error);

#endif
