/*
 * Fault injection counters: see fault.h. The only mutable globals of src/base, and atomic: a
 * fault must be able to strike below any context argument.
 */
#include "base/fault.h"

#include <stdatomic.h>

typedef struct {
    atomic_ulong countdown;
    atomic_bool fired;
} fault_point_t;

static fault_point_t memory_point;
static fault_point_t io_point;

static void arm(fault_point_t *point, unsigned long countdown) {
    atomic_store(&point->fired, false);
    atomic_store(&point->countdown, countdown);
}

static bool strike(fault_point_t *point) {
    if (atomic_load_explicit(&point->countdown, memory_order_relaxed) == 0) return false;
    unsigned long before = atomic_load(&point->countdown);
    while (before != 0) {
        if (atomic_compare_exchange_weak(&point->countdown, &before, before - 1)) {
            if (before == 1) atomic_store(&point->fired, true);
            return before == 1;
        }
    }
    return false;
}

void fault_arm_memory(unsigned long countdown) { arm(&memory_point, countdown); }
void fault_arm_io(unsigned long countdown) { arm(&io_point, countdown); }
bool fault_memory_fired(void) { return atomic_load(&memory_point.fired); }
bool fault_io_fired(void) { return atomic_load(&io_point.fired); }
bool fault_memory(void) { return strike(&memory_point); }
bool fault_io(void) { return strike(&io_point); }
