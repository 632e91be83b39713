#define RMCTRL_FLAGS_PRIVILEGED                               0x000000004
#define RMCTRL_FLAGS_NON_PRIVILEGED                           0x000000008
#define RMCTRL_FLAGS_INTERNAL                                 0x000000080
#define RMCTRL_FLAGS_CACHEABLE                                0x000000400
#define RMCTRL_FLAGS_CACHEABLE_BY_INPUT                       0x000020000
