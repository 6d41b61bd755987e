/*
 * replay - runs a fuzz target over the files of its kept corpus.
 *
 * The fuzzer itself is clang's (make fuzz); this main lets every check run
 * what was found before, under any compiler and sanitizer.
 */
#include <dirent.h>
#include <stdio.h>

#include "sys/sys.h"

#define INPUT_MAX (4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static bool
replay(int dir, const char *name)
{
	struct buf in;
	int err;

	buf_init(&in, INPUT_MAX);
	err = file_read(dir, name, INPUT_MAX, &in);
	if (err != 0)
		fprintf(stderr, "%s: %s\n", name, strerror(err));
	else
		LLVMFuzzerTestOneInput((const uint8_t *)buf_view(&in).p, in.n);
	buf_free(&in);
	return err == 0;
}

int
main(int argc, char **argv)
{
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	if (argc != 2 || (d = opendir(argv[1])) == NULL) {
		fprintf(stderr, "usage: %s corpus-directory\n", argv[0]);
		return 2;
	}
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.') {
			if (!replay(dirfd(d), e->d_name))
				return 1;
			n++;
		}
	closedir(d);
	printf("%u inputs\n", n);
	return n > 0 ? 0 : 1;
}
