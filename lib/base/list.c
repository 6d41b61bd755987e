/*
 * list - a ring of links inside their owners.
 */
#include "base/base.h"

void
list_init(struct list *head)
{
	head->next = head->prev = head;
}

bool
list_empty(const struct list *head)
{
	return head->next == head;
}

void
list_append(struct list *head, struct list *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

void
list_prepend(struct list *head, struct list *link)
{
	list_append(head->next, link);
}

void
list_remove(struct list *link)
{
	if (link->next == NULL)		/* never on a list */
		return;
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}
