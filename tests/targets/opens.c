// opens PATH: opens the file in many ways, and prints for each what came of it: an error, or what kind of descriptor.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *path, *name;
static char directory[PATH_MAX], links[] = "/tmp/opens-XXXXXX";
static int directory_fd;

static void say(const char *way, int fd) {
    struct stat facts;
    char byte;
    if (fd < 0) {
        printf("%s: %s\n", way, strerrorname_np(errno));
        return;
    }
    int flags = fcntl(fd, F_GETFL), status = fstat(fd, &facts);
    const char *kind = status ? "odd" : S_ISSOCK(facts.st_mode) ? "node" : S_ISREG(facts.st_mode) ? "file"
                     : S_ISLNK(facts.st_mode) ? "link" : S_ISDIR(facts.st_mode) ? "directory" : "other";
    printf("%s: %s%s%s%s%s\n", way, kind, flags & O_PATH ? " path" : "", flags & O_NONBLOCK ? " nonblock" : "",
           fcntl(fd, F_GETFD) & FD_CLOEXEC ? " cloexec" : "",
           !strcmp(kind, "file") && !(flags & O_PATH) && pread(fd, &byte, 1, 0) == 1 ? " read" : "");
    close(fd);
}

static int open2(int base, const char *at, uint64_t flags, uint64_t resolve, size_t size) {
    struct { struct open_how how; uint64_t more; } how = {{.flags = flags, .resolve = resolve}, size > sizeof(struct open_how)};
    return syscall(SYS_openat2, base, at, &how, size);
}

static const char *joined(const char *format, ...) {
    static char text[4][2 * PATH_MAX];
    static int next;
    char *place = text[next++ % 4];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(place, sizeof text[0], format, arguments);
    va_end(arguments);
    return place;
}

// The name lies at the end of a page behind which nothing is mapped.
static const char *at_the_end_of_memory(const char *text) {
    char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(pages + 4096, 4096);
    return strcpy(pages + 4096 - strlen(text) - 1, text);
}

// A child opens it and sends the descriptor.
static int passed(void) {
    int ends[2], fd = -1;
    char space[CMSG_SPACE(sizeof fd)] = {0}, byte = 0;
    struct iovec bytes = {&byte, 1};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    pid_t child = fork();
    if (child == 0) {
        fd = open(path, O_RDONLY);
        byte = fd < 0 ? errno : 0;
        struct cmsghdr *control = CMSG_FIRSTHDR(&message);
        *control = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(control), &fd, sizeof fd);
        if (fd < 0) message.msg_controllen = 0;
        sendmsg(ends[1], &message, 0);
        _exit(0);
    }
    recvmsg(ends[0], &message, 0);
    waitpid(child, 0, 0);
    struct cmsghdr *control = CMSG_FIRSTHDR(&message);
    if (control) memcpy(&fd, CMSG_DATA(control), sizeof fd);
    errno = byte;
    return fd;
}

// What an earlier open gave, opened again by its number.
static int reopened(int flags) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) return fd;
    int again = open(joined("/proc/self/fd/%d", fd), flags);
    int error = errno;
    close(fd);
    errno = error;
    return again;
}

static void by_name(void) {
    say("open", syscall(SYS_open, path, O_RDONLY));
    say("open cloexec", syscall(SYS_open, path, O_RDONLY | O_CLOEXEC));
    say("open path", open(path, O_PATH));
    say("open write", open(path, O_WRONLY));
    say("open nonblock", open(path, O_RDONLY | O_NONBLOCK));
    say("open read-write nonblock", open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC));
    say("open directory", open(path, O_RDONLY | O_DIRECTORY));
    say("open nofollow", open(path, O_RDONLY | O_NOFOLLOW));
    say("openat cwd", openat(AT_FDCWD, path, O_RDONLY));
    say("openat no descriptor", openat(-1, path, O_RDONLY));
    say("openat directory", openat(directory_fd, name, O_RDONLY));
    say("openat path of directory", openat(directory_fd, joined("./%s", name), O_RDONLY));
    say("at the end of memory", open(at_the_end_of_memory(path), O_RDONLY));
    say("behind the end", open(at_the_end_of_memory("") + 1, O_RDONLY));
    say("no address", open((char *)8, O_RDONLY));
    say("empty", open("", O_RDONLY));
    say("with a slash behind", open(joined("%s/", path), O_RDONLY));
    say("below itself", open(joined("%s/x", path), O_RDONLY));
    char endless[2 * PATH_MAX] = {0};
    memset(endless, '/', sizeof endless - 1);
    say("too long", open(endless, O_RDONLY));
    say("long", open(joined("%.3000s%s", endless, path), O_RDONLY));
    say("roundabout", open(joined("%s/.././%s//%s", directory, strrchr(directory, '/') + 1, name), O_RDONLY));
    chdir(directory);
    say("from its directory", open(name, O_RDONLY));
    chdir("/");
}

static void by_openat2(void) {
    size_t size = sizeof(struct open_how);
    say("openat2", open2(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0, size));
    say("openat2 path", open2(AT_FDCWD, path, O_PATH, 0, size));
    say("openat2 write", open2(AT_FDCWD, path, O_WRONLY, 0, size));
    say("openat2 directory", open2(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, size));
    say("openat2 from directory", open2(directory_fd, name, O_RDONLY, 0, size));
    say("openat2 no magic links", open2(AT_FDCWD, path, O_RDONLY, RESOLVE_NO_MAGICLINKS, size));
    say("openat2 no links", open2(AT_FDCWD, path, O_RDONLY, RESOLVE_NO_SYMLINKS, size));
    say("openat2 beneath", open2(AT_FDCWD, path, O_RDONLY, RESOLVE_BENEATH, size));
    say("openat2 beneath directory", open2(directory_fd, name, O_RDONLY, RESOLVE_BENEATH, size));
    say("openat2 in root", open2(directory_fd, joined("/%s", name), O_RDONLY, RESOLVE_IN_ROOT, size));
    say("openat2 absolute in other root", open2(directory_fd, path, O_RDONLY, RESOLVE_IN_ROOT, size));
    say("openat2 unknown flag", open2(AT_FDCWD, path, O_RDONLY | 1ull << 40, 0, size));
    say("openat2 unknown resolve", open2(AT_FDCWD, path, O_RDONLY, 1 << 20, size));
    say("openat2 short", open2(AT_FDCWD, path, O_RDONLY, 0, 8));
    say("openat2 of tomorrow", open2(AT_FDCWD, path, O_RDONLY, 0, size + 8));
    say("openat2 no address", syscall(SYS_openat2, AT_FDCWD, path, 8, size));
}

static void by_links(void) {
    mkdtemp(links);
    symlink(path, joined("%s/file", links));
    symlink(directory, joined("%s/directory", links));
    say("symbolic link", open(joined("%s/file", links), O_RDONLY));
    say("symbolic link, not followed", open(joined("%s/file", links), O_RDONLY | O_NOFOLLOW));
    say("below a symbolic link", open(joined("%s/directory/%s", links, name), O_RDONLY));
    say("below /proc/self/root", open(joined("/proc/self/root%s", path), O_RDONLY));
    say("below /proc/self/fd", open(joined("/proc/self/fd/%d/%s", directory_fd, name), O_RDONLY));
    say("below /dev/fd", open(joined("/dev/fd/%d/%s", directory_fd, name), O_RDONLY));
    chdir(directory);
    say("below /proc/self/cwd", open(joined("/proc/self/cwd/%s", name), O_RDONLY));
    chdir("/");
    say("/proc/self/fd", reopened(O_RDONLY));
    say("/proc/self/fd path", reopened(O_PATH));
    say("passed by another process", passed());
    unlink(joined("%s/file", links));
    unlink(joined("%s/directory", links));
    rmdir(links);
}

int main(int count, char **arguments) {
    if (count != 2 || arguments[1][0] != '/') return 2;
    path = arguments[1];
    const char *slash = strrchr(path, '/');
    snprintf(directory, sizeof directory, "%.*s", (int)(slash - path), path);
    name = slash + 1;
    directory_fd = open(directory, O_PATH | O_DIRECTORY);
    by_name();
    by_openat2();
    by_links();
    return 0;
}
