// storms processes COUNT PROGRAM: runs the program so often. storms threads COUNT: so many threads that open files. storms bomb
// COUNT: forks until no more processes are permitted, which COUNT is. storms opens SECONDS: opens files all the time.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int can_open(const char *path) {
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC), works = fd >= 0 && read(fd, &byte, 1) == 1;
    if (fd >= 0) close(fd);
    return works;
}

static void processes(long count, char **command) {
    long good = 0;
    for (long at = 0; at < count; at++) {
        pid_t pid;
        int status;
        good += posix_spawn(&pid, command[0], 0, 0, command, environ) == 0 && waitpid(pid, &status, 0) == pid && status == 0;
    }
    printf("%ld of %ld\n", good, count);
}

static pthread_barrier_t start;

static void *opens(void *good) {
    pthread_barrier_wait(&start);
    for (int round = 0; round < 20; round++)
        if (!can_open("/etc/hostname") || open("/no/such/libfile.so", O_RDONLY) >= 0 || errno != ENOENT) return 0;
    return good;
}

static void threads(long count) {
    pthread_t *all = calloc(count, sizeof *all);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    pthread_barrier_init(&start, 0, count);
    long good = 0;
    for (long at = 0; at < count; at++)
        if (pthread_create(&all[at], &small, opens, &good)) exit(3);
    for (long at = 0; at < count; at++) {
        void *result;
        pthread_join(all[at], &result);
        good += result != 0;
    }
    printf("%ld of %ld\n", good, count);
}

// Everybody forks; who may no longer sleeps until the first, who is their reaper, ends them all.
static void bomb(long count) {
    volatile long *made = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    setrlimit(RLIMIT_NPROC, &(struct rlimit){count, count});
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (fork() == 0) {
        setpgid(0, 0);
        for (;;) {
            if (fork() >= 0) {
                __atomic_add_fetch(&made[0], 1, __ATOMIC_SEQ_CST);
                continue;
            }
            __atomic_add_fetch(&made[1], errno == EAGAIN, __ATOMIC_SEQ_CST);
            can_open("/etc/hostname");
            pause();
        }
    }
    while (made[1] < made[0] / 2 || made[1] == 0) usleep(1000);
    usleep(100000);
    // Until none is left that has just been forked by one that was killed.
    for (int status;;) {
        pid_t any = waitpid(-1, &status, WNOHANG);
        if (any < 0) break;
        if (any > 0) continue;
        char list[1 << 16] = {0}, path[64];
        snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
        int fd = open(path, O_RDONLY);
        if (read(fd, list, sizeof list - 1) < 0) exit(4);
        close(fd);
        for (char *word = strtok(list, " "); word; word = strtok(0, " ")) kill(atoi(word), SIGKILL);
    }
    printf("%s\n", made[0] > count / 2 ? "bounded, and all are gone" : "it never grew");
}

static void opens_for(double seconds) {
    struct timespec begin, now;
    long count = 0, bad = 0;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        for (int round = 0; round < 100; round++, count++) bad += !can_open("/etc/hostname");
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - begin.tv_sec + (now.tv_nsec - begin.tv_nsec) / 1e9 < seconds);
    printf("%ld failed\n", bad);
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    const char *way = arguments[1];
    long number = atol(arguments[2]);
    if (!strcmp(way, "processes") && count > 3) processes(number, arguments + 3);
    else if (!strcmp(way, "threads")) threads(number);
    else if (!strcmp(way, "bomb")) bomb(number);
    else if (!strcmp(way, "opens")) opens_for(atof(arguments[2]));
    else return 2;
    return 0;
}
