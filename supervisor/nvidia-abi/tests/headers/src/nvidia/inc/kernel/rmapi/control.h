#define RMCTRL_FLAGS_PRIVILEGED                               0x000000004
#define RMCTRL_FLAGS_NON_PRIVILEGED                           0x000000008
#define RMCTRL_FLAGS_INTERNAL                                 0x000000080
