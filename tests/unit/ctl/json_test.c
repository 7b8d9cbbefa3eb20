/* The shapes that scripts rely on, and what people see beside them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/fetch.h"
#include "tests/unit/ctl/fake_loopsyd.h"

static void expect_text(const json_t *object, const char *key, const char *wanted)
{
	cr_assert_str_eq(fetch_text(object, key), wanted, "%s: '%s'", key, fetch_text(object, key));
}

static void expect_permissions(const json_t *peer, const char *key, size_t n)
{
	const json_t *list = json_object_get(peer, key);

	cr_assert(json_is_array(list));
	cr_assert_eq(json_array_size(list), n);
}

Test(ctl_json, status_has_its_fields_and_all_peers)
{
	struct fake fake;
	json_t *status, *peers, *peer;

	fake_init(&fake);
	fake_start(&fake, FAKE_PAIRS);
	fake_run(&fake, NULL, "status", "--json", NULL);
	cr_assert_eq(fake.status, 0, "%s", fake.err);
	status = fake_json(&fake);
	expect_text(status, "name", "tower");
	expect_text(status, "id", "abcd");
	expect_text(status, "version", "0.1.0");
	expect_text(status, "mount", "/home/me/loopsy");
	cr_assert_eq(json_integer_value(json_object_get(status, "pid")), fake.pid);
	cr_assert_eq(json_integer_value(json_object_get(status, "uptime_s")), 7321);
	cr_assert_str_eq(json_string_value(json_array_get(json_object_get(status, "listen"), 0)),
			 "127.0.0.1:19532");
	peers = json_object_get(status, "peers");
	cr_assert_eq(json_array_size(peers), 300, "pages are put together");
	peer = json_array_get(peers, 299);
	expect_text(peer, "name", "peer-299");
	expect_text(peer, "id", "1234");
	expect_text(peer, "state", "online");
	expect_text(peer, "address", "10.0.0.7:19532");
	expect_text(peer, "last_seen", "2023-11-14T22:13:20Z");
	cr_assert_eq(json_real_value(json_object_get(peer, "rtt_ms")), 1.5);
	expect_permissions(peer, "permissions", 2);
	expect_permissions(peer, "granted", 0);
	peer = json_array_get(peers, 1);
	expect_text(peer, "state", "offline");
	cr_assert(json_is_null(json_object_get(peer, "rtt_ms")));
	cr_assert(json_is_null(json_object_get(peer, "last_seen")));
	json_decref(status);

	fake_run(&fake, NULL, "status", NULL);
	cr_assert_not_null(strstr(fake.out, "up 2 h 2 min"));
	cr_assert_not_null(strstr(fake.out, "peer-299  online"));
	fake_deinit(&fake);
}

Test(ctl_json, peers_is_the_array_of_peers)
{
	struct fake fake;
	json_t *value;

	fake_init(&fake);
	fake_start(&fake, FAKE_PAIRS);
	for (unsigned i = 0; i < 2; i++) {
		fake_run(&fake, NULL, "peers", i ? "list" : "--json", i ? "--json" : NULL, NULL);
		value = fake_json(&fake);
		cr_assert_eq(json_array_size(value), 300);
		json_decref(value);
	}
	fake_run(&fake, NULL, "peers", "show", "desk", "--json", NULL);
	value = fake_json(&fake);
	expect_text(value, "name", "desk");
	expect_text(value, "fingerprint", "aa:bb");
	json_decref(value);
	fake_run(&fake, NULL, "peers", "allow", "desk", "fs:ro,kv", "--json", NULL);
	value = fake_json(&fake);
	expect_permissions(value, "permissions", 2);
	json_decref(value);
	fake_run(&fake, NULL, "peers", "rename", "desk", "tower", "--json", NULL);
	value = fake_json(&fake);
	expect_text(value, "name", "tower");
	json_decref(value);
	fake_run(&fake, NULL, "peers", "add", "10.0.0.7", "--json", NULL);
	value = fake_json(&fake);
	expect_text(value, "address", "10.0.0.7");
	cr_assert(json_is_null(json_object_get(value, "peer")));
	json_decref(value);
	fake_deinit(&fake);
}

Test(ctl_json, discovered_names_are_escaped_for_people_and_whole_in_json)
{
	struct fake fake;
	json_t *value;

	fake_init(&fake);
	fake_start(&fake, FAKE_PAIRS);
	fake_run(&fake, NULL, "peers", "discovered", NULL);
	cr_assert_eq(fake.status, 0);
	cr_assert_not_null(strstr(fake.out, "evil\\xc2\\x9b2Jname"));
	cr_assert_not_null(strstr(fake.err, "avahi-daemon does not run"));
	fake_run(&fake, NULL, "peers", "discovered", "--json", NULL);
	cr_assert_null(strstr(fake.out, "\xc2\x9b"), "ASCII only");
	value = fake_json(&fake);
	expect_text(json_array_get(value, 0), "name",
		    "evil\xc2\x9b"
		    "2Jname");
	cr_assert(json_is_false(json_object_get(json_array_get(value, 0), "paired")));
	json_decref(value);
	fake_deinit(&fake);
}

static const json_t *find_check(const json_t *doctor, const char *name)
{
	const json_t *checks = json_object_get(doctor, "checks");

	for (size_t i = 0; i < json_array_size(checks); i++)
		if (strcmp(fetch_text(json_array_get(checks, i), "name"), name) == 0)
			return json_array_get(checks, i);
	cr_assert_fail("no check '%s'", name);
	return NULL;
}

Test(ctl_json, doctor_joins_its_own_checks_and_the_daemons)
{
	struct fake fake;
	json_t *value;

	fake_init(&fake);
	fake_run(&fake, NULL, "doctor", "--json", NULL);
	cr_assert_eq(fake.status, 1, "no daemon is a failure");
	value = fake_json(&fake);
	cr_assert(json_is_false(json_object_get(value, "ok")));
	expect_text(find_check(value, "daemon"), "status", "failure");
	expect_text(find_check(value, "daemon"), "fix", "loopsyctl start");
	expect_text(find_check(value, "identity"), "status", "failure");
	expect_text(find_check(value, "configuration"), "status", "ok");
	json_decref(value);
	fake_start(&fake, FAKE_PAIRS);
	fake_run(&fake, NULL, "doctor", "--json", NULL);
	value = fake_json(&fake);
	expect_text(find_check(value, "daemon"), "status", "ok");
	expect_text(find_check(value, "avahi"), "status", "warning");
	expect_text(find_check(value, "avahi"), "detail", "not there");
	json_decref(value);
	fake_run(&fake, NULL, "doctor", NULL);
	cr_assert_not_null(strstr(fake.out, "Fix:"));
	fake_deinit(&fake);
}

Test(ctl_json, doctor_finds_private_files_that_are_open_to_others)
{
	struct fake fake;
	char command[300];
	json_t *value;

	fake_init(&fake);
	snprintf(command, sizeof(command), "echo k >%s/config/identity.pem; chmod 644 %s/config/*",
		 fake.home, fake.home);
	cr_assert_eq(system(command), 0);
	fake_run(&fake, NULL, "doctor", "--json", NULL);
	value = fake_json(&fake);
	expect_text(find_check(value, "permissions"), "status", "failure");
	cr_assert_not_null(
	    strstr(fetch_text(find_check(value, "permissions"), "fix"), "chmod 600"));
	json_decref(value);
	fake_deinit(&fake);
}

Test(ctl_json, config_comes_from_the_daemon_or_the_program)
{
	struct fake fake;
	json_t *value;

	fake_init(&fake);
	fake_run(&fake, NULL, "config", "--json", NULL);
	cr_assert_eq(fake.status, 0, "%s", fake.err);
	value = fake_json(&fake);
	expect_text(json_array_get(value, 0), "name", "port");
	expect_text(json_array_get(value, 0), "source", "default");
	json_decref(value);
	fake_start(&fake, FAKE_PAIRS);
	fake_run(&fake, NULL, "config", "--json", NULL);
	value = fake_json(&fake);
	expect_text(json_array_get(value, 0), "source", "command line");
	expect_text(json_array_get(value, 0), "value", "0");
	json_decref(value);
	fake_deinit(&fake);
}

Test(ctl_json, errors_are_the_daemons_words)
{
	struct fake fake;

	fake_init(&fake);
	fake_start(&fake, FAKE_PAIRS);
	fake_run(&fake, NULL, "peers", "show", "nobody", NULL);
	cr_assert_eq(fake.status, 1);
	cr_assert_str_eq(fake.out, "");
	cr_assert_str_eq(fake.err,
			 "loopsyctl: no peer is called 'nobody': see 'loopsyctl peers'\n");
	/* Without words, errno's. */
	fake_run(&fake, NULL, "peers", "remove", "nobody", NULL);
	cr_assert_eq(fake.status, 1);
	cr_assert_str_eq(fake.err, "loopsyctl: No such file or directory\n");
	fake_deinit(&fake);
}

Test(ctl_json, init_and_key_are_asked_of_the_program)
{
	struct fake fake;
	json_t *value;

	fake_init(&fake);
	fake_run(&fake, NULL, "init", "--name", "tower", NULL);
	cr_assert_eq(fake.status, 0, "%s", fake.err);
	cr_assert_not_null(strstr(fake.err, "made an identity"));
	fake_run(&fake, NULL, "init", "--json", NULL);
	value = fake_json(&fake);
	cr_assert(json_is_true(json_object_get(value, "ok")));
	json_decref(value);
	fake_run(&fake, NULL, "key", "show", NULL);
	cr_assert_str_eq(fake.out, "abcdef\n");
	fake_run(&fake, NULL, "key", "show", "--json", NULL);
	value = fake_json(&fake);
	expect_text(value, "key", "abcdef");
	json_decref(value);
	fake_run(&fake, NULL, "key", "generate", NULL);
	cr_assert_eq(fake.status, 1);
	cr_assert_str_eq(fake.out, "");
	setenv("LOOPSYD", "/nonexistent", 1);
	fake_run(&fake, NULL, "init", NULL);
	cr_assert_eq(fake.status, 1);
	cr_assert_not_null(strstr(fake.err, "LOOPSYD"));
	fake_deinit(&fake);
}

Test(ctl_json, start_says_what_the_daemon_said_and_refuses_a_second)
{
	struct fake fake;
	char text[200];

	fake_init(&fake);
	fake_run(&fake, NULL, "start", NULL);
	cr_assert_eq(fake.status, 1);
	cr_assert_str_eq(fake.err, "loopsyd: the port 1 is taken: choose another with --port\n");
	fake_start(&fake, FAKE_PAIRS);
	fake_run(&fake, NULL, "start", NULL);
	cr_assert_eq(fake.status, 1);
	snprintf(text, sizeof(text), "loopsyd is already running (pid %d)", (int)fake.pid);
	cr_assert_not_null(strstr(fake.err, text), "%s", fake.err);
	fake_deinit(&fake);
}

/* The number in a file, once it is there. */
static pid_t await_pid(const struct fake *fake, const char *name)
{
	time_t end = time(NULL) + 60;
	char path[128];
	int pid = 0;

	snprintf(path, sizeof(path), "%s/%s", fake->home, name);
	while (pid == 0) {
		FILE *file = fopen(path, "r");

		if (file && fscanf(file, "%d", &pid) != 1)
			pid = 0;
		if (file)
			fclose(file);
		cr_assert_lt(time(NULL), end, "no %s", path);
		poll(NULL, 0, 5);
	}
	return pid;
}

Test(ctl_json, an_interrupted_start_leaves_no_daemon)
{
	struct fake fake;
	char path[128];
	pid_t pid, daemon;
	int status;

	fake_init(&fake);
	snprintf(path, sizeof(path), "%s/hang", fake.home);
	fclose(fopen(path, "w"));
	pid = fork();
	if (pid == 0) {
		char *argv[] = {(char *)"loopsyctl", (char *)"start", NULL};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGINT, SIG_DFL);
		_exit(command_main(2, argv, 0, stdout, stderr));
	}
	daemon = await_pid(&fake, "hangs");
	kill(pid, SIGINT);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT, "status 0x%x", status);
	cr_assert(kill(daemon, 0) < 0 && errno == ESRCH, "the daemon is still there");
	fake_deinit(&fake);
}
