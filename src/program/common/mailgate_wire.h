/*
 * What coffer-web asks coffer-mailgate over the wire between them.
 */
#ifndef COFFER_PROGRAM_MAILGATE_WIRE_H
#define COFFER_PROGRAM_MAILGATE_WIRE_H

enum {
    MAILGATE_COUNTERS = 1, /* -> u32 n, then n times str name, u64 value */
};
enum { MAILGATE_COUNTERS_MAX = 64, MAILGATE_NAME_MAX = 64 };

#endif
