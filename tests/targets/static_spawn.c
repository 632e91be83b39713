// cc: -static
// spawn, without a loader that could be given anything.
#include "spawn.c"
