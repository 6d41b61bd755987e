/*
 * base - strings, buffers, arenas, lists, maps: what every room stands on.
 *
 * Pure: no I/O but die(), no clock, no global state. malloc appears here
 * alone. No memory means death: callers never see NULL.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define nitems(a)	(sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) \
	((type *)(void *)((char *)(p) - offsetof(type, member)))
#define MUST_USE	__attribute__((warn_unused_result))
#define PRINTF(f, a)	__attribute__((format(printf, f, a)))

/* Every lookup's answer: a temporary failure never reads as "no". */
enum found { FOUND, NONE, RETRY };

_Noreturn void	 die(const char *fmt, ...) PRINTF(1, 2);
/* Called by die() with its text before abort(); the log room sets it. */
void		 die_hook(void (*fn)(const char *text));
void		*mem_new(size_t n);			/* zeroed */
void		*mem_grow(void *p, size_t n, size_t size); /* overflow dies */
void		 mem_free(void *p);			/* NULL is fine */
char		*mem_strdup(const char *s);
/* All threads share one: each of its own costs 132 KiB and 4 system calls. */
void		 mem_one_heap(void);

/* str: a look at bytes that somebody else owns; not NUL-terminated. */
struct str { const char *p; size_t n; };
#define STR(lit)	((struct str){ (lit), sizeof(lit) - 1 })
#define STRF		"%.*s"
#define STRV(s)		(int)(s).n, (s).p
struct str	 str_of(const char *s);			/* NULL gives empty */
char		*mem_copy(struct str);			/* NUL behind */
bool		 str_eq(struct str, struct str);
bool		 str_eq_nocase(struct str, struct str);	/* ASCII only */
bool		 str_starts(struct str, struct str prefix);
bool		 str_starts_nocase(struct str, struct str prefix);
bool		 str_ends_nocase(struct str, struct str suffix);
int		 str_cmp(struct str, struct str);
struct str	 str_trim(struct str);			/* space, \t, \r, \n */
struct str	 str_from(struct str, size_t at);	/* clamped */
struct str	 str_first(struct str, size_t n);	/* clamped */
/* Index of the first (last) c, or s.n where there is none. */
size_t		 str_chr(struct str, char c);
size_t		 str_rchr(struct str, char c);
/* Next token of *rest between bytes of seps; false when there is none. */
bool		 str_token(struct str *rest, const char *seps, struct str *tok);
bool		 str_has_dotdot(struct str path);	/* a part is ".." */
/* Decimal digits alone. False on anything else and on overflow. */
bool		 str_number(struct str, uint64_t *out) MUST_USE;

/* RFC 3629 4. Bytes of the character that s begins with, and its number; 0
 * where it is none. */
size_t		 utf8_first(struct str, uint32_t *code);
bool		 utf8_valid(struct str);

/* buf: grows up to max; full is sticky and is asked once, at the end. */
struct buf { char *p; size_t n, cap, max; bool full; };
void		 buf_init(struct buf *, size_t max);
void		 buf_free(struct buf *);		/* may be used again */
void		 buf_clear(struct buf *);		/* keeps the memory */
void		 buf_add(struct buf *, const void *, size_t);
void		 buf_str(struct buf *, struct str);
void		 buf_puts(struct buf *, const char *);
void		 buf_putc(struct buf *, char);
void		 buf_printf(struct buf *, const char *, ...) PRINTF(2, 3);
void		 buf_drop(struct buf *, size_t n);	/* n bytes from front */
struct str	 buf_view(const struct buf *);
const char	*buf_cstr(struct buf *);	/* NUL added behind the end */
/* Room for n more bytes at the end (then set b->n), or NULL and full. */
char		*buf_space(struct buf *, size_t n);

/* RFC 4648 4, strictly: padded, no line ends, no stray bits. */
void		 base64_encode(struct str, struct buf *out);
bool		 base64_decode(struct str, struct buf *out) MUST_USE;

/* arena: memory of one life (session, transaction, command). */
struct arena;
struct arena	*arena_new(size_t max);		/* most bytes; more dies */
void		*arena_alloc(struct arena *, size_t);	/* zeroed, aligned */
struct str	 arena_str(struct arena *, struct str);	/* copy, NUL behind */
char		*arena_cstr(struct arena *, struct str);
char		*arena_printf(struct arena *, const char *, ...) PRINTF(2, 3);
void		 arena_defer(struct arena *, void (*fn)(void *), void *ctx);
size_t		 arena_used(const struct arena *);
void		 arena_free(struct arena **);	/* runs defers, last first */

/* list: a ring of links inside their owners; the head is a link too. */
struct list { struct list *next, *prev; };
void		 list_init(struct list *head);
bool		 list_empty(const struct list *head);
void		 list_append(struct list *head, struct list *link);
void		 list_prepend(struct list *head, struct list *link);
void		 list_remove(struct list *link); /* twice is harmless */
#define list_each(l, head) \
	for (struct list *l = (head)->next, *l##_next = l->next; \
	    l != (head); l = l##_next, l##_next = l->next)

/* map: bytes to pointer; keyed hash (SipHash), keys are copied. */
struct map;
struct map	*map_new(void);
void		 map_free(struct map **);		/* values are yours */
void		*map_get(const struct map *, struct str key); /* or NULL */
/* The value that stood there before, or NULL. value NULL removes. */
void		*map_set(struct map *, struct str key, void *value);
size_t		 map_count(const struct map *);
/* Walks all; pos starts at 0; false at the end. No changes meanwhile. */
bool		 map_next(const struct map *, size_t *pos, struct str *key,
		    void **value);

uint32_t	 crc32c(uint32_t crc, const void *, size_t);	/* RFC 3720 */
uint64_t	 siphash(const uint8_t key[16], const void *, size_t);
#endif
