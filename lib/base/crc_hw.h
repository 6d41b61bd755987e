/*
 * crc_hw - CRC32C by the processor's own instruction, where there is one.
 * Part of hash.c; a header because only headers may ask what we compile for.
 */
#ifndef BASE_CRC_HW_H
#define BASE_CRC_HW_H
#include "base/base.h"

#if defined(__x86_64__)
static inline bool
crc_hw_usable(void)
{
	return __builtin_cpu_supports("sse4.2");
}

__attribute__((target("sse4.2"))) static inline uint32_t
crc_hw(uint32_t crc, const uint8_t *p, size_t n)
{
	uint64_t c = crc, word;

	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&word, p, 8);
		c = __builtin_ia32_crc32di(c, word);
	}
	for (; n > 0; n--)
		c = __builtin_ia32_crc32qi((uint32_t)c, *p++);
	return (uint32_t)c;
}
#else
static inline bool
crc_hw_usable(void)
{
	return false;
}

static inline uint32_t
crc_hw(uint32_t crc, const uint8_t *p, size_t n)
{
	(void)p;
	(void)n;
	return crc;
}
#endif
#endif
