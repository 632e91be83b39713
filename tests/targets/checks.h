// What holds, or the line of the first that does not and the end of the program.
#include <stdio.h>
#include <unistd.h>

static void check(int holds, int line, const char *what, int got) {
    if (holds) return;
    printf("line %d: %s: got %d\n", line, what, got);
    fflush(stdout);
    _exit(1);
}
#define GIVES(wanted, call) do { int result_ = (call); check(result_ == (wanted), __LINE__, #call, result_); } while (0)
#define OK(call) GIVES(0, call)
#define HOLDS(condition) check(!!(condition), __LINE__, #condition, 0)
