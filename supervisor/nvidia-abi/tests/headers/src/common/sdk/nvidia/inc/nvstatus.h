#include "nvtypes.h"
