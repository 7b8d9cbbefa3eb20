/*
 * The inside of control files, for fs/control_*.c only: rows, nodes and open files.
 */
#ifndef FS_CONTROL_PRIVATE_H
#define FS_CONTROL_PRIVATE_H

#include "fs/control_ask.h"
#include "fs/control_errors.h"
#include "fs/control_files.h"
#include "fs/control_lines.h"

#define CONTROL_READ_MAX (128 * 1024) /* bytes of one answer to a READ of a stream */
#define CONTROL_WHAT_MAX 128
#define CONTROL_TEXT_MAX (1024 * 1024)

struct control_job;
struct control_message;
struct control_sending;
struct control_value;
struct control_feed;
struct control_handle;

enum control_places {
	CONTROL_IN_PEER = 1 << 0, /* a peer's .loopsy */
	CONTROL_IN_ROOT = 1 << 1, /* the local machine's */
	CONTROL_IN_JOB = 1 << 2,  /* a directory of jobs/ */
	CONTROL_IN_MESSAGES = 1 << 3,
};

/* What comes bit by bit, to be waited for (control_follow.c). */
struct control_source {
	/* Makes it come, if it does not yet. 0 or -errno. Called before the others. */
	int (*start)(struct control_handle *handle);
	bool (*is_ready)(struct control_handle *handle);
	/* Only when it is ready: bytes put into the buffer, 0 at the end, or -errno. */
	ssize_t (*take)(struct control_handle *handle, uint8_t *buffer, size_t size);
	/* It is closed: out of all lists. */
	void (*leave)(struct control_handle *handle);
	bool starts_at_open; /* else with the first READ or POLL */
};

/* A directory whose names are no rows: what can be done with them. NULL: it cannot. */
struct control_dir {
	void (*lookup)(fuse_req_t req, struct fs_node *node, struct bytes name);
	/* OPENDIR: to be answered by control_names_reply. */
	void (*open)(fuse_req_t req, struct fs_node *node);
	void (*mkdir)(fuse_req_t req, struct fs_node *node, struct bytes name);
	void (*rmdir)(fuse_req_t req, struct fs_node *node, struct bytes name);
	void (*create)(fuse_req_t req, struct fs_node *node, struct bytes name,
		       struct fuse_file_info *info);
	void (*unlink)(fuse_req_t req, struct fs_node *node, struct bytes name);
	/* `new_node` may be any directory. */
	void (*rename)(fuse_req_t req, struct fs_node *node, struct bytes name,
		       struct fs_node *new_node, struct bytes new_name, unsigned flags);
};

/* A row of the table of control files. */
struct control {
	const char *name;
	uint16_t mode;  /* type and permissions */
	uint8_t places; /* enum control_places */
	uint8_t holds;  /* of a directory of rows: the place that they are in */
	const struct control_dir *dir;
	const struct control *leaf; /* the row of the files in it: control_node_of_leaf */
	size_t heard;               /* the size of what is remembered of one (control_node) */
	uint8_t box;                /* enum msg_box: which one it is, or of which a message */
	bool for_all;               /* with allow_other, everybody may read it */
	/* It reads and writes as a pipe: no positions, size 0. */
	bool is_stream;
	/* Each lookup is an inode of its own: the kernel lets only one write to an inode at a time,
	 * and who waits for that cannot be interrupted. */
	bool is_apart;
	/* Nothing can be done with it before the job is started. */
	bool needs_start;
	unsigned channels; /* 1 << enum job_channel: that it shows */

	/* A content that is known here: appends it. */
	int (*text)(const struct fs_node *node, fuse_req_t req, struct buffer *text);
	/* A content that the peer is asked for with `op`: appends it; `reply` may be an error. */
	uint16_t op;
	int (*text_of)(const struct control_job *job, const struct transport_reply *reply,
		       struct buffer *text);
	/* The size of what READ asks the peer for piece by piece. */
	bool is_log;
	const struct control_source *source;
	/* One line was written. 0: done; 1: it is under way, and answers by itself, with
	 * control_write_go_on or an error; or -errno, perhaps with a static text that says why. */
	int (*line)(fuse_req_t req, struct control_handle *handle, struct bytes line,
		    size_t written, const char **ret_why);
	/* Bytes for a job's standard input are written instead; or a message. */
	bool is_input, is_send;
	/* Opened with O_TRUNC: what was set is gone. May be NULL. */
	void (*truncate)(struct control_job *job);
};

/* What a node of kind NODE_IS_CONTROL is: node->control. */
struct control_node {
	const struct control *row;
	struct control_job *job; /* held; NULL: not of a job */
	union {                  /* owned: what was last heard of it; NULL: the row has none */
		void *heard;
		struct control_value *value;
		struct control_message *message;
	};
};

/* A READ that waits. */
struct control_read {
	struct parked parked;
	struct control_handle *handle;
	struct control_read *prev, *next; /* handle->reads */
	size_t size;
};

/* An open one. */
struct control_handle {
	struct fs *fs;
	struct fs_node *node; /* held */
	const struct control *row;
	struct control_job *job;            /* held; NULL: not of a job, or exec without a line */
	struct control_handle *prev, *next; /* fs->control_handles */
	int flags;                          /* as opened */
	int error;                          /* negative: to be said once, by a WRITE or FLUSH */
	struct buffer text; /* the content as of open; what comes before the stream */
	struct control_lines lines;
	pid_t writer; /* the process that wrote what `lines` has, or `sending` */

	/* control_follow.c */
	struct control_read *reads, *last_read;
	struct fuse_pollhandle *poll;

	/* Readers of a feed, of a ring, and who waits for a job's end: they are on its list. */
	struct control_handle *prev_reader, *next_reader, **readers;
	struct control_feed *feed;
	uint64_t position;
	bool has_position; /* else at the start of what is kept */

	/* control_value.c: has bytes that are not set; is to be set to nothing, if nothing comes.
	 */
	bool is_dirty, is_truncated;
	bool is_too_large; /* it was; nothing of it is set any more */

	struct control_sending *sending; /* control_send.c: what is written; NULL: none */

	unsigned n_inputs; /* its WRITEs to a job's stdin that are under way (control_input.c) */
};

/* The machine that is asked about what is in that .loopsy, in the root's this one; its transport
 * may be NULL. NULL: there is none. */
struct fs_peer *control_peer(const struct fs *fs, const struct fs_node *node);

static inline struct fs_peer *control_peer_of(const struct control_handle *handle)
{
	return control_peer(handle->fs, handle->node);
}

/* Links a handle into a list of readers; it may be in one. */
void control_reader_join(struct control_handle *handle, struct control_handle **readers);
void control_reader_leave(struct control_handle *handle);

/* The node of a job's directory in `parent`, which is jobs/: found or made. NULL: no memory. */
struct fs_node *control_node_of_job(struct fs *fs, struct fs_node *parent, struct bytes name,
				    struct control_job *job);

/* The node of a file in such a directory: found or made. NULL: no memory. */
struct fs_node *control_node_of_leaf(struct fs *fs, struct fs_node *parent, struct bytes name);

/* "jobs/build/cmd", "messages/send". */
void control_print_what(const struct fs_node *node, char *ret_what);
/* Answers a request on an open file with an error, as control_errors_reply. */
void control_refuse(fuse_req_t req, const struct control_handle *handle, uint16_t op, int error,
		    const char *why);

/* --- control_attr.c --------------------------------------------------------------------------- */

/* A question about what is in a file, before GETATTR or OPEN is answered. */
struct control_content {
	struct control_ask ask;
	struct fs_node *node;          /* held */
	struct control_handle *handle; /* that is being opened, or NULL; freed with it */
};

/* The content that is known here; none where the peer is to be asked. 0 or -errno. */
int control_make_text(fuse_req_t req, struct fs *fs, const struct fs_node *node,
		      struct buffer *text);
/* Answers LOOKUP. The size is the true one, which costs a round trip where the peer knows it:
 * sendfile(2) reads no further, and does not ask again. NULL: ENOMEM. */
void control_reply_entry(fuse_req_t req, struct fs_node *node);
/* Asks the peer with the row's `op`. 0, or -ENOMEM (req is not answered then). */
int control_ask_content(fuse_req_t req, struct fs_node *node, struct control_handle *handle,
			void (*done)(struct control_ask *ask, const struct transport_reply *reply));

/* --- control_open.c --------------------------------------------------------------------------- */

/* A handle for that node. NULL: no memory. */
struct control_handle *control_handle_new(struct fs *fs, struct fs_node *node, int flags);
void control_handle_free(struct control_handle *handle);
/* Answers OPEN. */
void control_open_reply(fuse_req_t req, struct control_handle *handle);

/* --- control_follow.c ------------------------------------------------------------------------- */

/* Something may have come: answers who waits. `handle` may be left by its source's list. */
void control_follow_wake(struct control_handle *handle);
/* The same for a list of readers. */
void control_follow_wake_all(struct control_handle *readers);
void control_follow_read(fuse_req_t req, struct control_handle *handle, size_t size, int flags);
void control_follow_poll(fuse_req_t req, struct control_handle *handle,
			 struct fuse_pollhandle *poll);
/* What it wrote is taken: who polls may write on. */
void control_follow_writable(struct control_handle *handle);
/* It is closed. */
void control_follow_end(struct control_handle *handle);

/* --- rows ------------------------------------------------------------------------------------- */

extern const struct control_dir control_jobs_dir, control_kv_dir, control_inbox_dir,
    control_outbox_dir;

extern const struct control_source control_events_source, control_feed_source, control_exec_source,
    control_wait_source;

int control_text_status(const struct fs_node *node, fuse_req_t req, struct buffer *text);
int control_text_last_error(const struct fs_node *node, fuse_req_t req, struct buffer *text);
int control_text_cwd(const struct fs_node *node, fuse_req_t req, struct buffer *text);
int control_text_env(const struct fs_node *node, fuse_req_t req, struct buffer *text);
int control_text_tty(const struct fs_node *node, fuse_req_t req, struct buffer *text);
int control_text_cmd(const struct fs_node *node, fuse_req_t req, struct buffer *text);
int control_text_of_status(const struct control_job *job, const struct transport_reply *reply,
			   struct buffer *text);
int control_text_of_screen(const struct control_job *job, const struct transport_reply *reply,
			   struct buffer *text);

void control_truncate_cwd(struct control_job *job);
void control_truncate_env(struct control_job *job);
void control_truncate_tty(struct control_job *job);

int control_write_cwd(fuse_req_t req, struct control_handle *handle, struct bytes line,
		      size_t written, const char **ret_why);
int control_write_env(fuse_req_t req, struct control_handle *handle, struct bytes line,
		      size_t written, const char **ret_why);
int control_write_tty(fuse_req_t req, struct control_handle *handle, struct bytes line,
		      size_t written, const char **ret_why);
int control_write_cmd(fuse_req_t req, struct control_handle *handle, struct bytes line,
		      size_t written, const char **ret_why);
int control_write_ctl(fuse_req_t req, struct control_handle *handle, struct bytes line,
		      size_t written, const char **ret_why);
int control_write_exec(fuse_req_t req, struct control_handle *handle, struct bytes line,
		       size_t written, const char **ret_why);

/* --- control_write.c -------------------------------------------------------------------------- */

/* WRITE and FLUSH of what is written line by line. */
void control_write_lines(fuse_req_t req, struct control_handle *handle, struct bytes data);
void control_write_flush(fuse_req_t req, struct control_handle *handle);
/* A line is done: on with those behind it, or `written` bytes are answered (0: a FLUSH). */
void control_write_go_on(fuse_req_t req, struct control_handle *handle, size_t written);
/* A line is refused, and those behind it with it: as control_refuse. */
void control_write_fail(fuse_req_t req, struct control_handle *handle, uint16_t op, int error,
			const char *why);
/* Whether `handle` holds another whole line: some files take one at a time. */
bool control_write_has_more(const struct control_handle *handle);

/* --- control_input.c -------------------------------------------------------------------------- */

/* WRITE and FLUSH of a job's stdin. `flags`: the file's, now. */
void control_input_write(fuse_req_t req, struct control_handle *handle, struct bytes data,
			 int flags);
void control_input_flush(fuse_req_t req, struct control_handle *handle);
/* Its end, behind what was written. It is queued: 0 or -errno. */
int control_input_eof(struct control_job *job);
/* `handle` is closed: what it wrote goes on. */
void control_input_closed(struct control_handle *handle);

#endif
