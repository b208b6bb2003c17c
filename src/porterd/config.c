/* SPDX-License-Identifier: MIT
 *
 * porterd.conf. Layered as the UAPI.6 specification says: the file of the highest directory alone, then the
 * drop-ins of all directories in the order of their names, of which one in a higher directory replaces its
 * namesakes. Where there is none of all these, as mostly, that costs a few look-ups at the start and no more.
 */
#include "porterd/config.h"

#include <fcntl.h>
#include <libeconf.h>
#include <stdarg.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/drop_ins.h"
#include "base/macro.h"
#include "base/memory.h"
#include "base/number.h"
#include "crew/crew.h"
#include "kernel/memfd.h"
#include "kernel/pin.h"
#include "record/message_id.h"
#include "record/record.h"

#define FILE_NAME "porterd.conf"
#define DROP_IN_DIRECTORY FILE_NAME ".d"
#define SECTION "Server"
#define DIRECTORIES_MAX 3
#define DROP_INS_MAX 256
#define USER_BYTES_MIN (UINT64_C(1024) * 1024)
#define FILE_SIZE_MAX ((size_t)1 << 20)

struct reader {
	struct config *config;
	struct recorder *recorder;
	const char *directories[DIRECTORIES_MAX + 1]; /* from the vendor's to the administrator's */
};

static void set_busy_poll(struct config *config, uint64_t value)
{
	config->busy_poll_usec = value;
}

static void set_connections_max(struct config *config, uint64_t value)
{
	config->connections_max = (size_t)value;
}

static void set_user_connections(struct config *config, uint64_t value)
{
	config->quota.connections = (size_t)value;
}

static void set_user_bytes(struct config *config, uint64_t value)
{
	config->quota.bytes = (size_t)value;
}

static void set_user_opens(struct config *config, uint64_t value)
{
	config->quota.opens = (size_t)value;
}

static void set_message_timeout(struct config *config, uint64_t value)
{
	config->patience.usec[PATIENCE_MESSAGE] = value * USEC_PER_SEC;
}

static void set_read_timeout(struct config *config, uint64_t value)
{
	config->patience.usec[PATIENCE_READER] = value * USEC_PER_SEC;
}

static void set_drain_timeout(struct config *config, uint64_t value)
{
	config->drain_usec = value * USEC_PER_SEC;
}

static void set_workers(struct config *config, uint64_t value)
{
	config->workers = (size_t)value;
}

static const struct key {
	const char *name;
	uint64_t min, max;
	void (*set)(struct config *config, uint64_t value);
} keys[] = {
	{ "BusyPollUSec", 0, 1000000, set_busy_poll },
	{ "ConnectionsMax", 1, 1000000, set_connections_max },
	{ "DrainTimeoutSec", 1, 86400, set_drain_timeout },
	{ "MessageTimeoutSec", 1, 86400, set_message_timeout },
	{ "ReadTimeoutSec", 1, 86400, set_read_timeout },
	{ "UserBytesMax", 1048576, 536870912, set_user_bytes },
	{ "UserConnectionsMax", 1, 1000000, set_user_connections },
	{ "UserOpensMax", 1, 1000000, set_user_opens },
	{ "Workers", 1, WORKERS_MAX, set_workers },
	{ NULL, 0, 0, NULL },
};

static _printf_(3, 4) void complain(struct reader *reader, const char *path, const char *format, ...)
{
	char what[256];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	record_begin(reader->recorder, LOG_WARNING, MESSAGE_ID_CONFIG_ERROR);
	record_format(reader->recorder, "MESSAGE", "%s: %s", path, what);
	record_field(reader->recorder, "CONFIG_FILE", path);
	(void)record_submit(reader->recorder);
}

static void set_key(struct reader *reader, const char *path, const char *name, const char *text)
{
	uint64_t value;

	for (const struct key *key = keys; key->name; key++) {
		if (strcmp(key->name, name) != 0)
			continue;
		if (!text || number_parse(text, strlen(text), key->max, &value) < 0 || value < key->min)
			complain(reader, path, "%s=%.64s is not a number from %llu to %llu", name, text ? text : "",
				 (unsigned long long)key->min, (unsigned long long)key->max);
		else
			key->set(reader->config, value);
		return;
	}
	complain(reader, path, "there is no key %.64s", name);
}

/* For libeconf a line of blanks alone continues the value above, and for 0.7 comments sometimes do. */
static void trim(char *text)
{
	size_t length = text ? strlen(text) : 0;

	while (length > 0 && strchr(" \t\n", text[length - 1]))
		text[--length] = '\0';
}

static void read_section(struct reader *reader, const char *path, econf_file *file)
{
	char **names = NULL;
	size_t count = 0;

	if (econf_getKeys(file, SECTION, &count, &names) != ECONF_SUCCESS)
		return;
	for (size_t i = 0; i < count; i++) {
		_cleanup_free_ char *text = NULL;

		(void)econf_getStringValue(file, SECTION, names[i], &text);
		trim(text);
		set_key(reader, path, names[i], text);
	}
	(void)econf_freeArray(names);
}

/* Reads the bytes and not the file: libeconf takes an error of read() for the end, and it takes it for granted that
 * there is memory, and dies where there is none. */
static econf_file *parse_file(struct reader *reader, const char *path)
{
	_cleanup_close_ int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_close_ int copy = from < 0 ? -errno : memfd_new("porterd-settings");
	ssize_t size = copy < 0 ? copy : memfd_fill(copy, from, FILE_SIZE_MAX);
	char copy_path[PIN_PROC_PATH_SIZE];
	econf_file *file = NULL;
	econf_err error;

	if (size > (ssize_t)FILE_SIZE_MAX)
		size = -EFBIG;
	if (size >= 0 && memory_reserve(MEMORY_FOR_ECONF(size, size / 2)) < 0)
		size = -ENOMEM;
	if (size < 0) {
		complain(reader, path, "it can't be read: %s", strerror((int)-size));
		return NULL;
	}
	pin_proc_path(copy, copy_path);
	error = econf_readFile(&file, copy_path, "=", "#");
	if (error != ECONF_SUCCESS)
		complain(reader, path, "it can't be read: %s", econf_errString(error));
	return error == ECONF_SUCCESS ? file : NULL;
}

static void read_file(struct reader *reader, const char *path)
{
	econf_file *file = parse_file(reader, path);
	char **groups = NULL;
	size_t count = 0;

	if (!file)
		return;
	read_section(reader, path, file);
	if (econf_getGroups(file, &count, &groups) == ECONF_SUCCESS) {
		for (size_t i = 0; i < count; i++)
			if (strcmp(groups[i], SECTION) != 0)
				complain(reader, path, "there is no section [%.64s]", groups[i]);
		(void)econf_freeArray(groups);
	}
	/* A key outside of every section. */
	if (econf_getKeys(file, NULL, &count, &groups) == ECONF_SUCCESS) {
		if (count > 0)
			complain(reader, path, "%.64s= is in no section; it belongs below [" SECTION "]", groups[0]);
		(void)econf_freeArray(groups);
	}
	econf_freeFile(file);
}

static void read_main_file(struct reader *reader)
{
	for (size_t i = DIRECTORIES_MAX; i > 0; i--) {
		_cleanup_free_ char *path = NULL;

		if (!reader->directories[i - 1])
			continue;
		if (asprintf(&path, "%s/" FILE_NAME, reader->directories[i - 1]) < 0) {
			path = NULL;
			complain(reader, reader->directories[i - 1], "it can't be read: %s", strerror(ENOMEM));
			return;
		}
		/* Another error is told by who reads it. */
		if (access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR))
			continue;
		read_file(reader, path);
		return;
	}
}

/* 0 or -errno. */
static int find_drop_ins(const char *path, size_t index, struct drop_ins *drop_ins)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	return drop_ins_add(drop_ins, fd, index, DROP_INS_MAX);
}

static void read_drop_ins(struct reader *reader)
{
	_cleanup_(drop_ins_clear) struct drop_ins drop_ins = { 0 };

	for (size_t i = 0; i < DIRECTORIES_MAX; i++) {
		_cleanup_free_ char *path = NULL;
		int r;

		if (!reader->directories[i])
			continue;
		if (asprintf(&path, "%s/" DROP_IN_DIRECTORY, reader->directories[i]) < 0)
			path = NULL;
		r = path ? find_drop_ins(path, i, &drop_ins) : -ENOMEM;
		if (r < 0)
			complain(reader, path ? path : reader->directories[i], "it can't be read: %s", strerror(-r));
	}
	drop_ins_sort(&drop_ins);
	for (size_t i = 0; i < drop_ins.count; i++) {
		const struct drop_in *one = &drop_ins.items[i];
		_cleanup_free_ char *path = NULL;

		if (asprintf(&path, "%s/" DROP_IN_DIRECTORY "/%s", reader->directories[one->directory], one->name) < 0)
			path = NULL;
		if (path)
			read_file(reader, path);
		else
			complain(reader, one->name, "it can't be read: %s", strerror(ENOMEM));
	}
}

struct config config_default(void)
{
	return (struct config){
		.connections_max = CONFIG_CONNECTIONS_MAX,
		.drain_usec = CONFIG_DRAIN_SECONDS * USEC_PER_SEC,
	};
}

void config_read(struct config *config, const char *directory, struct recorder *recorder)
{
	struct reader reader = {
		.config = config,
		.recorder = recorder,
		.directories = { "/usr/lib/porterd", "/run/porterd", SYSCONFDIR "/porterd" },
	};

	*config = config_default();
	if (directory) {
		memset(reader.directories, 0, sizeof(reader.directories));
		reader.directories[0] = directory;
	}
	read_main_file(&reader);
	read_drop_ins(&reader);
}

/* The first ones have one more where it can't be divided. */
static size_t share_of(size_t amount, size_t least, size_t index, size_t count)
{
	size_t share = amount / count + (index < amount % count);

	return share < least ? least : share;
}

void config_share(struct config *config, size_t index, size_t count)
{
	struct quota_settings *quota = &config->quota;
	size_t users = quota_user_connections(config->connections_max, quota);

	config->connections_max = share_of(config->connections_max, 1, index, count);
	quota->connections = share_of(users, 1, index, count);
	quota->bytes = share_of(quota->bytes ? quota->bytes : QUOTA_USER_BYTES, USER_BYTES_MIN, index, count);
	quota->opens = share_of(quota->opens ? quota->opens : QUOTA_USER_OPENS, 1, index, count);
}
