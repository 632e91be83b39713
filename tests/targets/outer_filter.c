// outer_filter KIND PROGRAM…: runs it under somebody else's seccomp filter.
//   notifier NUMBER   one with a listener for this call, which lets every call through
//   old               one that makes the kernel look as if it knew no listeners
//   no_seccomp        one that forbids further filters
//   ends              one that ends the process for further filters
//   no_ptrace         the same as old, and nothing may be traced
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define UNLESS(value, skipped) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skipped)

static int install(struct sock_filter *filter, int length, int flags) {
    struct sock_fprog program = {length, filter};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (result < 0)
        perror("seccomp"), exit(99);
    return result;
}

static void run(char **command) {
    execvp(command[0], command);
    perror(command[0]);
    _exit(98);
}

static int serve(int listener) {
    for (;;) {
        struct pollfd polled = {listener, POLLIN, 0};
        if (poll(&polled, 1, -1) < 0 || !(polled.revents & POLLIN))
            return 0;
        struct seccomp_notif request;
        memset(&request, 0, sizeof request);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request))
            continue;
        struct seccomp_notif_resp answer = {.id = request.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
}

static int notifier(int number, char **command) {
    struct sock_filter filter[] = {LOAD(nr), UNLESS(number, 1), RETURN(SECCOMP_RET_USER_NOTIF),
                                   RETURN(SECCOMP_RET_ALLOW)};
    int there[2], back[2], listener, status;
    if (pipe(there) || pipe(back))
        return 97;
    // A common table of descriptors, until exec: so the listener's is ours too.
    pid_t child = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        listener = install(filter, 4, SECCOMP_FILTER_FLAG_NEW_LISTENER);
        if (write(there[1], &listener, sizeof listener) != sizeof listener)
            _exit(96);
        // Not before the other side has understood, as exec takes a copy of the table.
        char byte;
        while (read(back[0], &byte, 1) != 1)
            ;
        close(there[0]), close(there[1]), close(back[0]), close(back[1]);
        run(command);
    }
    if (read(there[0], &listener, sizeof listener) != sizeof listener)
        return 95;
    listener = fcntl(listener, F_DUPFD_CLOEXEC, 0);
    if (listener < 0 || write(back[1], "", 1) != 1)
        return 94;
    serve(listener);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int count, char **arguments) {
    if (count < 3)
        return 2;
    const char *kind = arguments[1];
    if (!strcmp(kind, "notifier"))
        return notifier(atoi(arguments[2]), arguments + 3);
    int ends = !strcmp(kind, "ends");
    if (ends || !strcmp(kind, "no_seccomp")) {
        struct sock_filter filter[] = {LOAD(nr), UNLESS(SYS_seccomp, 1),
                                       RETURN(ends ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM),
                                       RETURN(SECCOMP_RET_ALLOW)};
        install(filter, 4, 0);
    } else {
        struct sock_filter filter[] = {
            LOAD(nr),
            UNLESS(SYS_ptrace, 1),
            RETURN(strcmp(kind, "no_ptrace") ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | EPERM),
            UNLESS(SYS_seccomp, 3),
            LOAD(args[1]),
            BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SECCOMP_FILTER_FLAG_NEW_LISTENER, 0, 1),
            RETURN(SECCOMP_RET_ERRNO | EINVAL),
            RETURN(SECCOMP_RET_ALLOW),
        };
        install(filter, 8, 0);
    }
    run(arguments + 2);
}
