// passed_node ROOT: opens the device node, and a child in that empty root, which got it through a socket, asks it something.
#define _GNU_SOURCE
#include "hello.h"
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

int main(int count, char **arguments) {
    int ends[2], node = -1;
    char space[CMSG_SPACE(sizeof node)] = {0}, byte = 0;
    struct iovec bytes = {&byte, 1};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    if (count != 2 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) return 2;
    if (fork() == 0) {
        if (chroot(arguments[1]) || chdir("/") || recvmsg(ends[1], &message, 0) != 1) _exit(3);
        memcpy(&node, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof node);
        puts(hello_on(node) ? "answered" : "no answer");
        fflush(stdout);
        _exit(0);
    }
    node = open("/dev/nvidiactl", O_RDWR | O_CLOEXEC);
    struct cmsghdr *control = CMSG_FIRSTHDR(&message);
    *control = (struct cmsghdr){CMSG_LEN(sizeof node), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(control), &node, sizeof node);
    if (node < 0 || sendmsg(ends[0], &message, 0) != 1) return 4;
    int status;
    return wait(&status) < 0 || status;
}
