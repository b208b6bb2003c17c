/* SPDX-License-Identifier: MIT
 *
 * One record in the journal for each file that was granted or refused to a client.
 */
#include "opener/audit.h"

#include <sys/sysmacros.h>

#include "record/message_id.h"

/* A name as a client gave it may hold anything; PORTERD_FILE= keeps it, the sentence for people does not. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
}

static void add_sentence(struct recorder *recorder, const struct audit_entry *entry, const char *path)
{
	const struct identity *client = entry->client;
	char file[OPENER_LABEL_SIZE], who[384] = "nobody known";

	(void)snprintf(file, sizeof(file), "%s", entry->file);
	make_printable(file);
	if (client->known & IDENTITY_CREDENTIALS)
		(void)snprintf(who, sizeof(who), "uid %u, pid %d%s%s%s", client->uid, client->pid,
			       client->unit ? " (" : "", client->unit ? client->unit : "",
			       client->unit ? ")" : "");

	if (entry->granted)
		record_format(recorder, "MESSAGE", "%s (%s) was opened for %s for %s", file, path,
			      grant_access_name(entry->grant->access), who);
	else
		record_format(recorder, "MESSAGE", "%s%s%s%s was refused to %s: %s", file, path ? " (" : "",
			      path ? path : "", path ? ")" : "", who, entry->reason);
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
	record_field(recorder, "PORTERD_ACCESS", grant ? grant_access_name(grant->access) : NULL);
	record_field(recorder, "PORTERD_RESULT", entry->granted ? "granted" : "refused");
	record_field(recorder, "PORTERD_REASON", entry->reason);
	add_client(recorder, entry->client);
	if (entry->opened && entry->opened->found) {
		record_format(recorder, "PORTERD_DEVICE", "%u:%u", major(entry->opened->device),
			      minor(entry->opened->device));
		record_format(recorder, "PORTERD_INODE", "%llu", (unsigned long long)entry->opened->inode);
	}
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
