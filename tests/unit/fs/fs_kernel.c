#include "fs_kernel.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t now(void *arg)
{
	return ((struct fs_kernel *)arg)->now;
}

static void set_timer(void *arg, uint64_t delay)
{
	struct fs_kernel *kernel = arg;

	kernel->timer_at = kernel->now + delay;
}

static int status_text(void *arg, void *peer_arg, struct buffer *text)
{
	const char *line = peer_arg ? "name desk\n" : "name here\n";

	return buffer_append(text, line, strlen(line));
}

static void collect(struct fs_kernel *kernel)
{
	static _Thread_local _Alignas(8) uint8_t buffer[FS_KERNEL_REPLY_MAX];
	struct fuse_out_header header;
	ssize_t n;

	while ((n = recv(kernel->socket, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0) {
		struct fs_kernel_reply *reply;

		memcpy(&header, buffer, sizeof(header));
		cr_assert_eq(header.len, n);
		if (!header.unique) {
			kernel->n_notified++;
			kernel->n_epochs += header.error == FS_KERNEL_NOTIFY_EPOCH;
			continue;
		}
		n -= (ssize_t)sizeof(header);
		reply = malloc(sizeof(*reply) + (size_t)n + 1);
		*reply = (struct fs_kernel_reply){.unique = header.unique,
						  .error = header.error,
						  .size = (size_t)n,
						  .n_notified = kernel->n_notified,
						  .n_epochs = kernel->n_epochs,
						  .next = kernel->replies};
		memcpy(reply->data, buffer + sizeof(header), (size_t)n);
		reply->data[n] = '\0';
		kernel->replies = reply;
	}
}

void fs_kernel_run(struct fs_kernel *kernel)
{
	bool moved = true;

	while (moved) {
		struct pollfd readable = {.fd = fs_fd(kernel->fs), .events = POLLIN};

		moved = poll(&readable, 1, 0) > 0;
		fs_process(kernel->fs);
		while (kernel->timer_at && kernel->timer_at <= kernel->now) {
			kernel->timer_at = 0;
			fs_tick(kernel->fs);
			moved = true;
		}
		if (fs_fake_pump(kernel->fake))
			moved = true;
		if (fs_fake_pump(kernel->self))
			moved = true;
		collect(kernel);
	}
}

void fs_kernel_pass(struct fs_kernel *kernel, uint64_t time)
{
	uint64_t until = kernel->now + time;

	while (kernel->timer_at && kernel->timer_at <= until) {
		if (kernel->timer_at > kernel->now)
			kernel->now = kernel->timer_at;
		fs_kernel_run(kernel);
	}
	kernel->now = until;
	fs_kernel_run(kernel);
}

uint64_t fs_kernel_send(struct fs_kernel *kernel, uint32_t opcode, uint64_t node, const void *body,
			size_t size)
{
	struct fuse_in_header header = {
	    .len = (uint32_t)(sizeof(header) + size),
	    .opcode = opcode,
	    .unique = kernel->unique += 2,
	    .nodeid = node,
	    .uid = 1000,
	    .gid = 1000,
	    .pid = kernel->pid,
	};
	uint8_t *message = malloc(header.len);
	ssize_t n;

	memcpy(message, &header, sizeof(header));
	if (size)
		memcpy(message + sizeof(header), body, size);
	n = send(kernel->socket, message, header.len, 0);
	cr_assert_eq(n, header.len);
	free(message);
	return header.unique;
}

struct fs_kernel_reply *fs_kernel_take(struct fs_kernel *kernel, uint64_t unique)
{
	struct fs_kernel_reply **at = &kernel->replies, *reply;

	while (*at && (*at)->unique != unique)
		at = &(*at)->next;
	reply = *at;
	if (reply)
		*at = reply->next;
	return reply;
}

struct fs_kernel_reply *fs_kernel_ask(struct fs_kernel *kernel, uint32_t opcode, uint64_t node,
				      const void *body, size_t size)
{
	uint64_t unique = fs_kernel_send(kernel, opcode, node, body, size);
	struct fs_kernel_reply *reply;

	fs_kernel_run(kernel);
	reply = fs_kernel_take(kernel, unique);
	cr_assert(reply, "no reply to opcode %u", opcode);
	return reply;
}

/* Asks; copies the start of the reply. */
static int ask(struct fs_kernel *kernel, uint32_t opcode, uint64_t node, const void *body,
	       size_t size, void *ret_out, size_t out_size)
{
	struct fs_kernel_reply *reply = fs_kernel_ask(kernel, opcode, node, body, size);
	int error = reply->error;

	if (!error && ret_out) {
		cr_assert_geq(reply->size, out_size);
		memcpy(ret_out, reply->data, out_size);
	}
	free(reply);
	return error;
}

int fs_kernel_lookup(struct fs_kernel *kernel, uint64_t parent, const char *name,
		     struct fuse_entry_out *ret_entry)
{
	struct fuse_entry_out entry = {0};
	int error = ask(kernel, FUSE_LOOKUP, parent, name, strlen(name) + 1, &entry, sizeof(entry));

	if (!error && ret_entry)
		*ret_entry = entry;
	return !error && !entry.nodeid ? -ENOENT : error;
}

uint64_t fs_kernel_walk(struct fs_kernel *kernel, const char *path)
{
	char copy[4096], *save = NULL;
	uint64_t node = FUSE_ROOT_ID;

	strcpy(copy, path);
	for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		struct fuse_entry_out entry;

		if (fs_kernel_lookup(kernel, node, name, &entry))
			return 0;
		node = entry.nodeid;
	}
	return node;
}

int fs_kernel_getattr(struct fs_kernel *kernel, uint64_t node, struct fuse_attr_out *ret_attr)
{
	struct fuse_getattr_in in = {0};

	return ask(kernel, FUSE_GETATTR, node, &in, sizeof(in), ret_attr, sizeof(*ret_attr));
}

void fs_kernel_forget(struct fs_kernel *kernel, uint64_t node, uint64_t count)
{
	struct fuse_forget_in in = {.nlookup = count};

	fs_kernel_send(kernel, FUSE_FORGET, node, &in, sizeof(in));
	fs_kernel_run(kernel);
}

int fs_kernel_name_op(struct fs_kernel *kernel, uint32_t opcode, uint64_t parent, const void *head,
		      size_t head_size, const char *name, struct fuse_entry_out *ret_entry)
{
	char body[512];

	if (head_size)
		memcpy(body, head, head_size);
	strcpy(body + head_size, name);
	return ask(kernel, opcode, parent, body, head_size + strlen(name) + 1, ret_entry,
		   ret_entry ? sizeof(*ret_entry) : 0);
}

int fs_kernel_rename(struct fs_kernel *kernel, uint64_t parent, const char *name,
		     uint64_t new_parent, const char *new_name, uint32_t flags)
{
	struct fuse_rename2_in in = {.newdir = new_parent, .flags = flags};
	char body[1024];
	size_t size = sizeof(in);

	memcpy(body, &in, size);
	strcpy(body + size, name);
	size += strlen(name) + 1;
	strcpy(body + size, new_name);
	size += strlen(new_name) + 1;
	return ask(kernel, FUSE_RENAME2, parent, body, size, NULL, 0);
}

int fs_kernel_readlink(struct fs_kernel *kernel, uint64_t node, char *ret_target)
{
	struct fs_kernel_reply *reply = fs_kernel_ask(kernel, FUSE_READLINK, node, NULL, 0);
	int error = reply->error;

	if (!error)
		memcpy(ret_target, reply->data, reply->size + 1);
	free(reply);
	return error;
}

int fs_kernel_open(struct fs_kernel *kernel, uint32_t opcode, uint64_t node, uint64_t *ret_handle)
{
	struct fuse_open_in in = {0};
	struct fuse_open_out out = {0};
	int error = ask(kernel, opcode, node, &in, sizeof(in), &out, sizeof(out));

	*ret_handle = out.fh;
	return error;
}

void fs_kernel_release(struct fs_kernel *kernel, uint32_t opcode, uint64_t node, uint64_t handle)
{
	struct fuse_release_in in = {.fh = handle};

	cr_assert_eq(ask(kernel, opcode, node, &in, sizeof(in), NULL, 0), 0);
}

int fs_kernel_readdir(struct fs_kernel *kernel, uint64_t node, uint64_t handle, uint64_t *offset,
		      uint32_t size, bool plus,
		      void (*visit)(void *arg, const struct fuse_dirent *dirent,
				    const struct fuse_entry_out *entry),
		      void *arg)
{
	struct fuse_read_in in = {.fh = handle, .offset = *offset, .size = size};
	struct fs_kernel_reply *reply =
	    fs_kernel_ask(kernel, plus ? FUSE_READDIRPLUS : FUSE_READDIR, node, &in, sizeof(in));
	int n = reply->error;
	size_t at = 0;

	cr_assert_leq(reply->size, size);
	while (!reply->error && at < reply->size) {
		const struct fuse_entry_out *entry = plus ? (void *)(reply->data + at) : NULL;
		const struct fuse_dirent *dirent =
		    (void *)(reply->data + at + (plus ? sizeof(*entry) : 0));

		at += plus ? FUSE_DIRENTPLUS_SIZE((const struct fuse_direntplus *)entry)
			   : FUSE_DIRENT_SIZE(dirent);
		*offset = dirent->off;
		n++;
		if (visit)
			visit(arg, dirent, entry);
	}
	free(reply);
	return n;
}

struct fs_kernel *fs_kernel_new(const struct fs_config *config)
{
	struct fs_kernel *kernel = calloc(1, sizeof(*kernel));
	struct fuse_init_in in = {
	    .major = 7, .minor = 36, .max_readahead = 131072, .flags = UINT32_MAX & ~FUSE_INIT_EXT};
	struct fuse_init_out out = {0};
	int sockets[2], size = 1024 * 1024;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	kernel->socket = sockets[1];
	kernel->now = 1000000000000ull;
	kernel->pid = (uint32_t)getpid();
	if (config)
		kernel->config = *config;
	kernel->config.channel = sockets[0];
	kernel->config.uid = kernel->config.gid = 1000;
	kernel->config.now = now;
	kernel->config.set_timer = set_timer;
	kernel->config.status_text = status_text;
	kernel->config.arg = kernel;
	kernel->fake = fs_fake_new();
	cr_assert_eq(fs_new(&kernel->config, &kernel->fs), 0);
	cr_assert_eq(fs_peer_add(kernel->fs, "desk", (struct bytes){(const uint8_t *)"id", 2},
				 &kernel->fake->transport, "peer", &kernel->peer),
		     0);
	kernel->self = fs_fake_new();
	cr_assert_eq(fs_set_self(kernel->fs, "lap", (struct bytes){(const uint8_t *)"me", 2},
				 &kernel->self->transport),
		     0);
	cr_assert_eq(ask(kernel, FUSE_INIT, 0, &in, sizeof(in), &out, 24), 0);
	kernel->init_flags = out.flags;
	return kernel;
}

void fs_kernel_free(struct fs_kernel *kernel, bool is_clean)
{
	fs_kernel_run(kernel);
	fs_kernel_pass(kernel, 3000000000ull);
	if (is_clean)
		cr_assert_eq(fs_fake_outstanding(kernel->fake), 0, "%lu references kept",
			     (unsigned long)fs_fake_outstanding(kernel->fake));
	fs_free(kernel->fs);
	collect(kernel);
	while (kernel->replies) {
		struct fs_kernel_reply *reply = kernel->replies;

		kernel->replies = reply->next;
		free(reply);
	}
	close(kernel->socket);
	fs_fake_free(kernel->fake);
	fs_fake_free(kernel->self);
	free(kernel);
}

static void add_name(void *arg, const struct fuse_dirent *dirent,
		     const struct fuse_entry_out *entry)
{
	snprintf((char *)arg + strlen(arg), 4096 - strlen(arg), "%.*s ", (int)dirent->namelen,
		 dirent->name);
}

const char *fs_kernel_list(struct fs_kernel *kernel, const char *path)
{
	static char names[4096];
	uint64_t node = fs_kernel_walk(kernel, path), handle, offset = 0;
	int error = fs_kernel_open(kernel, FUSE_OPENDIR, node, &handle);

	names[0] = '\0';
	if (error)
		return strerror(-error);
	while (fs_kernel_readdir(kernel, node, handle, &offset, 256, false, add_name, names) > 0)
		continue;
	fs_kernel_release(kernel, FUSE_RELEASEDIR, node, handle);
	return names;
}
