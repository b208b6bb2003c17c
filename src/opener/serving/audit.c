/* SPDX-License-Identifier: MIT
 *
 * One record in the journal for each file that was granted or refused to a client.
 */
#include "opener/serving/audit.h"

#include <sys/sysmacros.h>

#include "base/macro.h"
#include "base/number.h"
#include "record/message_id.h"

/* A name as a client gave it may hold anything; PORTERD_FILE= keeps it, the sentence for people does not. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
}

/* Each open has one, and printf() would take longer for it than for all else of the record. */
static void add_sentence(struct recorder *recorder, const struct audit_entry *entry, const char *path)
{
	const struct identity *client = entry->client;
	bool granted = entry->granted && entry->grant, known = client->known & IDENTITY_CREDENTIALS;
	char file[OPENER_LABEL_SIZE], uid[NUMBER_TEXT_SIZE], pid[NUMBER_TEXT_SIZE];
	const char *unit = known ? client->unit : NULL;

	(void)stpncpy(file, entry->file, sizeof(file) - 1);
	file[sizeof(file) - 1] = '\0';
	make_printable(file);
	number_write(client->uid, uid);
	number_write((uint64_t)client->pid, pid);

	const char *const parts[] = {
		file, path ? " (" : NULL, path, path ? ")" : NULL,
		granted ? " was opened for " : " was refused to ",
		granted ? grant_access_words[entry->grant->access] : NULL, granted ? " for " : NULL,
		known ? "uid " : "nobody known", known ? uid : NULL, known ? ", pid " : NULL, known ? pid : NULL,
		unit ? " (" : NULL, unit, unit ? ")" : NULL,
		granted ? NULL : ": ", granted ? NULL : entry->reason,
	};
	record_joined(recorder, "MESSAGE", parts, ELEMENTSOF(parts));
}

static void add_inode(struct recorder *recorder, const struct opened *opened)
{
	char major_text[NUMBER_TEXT_SIZE], minor_text[NUMBER_TEXT_SIZE], inode[NUMBER_TEXT_SIZE];
	const char *const device[] = { major_text, ":", minor_text };

	number_write(major(opened->device), major_text);
	number_write(minor(opened->device), minor_text);
	number_write(opened->inode, inode);
	record_joined(recorder, "PORTERD_DEVICE", device, ELEMENTSOF(device));
	record_field(recorder, "PORTERD_INODE", inode);
}

static void add_client(struct recorder *recorder, const struct identity *client)
{
	if (!(client->known & IDENTITY_CREDENTIALS))
		return;
	record_number(recorder, "PORTERD_CLIENT_UID", client->uid);
	record_number(recorder, "PORTERD_CLIENT_GID", client->gid);
	record_number(recorder, "PORTERD_CLIENT_PID", client->pid);
	record_field(recorder, "PORTERD_CLIENT_UNIT", client->unit);
	record_field(recorder, "PORTERD_CLIENT_INVOCATION_ID", client->invocation_id);
}

static void build(struct recorder *recorder, const struct audit_entry *entry)
{
	/* A broken grant's values are not valid. */
	const struct grant *grant = entry->grant && !entry->grant->broken ? entry->grant : NULL;
	const char *path = grant ? grant->path : NULL;

	record_begin(recorder, entry->granted ? LOG_INFO : LOG_NOTICE,
		     entry->granted ? MESSAGE_ID_GRANTED : MESSAGE_ID_REFUSED);
	add_sentence(recorder, entry, path);
	record_bytes(recorder, "PORTERD_FILE", entry->file, strlen(entry->file));
	record_field(recorder, "PORTERD_PATH", path);
	record_field(recorder, "PORTERD_ACCESS", grant ? grant_access_words[grant->access] : NULL);
	record_field(recorder, "PORTERD_RESULT", entry->granted ? "granted" : "refused");
	record_field(recorder, "PORTERD_REASON", entry->reason);
	add_client(recorder, entry->client);
	if (entry->opened && entry->opened->found)
		add_inode(recorder, entry->opened);
}

void audit_record(struct recorder *recorder, const struct audit_entry *entry)
{
	build(recorder, entry);
	(void)record_submit(recorder);
}

bool audit_try(struct recorder *recorder, const struct audit_entry *entry)
{
	build(recorder, entry);
	return record_try(recorder);
}
