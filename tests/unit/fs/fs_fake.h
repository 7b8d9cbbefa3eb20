/*
 * A peer in memory, for tests of fs/: a tree of objects behind a struct transport. Calls are
 * answered by fs_fake_pump, never before, and not while `is_held`. It counts the references that it
 * gave out, so that a test can see whether all came back.
 */
#ifndef TESTS_FS_FAKE_H
#define TESTS_FS_FAKE_H

#include <sys/stat.h>

#include "fs/transport.h"

struct fs_fake_object {
	uint64_t number; /* in this session; 0: not given out */
	uint64_t ino;
	uint64_t count; /* references given out and not forgotten */
	mode_t mode;
	unsigned nlink;
	uint32_t uid, gid;
	uint64_t size, rdev;
	struct timespec mtime, ctime;
	bool is_fresh;  /* its ctime may be that of two changes */
	bool has_xattr; /* whatever name is asked for: "value" */
	char *target;   /* of a symbolic link */
	uint8_t *data;  /* of a file: `size` bytes */
	struct fs_fake_lock *locks;
	/* of a directory */
	struct fs_fake_name *names;
	size_t n_names;
	struct fs_fake_object *next; /* all of them */
};

struct fs_fake_name {
	char *name;
	struct fs_fake_object *object;
};

struct fs_fake {
	struct transport transport; /* first */
	const struct transport_listener *listener;
	void *listener_arg;
	struct transport_call *calls, **calls_end;
	struct fs_fake_object *objects, *root;
	uint64_t last_ino, last_number;
	struct fs_fake_object **by_number;
	size_t n_numbers;
	uint32_t session;
	uint32_t uid;         /* as whom the server works: 4000, unless a test says otherwise */
	struct caller caller; /* of the last call that had one */
	unsigned n_callers;   /* calls that had one */
	bool ignores_cancel;
	bool is_held;          /* calls wait */
	bool is_down;          /* calls fail at once with EHOSTDOWN */
	size_t batch;          /* bytes of one READDIR reply or stream frame */
	size_t credit;         /* stream bytes that may be under way */
	unsigned n_asked[128]; /* calls by operation */
	unsigned n_cancelled, n_forget_events;
	uint64_t most_streamed; /* bytes under way at most */
	int error[128];         /* an operation's answer instead of doing it; 0: none */
	const char *root_path;  /* EXPORTS: one, at that path; NULL: none */
	struct buffer exports;  /* and what it was encoded to */
	/* files (fs_fake_files.c) */
	struct fs_fake_handle *handles; /* open ones */
	uint64_t last_handle;
	unsigned n_handles, n_frames;
	uint64_t space;  /* files may not grow beyond that; 0: no limit */
	int short_error; /* why, if something was written; 0: it does not say */
	/* jobs (fs_fake_jobs.c) */
	struct fs_fake_job *jobs; /* newest first */
	struct buffer job_events; /* encoded, to be told */
	unsigned n_streams;       /* of jobs, values and messages: open now */
	struct fs_fake_kv *kv;    /* values (fs_fake_kv.c) */
	/* messages and changes of values (fs_fake_messages.c) */
	struct fs_fake_message *messages;
	struct fs_fake_draft *drafts;
	struct buffer message_events; /* encoded, to be told */
	uint64_t last_message;
	unsigned n_sent;
	size_t page, part;     /* of one answer: messages listed, bytes of a body */
	int store_error;       /* of MSG_DRAFT that stores */
	int stream_error;      /* MSG_EVENTS ends with it, once; 0: it does not */
	bool counts_values;    /* KV_WATCH tells of these, and not of `kv` */
	uint64_t n_changes;    /* of values: the version of the last one */
	uint64_t changes_kept; /* up to there they are not kept any more */
	uint64_t rtt_us;       /* what measure says */
	unsigned n_whole;      /* OPENs answered with the content */
	uint64_t bytes_asked;  /* of READs */
	/* Changes each answer before it is given. NULL: an honest peer. */
	void (*lie)(struct fs_fake *fake, uint16_t op, struct transport_reply *reply, void *result);
	bool has_lied; /* what is given back to it need not be what it gave */
	/* What the next WRITEs answer instead of what is true; they take them in turn. */
	const struct attr *write_attrs;
	unsigned n_write_attrs;
};

struct fs_fake *fs_fake_new(void);
void fs_fake_free(struct fs_fake *fake);

/* Makes an object (`name` in `parent`); changes behind the mount's back. */
struct fs_fake_object *fs_fake_add(struct fs_fake *fake, struct fs_fake_object *parent,
				   const char *name, mode_t mode);
/* Another name for it. */
void fs_fake_link(struct fs_fake_object *parent, const char *name, struct fs_fake_object *object);
struct fs_fake_object *fs_fake_find(struct fs_fake_object *parent, const char *name);
void fs_fake_remove(struct fs_fake_object *parent, const char *name);

/* Answers what is asked. Returns how many answers (or stream frames) it gave. */
unsigned fs_fake_pump(struct fs_fake *fake);

/* What waits is answered in reverse order. */
void fs_fake_reverse(struct fs_fake *fake);

/* The server was restarted: numbers mean nothing any more; what was asked fails with ENOTCONN. */
void fs_fake_session_new(struct fs_fake *fake);

/* The link breaks, and the session goes on on another: streams end with ENOTCONN. */
void fs_fake_link_lost(struct fs_fake *fake);

/* Sets a file's contents, and its times one second on. */
void fs_fake_set(struct fs_fake *fake, struct fs_fake_object *file, const void *data, size_t size);

/* Somebody else takes or drops a lock of the whole file. */
void fs_fake_lock(struct fs_fake_object *file, bool locked);
/* Anybody has one. */
bool fs_fake_is_locked(const struct fs_fake_object *file);

/* References given out and not forgotten, of all objects. */
uint64_t fs_fake_outstanding(const struct fs_fake *fake);

#endif
