/*
 * What kind of build this is: one with sanitizers is for tests alone, since
 * their runtimes need calls that no filter grants.
 */
#ifndef PRIV_BUILD_H
#define PRIV_BUILD_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POSTERN_TEST_BUILD 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(POSTERN_TEST_BUILD)
#define POSTERN_TEST_BUILD 1
#endif
#ifndef POSTERN_TEST_BUILD
#define POSTERN_TEST_BUILD 0
#endif
#endif
