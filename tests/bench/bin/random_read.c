/*
 * random_read FILE PART SECONDS THREADS: reads 4 KiB at random places, one after the other in each
 * thread, and prints how many it were and the seconds.
 *
 * PART is 0 or 1: two runs in one mount read different halves of the file's blocks, and no block is
 * read twice, so that no cache answers.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK       4096
#define THREADS_MAX 256

struct run {
	int fd;
	uint32_t *blocks; /* in random order */
	size_t n_blocks;
	double end;
	atomic_size_t n_taken, n_read;
};

static void fail(const char *what, int error)
{
	fprintf(stderr, "random_read: %s: %s\n", what, strerror(error));
	exit(1);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *reader(void *userdata)
{
	struct run *run = userdata;
	uint8_t block[BLOCK];
	size_t i, n = 0;

	while (now() < run->end && (i = atomic_fetch_add(&run->n_taken, 1)) < run->n_blocks) {
		ssize_t size = pread(run->fd, block, BLOCK, (off_t)run->blocks[i] * BLOCK);
		if (size != BLOCK)
			fail("read", size < 0 ? errno : EIO);
		n++;
	}
	atomic_fetch_add(&run->n_read, n);
	return NULL;
}

/* The blocks of one half of the file, shuffled; always the same way. */
static void shuffle(struct run *run, size_t part)
{
	uint64_t state = 1;

	run->blocks = malloc(run->n_blocks * sizeof(*run->blocks) + 1);
	if (!run->blocks)
		fail("memory", ENOMEM);
	for (size_t i = 0; i < run->n_blocks; i++) {
		size_t j;
		state = state * 6364136223846793005u + 1442695040888963407u; /* Knuth's */
		j = (state >> 33) % (i + 1);
		run->blocks[i] = run->blocks[j];
		run->blocks[j] = (uint32_t)(2 * i + part);
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	struct run run = {0};
	struct stat status;
	unsigned long n_threads;
	double began;

	if (argc != 5 || (n_threads = strtoul(argv[4], NULL, 10)) < 1 || n_threads > THREADS_MAX) {
		fprintf(stderr, "usage: random_read FILE PART SECONDS THREADS\n");
		return 2;
	}
	run.fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (run.fd < 0 || fstat(run.fd, &status) < 0)
		fail(argv[1], errno);
	posix_fadvise(run.fd, 0, 0, POSIX_FADV_RANDOM);
	run.n_blocks = (size_t)status.st_size / BLOCK / 2;
	shuffle(&run, strtoul(argv[2], NULL, 10));
	began = now();
	run.end = began + strtod(argv[3], NULL);
	for (unsigned long i = 0; i < n_threads; i++)
		if ((errno = pthread_create(&threads[i], NULL, reader, &run)))
			fail("thread", errno);
	for (unsigned long i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
	printf("%zu %.6f\n", atomic_load(&run.n_read), now() - began);
	free(run.blocks);
	close(run.fd);
	return 0;
}
