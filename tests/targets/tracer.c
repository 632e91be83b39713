// tracer WAY PROGRAM ARGS…: runs the program as a debugger does and says what it saw. calls: names nothing, but the number of
// its openat, execve and close calls and their results; steps: single-steps its first instructions; swap: makes each open of
// "before" one of "after"; both by PTRACE_SYSCALL. Exit 3 where it may not trace.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(char **command) {
    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0)) _exit(errno);
        raise(SIGSTOP);
        execvp(command[0], command);
        _exit(127);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFEXITED(status)) {
        printf("may not trace: %s\n", strerrorname_np(WEXITSTATUS(status)));
        exit(3);
    }
    ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
    return child;
}

static int ended(pid_t child, int *status) {
    if (waitpid(child, status, 0) < 0 || WIFEXITED(*status) || WIFSIGNALED(*status)) {
        printf("exit %d\n", WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status));
        return 1;
    }
    return 0;
}

// The signal to go on with: none for stops that are the tracer's own.
static int signal_of(int status) {
    int signal = WSTOPSIG(status);
    return signal == (SIGTRAP | 0x80) || signal == SIGTRAP || status >> 16 ? 0 : signal;
}

static void change(pid_t child, struct user_regs_struct *registers) {
    char path[8] = {0};
    struct iovec here = {path, 7}, there = {(void *)registers->rsi, 7};
    if (process_vm_readv(child, &here, 1, &there, 1, 0) == 7 && !strcmp(path, "/before")) {
        memcpy(path, "/etc/..", 7);
        process_vm_writev(child, &here, 1, &there, 1, 0);
        puts("swapped");
    }
}

static void calls(pid_t child, int swap) {
    int status, inside = 0, counts[3] = {0}, failed[3] = {0};
    for (int signal = 0;; signal = signal_of(status)) {
        ptrace(PTRACE_SYSCALL, child, 0, signal);
        if (ended(child, &status)) break;
        if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
        struct user_regs_struct registers;
        ptrace(PTRACE_GETREGS, child, 0, &registers);
        long call = registers.orig_rax;
        int kind = call == SYS_openat ? 0 : call == SYS_execve ? 1 : call == SYS_close ? 2 : 3;
        inside = !inside;
        if (kind == 3) continue;
        if (inside && swap && kind == 0) change(child, &registers);
        counts[kind] += inside;
        failed[kind] += !inside && (long)registers.rax < 0;
    }
    printf("openat %d, %d failed; execve %d, %d failed; close %d, %d failed\n", counts[0], failed[0], counts[1], failed[1],
           counts[2], failed[2]);
}

static void steps(pid_t child) {
    int status, count = 0, inside = 0;
    for (int signal = 0; count < 3000; signal = signal_of(status), count++) {
        ptrace(PTRACE_SINGLESTEP, child, 0, signal);
        if (ended(child, &status)) return;
        inside += status >> 16 == PTRACE_EVENT_EXEC;
    }
    printf("%d steps, %d exec\n", count, inside);
    ptrace(PTRACE_DETACH, child, 0, 0);
    while (!ended(child, &status)) {}
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    setvbuf(stdout, 0, _IOLBF, 0);
    pid_t child = start(arguments + 2);
    if (!strcmp(arguments[1], "steps")) steps(child);
    else calls(child, !strcmp(arguments[1], "swap"));
    return 0;
}
