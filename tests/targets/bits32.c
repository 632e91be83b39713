// cc: -m32 -nostdlib -static -fno-pie -no-pie -fno-stack-protector -fno-asynchronous-unwind-tables
// A 32-bit program without a library: bits32 FILE [PROGRAM]. Opens the file, says what came of it, becomes the program.
typedef unsigned long word;

static long call(long number, word first, word second, word third) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third) : "memory");
    return result;
}

enum { EXIT = 1, READ = 3, WRITE = 4, OPEN = 5, EXECVE = 11, IOCTL = 54 };

static void say(const char *text) {
    word length = 0;
    while (text[length]) length++;
    call(WRITE, 1, (word)text, length);
}

__attribute__((used)) static void run(word *stack) {
    char **arguments = (char **)(stack + 1), byte;
    long file = call(OPEN, (word)arguments[1], 0, 0);
    say(file == -2 ? "ENOENT\n" : file < 0 ? "error\n" : call(READ, file, (word)&byte, 1) == 1 ? "read\n" : "opened\n");
    // The request of a control call, which is one of 64-bit processes.
    say(call(IOCTL, 1, 0xC0405690u, 0) < 0 ? "no control call\n" : "odd\n");
    if (stack[0] > 2) {
        call(EXECVE, (word)arguments[2], (word)(arguments + 2), (word)(arguments + stack[0] + 1));
        say("not executed\n");
    }
    call(EXIT, 0, 0, 0);
}

__asm__(".globl _start\n_start: mov %esp, %eax\n push %eax\n call run\n");
