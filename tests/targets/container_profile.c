// container_profile PROGRAM…: runs it under a seccomp filter that refuses what the default profile of Docker 20.10 refuses to a
// container without added capabilities, as far as vgpu-run could want it.
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REFUSE(call, error) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error)

int main(int count, char **arguments) {
    if (count < 2) return 2;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        REFUSE(SYS_process_vm_readv, EPERM),
        REFUSE(SYS_process_vm_writev, EPERM),
        REFUSE(SYS_pidfd_getfd, EPERM),
        REFUSE(SYS_kcmp, EPERM),
        REFUSE(SYS_userfaultfd, EPERM),
        REFUSE(SYS_mount, EPERM),
        REFUSE(SYS_unshare, EPERM),
        REFUSE(SYS_setns, EPERM),
        REFUSE(SYS_fsopen, EPERM),
        REFUSE(SYS_open_tree, EPERM),
        REFUSE(SYS_move_mount, EPERM),
        REFUSE(SYS_perf_event_open, EPERM),
        REFUSE(SYS_clone3, ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        perror("seccomp");
        return 99;
    }
    execvp(arguments[1], arguments + 1);
    perror(arguments[1]);
    return 98;
}
