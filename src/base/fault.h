/*
 * Fault injection: tests make the Nth allocation or the Nth I/O call fail and look at what
 * happens. Costs one relaxed load per call when disarmed. Thread-safe.
 */
#ifndef COFFER_BASE_FAULT_H
#define COFFER_BASE_FAULT_H

#include <stdbool.h>

/* Arms: the countdown-th call from now fails, once; 0 disarms. */
void fault_arm_memory(unsigned long countdown);
void fault_arm_io(unsigned long countdown);
/* Whether the armed fault has fired since it was armed. */
bool fault_memory_fired(void);
bool fault_io_fired(void);

/* Asked by mem_alloc and by the façades before each fallible system or library call. */
bool fault_memory(void);
bool fault_io(void);

#endif
