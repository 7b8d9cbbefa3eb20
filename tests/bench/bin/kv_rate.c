/*
 * kv_rate ctl SOCKET PEER set|get CLIENTS SECONDS KEYS
 * kv_rate files DIRECTORY set|get CLIENTS SECONDS KEYS
 *
 * Sets or gets shared values of 64 bytes, key-000000 and so on, in an order of chance; each client
 * is a thread, which has one request under way. Through loopsyd's control socket, as loopsyctl
 * does, or as control files. Prints how many, and in how many seconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/kv_client.h"

#define CLIENTS_MAX 64
#define VALUE_SIZE  64

struct run {
	const char *socket, *peer; /* NULL: files */
	const char *directory;
	bool is_set;
	unsigned long n_keys;
	double end;
	atomic_size_t n_done;
};

struct client {
	pthread_t thread;
	struct run *run;
	struct remote *remote;
	uint64_t chance;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static _Noreturn void fail(const char *what, int error)
{
	fprintf(stderr, "kv_rate: %s: %s\n", what, strerror(error));
	exit(1);
}

static void ask(struct client *client, const char *key, struct bytes value)
{
	const struct run *run = client->run;
	struct args_kv_set set = {.key = {(const uint8_t *)key, strlen(key)}, .value = value};
	struct kv_got got = {0};
	struct kv_entry entry;
	const char *reason = "";
	int r = run->is_set ? kv_client_set(client->remote, run->peer, &set, &entry, &reason)
			    : kv_client_get(client->remote, run->peer, key, &got);

	if (r < 0)
		fail(key, -r);
	kv_got_deinit(&got);
}

static void use_file(const struct client *client, const char *key, struct bytes value)
{
	const struct run *run = client->run;
	uint8_t read_value[2 * VALUE_SIZE];
	char path[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", run->directory, key);
	fd = open(path,
		  run->is_set ? O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC : O_RDONLY | O_CLOEXEC,
		  0600);
	if (fd < 0)
		fail(path, errno);
	n = run->is_set ? write(fd, value.data, value.size)
			: read(fd, read_value, sizeof(read_value));
	if (n < 0 || close(fd) < 0)
		fail(path, errno);
}

static void *work(void *arg)
{
	struct client *client = arg;
	struct run *run = client->run;
	uint8_t value[VALUE_SIZE];
	char key[32];

	memset(value, 'v', sizeof(value));
	while (now() < run->end) {
		client->chance = client->chance * 6364136223846793005u + 1442695040888963407u;
		snprintf(key, sizeof(key), "key-%06lu",
			 (unsigned long)(client->chance >> 33) % run->n_keys);
		memcpy(value, &client->chance, sizeof(client->chance));
		if (run->socket)
			ask(client, key, (struct bytes){value, sizeof(value)});
		else
			use_file(client, key, (struct bytes){value, sizeof(value)});
		atomic_fetch_add(&run->n_done, 1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct client clients[CLIENTS_MAX];
	bool is_files = argc == 7 && strcmp(argv[1], "files") == 0;
	bool is_ctl = argc == 8 && strcmp(argv[1], "ctl") == 0;
	char **rest = argv + (is_files ? 3 : 4);
	struct run run = {0};
	unsigned long n;
	double began;

	if ((!is_files && !is_ctl) || (n = strtoul(rest[1], NULL, 10)) < 1 || n > CLIENTS_MAX ||
	    (run.n_keys = strtoul(rest[3], NULL, 10)) < 1) {
		fprintf(stderr, "usage: kv_rate ctl SOCKET PEER | files DIRECTORY set|get CLIENTS "
				"SECONDS KEYS\n");
		return 2;
	}
	run.socket = is_ctl ? argv[2] : NULL;
	run.peer = is_ctl ? argv[3] : NULL;
	run.directory = argv[2];
	run.is_set = strcmp(rest[0], "set") == 0;
	for (unsigned long i = 0; i < n; i++) {
		clients[i] = (struct client){.run = &run, .chance = i + 1};
		if (is_ctl && (errno = -remote_new(run.socket, &clients[i].remote)) > 0)
			fail(run.socket, errno);
	}
	began = now();
	run.end = began + strtod(rest[2], NULL);
	for (unsigned long i = 0; i < n; i++)
		if ((errno = pthread_create(&clients[i].thread, NULL, work, &clients[i])))
			fail("thread", errno);
	for (unsigned long i = 0; i < n; i++)
		pthread_join(clients[i].thread, NULL);
	printf("%zu %.6f\n", atomic_load(&run.n_done), now() - began);
	for (unsigned long i = 0; i < n; i++)
		remote_free(clients[i].remote);
	return 0;
}
