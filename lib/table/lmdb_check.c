/*
 * lmdb_check - does the B-tree of an LMDB 0.9 file hold together?
 *
 * LMDB trusts its file: of 300 copies with 20 damaged bytes it survived 76
 * (libraries.md 6). This walks every page that a lookup could reach and
 * checks each offset, size and page number before LMDB does. Layout (host
 * byte order, 64 bits):
 *
 *   page  = pgno:8 pad:2 flags:2 lower:2 upper:2 offset:2*     (16 + ...)
 *   page  = pgno:8 pad:2 flags:2 pages:4 data                  (overflow)
 *   meta  = page-head magic:4 version:4 address:8 mapsize:8 db:48 db:48
 *	     last_page:8 txn:8
 *   db    = pad:4 flags:2 depth:2 branch:8 leaf:8 over:8 entries:8 root:8
 *   node  = lo:2 hi:2 flags:2 keysize:2 key data
 */
#include "table/internal.h"

enum {
	HEAD = 16, NODE_HEAD = 8, META_LEN = 8 + 8 + 8 + 48 + 48 + 16,
	VERSION = 1, PAGE_LEAST = 512, PAGE_MOST = 32768, DEPTH_MAX = 32,
	KEY_MAX = 511,
	P_BRANCH = 0x01, P_LEAF = 0x02, P_OVERFLOW = 0x04, P_META = 0x08,
	P_DIRTY = 0x10,
	F_BIGDATA = 0x01,
	TREE_KIND = 0x0f, FREE_TREE_KIND = 0x08,
};
#define MAGIC	0xbeefc0deU
#define NO_PAGE UINT64_MAX

struct walk {
	const uint8_t *map;
	uint64_t	pages;		/* whole ones in the file */
	size_t		page_size;
	uint64_t	budget;		/* pages that may still be visited */
	const char     *wrong;
};

static bool	check_meta(struct walk *, uint64_t page, uint64_t *txn,
		    uint64_t *root);
static bool	check_page(struct walk *, uint64_t page, unsigned depth);
static bool	check_node(struct walk *, const uint8_t *page, size_t at,
		    bool branch, unsigned depth);
static bool	check_overflow(struct walk *, uint64_t page, uint64_t bytes);
static bool	wrong(struct walk *, const char *what);
static uint64_t get(const uint8_t *p, size_t bytes);

bool
lmdb_check(const uint8_t *map, size_t size, struct buf *why)
{
	struct walk w = { .map = map };
	uint64_t txn[2] = { 0, 0 }, root[2] = { 0, 0 };
	size_t newest;

	/* Both metas have the page size; the second stands behind one page. */
	if (size >= HEAD + META_LEN)
		w.page_size = (size_t)get(map + HEAD + 24, 4);
	if (w.page_size < PAGE_LEAST || w.page_size > PAGE_MOST ||
	    (w.page_size & (w.page_size - 1)) != 0 ||
	    size < 2 * w.page_size) {
		buf_puts(why, "not an LMDB file");
		return false;
	}
	w.pages = size / w.page_size;
	w.budget = w.pages * 2;
	if (!check_meta(&w, 0, &txn[0], &root[0]) ||
	    !check_meta(&w, 1, &txn[1], &root[1])) {
		buf_puts(why, w.wrong);
		return false;
	}
	newest = txn[1] > txn[0] ? 1 : 0;
	if (root[newest] == NO_PAGE || check_page(&w, root[newest], 0))
		return true;
	buf_puts(why, w.wrong);
	return false;
}

static bool
check_meta(struct walk *w, uint64_t page, uint64_t *txn, uint64_t *root)
{
	const uint8_t *p = w->map + page * w->page_size;
	const uint8_t *m = p + HEAD;

	if ((get(p + 10, 2) & P_META) == 0 || get(p, 8) != page)
		return wrong(w, "no meta page");
	if (get(m, 4) != MAGIC || get(m + 4, 4) != VERSION)
		return wrong(w, "not an LMDB file of version 1");
	if (get(m + 24, 4) != w->page_size)
		return wrong(w, "page sizes differ");
	/*
	 * No duplicates, integer keys, reverse order; the flags of the free
	 * tree are those of the file too: no fixed address.
	 */
	if (get(m + 72 + 4, 2) != 0 ||
	    (get(m + 24 + 4, 2) & TREE_KIND) != FREE_TREE_KIND)
		return wrong(w, "tree with flags that tables do not have");
	if (get(m + 72 + 6, 2) > DEPTH_MAX)
		return wrong(w, "tree too deep");
	/* The tree of free pages is for writers; readers never go there. */
	*root = get(m + 72 + 40, 8);
	*txn = get(m + 128, 8);
	return true;
}

static bool
check_page(struct walk *w, uint64_t page, unsigned depth)
{
	const uint8_t *p;
	uint64_t flags;
	size_t lower, upper, n;

	if (page < 2 || page >= w->pages)
		return wrong(w, "page number out of range");
	if (depth >= DEPTH_MAX || w->budget-- == 0)
		return wrong(w, "tree too deep");
	p = w->map + page * w->page_size;
	flags = get(p + 10, 2) & ~(uint64_t)P_DIRTY;
	lower = (size_t)get(p + 12, 2);
	upper = (size_t)get(p + 14, 2);
	if (get(p, 8) != page)
		return wrong(w, "page with another number");
	if (flags != P_BRANCH && flags != P_LEAF)
		return wrong(w, "page of another kind");
	if (lower < HEAD || (lower & 1) != 0 || upper < lower ||
	    upper > w->page_size)
		return wrong(w, "page with bad bounds");
	n = (lower - HEAD) / 2;
	if (n == 0 || (flags == P_BRANCH && n < 2))
		return wrong(w, "empty page");
	for (size_t i = 0; i < n; i++) {
		size_t at = (size_t)get(p + HEAD + 2 * i, 2);

		if (at < upper || (at & 1) != 0 ||
		    at + NODE_HEAD > w->page_size)
			return wrong(w, "entry out of its page");
		if (!check_node(w, p, at, flags == P_BRANCH, depth))
			return false;
	}
	return true;
}

static bool
check_node(struct walk *w, const uint8_t *p, size_t at, bool branch,
    unsigned depth)
{
	uint64_t low = get(p + at, 2), high = get(p + at + 2, 2);
	uint64_t flags = get(p + at + 4, 2), key = get(p + at + 6, 2);
	uint64_t bytes = low | high << 16;
	size_t data = at + NODE_HEAD + (size_t)key;

	if (key > KEY_MAX || data > w->page_size)
		return wrong(w, "key out of its page");
	if (branch)
		return check_page(w, bytes | flags << 32, depth + 1);
	if (flags != 0 && flags != F_BIGDATA)
		return wrong(w, "entry of another kind");
	if (flags == F_BIGDATA) {
		if (data + 8 > w->page_size)
			return wrong(w, "value out of its page");
		return check_overflow(w, get(p + data, 8), bytes);
	}
	if (bytes > w->page_size - data)
		return wrong(w, "value out of its page");
	return true;
}

static bool
check_overflow(struct walk *w, uint64_t page, uint64_t bytes)
{
	uint64_t room;

	if (page < 2 || page >= w->pages)
		return wrong(w, "page number out of range");
	room = (w->pages - page) * w->page_size;
	if ((get(w->map + page * w->page_size + 10, 2) & P_OVERFLOW) == 0 ||
	    bytes > room - HEAD)
		return wrong(w, "long value out of the file");
	return true;
}

static bool
wrong(struct walk *w, const char *what)
{
	w->wrong = what;
	return false;
}

/* A number in the byte order of this machine, which wrote the file. */
static uint64_t
get(const uint8_t *p, size_t bytes)
{
	uint16_t two;
	uint32_t four;
	uint64_t eight;

	switch (bytes) {
	case 2:
		memcpy(&two, p, sizeof(two));
		return two;
	case 4:
		memcpy(&four, p, sizeof(four));
		return four;
	default:
		memcpy(&eight, p, sizeof(eight));
		return eight;
	}
}
