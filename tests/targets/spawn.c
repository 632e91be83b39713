// spawn WAY PROGRAM ARGS…: starts the program in that way, waits for it and returns its status.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void become(char **command) {
    execv(command[0], command);
    _exit(127);
}

static int by_fork(char **command) {
    pid_t pid = fork();
    if (pid == 0)
        become(command);
    return pid;
}

static int by_vfork(char **command) {
    pid_t pid = vfork();
    if (pid == 0)
        become(command);
    return pid;
}

static int by_posix_spawn(char **command) {
    pid_t pid;
    return posix_spawn(&pid, command[0], 0, 0, command, environ) ? -1 : pid;
}

static int by_clone3(char **command) {
    uint64_t arguments[8] = {[4] = SIGCHLD};
    pid_t pid = syscall(SYS_clone3, arguments, sizeof arguments);
    if (pid == 0)
        become(command);
    return pid;
}

// The grandchild is in a session of its own, and nobody's child.
static int by_double_fork(char **command) {
    int pipe_ends[2];
    if (pipe(pipe_ends))
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        if (fork() == 0)
            become(command);
        _exit(0);
    }
    close(pipe_ends[1]);
    char byte;
    // The last copy of the other end closes with the grandchild.
    if (read(pipe_ends[0], &byte, 1) < 0)
        return -1;
    return pid;
}

static void *thread(void *command) {
    return (void *)(intptr_t)by_posix_spawn(command);
}

static int by_thread(char **command) {
    pthread_t id;
    void *pid;
    pthread_create(&id, 0, thread, command);
    pthread_join(id, &pid);
    return (intptr_t)pid;
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        int (*start)(char **);
    } ways[] = {{"fork", by_fork},     {"vfork", by_vfork},   {"posix_spawn", by_posix_spawn},
                {"clone3", by_clone3}, {"thread", by_thread}, {"double_fork", by_double_fork}};
    for (unsigned index = 0; count > 2 && index < sizeof ways / sizeof *ways; index++)
        if (!strcmp(arguments[1], ways[index].name)) {
            int status = 0;
            pid_t pid = ways[index].start(arguments + 2);
            if (pid < 0 || waitpid(pid, &status, 0) < 0)
                return perror(arguments[1]), 125;
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
    return 126;
}
