/*
 * users, inside: what reader and editor agree on.
 */
#ifndef USERS_INTERNAL_H
#define USERS_INTERNAL_H
#include "users/users.h"

#define OWN_KEY	"*"	/* no user's name */
#define LOOK	"look="	/* of keys, and how many users have such */
#endif
