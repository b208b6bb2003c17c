/* SPDX-License-Identifier: MIT
 *
 * Doubly linked lists whose links are members of what they hold.
 */
#pragma once

#include <stddef.h>

/* In a list's entry. All zero at first. */
struct list_link {
	struct list_link *next, *previous;
};

/* All zero is empty. */
struct list {
	struct list_link *first, *last;
};

static inline void list_append(struct list *list, struct list_link *link)
{
	*link = (struct list_link){ .previous = list->last };
	if (list->last)
		list->last->next = link;
	else
		list->first = link;
	list->last = link;
}

static inline void list_prepend(struct list *list, struct list_link *link)
{
	*link = (struct list_link){ .next = list->first };
	if (list->first)
		list->first->previous = link;
	else
		list->last = link;
	list->first = link;
}

/* Takes an entry out of the list that it is in. */
static inline void list_remove(struct list *list, struct list_link *link)
{
	if (link->previous)
		link->previous->next = link->next;
	else
		list->first = link->next;
	if (link->next)
		link->next->previous = link->previous;
	else
		list->last = link->previous;
	*link = (struct list_link){ NULL, NULL };
}

/* The entry around a link; NULL for none. */
static inline void *list_entry(struct list_link *link, size_t offset)
{
	return link ? (char *)link - offset : NULL;
}

#define LIST_ENTRY(link, type, member) ((type *)list_entry((link), offsetof(type, member)))

/* The entry that is just looked at may leave the list, and others after it may not. */
#define LIST_FOR_EACH(list, type, entry, member)                                                              \
	for (type *entry = LIST_ENTRY((list)->first, type, member),                                           \
		  *entry##_next = entry ? LIST_ENTRY(entry->member.next, type, member) : NULL;                \
	     entry; entry = entry##_next,                                                                     \
		  entry##_next = entry ? LIST_ENTRY(entry->member.next, type, member) : NULL)
