// tracing WAY ARGS…: things that a tracer of threads can get wrong. Prints and returns the same whether or not it is followed.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char **command;

static int open_once(void) {
    int file = open("/etc/ld.so.cache", O_RDONLY | O_CLOEXEC);
    return file < 0 || close(file);
}

static void *open_for_ever(void *counter) {
    for (;;) {
        open_once();
        if (counter)
            atomic_fetch_add((atomic_long *)counter, 1);
    }
    return 0;
}

static void start(void *(*function)(void *), void *argument) {
    pthread_t thread;
    if (pthread_create(&thread, 0, function, argument))
        exit(100);
    pthread_detach(thread);
}

static void *become(void *unused) {
    (void)unused;
    execv(command[0], command);
    exit(101);
}

// The others, and the first thread, are in the middle of calls.
static int exec_from_thread(void) {
    for (int i = 0; i < 3; i++)
        start(open_for_ever, 0);
    usleep(2000);
    start(become, 0);
    open_for_ever(0);
    return 102;
}

static void *go_on_alone(void *unused) {
    (void)unused;
    usleep(30000);
    printf("%d failed\n", open_once());
    exit(5);
}

static int first_thread_ends(void) {
    start(go_on_alone, 0);
    pthread_exit(0);
}

static int status_of(pid_t child) {
    int status;
    if (waitpid(child, &status, 0) != child)
        return 103;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int untraced(void) {
    pid_t child = syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, 0, 0, 0, 0);
    if (child == 0)
        become(0);
    int first = status_of(child);
    // In a page that can't be written.
    static const uint64_t arguments[8] = {[0] = CLONE_UNTRACED, [4] = SIGCHLD};
    child = syscall(SYS_clone3, arguments, sizeof arguments);
    if (child < 0)
        return first;
    if (child == 0)
        become(0);
    return first | status_of(child);
}

static atomic_int failures;

static void *short_life(void *unused) {
    (void)unused;
    int node = open("/dev/nvidiactl", O_RDWR | O_CLOEXEC), other = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
    if (node < 0 || close(node) || other < 0 || close(other))
        atomic_fetch_add(&failures, 1);
    return 0;
}

static int threads_now(void) {
    int count = -2;
    DIR *tasks = opendir("/proc/self/task");
    while (readdir(tasks))
        count++;
    closedir(tasks);
    return count;
}

static int storm(void) {
    for (int round = 0; round < 10; round++) {
        pthread_t threads[50];
        for (int i = 0; i < 50; i++)
            if (pthread_create(threads + i, 0, short_life, 0))
                return 104;
        for (int i = 0; i < 50; i++)
            pthread_join(threads[i], 0);
    }
    // A joined thread is a task a moment longer.
    for (int patience = 0; threads_now() > 1 && patience < 1000; patience++)
        usleep(1000);
    printf("%d failed, %d threads left\n", failures, threads_now());
    return 0;
}

static atomic_long *shared(void) {
    return mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

// A child with four threads that open all the time.
static pid_t busy(atomic_long *counter) {
    pid_t child = fork();
    if (child < 0) exit((perror("fork"), 1));
    if (child == 0) {
        for (int i = 0; i < 3; i++)
            start(open_for_ever, counter);
        open_for_ever(counter);
    }
    long begun = *counter;
    while (*counter < begun + 10)
        usleep(100);
    return child;
}

// Stopped and continued in the middle of calls; its parent hears of both.
static int stops(void) {
    atomic_long *counter = shared();
    pid_t child = busy(counter);
    int status, moved = 0, idle = 0;
    for (int round = 0; round < 15; round++) {
        kill(child, SIGSTOP);
        if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP)
            return 105;
        // The parent hears of it when the last thread has stopped.
        long before = *counter;
        usleep(1000);
        moved += *counter != before;
        kill(child, SIGCONT);
        if (waitpid(child, &status, WCONTINUED) != child || !WIFCONTINUED(status))
            return 106;
        before = *counter;
        for (int patience = 0; *counter == before && patience < 20000; patience++)
            usleep(100);
        idle += *counter == before;
    }
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    kill(child, SIGKILL);
    printf("%d moved while stopped, %d stayed, end %d\n", moved, idle, status_of(child));
    return 0;
}

static int kills(void) {
    atomic_long *counter = shared();
    int killed = 0;
    for (int round = 0; round < 20; round++) {
        pid_t child = busy(counter);
        usleep(round * 37 % 1000);
        kill(child, round % 4 ? SIGKILL : SIGTERM);
        killed += status_of(child) == 128 + (round % 4 ? SIGKILL : SIGTERM);
    }
    printf("%d killed, %s\n", killed, waitpid(-1, 0, 0) < 0 && errno == ECHILD ? "none left" : "some left");
    return 0;
}

static long sum, count;

static void add(int number, siginfo_t *info, void *unused) {
    (void)number, (void)unused;
    sum += info->si_value.sival_int, count++;
    // A handler makes calls of its own.
    open_once();
}

// Each queued signal comes once, with its value, however the calls that it meets are answered.
static int signals(void) {
    struct sigaction action = {.sa_sigaction = add, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGRTMIN, &action, 0);
    pid_t parent = getpid(), child = fork();
    if (child < 0) exit((perror("fork"), 1));
    if (child == 0) {
        for (int value = 1; value <= 500; value++)
            while (sigqueue(parent, SIGRTMIN, (union sigval){.sival_int = value}))
                usleep(100);
        _exit(0);
    }
    int wrong = 0;
    while (count < 500) {
        int node = open("/dev/nvidiactl", O_RDWR | O_CLOEXEC);
        wrong += node != 3 || close(node);
    }
    printf("%ld signals, sum %ld, %d wrong, end %d\n", count, sum, wrong, status_of(child));
    return 0;
}

static int debugger(void) {
    pid_t child = fork();
    if (child < 0) exit((perror("fork"), 1));
    if (child == 0)
        for (;;)
            pause();
    int refused = ptrace(PTRACE_SEIZE, child, 0, 0) != 0;
    kill(child, SIGKILL);
    waitpid(child, 0, __WALL);
    printf("%s\n", refused ? "refused" : "traced");
    return 0;
}

static int ends_by(void) {
    signal(atoi(command[0]), SIG_DFL);
    raise(atoi(command[0]));
    return 107;
}

int main(int argument_count, char **arguments) {
    static const struct {
        const char *name;
        int (*run)(void);
    } ways[] = {{"exec_from_thread", exec_from_thread}, {"first_thread_ends", first_thread_ends},
                {"untraced", untraced},                 {"storm", storm},
                {"stops", stops},                       {"kills", kills},
                {"signals", signals},                   {"debugger", debugger},
                {"ends_by", ends_by}};
    command = arguments + 2;
    // So that nothing is printed twice.
    setvbuf(stdout, 0, _IOLBF, 0);
    for (unsigned index = 0; argument_count > 1 && index < sizeof ways / sizeof *ways; index++)
        if (!strcmp(arguments[1], ways[index].name))
            return ways[index].run();
    return 99;
}
