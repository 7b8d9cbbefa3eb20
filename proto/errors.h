/*
 * Errors of the protocol: numbers of our own, which map to and from errno. 0 is success.
 * One table, ERRORS(E): E(number, ERRNO, "text"). Numbers never change their meaning.
 */
#ifndef PROTO_ERRORS_H
#define PROTO_ERRORS_H

#include <stdint.h>

#define ERRORS(E)                                                                                  \
	E(1, EPERM, "operation not permitted")                                                     \
	E(2, ENOENT, "no such file or directory")                                                  \
	E(3, EINTR, "interrupted system call")                                                     \
	E(4, EIO, "input/output error")                                                            \
	E(5, ENXIO, "no such device or address")                                                   \
	E(6, E2BIG, "argument list too long")                                                      \
	E(7, EBADF, "bad file descriptor")                                                         \
	E(8, EAGAIN, "resource temporarily unavailable")                                           \
	E(9, ENOMEM, "cannot allocate memory")                                                     \
	E(10, EACCES, "permission denied")                                                         \
	E(11, EFAULT, "bad address")                                                               \
	E(12, EBUSY, "device or resource busy")                                                    \
	E(13, EEXIST, "file exists")                                                               \
	E(14, EXDEV, "invalid cross-device link")                                                  \
	E(15, ENODEV, "no such device")                                                            \
	E(16, ENOTDIR, "not a directory")                                                          \
	E(17, EISDIR, "is a directory")                                                            \
	E(18, EINVAL, "invalid argument")                                                          \
	E(19, ENFILE, "too many open files in system")                                             \
	E(20, EMFILE, "too many open files")                                                       \
	E(21, ENOTTY, "inappropriate ioctl for device")                                            \
	E(22, ETXTBSY, "text file busy")                                                           \
	E(23, EFBIG, "file too large")                                                             \
	E(24, ENOSPC, "no space left on device")                                                   \
	E(25, ESPIPE, "illegal seek")                                                              \
	E(26, EROFS, "read-only file system")                                                      \
	E(27, EMLINK, "too many links")                                                            \
	E(28, EPIPE, "broken pipe")                                                                \
	E(29, ERANGE, "numerical result out of range")                                             \
	E(30, EDEADLK, "resource deadlock avoided")                                                \
	E(31, ENAMETOOLONG, "file name too long")                                                  \
	E(32, ENOLCK, "no locks available")                                                        \
	E(33, ENOSYS, "function not implemented")                                                  \
	E(34, ENOTEMPTY, "directory not empty")                                                    \
	E(35, ELOOP, "too many levels of symbolic links")                                          \
	E(36, ENODATA, "no data available")                                                        \
	E(37, EOVERFLOW, "value too large for defined data type")                                  \
	E(38, EBADMSG, "bad message")                                                              \
	E(39, EMSGSIZE, "message too long")                                                        \
	E(40, EPROTO, "protocol error")                                                            \
	E(41, EOPNOTSUPP, "operation not supported")                                               \
	E(42, EADDRINUSE, "address already in use")                                                \
	E(43, ENOTCONN, "transport endpoint is not connected")                                     \
	E(44, ETIMEDOUT, "connection timed out")                                                   \
	E(45, ECONNREFUSED, "connection refused")                                                  \
	E(46, EHOSTDOWN, "host is down")                                                           \
	E(47, EHOSTUNREACH, "no route to host")                                                    \
	E(48, EALREADY, "operation already in progress")                                           \
	E(49, EINPROGRESS, "operation now in progress")                                            \
	E(50, ESTALE, "stale file handle")                                                         \
	E(51, EDQUOT, "disk quota exceeded")                                                       \
	E(52, ECANCELED, "operation canceled")                                                     \
	E(53, ESRCH, "no such process")                                                            \
	E(54, ECHILD, "no child processes")                                                        \
	E(55, ENOTBLK, "block device required")                                                    \
	E(56, EUCLEAN, "structure needs cleaning")                                                 \
	E(57, EREMOTEIO, "remote i/o error")                                                       \
	E(58, EKEYREJECTED, "key was rejected by service")                                         \
	E(59, EDOM, "numerical argument out of domain")                                            \
	E(60, EILSEQ, "invalid or incomplete multibyte or wide character")                         \
	E(61, ENOEXEC, "exec format error")                                                        \
	E(62, ENOKEY, "required key not available")                                                \
	E(63, ESHUTDOWN, "cannot send after transport endpoint shutdown")                          \
	E(64, EREMCHG, "another version is there")

/* The number for an errno (positive or negative); one that has none becomes EIO's. */
uint16_t error_from_errno(int error);

/* The negative errno for a number from a peer; an unknown one is -EIO. 0 is 0. */
int error_to_errno(uint64_t number);

#endif
