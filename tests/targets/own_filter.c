// own_filter WAY: installs a seccomp filter of its own in that way, opens a file and says what came of it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// `action` for one system call, all others are allowed.
static long install(int number, unsigned action, unsigned flags) {
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof program / sizeof *program, program};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
}

static int by_prctl(unsigned action) {
    struct sock_filter program[] = {BPF_STMT(BPF_RET | BPF_K, action)};
    struct sock_fprog filter = {1, program};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static const char *tried(const char *path) {
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return strerrorname_np(errno);
    close(fd);
    return "opened";
}

static void show(const char *what) {
    printf("%s: %s\n", what, tried("/etc/hostname"));
    fflush(stdout);
}

static void on_sigsys(int signal, siginfo_t *info, void *context) {
    printf("SIGSYS %s\n", info->si_syscall == SYS_openat ? "openat" : "another call");
    // The register that the call's result is in: RAX of gregset_t.
    ((ucontext_t *)context)->uc_mcontext.gregs[13] = -ETXTBSY;
}

static void trap(void) {
    struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
    sigaction(SIGSYS, &action, 0);
    install(SYS_openat, SECCOMP_RET_TRAP, 0);
    show("trapped");
    printf("library: %s\n", dlopen("libcuda.so.1", RTLD_NOW) ? "loaded" : "not loaded");
}

static void errno_(void) {
    install(SYS_openat, SECCOMP_RET_ERRNO | EROFS, 0);
    show("refused");
    install(SYS_execve, SECCOMP_RET_ERRNO | ELOOP, 0);
    execl("/bin/true", "true", (char *)0);
    printf("execve: %s\n", strerrorname_np(errno));
}

static void kill_process(void) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    install(SYS_openat, SECCOMP_RET_KILL_PROCESS, 0);
    show("killed");
}

static void *opens(void *unused) {
    show("in the thread");
    return unused;
}

static void *dies(void *unused) {
    install(SYS_openat, SECCOMP_RET_KILL_THREAD, 0);
    return opens(unused);
}

static void kill_thread(void) {
    pthread_t thread;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    pthread_create(&thread, 0, dies, 0);
    usleep(100000);
    show("the other thread");
    _exit(0);
}

static void allow_and_log(void) {
    install(SYS_openat, SECCOMP_RET_LOG, 0);
    install(SYS_ioctl, SECCOMP_RET_ALLOW, SECCOMP_FILTER_FLAG_LOG);
    printf("by prctl: %d\n", by_prctl(SECCOMP_RET_ALLOW));
    show("allowed");
}

static pthread_barrier_t both;

static void *waits(void *unused) {
    pthread_barrier_wait(&both);
    pthread_barrier_wait(&both);
    return opens(unused);
}

static void all_threads(void) {
    pthread_t thread;
    pthread_barrier_init(&both, 0, 2);
    pthread_create(&thread, 0, waits, 0);
    pthread_barrier_wait(&both);
    printf("together: %ld\n", install(SYS_openat, SECCOMP_RET_ERRNO | EROFS, SECCOMP_FILTER_FLAG_TSYNC));
    fflush(stdout);
    pthread_barrier_wait(&both);
    pthread_join(thread, 0);
}

static void strict(void) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)) {
        printf("strict: %s\n", strerrorname_np(errno));
        return;
    }
    (void)!write(1, "strict\n", 7);
    syscall(SYS_exit, 0);
}

// A listener of its own answers a child's getppid.
static void listener(void) {
    pid_t parent = getpid();
    int listener = install(SYS_getppid, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
    if (listener < 0) {
        printf("listener: %s\n", strerrorname_np(errno));
        return;
    }
    if (fork() == 0) {
        printf("parent: %ld\n", syscall(SYS_getppid));
        fflush(stdout);
        _exit(0);
    }
    struct pollfd polled = {listener, POLLIN};
    poll(&polled, 1, -1);
    struct seccomp_notif request = {0};
    ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request);
    struct seccomp_notif_resp answer = {.id = request.id, .val = 4711};
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    wait(0);
    (void)parent;
}

// A tracer sees the calls that the filter of its tracee hands to it.
static void traced(int number) {
    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0)) _exit(errno);
        raise(SIGSTOP);
        install(number, SECCOMP_RET_TRACE, 0);
        syscall(SYS_getppid);
        tried("/etc/hostname");
        _exit(5);
    }
    int status, seen = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status)) {
        printf("may not trace: %s\n", strerrorname_np(WEXITSTATUS(status)));
        return;
    }
    ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL);
    do {
        ptrace(PTRACE_CONT, child, 0, 0);
        waitpid(child, &status, 0);
        seen += status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8);
    } while (!WIFEXITED(status));
    printf("the tracer saw %d, exit %d\n", seen, WEXITSTATUS(status));
}

// What else a client of the device may not do: no sockets. An open of the node is no call of a socket.
static void forbid_sockets(unsigned action) {
    static const int numbers[] = {SYS_socketpair, SYS_socket, SYS_connect, SYS_recvmsg};
    for (unsigned index = 0; index < sizeof numbers / sizeof *numbers; index++)
        install(numbers[index], action, 0);
    printf("library: %s\n", dlopen("libcuda.so.1", RTLD_NOW) ? "loaded" : "not loaded");
    printf("node: %s\n", tried("/dev/nvidiactl"));
}

static void no_sockets(void) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    pid_t child = fork();
    if (child == 0) {
        forbid_sockets(SECCOMP_RET_KILL_PROCESS);
        // Inherited, by a thread too.
        pthread_t thread;
        pthread_create(&thread, 0, opens, 0);
        pthread_join(thread, 0);
        printf("node again: %s\n", tried("/dev/nvidiactl"));
        fflush(stdout);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    printf("status %d\n", status);
}

// A listener that answers nobody.
static void no_sockets_listener(void) {
    if (install(SYS_socketpair, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER) < 0) printf("no listener\n");
    printf("node: %s\n", tried("/dev/nvidiactl"));
}

static void traced_other(void) { traced(SYS_getppid); }
static void traced_open(void) { traced(SYS_openat); }

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        void (*run)(void);
    } ways[] = {{"trap", trap},           {"errno", errno_},         {"kill_process", kill_process},
                {"kill_thread", kill_thread}, {"allow", allow_and_log}, {"all_threads", all_threads},
                {"strict", strict},       {"listener", listener},    {"traced_other", traced_other},
                {"traced_open", traced_open},  {"no_sockets", no_sockets},
                {"no_sockets_listener", no_sockets_listener}};
    for (unsigned index = 0; count == 2 && index < sizeof ways / sizeof *ways; index++)
        if (!strcmp(arguments[1], ways[index].name)) {
            show("before");
            ways[index].run();
            return 0;
        }
    return 2;
}
