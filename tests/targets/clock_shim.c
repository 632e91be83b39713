// cc: -shared -fPIC
// Preloaded: a clock that jumps by hours between any two looks (CLOCK=jumps), or stands still (CLOCK=stands).
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static unsigned looks;
    const char *way = getenv("CLOCK");
    if (way && !strcmp(way, "stands")) {
        *time = (struct timespec){1000000000, 0};
        return 0;
    }
    int result = syscall(SYS_clock_gettime, clock, time);
    time->tv_sec += __atomic_fetch_add(&looks, 1, __ATOMIC_RELAXED) % 3 * 3600;
    return result;
}
