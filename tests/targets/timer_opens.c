// Opens a file for a second while a timer's signals, whose handler asks for no restart, come a thousand times a second. Prints
// how many opens failed otherwise than by EINTR; exit 3 if any failed by it.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t signals;

static void on_alarm(int signal) {
    (void)signal;
    signals++;
}

int main(void) {
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    struct timespec begin, now;
    long interrupted = 0, failed = 0;
    sigaction(SIGALRM, &action, 0);
    setitimer(ITIMER_REAL, &often, 0);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        int fd = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
        if (fd >= 0) close(fd);
        else if (errno == EINTR) interrupted++;
        else failed++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - begin.tv_sec + (now.tv_nsec - begin.tv_nsec) / 1e9 < 1 || signals == 0);
    setitimer(ITIMER_REAL, &never, 0);
    printf("%ld failed\n", failed);
    return interrupted ? 3 : 0;
}
