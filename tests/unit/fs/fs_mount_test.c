/*
 * The same with the real kernel: a mount in a directory of the test's own, a peer in memory behind
 * it, and shell commands that use it while the test drives both.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/fs.h"
#include "fs_fake.h"

struct bench {
	char dir[64];
	struct fs *fs;
	struct fs_fake *fake;
	struct fs_peer *peer;
	int wake;
	_Atomic uint64_t timer_at; /* ns, monotonic */
	pthread_t thread;
	const char *script;
	atomic_bool is_done;
	int status;
};

static uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static void set_timer(void *arg, uint64_t delay)
{
	((struct bench *)arg)->timer_at = clock_now() + delay;
}

static void wake(void *arg)
{
	uint64_t one = 1;

	cr_assert_eq(write(((struct bench *)arg)->wake, &one, sizeof(one)), sizeof(one));
}

static void turn(struct bench *bench)
{
	struct pollfd fds[2] = {{.fd = fs_fd(bench->fs), .events = POLLIN},
				{.fd = bench->wake, .events = POLLIN}};
	uint64_t count, now = clock_now();
	int timeout = 20;

	if (bench->timer_at && bench->timer_at < now + 20000000)
		timeout = bench->timer_at <= now ? 0 : (int)((bench->timer_at - now) / 1000000);
	poll(fds, 2, timeout);
	if (fds[1].revents && read(bench->wake, &count, sizeof(count)) < 0)
		cr_assert(false);
	fs_process(bench->fs);
	if (bench->timer_at && bench->timer_at <= clock_now()) {
		bench->timer_at = 0;
		fs_tick(bench->fs);
	}
	while (fs_fake_pump(bench->fake))
		fs_process(bench->fs);
}

static void *run_script(void *arg)
{
	struct bench *bench = arg;

	bench->status = system(bench->script);
	bench->is_done = true;
	wake(bench);
	return NULL;
}

static void begin(struct bench *bench, const char *script)
{
	setenv("D", bench->dir, 1);
	bench->script = script;
	bench->is_done = false;
	cr_assert_eq(pthread_create(&bench->thread, NULL, run_script, bench), 0);
}

static int finish(struct bench *bench)
{
	while (!bench->is_done)
		turn(bench);
	pthread_join(bench->thread, NULL);
	return WIFEXITED(bench->status) ? WEXITSTATUS(bench->status) : 255;
}

static int run(struct bench *bench, const char *script)
{
	begin(bench, script);
	return finish(bench);
}

static struct bench *new_bench(void)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	struct fs_config config = {.channel = -1,
				   .uid = getuid(),
				   .gid = getgid(),
				   .set_timer = set_timer,
				   .wake = wake,
				   .mount_point = bench->dir,
				   .arg = bench};
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC), error;

	if (fd < 0) {
		free(bench);
		cr_skip_test("/dev/fuse: %s", strerror(errno));
	}
	close(fd);
	strcpy(bench->dir, "/tmp/fs_mount_test.XXXXXX");
	cr_assert(mkdtemp(bench->dir));
	bench->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bench->fake = fs_fake_new();
	error = fs_new(&config, &bench->fs);
	if (error) {
		rmdir(bench->dir);
		cr_skip_test("no mount: %s", strerror(-error));
	}
	cr_assert_eq(fs_peer_add(bench->fs, "desk", (struct bytes){(const uint8_t *)"id", 2},
				 &bench->fake->transport, NULL, &bench->peer),
		     0);
	return bench;
}

static void end(struct bench *bench)
{
	fs_free(bench->fs);
	cr_assert_eq(rmdir(bench->dir), 0, "still mounted");
	close(bench->wake);
	fs_fake_free(bench->fake);
	free(bench);
}

Test(fs_mount, names_behave_as_on_a_disk, .timeout = 120)
{
	struct bench *bench = new_bench();

	bench->fake->root_path = "/export";
	cr_assert_eq(
	    run(bench,
		"set -e; cd $D/desk; mkdir -p a/b/c; mkdir x; mv x a/b/y; ls a/b >/dev/null;"
		"test \"$(ls a/b | tr '\\n' ' ')\" = 'c y '; test ! -e x;"
		"ln -s ../b/c a/b/link; test -d a/b/link/; test \"$(readlink a/b/link)\" = ../b/c;"
		"ln -s /export/a/b a/abs; test \"$(readlink a/abs)\" = ../a/b;"
		"ln -s /etc a/out; ! readlink a/out; ! ls a/out/ 2>/dev/null;"
		"mkfifo a/fifo; test -p a/fifo; ln a/fifo a/fifo2;"
		"test $(stat -c %h a/fifo) = 2; test $(stat -c %i a/fifo) = $(stat -c %i a/fifo2);"
		"rm a/fifo; test $(stat -c %h a/fifo2) = 1; chmod 750 a; test $(stat -c %a a) = "
		"750;"
		"(cd a/b && mv ../../a ../../moved && test \"$(ls ../../moved | wc -l)\" = 4);"
		"rm -r moved; test -z \"$(ls -A)\""),
	    0);
	cr_assert_eq(bench->fake->root->n_names, 0);
	end(bench);
}

/* Three programs that wait for the peer: none of what they ask for is known here. (`kill` fails if
 * the shell knows that its child has ended: that is not what is tested.) */
static const char hanging[] =
    "set -e; ls -l $D; stat $D/desk; ls $D/desk/.loopsy; cat $D/desk/.loopsy/status;"
    "stat $D/desk/sub/file & p=$!; ls $D/desk/sub & q=$!; mkdir $D/desk/m & r=$!;"
    "kill -9 $p || :; kill $q $r || :;"
    "for c in $p $q $r; do if wait $c; then exit 3; fi; done; exit 0";

Test(fs_mount, root_is_instant_while_a_peer_hangs_and_callers_can_be_killed, .timeout = 120)
{
	struct bench *bench = new_bench();
	uint64_t before;

	fs_fake_add(bench->fake, bench->fake->root, "sub", S_IFDIR | 0755);
	cr_assert_eq(run(bench, "ls $D/desk"), 0);
	bench->fake->is_held = true;
	before = clock_now();
	cr_assert_eq(run(bench, hanging), 0);
	cr_assert_lt(clock_now() - before, 60000000000ull);
	bench->fake->is_held = false;
	cr_assert_eq(run(bench, "ls $D/desk"), 0);
	end(bench);
}

Test(fs_mount, ends_while_it_is_in_use, .timeout = 120)
{
	struct bench *bench = new_bench();

	bench->fake->is_held = true;
	begin(bench, "cd $D/desk; stat absent 2>/dev/null; exit 0");
	for (int i = 0; i < 10; i++)
		turn(bench);
	fs_free(bench->fs);
	pthread_join(bench->thread, NULL);
	cr_assert_eq(rmdir(bench->dir), 0);
	bench->fake->is_held = false;
	fs_fake_pump(bench->fake);
	fs_fake_free(bench->fake);
	close(bench->wake);
	free(bench);
}

Test(fs_mount, a_listing_carries_attributes, .timeout = 120)
{
	struct bench *bench = new_bench();
	char name[32];

	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "f%04d", i);
		fs_fake_add(bench->fake, bench->fake->root, name, S_IFREG | 0644);
	}
	cr_assert_eq(run(bench, "test $(ls -l $D/desk | wc -l) = 3001"), 0);
	cr_assert_leq(bench->fake->n_asked[OP_LOOKUP] + bench->fake->n_asked[OP_GETATTR], 5);
	end(bench);
}

/* The kernel hands over 1 MiB at a time, which is sent from where it is. */
Test(fs_mount, large_writes_arrive_whole, .timeout = 120)
{
	struct bench *bench = new_bench();

	cr_assert_eq(run(bench, "T=$(mktemp); head -c 7654321 /dev/urandom >$T &&"
				"dd if=$T of=$D/desk/new bs=3M 2>/dev/null &&"
				"dd if=$D/desk/new iflag=direct bs=1M 2>/dev/null | cmp - $T;"
				"R=$?; rm $T; exit $R"),
		     0);
	cr_assert_geq(bench->fake->n_asked[OP_WRITE], 7654321 / OPS_IO_MAX);
	end(bench);
}
