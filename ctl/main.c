#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "ctl/command.h"

/* A standard descriptor that is closed must not become something else, as a connection. It can be
 * read, and is at its end, but not written. */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	fill_standard_descriptors();
	return command_main(argc, argv, STDIN_FILENO, stdout, stderr);
}
