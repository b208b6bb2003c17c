/* SPDX-License-Identifier: MIT
 *
 * Where records go. journald reads its socket at its own pace: nothing here waits for it.
 */
#include "record/sink.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/macro.h"
#include "base/write_all.h"
#include "kernel/memfd.h"
#include "kernel/sockio.h"
#include "kernel/sockopt.h"

struct record_sink {
	bool journal;
	bool owned; /* false: fd is the caller's */
	bool file; /* lines go to a file, which has no reader to wait for */
	bool torn; /* the last line that was written has no end */
	int fd;
	struct sockaddr_un address;
};

bool record_sink_stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	/* NOLINTNEXTLINE(cert-err34-c): what does not fit is the number of no device. */
	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == device && st.st_ino == inode;
}

static struct record_sink *sink_new(bool journal, int fd, bool owned)
{
	struct record_sink *sink = calloc(1, sizeof(*sink));

	if (sink) {
		sink->journal = journal;
		sink->fd = fd;
		sink->owned = owned;
	}
	return sink;
}

int record_sink_new_journal(struct record_sink **ret, const char *socket_path)
{
	_cleanup_close_ int fd = -EBADF;
	struct record_sink *sink;

	if (strlen(socket_path) >= sizeof(sink->address.sun_path))
		return -ENAMETOOLONG;

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void)sockopt_grow_send_buffer(fd);

	sink = sink_new(true, fd, true);
	if (!sink)
		return -ENOMEM;
	(void)TAKE_FD(fd);
	sink->address.sun_family = AF_UNIX;
	(void)stpcpy(sink->address.sun_path, socket_path);
	*ret = sink;
	return 0;
}

/* The same pipe or terminal, opened anew so that writing to it does not block: a terminal is writable to poll()
 * as long as one byte finds room, and somebody else may fill a pipe after poll(). O_NONBLOCK on the caller's fd
 * would hit everybody who shares it; a file opened anew would be overwritten from its start. */
static int open_without_blocking(int fd)
{
	struct stat st;
	char path[32];

	if (fstat(fd, &st) < 0 || !(S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
		return -EBADF;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int record_sink_new_lines(struct record_sink **ret, int fd)
{
	_cleanup_close_ int own = open_without_blocking(fd);
	struct record_sink *sink = sink_new(false, own >= 0 ? own : fd, own >= 0);
	struct stat st;

	if (!sink)
		return -ENOMEM;
	(void)TAKE_FD(own);
	sink->file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	*ret = sink;
	return 0;
}

void record_sink_free(struct record_sink *sink)
{
	if (sink && sink->owned)
		fd_close(sink->fd);
	free(sink);
}

/* journald takes a record that is too big for a datagram from a memfd, if it is sealed against its sender. */
static int send_by_memfd(struct record_sink *sink, const char *record, size_t size)
{
	_cleanup_close_ int fd = memfd_new("porterd-record");
	int r;

	if (fd < 0)
		return fd;

	r = write_all(fd, record, size);
	if (r >= 0)
		r = memfd_seal(fd);
	if (r < 0)
		return r;
	return sockio_send_to(sink->fd, NULL, 0, (const struct sockaddr *)&sink->address, sizeof(sink->address),
			      fd);
}

static int send_to_journal(struct record_sink *sink, const char *record, size_t size)
{
	struct iovec part = { (void *)(uintptr_t)record, size };
	int r = sockio_send_to(sink->fd, &part, 1, (const struct sockaddr *)&sink->address,
			       sizeof(sink->address), -EBADF);

	return r == -EMSGSIZE || r == -ENOBUFS ? send_by_memfd(sink, record, size) : r;
}

/* One field of a record in native format; false at its end. */
static bool next_field(const char **at, const char *end, const char **name, size_t *name_size, const char **value,
		       size_t *value_size)
{
	const char *line = *at, *line_end, *equals;

	if (line >= end)
		return false;
	line_end = memchr(line, '\n', (size_t)(end - line));
	if (!line_end)
		return false;

	*name = line;
	equals = memchr(line, '=', (size_t)(line_end - line));
	if (equals) {
		*name_size = (size_t)(equals - line);
		*value = equals + 1;
		*value_size = (size_t)(line_end - *value);
		*at = line_end + 1;
		return true;
	}

	*name_size = (size_t)(line_end - line);
	*value_size = 0;
	for (size_t i = 0; i < 8; i++)
		*value_size |= (size_t)(unsigned char)line_end[1 + i] << (8 * i);
	*value = line_end + 9;
	*at = *value + *value_size + 1;
	return true;
}

/* A line under construction. At most PIPE_BUF bytes are written to a pipe as a whole or not at all. */
struct line {
	size_t size;
	char text[PIPE_BUF];
};

static void line_add(struct line *line, const char *text, size_t size)
{
	/* The last byte is kept for the line break. */
	size = MIN_OF(size, sizeof(line->text) - 1 - line->size);
	memcpy(line->text + line->size, text, size);
	line->size += size;
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '\\';
}

/* How many bytes are plain from the first on; eight are looked at at once. */
static size_t count_plain(const char *value, size_t size)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), highs = 0x80 * ones;
	size_t i = 0;

	for (uint64_t bytes, marked; i + sizeof(bytes) <= size; i += sizeof(bytes)) {
		memcpy(&bytes, value + i, sizeof(bytes));
		/* A high bit where a byte is below 0x20, 0x7f or more, or, in the last line, a backslash. A borrow or carry
		 * of another byte can only mark one too many. */
		marked = (bytes - 0x20 * ones) | bytes | (bytes + ones);
		bytes ^= '\\' * ones;
		marked |= bytes - ones;
		if (marked & highs)
			break;
	}
	while (i < size && is_plain((unsigned char)value[i]))
		i++;
	return i;
}

/* Adds a value so that whatever a peer put into it can't end the line or drive a terminal, which some bytes
 * above ASCII do as well: U+009B begins a control sequence like ESC [ does. */
static void line_add_escaped(struct line *line, const char *value, size_t size)
{
	for (size_t i = 0; i < size;) {
		size_t plain = count_plain(value + i, size - i);

		line_add(line, value + i, plain);
		i += plain;
		if (i < size) {
			char escape[5];

			(void)snprintf(escape, sizeof(escape), "\\x%02x", (unsigned char)value[i++]);
			line_add(line, escape, 4);
		}
	}
}

static bool name_is(const char *name, size_t size, const char *wanted)
{
	return size == strlen(wanted) && memcmp(name, wanted, size) == 0;
}

static void line_add_record(struct line *line, const char *record, size_t size)
{
	const char *at = record, *end = record + size, *name, *value;
	size_t name_size, value_size;
	bool any = false, said = false;

	/* The identifier comes before the message, and both before most others. */
	while (!said && next_field(&at, end, &name, &name_size, &value, &value_size)) {
		if (name_is(name, name_size, "SYSLOG_IDENTIFIER")) {
			line_add(line, value, value_size);
			line_add(line, ": ", 2);
		} else if (name_is(name, name_size, "MESSAGE")) {
			line_add_escaped(line, value, value_size);
			said = true;
		}
	}

	at = record;
	while (next_field(&at, end, &name, &name_size, &value, &value_size)) {
		if (name_is(name, name_size, "SYSLOG_IDENTIFIER") || name_is(name, name_size, "MESSAGE") ||
		    name_is(name, name_size, "PRIORITY"))
			continue;
		line_add(line, any ? " " : " [", any ? 1 : 2);
		line_add(line, name, name_size);
		line_add(line, "=", 1);
		line_add_escaped(line, value, value_size);
		any = true;
	}
	if (any)
		line_add(line, "]", 1);
	line->text[line->size++] = '\n';
}

/* Writes so many lines. What is cut off, since a full disk takes a part, does not run into the next one of this
 * process. Returns how many are there as a whole, or -errno. */
static ssize_t write_text(struct record_sink *sink, const char *text, size_t size, size_t n_lines)
{
	ssize_t written, n_whole = 0;

	if (sink->torn) {
		written = write(sink->fd, "\n", 1);
		if (written <= 0)
			return written < 0 ? -errno : 0;
		sink->torn = false;
	}
	written = write(sink->fd, text, size);
	if (written < 0)
		return -errno;
	if ((size_t)written == size)
		return (ssize_t)n_lines;
	for (ssize_t i = 0; i < written; i++)
		n_whole += text[i] == '\n';
	sink->torn = written > 0 && text[written - 1] != '\n';
	return n_whole;
}

static int write_line(struct record_sink *sink, const char *record, size_t size)
{
	struct pollfd writable = { .fd = sink->fd, .events = POLLOUT };
	struct line line;
	ssize_t r;

	/* With POLLERR or POLLHUP nobody is left to read, and a write would raise SIGPIPE. */
	if (!sink->file && (poll(&writable, 1, 0) != 1 || writable.revents != POLLOUT))
		return -EAGAIN;

	line.size = 0;
	line_add_record(&line, record, size);
	r = write_text(sink, line.text, line.size, 1);
	return r > 0 ? 0 : r < 0 ? (int)r : -EAGAIN;
}

int record_sink_send(struct record_sink *sink, const char *record, size_t size)
{
	return sink->journal ? send_to_journal(sink, record, size) : write_line(sink, record, size);
}

/* What does not go with the others is tried by itself: one that is too large goes another way, and one that finds no room
 * keeps no other from finding some. */
static size_t send_many_to_journal(struct record_sink *sink, const struct iovec *records, size_t count)
{
	size_t sent = 0;

	for (size_t i = 0; i < count;) {
		int r = sockio_send_many_to(sink->fd, records + i, count - i, (const struct sockaddr *)&sink->address,
					    sizeof(sink->address));

		if (r > 0) {
			sent += (size_t)r;
			i += (size_t)r;
			continue;
		}
		if (send_to_journal(sink, records[i].iov_base, records[i].iov_len) >= 0)
			sent++;
		i++;
	}
	return sent;
}

/* So many lines at once: a file takes them as one. */
#define LINES 16

static size_t write_lines(struct record_sink *sink, const struct iovec *records, size_t count)
{
	char text[LINES * PIPE_BUF];
	size_t sent = 0;

	for (size_t i = 0; i < count;) {
		size_t size = 0, n_lines = 0;
		ssize_t written;

		for (; i < count && n_lines < LINES; i++, n_lines++) {
			struct line line;

			line.size = 0;
			line_add_record(&line, records[i].iov_base, records[i].iov_len);
			memcpy(text + size, line.text, line.size);
			size += line.size;
		}
		written = write_text(sink, text, size, n_lines);
		sent += written > 0 ? (size_t)written : 0;
	}
	return sent;
}

size_t record_sink_send_many(struct record_sink *sink, const struct iovec *records, size_t count)
{
	size_t sent = 0;

	if (sink->journal)
		return send_many_to_journal(sink, records, count);
	if (sink->file)
		return write_lines(sink, records, count);
	for (size_t i = 0; i < count; i++)
		sent += write_line(sink, records[i].iov_base, records[i].iov_len) >= 0;
	return sent;
}
