// opens_loop COUNT: opens and closes a file so often.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **arguments) {
    for (long left = count > 1 ? atol(arguments[1]) : 1; left > 0; left--)
        if (close(open("/etc/hostname", O_RDONLY | O_CLOEXEC))) return 1;
    return 0;
}
