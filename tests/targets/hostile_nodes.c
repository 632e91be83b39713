// hostile_nodes WHAT: does to the driver's nodes what no library would. Each call must end with an ordinary error or status, nothing
// may be written that was not named, and a client that behaves must be served afterwards.
#define _GNU_SOURCE
#include "nodes.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { PAGE = 4096 };
static struct session ours;

// Pages of these protections one behind the other, below 4 GiB; -1: nothing there.
static char *pages(int count, const int *protections) {
    char *start = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    HOLDS(start != MAP_FAILED);
    for (int i = 0; i < count; i++) {
        if (protections[i] < 0) OK(munmap(start + i * PAGE, PAGE));
        else OK(mprotect(start + i * PAGE, PAGE, protections[i]));
    }
    return start;
}

static void expect_fault(void *place, const char *what) {
    int error = escape(ours.control_node, CHECK_VERSION, place, sizeof(struct version));
    check(error == EFAULT, __LINE__, what, error);
    struct probed_ids ids = { { 0 } };
    uint32_t status = ask(&ours, ours.client, GET_PROBED_IDS, place, sizeof ids);
    check(status == INVALID_ADDRESS || status == INVALID_ARGUMENT, __LINE__, what, status);
    struct xfer inside = { CHECK_VERSION, sizeof(struct version), (uintptr_t)place };
    GIVES(EFAULT, escape(ours.control_node, XFER, &inside, sizeof inside));
    GIVES(EFAULT, escape(ours.control_node, XFER, place, sizeof inside));
}

// Nowhere, the kernel, the end of all addresses, a hole, into a hole, pages that can't be written or read.
static void pointers(void) {
    const int protections[] = { PROT_READ | PROT_WRITE, -1, PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE };
    char *start = pages(5, protections);
    memset(start, 0, PAGE);
    memset(start + 2 * PAGE, 0, PAGE);
    const uint64_t nowhere[] = { 1, 0x1000, 0xffff888000000000, 0xffffffffff600000, 0xffffffffffffffff, 0xfffffffffffffff0, 0x7ffffffffff0 };
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) expect_fault((void *)nowhere[i], "an address that is no program's");
    expect_fault(start + PAGE, "a hole");
    expect_fault(start + PAGE - 8, "into a hole");
    expect_fault(start + 3 * PAGE - 8, "into a page that is only read");
    expect_fault(start + 4 * PAGE, "a page that can't be read");
    GIVES(EFAULT, escape(ours.control_node, CHECK_VERSION, NULL, sizeof(struct version)));
    GIVES(INVALID_ARGUMENT, ask(&ours, ours.client, GET_PROBED_IDS, NULL, sizeof(struct probed_ids)));
    for (int at = 0; at < PAGE; at++) HOLDS(start[at] == 0);

    // Misaligned is as good as aligned, to the last byte before a hole.
    struct version *version = (void *)(start + PAGE - sizeof *version - 1);
    version->command = '2';
    start[PAGE - 1] = 77;
    GIVES(0, escape(ours.control_node, CHECK_VERSION, version, sizeof *version));
    HOLDS(version->text[0] == '5' && start[PAGE - 1] == 77);
}

// Sizes that are not the structure's, counts that nothing could hold, types and directions that are not the driver's.
static void counts(void) {
    char bytes[0x4000] = { 0 };
    for (size_t size = 0; size < sizeof bytes; size += size < 200 ? 1 : 977)
        for (int number = 0x20; number < 256; number += size < 200 ? 7 : 1) escape(ours.control_node, number, bytes, size);
    for (unsigned top = 0; top < 4; top++)
        for (unsigned type = 0; type < 256; type += 5) {
            struct version version = { '2', 0, "" };
            int error = ioctl(ours.control_node, _IOC(top, type, CHECK_VERSION, sizeof version), &version) ? errno : 0;
            HOLDS(error == 0 || error == ENOTTY || error == EINVAL);
        }
    make_device(&ours);
    const uint32_t huge[] = { 0xffffffff, 0x80000000, 0x7fffffff, 0x20000000, 1025 };
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        struct memory memory = { huge[i], { { 8, 0 } } };
        GIVES(INVALID_ARGUMENT, ask(&ours, SUBDEVICE, GET_MEMORY, &memory, sizeof memory));
        GIVES(INVALID_ARGUMENT, ask(&ours, SUBDEVICE, GET_MEMORY, &memory, huge[i]));
        struct { uint32_t count; uint64_t list; } list = { huge[i], (uintptr_t)bytes };
        GIVES(INVALID_ARGUMENT, ask(&ours, SUBDEVICE, BUS_INFO, &list, sizeof list));
        struct xfer inside = { CHECK_VERSION, huge[i], (uintptr_t)bytes };
        GIVES(EINVAL, escape(ours.control_node, XFER, &inside, sizeof inside));
    }
    struct xfer nested = { XFER, sizeof nested, (uintptr_t)&nested };
    GIVES(EINVAL, escape(ours.control_node, XFER, &nested, sizeof nested));
    // A buffer that ends before the size that is claimed: as far as there is text, and no further.
    const int protections[] = { PROT_READ | PROT_WRITE, PROT_NONE };
    char *text = pages(2, protections) + PAGE - 8;
    struct { uint32_t size; uint64_t texts[3]; uint32_t changes[2]; } build = { 0xffffffff, { (uintptr_t)text, 0, 0 }, { 0 } };
    GIVES(INVALID_ADDRESS, ask(&ours, ours.client, GET_BUILD_VERSION, &build, sizeof build));
    build.size = 8;
    GIVES(FINE, ask(&ours, ours.client, GET_BUILD_VERSION, &build, sizeof build));
}

// More clients than there may be: the last ones are refused, and all go with the node.
static void many(void) {
    int node = open("/dev/nvidiactl", O_RDWR | O_CLOEXEC), made = 0;
    struct alloc root;
    for (; made < 10000; made++) {
        root = (struct alloc){ .class = CLASS_CLIENT };
        GIVES(0, escape(node, ALLOC, &root, sizeof root));
        if (root.status != FINE) break;
    }
    GIVES(INSUFFICIENT_RESOURCES, root.status);
    HOLDS(made > 1000);
    close(node);
    // And more open files than a process may have.
    struct rlimit limit;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    if (limit.rlim_cur > 2048) limit.rlim_cur = 2048;
    OK(setrlimit(RLIMIT_NOFILE, &limit));
    int last = -1, next;
    while ((next = open("/dev/nvidia0", O_RDWR | O_CLOEXEC)) >= 0) last = next;
    HOLDS(errno == EMFILE && last > 0);
    for (; last > ours.gpu_node; last--) close(last);
}

static atomic_int over;
static struct { struct control call; struct name name; char behind[64]; } shared;

// Writes into the call while it is looked at.
static void *spoil(void *unused) {
    const uint32_t sizes[] = { sizeof shared.name, 0, 0xffffffff, 4, 1 << 20 };
    const uint64_t places[] = { (uintptr_t)&shared.name, 0, 0xffff888000000000, (uintptr_t)&shared.call };
    for (unsigned turn = 0; !over; turn++) {
        *(volatile uint32_t *)&shared.call.size = sizes[turn % 5];
        *(volatile uint64_t *)&shared.call.parameters = places[turn / 3 % 4];
        *(volatile uint32_t *)&shared.call.command = turn % 7 ? GET_NAME : 0xdead;
    }
    return unused;
}

static void racing(void) {
    enum { TURNS = 3000 };
    pthread_t thread;
    make_device(&ours);
    OK(pthread_create(&thread, NULL, spoil, NULL));
    for (int turn = 0; turn < TURNS; turn++) {
        shared.call.client = ours.client;
        shared.call.object = SUBDEVICE;
        shared.call.flags = 0;
        GIVES(0, escape(ours.control_node, CONTROL, &shared.call, sizeof shared.call));
        for (size_t at = 0; at < sizeof shared.behind; at++) HOLDS(shared.behind[at] == 0);
    }
    over = 1;
    OK(pthread_join(thread, NULL));
    expect_name(&ours);
}

static int swapped;

// The descriptor is another file from one moment to the next.
static void *swap(void *unused) {
    int others[] = { ours.control_node, ours.gpu_node, open("/dev/null", O_RDWR), open("/dev/nvidia-uvm", O_RDWR), dup(2) };
    for (unsigned turn = 0; !over; turn++) HOLDS(dup2(others[turn % 5], swapped) == swapped);
    return unused;
}

static void swapping(void) {
    enum { TURNS = 3000 };
    pthread_t thread;
    make_device(&ours);
    HOLDS((swapped = dup(2)) >= 0);
    OK(pthread_create(&thread, NULL, swap, NULL));
    int served = 0, refused = 0;
    // However late the thread begins on a busy machine.
    for (int turn = 0; turn < TURNS || !served || !refused; turn++) {
        struct name name = { 0 };
        struct control call = { ours.client, SUBDEVICE, GET_NAME, 0, (uintptr_t)&name, sizeof name, UINT32_MAX };
        int error = escape(swapped, CONTROL, &call, sizeof call);
        HOLDS(error == 0 || error == EINVAL || error == ENOTTY || error == ENOSYS);
        if (error == 0) HOLDS(call.status == FINE && !strncmp(name.text, "NVIDIA", 6));
        if (error == 0) served++; else refused++;
    }
    over = 1;
    OK(pthread_join(thread, NULL));
}

static void unified(void) {
    int node = open("/dev/nvidia-uvm", O_RDWR | O_CLOEXEC);
    HOLDS(node >= 0);
    static char bytes[0x4000];
    for (int round = 0; round < 3; round++) {
        for (unsigned number = 0; number < 256; number++) {
            memset(bytes, round == 2 ? 0xff : 0, sizeof bytes);
            int error = ioctl(node, number, round == 0 ? NULL : bytes) ? errno : 0;
            HOLDS(error == 0 || error == EFAULT || error == ENOSYS || error == ENOTTY || error == EINVAL);
            HOLDS(ioctl(ours.control_node, number, bytes) && (errno == ENOTTY || errno == EINVAL));
        }
        struct { uint64_t flags; uint32_t status; } first = { 0x12345, 0 };
        GIVES(0, ioctl(node, 0x30000001, &first));
        GIVES(INVALID_ARGUMENT, first.status);
        first.flags = 0;
        GIVES(0, ioctl(node, 0x30000001, &first));
        GIVES(FINE, first.status);
    }
    struct { uint64_t base, length; uint32_t status; } range = { 0xfffffffffffff000, 0x2000, 0 };
    GIVES(0, ioctl(node, 73, &range));
    HOLDS(range.status != FINE);
    // The driver's own escapes are none of this node's.
    struct version version = { '2', 0, "" };
    HOLDS(escape(node, CHECK_VERSION, &version, sizeof version) != 0);
    close(node);
}

static void wait_for(pid_t child) {
    int status;
    HOLDS(waitpid(child, &status, 0) == child);
    GIVES(0, status);
}

// A child has its parent's node, and the client with it; it ends, and the parent's stays.
static void forked(void) {
    make_device(&ours);
    for (int turn = 0; turn < 3; turn++) {
        pid_t child = fork();
        if (child == 0) {
            expect_name(&ours);
            struct session own;
            begin(&own);
            // Another file's client is not to be had.
            own.client = ours.client;
            GIVES(INVALID_CLIENT, ask(&own, ours.client, GET_PROBED_IDS, &(struct probed_ids){ { 0 } }, sizeof(struct probed_ids)));
            _exit(0);
        }
        wait_for(child);
        expect_name(&ours);
    }
    // And the other way round: the child goes on with what its parent has closed.
    int gate[2];
    OK(pipe(gate));
    pid_t child = fork();
    if (child == 0) {
        char byte;
        HOLDS(read(gate[0], &byte, 1) == 1);
        expect_name(&ours);
        _exit(0);
    }
    end(&ours);
    HOLDS(write(gate[1], "", 1) == 1);
    wait_for(child);
    begin(&ours);
}

// Calls from 32-bit code go to the kernel as they are: it knows a socket.
static void bits32(void) {
    const int protections[] = { PROT_READ | PROT_WRITE };
    struct version *version = (void *)pages(1, protections);
    long result = -ENOSYS;
    enum { IOCTL = 54 };
    __asm__ volatile("int $0x80" : "=a"(result)
                     : "a"(IOCTL), "b"(ours.control_node), "c"(request(CHECK_VERSION, sizeof *version)), "d"(version) : "memory");
    HOLDS(result == -ENOTTY || result == -EINVAL || result == -ENOSYS);
    HOLDS(version->text[0] == 0);
}

static void *hammer(void *unused) {
    struct session session = ours;
    for (;;) {
        struct alloc root = { .class = CLASS_CLIENT };
        escape(session.control_node, ALLOC, &root, sizeof root);
        session.client = root.object;
        ask(&session, session.client, GET_PROBED_IDS, &(struct probed_ids){ { 0 } }, sizeof(struct probed_ids));
        release(&session, session.client);
        close(open("/dev/nvidia0", O_RDWR));
    }
    return unused;
}

// Children that are killed in the middle of whatever they do.
static void killed(void) {
    for (int turn = 0; turn < 20; turn++) {
        pid_t child = fork();
        HOLDS(child >= 0);
        if (child == 0) {
            pthread_t threads[3];
            begin(&ours);
            for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, hammer, NULL);
            pause();
        }
        usleep(1000 + turn * 700);
        OK(kill(child, SIGKILL));
        HOLDS(waitpid(child, NULL, 0) == child);
    }
}

int main(int count, char **arguments) {
    static const struct { const char *name; void (*run)(void); } parts[] = {
        { "pointers", pointers }, { "counts", counts }, { "many", many }, { "racing", racing }, { "swapping", swapping },
        { "unified", unified }, { "forked", forked }, { "bits32", bits32 }, { "killed", killed },
    };
    // Executed with a node that it inherited: hostile_nodes inherited NODE CLIENT
    if (count == 4 && !strcmp(arguments[1], "inherited")) {
        ours = (struct session){ atoi(arguments[2]), -1, strtoul(arguments[3], NULL, 0) };
        expect_name(&ours);
        be_served();
        return puts("inherited") < 0;
    }
    if (count != 2) return 2;
    begin(&ours);
    if (!strcmp(arguments[1], "executed")) {
        char node[16], client[16];
        make_device(&ours);
        snprintf(node, sizeof node, "%d", ours.control_node);
        snprintf(client, sizeof client, "%u", ours.client);
        execl("/proc/self/exe", arguments[0], "inherited", node, client, NULL);
        return 3;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strcmp(parts[i].name, arguments[1])) continue;
        parts[i].run();
        // A file that is closed takes its clients with it, whatever is in them.
        end(&ours);
        be_served();
        return puts(parts[i].name) < 0;
    }
    return 2;
}
