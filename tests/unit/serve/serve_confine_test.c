/* What must not be reachable, however one tries. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "daemon/serve/mounts.h"
#include "proto/codec.h"
#include "tests/unit/serve/serve_fake.h"

TestSuite(serve_confine, .init = scratch_init, .fini = scratch_fini);

static struct serve_fake fake;

static void init_denying(const char *const *deny, size_t n, const struct serve_options *options)
{
	struct serve_options own = options ? *options : (struct serve_options){0};
	char path[600];
	struct exports_option export = {.name = "x", .path = path, .deny = deny, .n_deny = n};

	snprintf(path, sizeof(path), "%s/export", scratch_dir);
	own.exports = &export;
	own.n_exports = 1;
	serve_fake_init(&fake, &own);
}

static bool listed(uint64_t node, const char *name)
{
	const struct result_readdir *result;

	cr_assert_eq(SERVE_FAKE_CALL(&fake, READDIR, readdir, &result, node), 0);
	cr_assert(!result->more);
	return memmem(result->entries.data, result->entries.size, name, strlen(name));
}

static int make_dir(uint64_t parent, const char *name)
{
	return SERVE_FAKE_CALL(&fake, MKDIR, mkdir, NULL, parent, serve_fake_bytes(name), 0755);
}

static int rename_to(uint64_t from, const char *name, uint64_t to, const char *new_name)
{
	return SERVE_FAKE_CALL(&fake, RENAME, rename, NULL, from, serve_fake_bytes(name), to,
			       serve_fake_bytes(new_name));
}

Test(serve_confine, links_are_never_followed)
{
	struct entry entry;

	serve_fake_init(&fake, NULL);
	cr_assert_eq(symlink("/etc", serve_fake_path("absolute")), 0);
	cr_assert_eq(symlink("..", serve_fake_path("up")), 0);
	cr_assert_eq(symlink("/proc/self/root", serve_fake_path("magic")), 0);
	cr_assert_eq(serve_fake_walk(&fake, 0, "absolute/passwd", &entry), -ENOTDIR);
	cr_assert_eq(serve_fake_walk(&fake, 0, "up/export", &entry), -ENOTDIR);
	cr_assert_eq(serve_fake_walk(&fake, 0, "magic/etc", &entry), -ENOTDIR);
	cr_assert_eq(make_dir(serve_fake_node(&fake, "up"), "escaped"), -ENOTDIR);
	cr_assert_neq(access(scratch_path("escaped"), F_OK), 0);
	cr_assert_eq(
	    SERVE_FAKE_CALL(&fake, READDIR, readdir, NULL, serve_fake_node(&fake, "absolute")),
	    -ENOTDIR);
	serve_fake_deinit(&fake);
}

struct flipper {
	pthread_t thread;
	atomic_bool stop;
	char a[1024], b[1024];
};

static void *flip(void *arg)
{
	struct flipper *flipper = arg;

	while (!flipper->stop)
		renameat2(AT_FDCWD, flipper->a, AT_FDCWD, flipper->b, RENAME_EXCHANGE);
	return NULL;
}

/* A directory and a link to the outside change places all the time. */
Test(serve_confine, swapped_link_does_not_lead_out)
{
	struct flipper flipper = {0};
	struct entry entry;

	serve_fake_init(&fake, &(struct serve_options){.verify_ms = -1, .max_kept = 2});
	cr_assert_eq(mkdir(scratch_path("outside"), 0755), 0);
	scratch_write(scratch_path("outside/secret"), "secret", 6, 0644);
	cr_assert_eq(mkdir(serve_fake_path("dir"), 0755), 0);
	scratch_write(serve_fake_path("dir/secret"), "no", 2, 0644);
	cr_assert_eq(symlink("../outside", serve_fake_path("swap")), 0);
	strcpy(flipper.a, serve_fake_path("dir"));
	strcpy(flipper.b, serve_fake_path("swap"));
	pthread_create(&flipper.thread, NULL, flip, &flipper);
	for (unsigned i = 0; i < 3000; i++) {
		int error = serve_fake_walk(&fake, 0, "dir/secret", &entry);

		cr_assert(error == 0 || error == -ENOTDIR || error == -ESTALE, "%d", error);
		if (error == 0)
			cr_assert_eq(entry.attr.size, 2);
	}
	flipper.stop = true;
	pthread_join(flipper.thread, NULL);
	serve_fake_deinit(&fake);
}

/* A name that is replaced all the time is there all the time. */
Test(serve_confine, lookup_during_renames_over_the_name_finds_it)
{
	struct flipper flipper = {0};
	struct entry entry;

	serve_fake_init(&fake, &(struct serve_options){.verify_ms = -1});
	scratch_write(serve_fake_path("a"), "1", 1, 0644);
	scratch_write(serve_fake_path("b"), "1", 1, 0644);
	strcpy(flipper.a, serve_fake_path("a"));
	strcpy(flipper.b, serve_fake_path("b"));
	pthread_create(&flipper.thread, NULL, flip, &flipper);
	for (unsigned i = 0; i < 3000; i++) {
		cr_assert_eq(serve_fake_walk(&fake, 0, "a", &entry), 0);
		/* The object exists under one of the names, so its node works too. */
		cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, entry.node), 0);
	}
	flipper.stop = true;
	pthread_join(flipper.thread, NULL);
	serve_fake_deinit(&fake);
}

Test(serve_confine, what_is_moved_out_is_not_reachable)
{
	uint64_t dir, file;

	serve_fake_init(&fake, &(struct serve_options){.verify_ms = -1});
	cr_assert_eq(mkdir(serve_fake_path("dir"), 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("other"), 0755), 0);
	scratch_write(serve_fake_path("dir/file"), "x", 1, 0644);
	dir = serve_fake_node(&fake, "dir");
	file = serve_fake_node(&fake, "dir/file");
	/* within the export it stays usable */
	cr_assert_eq(rename(serve_fake_path("dir"), serve_fake_path("other/d")), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, file), 0);
	cr_assert_eq(make_dir(dir, "sub"), 0);
	cr_assert_eq(rename(serve_fake_path("other/d"), scratch_path("gone")), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, dir), -ESTALE);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, file), -ESTALE);
	cr_assert_eq(make_dir(dir, "sub2"), -ESTALE);
	cr_assert_eq(rename(scratch_path("gone"), serve_fake_path("back")), 0);
	cr_assert_eq(serve_fake_node(&fake, "back/file"), file);
	serve_fake_deinit(&fake);
}

Test(serve_confine, an_unlinked_object_is_usable_while_its_descriptor_is_kept)
{
	const struct result_getattr *got;
	uint64_t fifo, dir;

	serve_fake_init(&fake, &(struct serve_options){.verify_ms = -1});
	cr_assert_eq(mkdir(serve_fake_path("dir"), 0755), 0);
	cr_assert_eq(mkfifo(serve_fake_path("fifo"), 0644), 0);
	fifo = serve_fake_node(&fake, "fifo");
	dir = serve_fake_node(&fake, "dir");
	cr_assert_eq(SERVE_FAKE_CALL(&fake, UNLINK, unlink, NULL, 1, serve_fake_bytes("fifo")), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RMDIR, rmdir, NULL, 1, serve_fake_bytes("dir")), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, &got, fifo), 0);
	cr_assert_eq(got->attr.nlink, 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, &got, dir), 0);
	cr_assert_eq(make_dir(dir, "x"), -ENOENT);
	serve_fake_deinit(&fake);
}

Test(serve_confine, denied_is_absent)
{
	static const char *const deny[] = {".ssh", ".config/loopsy", "never"};
	struct entry entry;
	uint64_t config;

	init_denying(deny, 3, NULL);
	cr_assert_eq(mkdir(serve_fake_path(".ssh"), 0700), 0);
	scratch_write(serve_fake_path(".ssh/id"), "key", 3, 0600);
	cr_assert_eq(mkdir(serve_fake_path(".config"), 0700), 0);
	cr_assert_eq(mkdir(serve_fake_path(".config/loopsy"), 0700), 0);
	cr_assert_eq(mkdir(serve_fake_path("ssh"), 0700), 0);
	scratch_write(serve_fake_path("file"), "x", 1, 0644);
	config = serve_fake_node(&fake, ".config");
	cr_assert_eq(serve_fake_walk(&fake, 0, ".ssh", &entry), -ENOENT);
	cr_assert_eq(serve_fake_walk(&fake, 0, ".config/loopsy", &entry), -ENOENT);
	cr_assert(!listed(1, ".ssh"));
	cr_assert(listed(1, ".config"));
	cr_assert(!listed(config, "loopsy"));
	cr_assert_eq(make_dir(1, ".ssh"), -EACCES);
	cr_assert_eq(make_dir(1, "never"), -EACCES);
	cr_assert_eq(rename_to(1, ".ssh", 1, "mine"), -ENOENT);
	cr_assert_eq(rename_to(1, "ssh", 1, ".ssh"), -EACCES);
	cr_assert_eq(rename_to(1, "ssh", 1, "never"), -EACCES);
	cr_assert_eq(rename_to(1, ".config", 1, "c"), -EACCES);
	cr_assert_eq(rename_to(1, "ssh", 1, ".config"), -EACCES);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RENAME, rename, NULL, 1, serve_fake_bytes("ssh"), 1,
				     serve_fake_bytes(".ssh"), RENAME_EXCHANGE),
		     -EACCES);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RENAME, rename, NULL, 1, serve_fake_bytes("ssh"), 1,
				     serve_fake_bytes(".config"), RENAME_EXCHANGE),
		     -EACCES);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RMDIR, rmdir, NULL, 1, serve_fake_bytes(".ssh")),
		     -ENOENT);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, RMDIR, rmdir, NULL, 1, serve_fake_bytes(".config")),
		     -EACCES);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, SYMLINK, symlink, NULL, 1, serve_fake_bytes("never"),
				     serve_fake_bytes("/tmp")),
		     -EACCES);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, LINK, link, NULL, serve_fake_node(&fake, "file"), 1,
				     serve_fake_bytes("never")),
		     -EACCES);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, MKNOD, mknod, NULL, 1, serve_fake_bytes("never"),
				     S_IFREG | 0644),
		     -EACCES);
	cr_assert_eq(access(serve_fake_path(".ssh/id"), F_OK), 0);
	serve_fake_deinit(&fake);
}

Test(serve_confine, a_missing_ancestor_may_only_be_made_by_mkdir)
{
	static const char *const deny[] = {".config/deep/loopsy"};
	uint64_t config, deep, prepared;

	init_denying(deny, 1, NULL);
	cr_assert_eq(make_dir(1, "prepared"), 0);
	prepared = serve_fake_node(&fake, "prepared");
	cr_assert_eq(make_dir(prepared, "loopsy"), 0);
	cr_assert_eq(make_dir(prepared, "deep"), 0);
	cr_assert_eq(rename_to(1, "prepared", 1, ".config"), -EACCES);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, SYMLINK, symlink, NULL, 1, serve_fake_bytes(".config"),
				     serve_fake_bytes("prepared")),
		     -EACCES);
	cr_assert_eq(make_dir(1, ".config"), 0);
	config = serve_fake_node(&fake, ".config");
	cr_assert_eq(rename_to(1, "prepared", config, "deep"), -EACCES);
	cr_assert_eq(make_dir(config, "deep"), 0);
	deep = serve_fake_node(&fake, ".config/deep");
	cr_assert_eq(make_dir(deep, "loopsy"), -EACCES);
	cr_assert_eq(rename_to(1, ".config", 1, "c"), -EACCES);
	cr_assert_eq(rename_to(config, "deep", 1, "c"), -EACCES);
	cr_assert_eq(make_dir(deep, "other"), 0);
	serve_fake_deinit(&fake);
}

Test(serve_confine, a_denied_object_is_hidden_under_any_name)
{
	static const char *const deny[] = {"secret", "dir"};
	uint64_t file, dir;
	struct entry entry;

	init_denying(deny, 2, &(struct serve_options){.verify_ms = -1});
	scratch_write(serve_fake_path("mine"), "x", 1, 0600);
	cr_assert_eq(mkdir(serve_fake_path("d"), 0700), 0);
	scratch_write(serve_fake_path("d/inner"), "x", 1, 0600);
	file = serve_fake_node(&fake, "mine");
	dir = serve_fake_node(&fake, "d/inner");
	/* the owner moves what the peer holds to denied places */
	cr_assert_eq(rename(serve_fake_path("mine"), serve_fake_path("secret")), 0);
	cr_assert_eq(link(serve_fake_path("secret"), serve_fake_path("hard")), 0);
	cr_assert_eq(rename(serve_fake_path("d"), serve_fake_path("dir")), 0);
	cr_assert_eq(serve_fake_walk(&fake, 0, "secret", &entry), -ENOENT);
	cr_assert_eq(serve_fake_walk(&fake, 0, "hard", &entry), -ENOENT);
	cr_assert(!listed(1, "hard"));
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, file), -ESTALE);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, dir), -ESTALE);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, LINK, link, NULL, file, 1, serve_fake_bytes("x")),
		     -ESTALE);
	cr_assert_eq(rename_to(1, "d", 1, "hard"), -ENOENT);
	serve_fake_deinit(&fake);
}

Test(serve_confine, a_denied_object_is_hidden_among_bare_names)
{
	static const char *const deny[] = {"secret"};
	struct args_readdir args = {.node = 1, .n_entries = 1};
	struct serve_fake_call *call;
	struct bytes names;
	struct dir_name name;
	char path[32];
	unsigned n = 0;

	init_denying(deny, 1, &(struct serve_options){.verify_ms = -1});
	scratch_write(serve_fake_path("secret"), "x", 1, 0600);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "file-%u", i);
		scratch_write(serve_fake_path(path), "", 0, 0600);
		snprintf(path, sizeof(path), "hard-%u", i);
		cr_assert_eq(link(serve_fake_path("secret"), serve_fake_path(path)), 0);
	}
	call = serve_fake_start(&fake, 0, OP_READDIR, &args);
	cr_assert_eq(serve_fake_wait(&fake, call), 0);
	serve_fake_wait_stream(&fake, call);
	names = (struct bytes){call->names.data, call->names.size};
	for (; names.size > 0; n++) {
		cr_assert_eq(codec_decode(&dir_name_record, &names, &name, NULL), 0);
		cr_assert_eq(memcmp(name.name.data, "file-", 5), 0);
	}
	cr_assert_gt(n, 100);
	serve_fake_deinit(&fake);
}

Test(serve_confine, a_denied_path_through_a_link_denies_both_ends)
{
	static const char *const deny[] = {"ssh"};
	struct entry entry;
	uint64_t dot;

	init_denying(deny, 1, NULL);
	cr_assert_eq(mkdir(serve_fake_path("dot"), 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("dot/keys"), 0755), 0);
	cr_assert_eq(symlink("./dot/../dot/keys", serve_fake_path("ssh")), 0);
	dot = serve_fake_node(&fake, "dot");
	cr_assert_eq(serve_fake_walk(&fake, 0, "ssh", &entry), -ENOENT);
	cr_assert_eq(serve_fake_walk(&fake, 0, "dot/keys", &entry), -ENOENT);
	cr_assert_eq(rename_to(1, "dot", 1, "x"), -EACCES);
	cr_assert_eq(rename_to(dot, "keys", 1, "x"), -ENOENT);
	cr_assert_eq(make_dir(dot, "keys"), -EACCES);
	serve_fake_deinit(&fake);
}

Test(serve_confine, mounts_are_classified_by_type)
{
	cr_assert_eq(mounts_classify("proc"), MOUNTS_REFUSED);
	cr_assert_eq(mounts_classify("cgroup2"), MOUNTS_REFUSED);
	cr_assert_eq(mounts_classify("fuse.loopsy"), MOUNTS_REFUSED);
	cr_assert_eq(mounts_classify("fuse.sshfs"), MOUNTS_REMOTE);
	cr_assert_eq(mounts_classify("ext4"), MOUNTS_LOCAL);
}

/* In a mount namespace of its own: proc appears as an empty directory, tmpfs as it is. */
Test(serve_confine, refused_mounts_are_empty_directories)
{
	struct entry entry;
	const struct result_getattr *got;
	uint64_t proc;

	if (unshare(CLONE_NEWNS) < 0)
		scratch_skip_test("no mount namespace: %s", strerror(errno));
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		scratch_skip_test("no private mounts: %s", strerror(errno));
	serve_fake_init(&fake, NULL);
	cr_assert_eq(mkdir(serve_fake_path("proc"), 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("tmp"), 0755), 0);
	scratch_write(serve_fake_path("version"), "mine", 4, 0644);
	cr_assert_eq(serve_fake_walk(&fake, 0, "proc", &entry), 0);
	if (mount("proc", serve_fake_path("proc"), "proc", 0, NULL) < 0)
		scratch_skip_test("proc cannot be mounted: %s", strerror(errno));
	cr_assert_eq(mount("tmpfs", serve_fake_path("tmp"), "tmpfs", 0, NULL), 0);
	cr_assert_eq(mount("/proc/version", serve_fake_path("version"), NULL, MS_BIND, NULL), 0);
	cr_assert_eq(mkdir(serve_fake_path("tmp/dir"), 0755), 0);
	proc = serve_fake_node(&fake, "proc");
	cr_assert_neq(proc, entry.node);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, &got, proc), 0);
	cr_assert_eq(got->attr.mode, S_IFDIR | 0555);
	cr_assert_eq(serve_fake_walk(&fake, 0, "proc/self", &entry), -ENOENT);
	cr_assert(!listed(proc, "version"));
	cr_assert_eq(make_dir(proc, "x"), -EACCES);
	cr_assert_eq(rename_to(1, "proc", 1, "x"), -EBUSY);
	cr_assert(!listed(1, "version"));
	cr_assert(listed(1, "proc"));
	cr_assert_eq(serve_fake_walk(&fake, 0, "version", &entry), -ENOENT);
	cr_assert_eq(serve_fake_walk(&fake, 0, "tmp/dir", &entry), 0);
	cr_assert_eq(umount(serve_fake_path("proc")), 0);
	cr_assert_eq(serve_fake_walk(&fake, 0, "proc", &entry), 0);
	cr_assert_neq(entry.node, proc);
	serve_fake_deinit(&fake);
	cr_assert_eq(umount(serve_fake_path("tmp")), 0);
	cr_assert_eq(umount(serve_fake_path("version")), 0);
}

Test(serve_confine, a_root_that_is_replaced_is_followed)
{
	struct entry entry;
	uint64_t old;

	serve_fake_init(&fake, &(struct serve_options){.verify_ms = -1});
	cr_assert_eq(mkdir(serve_fake_path("old"), 0755), 0);
	old = serve_fake_node(&fake, "old");
	cr_assert_eq(rename(fake.export_path, scratch_path("aside")), 0);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, 1), -ENOENT);
	cr_assert_eq(mkdir(fake.export_path, 0755), 0);
	cr_assert_eq(mkdir(serve_fake_path("new"), 0755), 0);
	cr_assert_eq(serve_fake_walk(&fake, 0, "new", &entry), 0);
	cr_assert_eq(serve_fake_walk(&fake, 0, "old", &entry), -ENOENT);
	cr_assert_eq(SERVE_FAKE_CALL(&fake, GETATTR, getattr, NULL, old), -ESTALE);
	serve_fake_deinit(&fake);
}
