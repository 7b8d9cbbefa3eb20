/* kv/ as a directory: names, keys, attributes; what one key is asked for or told at once. */
#include "fs/control_kv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_kv_known.h"
#include "fs/root.h"

#define XATTR_TTL     "user.loopsy.ttl"
#define XATTR_VERSION "user.loopsy.version"

/* --- names ------------------------------------------------------------------------------------ */

static bool is_dots(struct bytes text)
{
	return (text.size == 1 && text.data[0] == '.') ||
	       (text.size == 2 && memcmp(text.data, "..", 2) == 0);
}

int control_kv_name(struct bytes key, char ret_name[OPS_NAME_MAX + 1])
{
	static const char digits[] = "0123456789ABCDEF";
	bool all = is_dots(key);
	size_t n = 0;

	for (size_t i = 0; i < key.size; i++) {
		uint8_t c = key.data[i];
		bool is_escaped = all || c == '/' || c == '%';

		if (n + (is_escaped ? 3 : 1) > OPS_NAME_MAX)
			return -ENAMETOOLONG;
		ret_name[n++] = is_escaped ? '%' : (char)c;
		if (is_escaped) {
			ret_name[n++] = digits[c >> 4];
			ret_name[n++] = digits[c & 15];
		}
	}
	ret_name[n] = '\0';
	return (int)n;
}

/* The character behind a '%': those that have to be written so, in capitals. */
static int unescape(const uint8_t *at, size_t left)
{
	if (left < 3 || at[1] != '2')
		return -ENOENT;
	return at[2] == 'F' ? '/' : at[2] == '5' ? '%' : at[2] == 'E' ? '.' : -ENOENT;
}

int control_kv_key(struct bytes name, uint8_t ret_key[OPS_KV_KEY_MAX])
{
	char canonical[OPS_NAME_MAX + 1];
	size_t n = 0;
	int c, size;

	if (name.size > OPS_NAME_MAX)
		return -ENAMETOOLONG;
	for (size_t i = 0; i < name.size; i++) {
		c = name.data[i];
		if (c == '%') {
			c = unescape(name.data + i, name.size - i);
			i += 2;
		}
		if (c < 0)
			return c;
		ret_key[n++] = (uint8_t)c;
	}
	/* Each key has one name. */
	size = control_kv_name((struct bytes){ret_key, n}, canonical);
	if (size < 0 || (size_t)size != name.size || memcmp(canonical, name.data, name.size) != 0)
		return -ENOENT;
	return (int)n;
}

/* --- asking ----------------------------------------------------------------------------------- */

void control_kv_refuse(fuse_req_t req, const struct fs_node *node, uint16_t op, int error)
{
	char what[OPS_NAME_MAX + 8] = "kv/";

	if (control_is_value(node))
		memcpy(what + 3, node_name(node).data, node_name(node).size);
	control_errors_reply(req, control_peer(fs_of(req), node), what, op, error, NULL);
}

void *control_kv_ask_new(fuse_req_t req, struct fs *fs, struct fs_node *node, size_t size,
			 void (*done)(struct control_ask *ask, const struct transport_reply *reply))
{
	return control_ask_new_about(control_peer(fs, node), size, req, node, done);
}

void control_kv_heard(struct fs_node *node, const struct kv_entry *entry)
{
	struct control_value *value = node->control->value;

	value->version = entry->version;
	value->size = entry->size;
	value->ttl_ms = entry->ttl_ms;
	value->changed = entry->changed;
}

/* An ask about a key that may have no node yet. */
struct name_ask {
	struct control_node_ask kv;
	struct fs_node *new_parent; /* of RENAME; held by its request */
	size_t name_size, new_name_size;
	uint8_t name[OPS_NAME_MAX], new_name[OPS_NAME_MAX];
};

static struct name_ask *new_name_ask(fuse_req_t req, struct fs_node *node, struct bytes name,
				     void (*done)(struct control_ask *ask,
						  const struct transport_reply *reply))
{
	struct name_ask *ask = control_kv_ask_new(req, fs_of(req), node, sizeof(*ask), done);

	if (!ask)
		return NULL;
	ask->name_size = name.size;
	memcpy(ask->name, name.data, name.size);
	return ask;
}

static struct bytes name_of(const struct name_ask *ask)
{
	return (struct bytes){ask->name, ask->name_size};
}

/* The key of a name, or an error that was answered. */
static bool take_key(fuse_req_t req, const struct fs_node *node, struct bytes name,
		     uint8_t key[OPS_KV_KEY_MAX], struct bytes *ret_key)
{
	int n = control_kv_key(name, key);
	const struct fs_peer *peer = control_peer(fs_of(req), node);

	if (n >= 0 && (!peer || !peer->transport))
		n = -ESTALE;
	if (n < 0) {
		fuse_reply_err(req, -n);
		return false;
	}
	*ret_key = (struct bytes){key, (size_t)n};
	return true;
}

/* --- names of values -------------------------------------------------------------------------- */

static void reply_known(fuse_req_t req, struct fs_node *dir, struct bytes name,
			const struct kv_entry *entry)
{
	struct fs_node *node = control_node_of_leaf(fs_of(req), dir, name);

	if (node && !control_value_is_ahead(node))
		control_kv_heard(node, entry);
	root_reply_entry(req, node);
}

static void on_lookup(struct control_ask *ask, const struct transport_reply *reply)
{
	struct name_ask *name = (struct name_ask *)ask;
	const struct result_kv_stat *result = reply->result;
	struct fs_node *dir = name->kv.node, *node;
	fuse_req_t req = control_ask_take(ask);

	if (!req)
		return;
	if (!reply->error) {
		reply_known(req, dir, name_of(name), &result->entry);
		return;
	}
	node = node_find_child(ask->peer->fs, dir, name_of(name));
	/* One that is just being made has no value yet. */
	if (reply->error == -ENOENT && node && control_value_is_ahead(node))
		root_reply_entry(req, node);
	else if (reply->error == -ENOENT || reply->error == -EINVAL)
		fuse_reply_err(req, ENOENT);
	else
		control_kv_refuse(req, dir, OP_KV_STAT, reply->error);
}

static void lookup(fuse_req_t req, struct fs_node *node, struct bytes name)
{
	uint8_t key[OPS_KV_KEY_MAX];
	struct args_kv_stat args;
	struct kv_entry known;
	struct name_ask *ask;

	if (!take_key(req, node, name, key, &args.key))
		return;
	if (control_kv_known_find(control_peer(fs_of(req), node), args.key, &known)) {
		reply_known(req, node, name, &known);
		return;
	}
	ask = new_name_ask(req, node, name, on_lookup);
	if (ask)
		control_ask_send(&ask->kv.ask, OP_KV_STAT, &args);
}

static void on_unlink(struct control_ask *ask, const struct transport_reply *reply)
{
	struct name_ask *name = (struct name_ask *)ask;
	fuse_req_t req = control_ask_take(ask);

	if (!reply->error)
		node_forget_child(ask->peer->fs, name->kv.node, name_of(name));
	if (!req)
		return;
	if (reply->error)
		control_kv_refuse(req, name->kv.node, OP_KV_DEL, reply->error);
	else
		fuse_reply_err(req, 0);
}

static void unlink_(fuse_req_t req, struct fs_node *node, struct bytes name)
{
	struct args_kv_del args = {0};
	uint8_t key[OPS_KV_KEY_MAX];
	struct name_ask *ask;

	if (!take_key(req, node, name, key, &args.key))
		return;
	ask = new_name_ask(req, node, name, on_unlink);
	if (!ask)
		return;
	control_kv_known_change(ask->kv.ask.peer, args.key);
	control_ask_send(&ask->kv.ask, OP_KV_DEL, &args);
}

static void on_rename(struct control_ask *ask, const struct transport_reply *reply)
{
	struct name_ask *name = (struct name_ask *)ask;
	const struct result_kv_rename *result = reply->result;
	struct fs *fs = ask->peer->fs;
	struct bytes new_name = {name->new_name, name->new_name_size};
	struct fs_node *node = node_find_child(fs, name->kv.node, name_of(name));
	fuse_req_t req = control_ask_take(ask);

	if (!reply->error && node) {
		node_rename(fs, node, name->kv.node, new_name);
		control_kv_heard(node, &result->entry);
	}
	if (!req)
		return;
	if (reply->error)
		control_kv_refuse(req, name->kv.node, OP_KV_RENAME, reply->error);
	else
		fuse_reply_err(req, 0);
}

static void rename_(fuse_req_t req, struct fs_node *node, struct bytes name,
		    struct fs_node *new_node, struct bytes new_name, unsigned flags)
{
	uint8_t key[OPS_KV_KEY_MAX], new_key[OPS_KV_KEY_MAX];
	struct args_kv_rename args = {0};
	struct name_ask *ask;

	if (node != new_node || (flags & ~1u)) {
		fuse_reply_err(req, node != new_node ? EXDEV : EINVAL);
		return;
	}
	if (!take_key(req, node, name, key, &args.key) ||
	    !take_key(req, node, new_name, new_key, &args.new_key))
		return;
	ask = new_name_ask(req, node, name, on_rename);
	if (!ask)
		return;
	ask->new_name_size = new_name.size;
	memcpy(ask->new_name, new_name.data, new_name.size);
	args.flags = flags & 1 ? KV_IF_ABSENT : 0; /* RENAME_NOREPLACE */
	control_kv_known_change(ask->kv.ask.peer, args.key);
	control_kv_known_change(ask->kv.ask.peer, args.new_key);
	control_ask_send(&ask->kv.ask, OP_KV_RENAME, &args);
}

/* --- making one ------------------------------------------------------------------------------- */

/* The node and its open file, or an error that was answered. */
static void make(fuse_req_t req, struct fs_node *dir, struct bytes name,
		 const struct kv_entry *entry, struct fuse_file_info *info)
{
	struct fs *fs = fs_of(req);
	struct fs_node *node = control_node_of_leaf(fs, dir, name);
	struct control_handle *handle = node ? control_handle_new(fs, node, info->flags) : NULL;

	if (!handle) {
		if (node)
			node_unused(fs, node);
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (entry)
		control_kv_heard(node, entry);
	control_value_create(req, handle, info);
}

struct create_ask {
	struct name_ask name;
	struct fuse_file_info info;
};

static void on_create(struct control_ask *ask, const struct transport_reply *reply)
{
	struct create_ask *create = (struct create_ask *)ask;
	const struct result_kv_set *result = reply->result;
	fuse_req_t req = control_ask_take(ask);

	if (!req)
		return; /* it may be there now: as of a file that was made and not opened */
	if (reply->error)
		control_kv_refuse(req, create->name.kv.node, OP_KV_SET, reply->error);
	else
		make(req, create->name.kv.node, name_of(&create->name), &result->entry,
		     &create->info);
}

/* With O_EXCL it is set, to nothing, at once: only one can be the first. */
static void create(fuse_req_t req, struct fs_node *node, struct bytes name,
		   struct fuse_file_info *info)
{
	struct args_kv_set args = {.flags = KV_IF_ABSENT};
	uint8_t key[OPS_KV_KEY_MAX];
	struct create_ask *create;

	if (!take_key(req, node, name, key, &args.key))
		return;
	if (!(info->flags & O_EXCL)) {
		make(req, node, name, NULL, info);
		return;
	}
	create = control_kv_ask_new(req, fs_of(req), node, sizeof(*create), on_create);
	if (!create)
		return;
	create->name.name_size = name.size;
	memcpy(create->name.name, name.data, name.size);
	create->info = *info;
	control_kv_known_change(create->name.kv.ask.peer, args.key);
	control_ask_send(&create->name.kv.ask, OP_KV_SET, &args);
}

const struct control_dir control_kv_dir = {.lookup = lookup,
					   .open = control_kv_list,
					   .create = create,
					   .unlink = unlink_,
					   .rename = rename_};

/* --- attributes ------------------------------------------------------------------------------- */

static void on_getattr(struct control_ask *ask, const struct transport_reply *reply)
{
	struct fs_node *node = ((struct control_node_ask *)ask)->node;
	const struct result_kv_stat *result = reply->result;
	fuse_req_t req = control_ask_take(ask);

	if (!reply->error && !control_value_is_ahead(node))
		control_kv_heard(node, &result->entry);
	if (!req)
		return;
	if (reply->error && !(reply->error == -ENOENT && control_value_is_ahead(node)))
		control_kv_refuse(req, node, OP_KV_STAT, reply->error);
	else
		root_getattr(req, node);
}

/* The key of a value's node, or an error that was answered. */
static bool take_own_key(fuse_req_t req, struct fs_node *node, uint8_t key[OPS_KV_KEY_MAX],
			 struct bytes *ret_key)
{
	if (node->parent)
		return take_key(req, node, node_name(node), key, ret_key);
	fuse_reply_err(req, ENOENT); /* removed, and perhaps still open */
	return false;
}

void control_kv_getattr(fuse_req_t req, struct fs_node *node)
{
	uint8_t key[OPS_KV_KEY_MAX];
	struct control_node_ask *ask;
	struct args_kv_stat args;
	struct kv_entry known;

	if (!node->parent || control_value_is_ahead(node)) {
		root_getattr(req, node);
		return;
	}
	if (!take_own_key(req, node, key, &args.key))
		return;
	if (control_kv_known_find(control_peer(fs_of(req), node), args.key, &known)) {
		control_kv_heard(node, &known);
		root_getattr(req, node);
		return;
	}
	ask = control_kv_ask_new(req, fs_of(req), node, sizeof(*ask), on_getattr);
	if (ask)
		control_ask_send(&ask->ask, OP_KV_STAT, &args);
}

static void on_changed(struct control_ask *ask, const struct transport_reply *reply)
{
	struct fs_node *node = ((struct control_node_ask *)ask)->node;
	const struct result_kv_set *result = reply->result;
	fuse_req_t req = control_ask_take(ask);

	if (!reply->error)
		control_kv_heard(node, &result->entry);
	if (!req)
		return;
	if (reply->error)
		control_kv_refuse(req, node, OP_KV_SET, reply->error);
	else
		root_getattr(req, node);
}

static void on_xattr_set(struct control_ask *ask, const struct transport_reply *reply)
{
	struct fs_node *node = ((struct control_node_ask *)ask)->node;
	fuse_req_t req = control_ask_take(ask);

	if (!req)
		return;
	if (reply->error)
		control_kv_refuse(req, node, OP_KV_SET, reply->error);
	else
		fuse_reply_err(req, 0);
}

static void set(fuse_req_t req, struct fs_node *node, uint64_t flags, uint64_t ttl_ms,
		void (*done)(struct control_ask *ask, const struct transport_reply *reply))
{
	struct args_kv_set args = {.flags = flags, .ttl_ms = ttl_ms};
	uint8_t key[OPS_KV_KEY_MAX];
	struct control_node_ask *ask;

	if (!take_own_key(req, node, key, &args.key))
		return;
	ask = control_kv_ask_new(req, fs_of(req), node, sizeof(*ask), done);
	if (!ask)
		return;
	control_kv_known_change(ask->ask.peer, args.key);
	control_ask_send(&ask->ask, OP_KV_SET, &args);
}

/* touch sets the value to what it is: its time is that of the change. A size of 0 is an empty
 * value; others only of open files. */
void control_kv_setattr(fuse_req_t req, struct fs_node *node, const struct stat *attr, int valid,
			struct fuse_file_info *info)
{
	const int times = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW |
			  FUSE_SET_ATTR_MTIME_NOW | FUSE_SET_ATTR_CTIME;

	if ((valid & FUSE_SET_ATTR_SIZE) && info)
		control_value_truncate(req, (struct control_handle *)(uintptr_t)info->fh,
				       (uint64_t)attr->st_size);
	else if ((valid & ~times) == 0 && node->control->value->n_unset > 0)
		root_getattr(req, node); /* what is written now sets the time */
	else if ((valid & ~times) == 0)
		set(req, node, KV_KEEP_VALUE | KV_KEEP_TTL, 0, on_changed);
	else if ((valid & ~times) == FUSE_SET_ATTR_SIZE && attr->st_size == 0)
		set(req, node, KV_KEEP_TTL, 0, on_changed);
	else
		fuse_reply_err(req, EPERM);
}

/* --- extended attributes ---------------------------------------------------------------------- */

static bool is_name(struct bytes name, const char *text)
{
	return name.size == strlen(text) && memcmp(name.data, text, name.size) == 0;
}

struct xattr_ask {
	struct control_node_ask kv;
	bool is_ttl;
	size_t size;
};

static void on_getxattr(struct control_ask *ask, const struct transport_reply *reply)
{
	struct xattr_ask *xattr = (struct xattr_ask *)ask;
	const struct result_kv_stat *result = reply->result;
	fuse_req_t req = control_ask_take(ask);
	char text[32];
	size_t n;

	if (!req)
		return;
	if (reply->error) {
		control_kv_refuse(req, xattr->kv.node, OP_KV_STAT, reply->error);
		return;
	}
	if (xattr->is_ttl && result->entry.ttl_ms == 0) {
		fuse_reply_err(req, ENODATA);
		return;
	}
	n = (size_t)snprintf(text, sizeof(text), "%llu",
			     xattr->is_ttl ? (unsigned long long)(result->entry.ttl_ms + 999) / 1000
					   : (unsigned long long)result->entry.version);
	if (xattr->size == 0)
		fuse_reply_xattr(req, n);
	else if (xattr->size < n)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, text, n);
}

void control_kv_getxattr(fuse_req_t req, struct fs_node *node, struct bytes name, size_t size)
{
	bool is_ttl = is_name(name, XATTR_TTL);
	uint8_t key[OPS_KV_KEY_MAX];
	struct args_kv_stat args;
	struct xattr_ask *ask;

	if (!is_ttl && !is_name(name, XATTR_VERSION)) {
		fuse_reply_err(req, ENODATA);
		return;
	}
	if (!take_own_key(req, node, key, &args.key))
		return;
	ask = control_kv_ask_new(req, fs_of(req), node, sizeof(*ask), on_getxattr);
	if (!ask)
		return;
	ask->is_ttl = is_ttl;
	ask->size = size;
	control_ask_send(&ask->kv.ask, OP_KV_STAT, &args);
}

/* Whole seconds; 0 if it is none. */
static uint64_t parse_ttl(struct bytes value)
{
	uint64_t seconds = 0;

	for (size_t i = 0; i < value.size; i++) {
		if (value.data[i] < '0' || value.data[i] > '9' ||
		    seconds > OPS_KV_TTL_MAX / 1000 / 10)
			return 0;
		seconds = seconds * 10 + value.data[i] - '0';
	}
	return seconds <= OPS_KV_TTL_MAX / 1000 ? seconds : 0;
}

void control_kv_setxattr(fuse_req_t req, struct fs_node *node, struct bytes name,
			 struct bytes value, int flags)
{
	uint64_t ttl = parse_ttl(value);

	if (!is_name(name, XATTR_TTL))
		fuse_reply_err(req, EPERM);
	else if (ttl == 0)
		fuse_reply_err(req, EINVAL);
	else
		set(req, node, KV_KEEP_VALUE, ttl * 1000, on_xattr_set);
}

void control_kv_removexattr(fuse_req_t req, struct fs_node *node, struct bytes name)
{
	if (!is_name(name, XATTR_TTL))
		fuse_reply_err(req, EPERM);
	else if (node->control->value->ttl_ms == 0)
		fuse_reply_err(req, ENODATA);
	else
		set(req, node, KV_KEEP_VALUE, 0, on_xattr_set);
}

void control_kv_listxattr(fuse_req_t req, struct fs_node *node, size_t size)
{
	static const char names[] = XATTR_VERSION "\0" XATTR_TTL;
	size_t n = node->control->value->ttl_ms ? sizeof(names) : sizeof(XATTR_VERSION);

	if (size == 0)
		fuse_reply_xattr(req, n);
	else if (size < n)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, names, n);
}
