// Runs before anybody attaches, with threads in calls that an interruption would show in. Each line on standard input asks
// for something: "sees" for what this process sees of the GPU, "child" for what a new process sees, "waits" whether the
// threads' calls ended as if nobody had been here. Its first output line says that all are in their calls.
#define _GNU_SOURCE
#include "checks.h"
#include "hello.h"
#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static atomic_int interrupted, ready, spun;
static _Atomic int leaving;

static void see(void) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    int (*init)(unsigned) = library ? dlsym(library, "cuInit") : 0;
    printf("%s %s\n", init && init(0) == 42 ? "payload" : "no-payload", hello() ? "device" : "no-device");
    fflush(stdout);
}

static long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Each call has to last its time and end as it does when nobody interrupts it.
static void *sleeps(void *unused) {
    for (ready++; !leaving;) {
        long begun = milliseconds();
        struct timespec time = {0, 50000000};
        if (nanosleep(&time, 0) || milliseconds() - begun < 50) interrupted++;
    }
    return unused;
}

static void *polls(void *unused) {
    for (ready++; !leaving;) {
        long begun = milliseconds();
        if (poll(0, 0, 50) != 0 || milliseconds() - begun < 49) interrupted++;
    }
    return unused;
}

static void *waits(void *unused) {
    static int word;
    for (ready++; !leaving;) {
        struct timespec time = {0, 50000000};
        if (syscall(SYS_futex, &word, FUTEX_WAIT, 0, &time, 0, 0) != -1 || errno != ETIMEDOUT) interrupted++;
    }
    return unused;
}

static void *reads(void *pipe) {
    char byte;
    ready++;
    if (read(*(int *)pipe, &byte, 1) != 1 || byte != 'x') interrupted++;
    return 0;
}

// Never makes a call; what it computes has to come out right.
static void *spins(void *unused) {
    for (ready++; !leaving;) {
        unsigned long sum = 0;
        double product = 1;
        for (unsigned long at = 1; at <= 100000; at++) sum += at, product *= 1.0 + 1e-9 * (double)(at & 1);
        if (sum != 5000050000ul || product < 1.00004 || product > 1.00006) interrupted++;
        spun++;
    }
    return unused;
}

int main(void) {
    int ends[2];
    char line[32];
    pthread_t threads[5];
    HOLDS(pipe(ends) == 0);
    void *(*bodies[])(void *) = {sleeps, polls, waits, reads, spins};
    for (int at = 0; at < 5; at++) OK(pthread_create(&threads[at], 0, bodies[at], &ends[0]));
    while (ready < 5) usleep(1000);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (!strcmp(line, "sees\n")) see();
        else if (!strcmp(line, "child\n")) {
            pid_t child = fork();
            if (child == 0) see(), _exit(0);
            waitpid(child, 0, 0);
        } else if (!strcmp(line, "waits\n")) {
            leaving = 1;
            HOLDS(write(ends[1], "x", 1) == 1);
            for (int at = 0; at < 5; at++) pthread_join(threads[at], 0);
            printf("%d interrupted, %s\n", interrupted, spun ? "spun" : "stuck");
            fflush(stdout);
        }
    }
    return 3;
}
