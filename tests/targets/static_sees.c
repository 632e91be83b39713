// cc: -static
// A static program: no loader, no libraries, only the device node.
#include "hello.h"
#include <stdio.h>

int main(void) {
    puts(hello() ? "device" : "no-device");
    return 0;
}
