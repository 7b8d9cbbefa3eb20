/*
 * Errors of the protocol: numbers of our own, which map to and from errno. 0 is success.
 * One table, ERRORS(E): E(number, ERRNO, "text"). Numbers never change their meaning.
 */
#ifndef PROTO_ERRORS_H
#define PROTO_ERRORS_H

#include <stdint.h>

/* The number for an errno (positive or negative); one that has none becomes EIO's. */
uint16_t error_from_errno(int error);

/* The negative errno for a number from a peer; an unknown one is -EIO. 0 is 0. */
int error_to_errno(uint64_t number);

#endif
