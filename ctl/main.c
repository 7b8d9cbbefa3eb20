#include <stdio.h>
#include <unistd.h>

#include "ctl/command.h"

int main(int argc, char **argv)
{
	return command_main(argc, argv, STDIN_FILENO, stdout, stderr);
}
