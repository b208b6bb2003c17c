/* SPDX-License-Identifier: MIT
 *
 * libporter: ask porterd for files and for what the kernel says of the caller.
 *
 * Every function that returns int returns 0 or a negative errno value; what it hands out is set only on 0.
 * Nothing here logs, exits or keeps state outside of its connection. A connection may be used by one thread
 * at a time, different connections by different threads at once. Calls block until the service has answered;
 * signals don't interrupt them, and a peer that vanished is an error, never SIGPIPE.
 *
 * Every call on a connection may also return:
 *   -ENOMEM       out of memory
 *   -EINVAL       an argument is missing, empty, or not UTF-8
 *   -EMSGSIZE     the request or the reply is larger than PORTER_MESSAGE_MAX
 *   -ECONNRESET   the service closed the connection before it had answered
 *   -EBADMSG      the answer is not what the service's interface promises; the fds that came are closed
 *   -EMFILE       this process could not hold all fds of the answer (RLIMIT_NOFILE); those that came are closed
 *   -ENOTCONN     an earlier call broke the connection (after -ECONNRESET, -EBADMSG, -EMFILE and a reply's
 *                 -EMSGSIZE)
 *   other values  the service answered with an error: porter_error_name() says which, see there
 */
#ifndef PORTER_H
#define PORTER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The library itself is built with everything else hidden. */
#pragma GCC visibility push(default)

/* Where porterd listens, unless the system's administrator moved it. */
#define PORTER_SOCKET "/run/porterd/io.porterd"

/* The largest request and the largest reply, in bytes. */
#define PORTER_MESSAGE_MAX ((size_t)1024 * 1024)

/* The most files that one call opens: as many fds as the kernel passes with one message. */
#define PORTER_FILES_MAX ((size_t)253)

/* A connection to the service. */
struct porter;

/* --- the connection ------------------------------------------------------------------------------------- */

/* Connects to the stream socket at `path`: NULL for PORTER_SOCKET; a leading `@` names an abstract socket.
 * *ret is the caller's and goes back by porter_free(). The connection's fd is close-on-exec.
 * -ENOENT: there is no such socket. -ECONNREFUSED: nobody listens on it. -EACCES: the caller may not connect.
 * -EPROTOTYPE: it is no stream socket. -ENAMETOOLONG, -EINVAL: `path` is too long or empty. */
int porter_connect(struct porter **ret, const char *path);

/* Closes the connection and frees it; NULL is allowed. Opened files stay open. */
void porter_free(struct porter *porter);

/* --- files ---------------------------------------------------------------------------------------------- */

/* Opens the file that the policy calls `file`, with the access that the policy gives. *ret_fd is the caller's
 * and is close-on-exec. */
int porter_open(struct porter *porter, const char *file, int *ret_fd);

/* Opens all of the `n_files` files, or none. ret_fds has room for `n_files` fds, which come in the order of
 * `files`, are the caller's, and are close-on-exec. -E2BIG: more than PORTER_FILES_MAX files. */
int porter_open_many(struct porter *porter, const char *const *files, size_t n_files, int *ret_fds);

/* Asks whether porter_open() would be permitted, without opening or recording anything. *ret_reason says why
 * or why not; it is the caller's and goes to free(). NULL where the reason is of no interest. */
int porter_check(struct porter *porter, const char *file, bool *ret_permitted, char **ret_reason);

/* A file that the caller may open. */
struct porter_file {
	char *name;
	char *description; /* NULL: none */
	char *access;	   /* "read", "write", "read-write" or "append" */
};

/* The files that the caller may open, as an array of pointers with NULL at its end; it is the caller's and
 * goes back by porter_files_free(). */
int porter_list(struct porter *porter, struct porter_file ***ret);

/* Frees a list; NULL is allowed. */
void porter_files_free(struct porter_file **files);

/* --- credentials ---------------------------------------------------------------------------------------- */

/* What the kernel told the service of the process that connected. */
struct porter_credentials {
	uid_t uid;
	gid_t gid;
	pid_t pid;	      /* in the PID namespace of the service; 0: not visible there */
	bool has_groups;      /* false: the kernel attests no groups */
	gid_t *groups;	      /* supplementary groups; NULL for none */
	size_t n_groups;
	char *unit;	      /* NULL: not in a unit, or not known */
	char *invocation_id;  /* of the unit; NULL as above */
	char *security_label; /* NULL: none */
};

/* Who the caller is. *ret is the caller's and goes back by porter_credentials_free(). */
int porter_whoami(struct porter *porter, struct porter_credentials **ret);

/* Frees credentials; NULL is allowed. */
void porter_credentials_free(struct porter_credentials *credentials);

/* Asks whether the caller is one of `users`, and in one of `groups`, and in one of `units`. Each of the three
 * is an array with NULL at its end, or NULL where it doesn't matter. *ret_failed names the kinds that did not
 * match, as an array with NULL at its end; it is the caller's and goes back by porter_strings_free(). NULL
 * where it is of no interest. */
int porter_check_credentials(struct porter *porter, const char *const *users, const char *const *groups,
			     const char *const *units, bool *ret_satisfied, char ***ret_failed);

/* Frees an array of strings with NULL at its end; NULL is allowed. */
void porter_strings_free(char **strings);

/* --- any method ----------------------------------------------------------------------------------------- */

/* Calls `method`, for example "io.porterd.Files.List". `parameters` is a JSON object as text, NULL for none.
 * *ret_reply is the reply's parameters, a JSON object as text; it is the caller's and goes to free(). The fds
 * that came along are put into ret_fds, which has room for *n_fds of them, and *n_fds becomes their number;
 * they are the caller's and close-on-exec. Without n_fds, or with too small an array, fds in the reply are
 * -EBADMSG. Methods that answer more than once, or not at all, can't be called this way. */
int porter_call(struct porter *porter, const char *method, const char *parameters, char **ret_reply,
		int *ret_fds, size_t *n_fds);

/* --- errors of the service ------------------------------------------------------------------------------ */

/* What the service answered to the last call on this connection, if that was an error: NULL otherwise, and for
 * NULL, which is what a failed porter_connect() may have left. The texts belong to the connection and are valid
 * until its next call.
 *
 * The name in full, and what the call returned:
 *   io.porterd.Files.UnknownFile              -ENOENT
 *   io.porterd.Files.FileMissing              -ENOENT
 *   io.porterd.Files.NotPermitted             -EACCES
 *   io.porterd.Files.UnsafeMode               -EPERM
 *   io.porterd.Files.WrongType                -EMEDIUMTYPE
 *   io.porterd.Files.TooManyFiles             -E2BIG
 *   io.porterd.Files.OpenerUnavailable        -EHOSTDOWN
 *   io.porterd.Files.Busy                     -EBUSY
 *   org.varlink.service.InterfaceNotFound,
 *     MethodNotFound, MethodNotImplemented    -EOPNOTSUPP
 *   org.varlink.service.InvalidParameter      -EINVAL
 *   org.varlink.service.PermissionDenied      -EACCES
 *   org.varlink.service.ExpectedMore,
 *     ExpectedUpgrade, and any other          -EREMOTEIO
 */
const char *porter_error_name(const struct porter *porter);

/* The error's parameter `reason`, in words; NULL where it has none. */
const char *porter_error_reason(const struct porter *porter);

/* The error's parameter `file`: which file of several it is about; NULL where it has none. */
const char *porter_error_file(const struct porter *porter);

/* All parameters of the error, a JSON object as text. */
const char *porter_error_parameters(const struct porter *porter);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
