//! Numbers of NVIDIA's headers that mediation speaks of, the same in every release, and two measured sizes.

use std::ops::RangeInclusive;

/// Status codes.
pub const NO_MEMORY: u32 = 0x51;
pub const NOT_SUPPORTED: u32 = 0x56;
pub const INVALID_CLASS: u32 = 0x22;
pub const INVALID_ARGUMENT: u32 = 0x1f;
pub const OBJECT_NOT_FOUND: u32 = 0x57;
pub const GPU_UUID_NOT_FOUND: u32 = 0x12;

/// What a context takes beyond what it allocates by name, measured on an H100: 8.8 MiB.
pub const CONTEXT: u64 = 9 << 20;
/// In what sizes the driver gives memory at least.
pub const GRANULE: u64 = 64 << 10;

/// Escapes, by their numbers.
pub const REGISTER_PAGES: u32 = 0x27;
pub const FREE: u32 = 0x29;
pub const CONTROL: u32 = 0x2a;
pub const ALLOCATE: u32 = 0x2b;
pub const DUPLICATE: u32 = 0x34;
pub const MAP_MEMORY: u32 = 0x4e;
pub const ATTACH_CARDS: u32 = 0xd4;
pub const ALLOCATE_EVENT: u32 = 0xce;
pub const FREE_EVENT: u32 = 0xcf;

/// Escapes that no client of ours makes, and that would need more than a row: I2C, VID_HEAP_CONTROL (memory by another door), the registry,
/// callbacks, requests within requests, NUMA states, descriptors that the driver makes.
pub const REFUSED: [u32; 7] = [0x39, 0x4a, 0x4d, 0x56, 0xd3, 0xd8, 0xd9];

/// `NVOS54_FLAGS_FINN_SERIALIZED`
pub const SERIALIZED: u64 = 1 << 2;
/// `UVM_INIT_FLAGS_MULTI_PROCESS_SHARING_MODE`: the calls come from another process than the one that has the addresses.
pub const SHARED_BY_PROCESSES: u64 = 1 << 1;
/// `UVM_INITIALIZE`
pub const INITIALIZE: u32 = 0x3000_0001;

/// `UVM_REGISTER_GPU`, without which nothing else there has to do with a card. It begins with a UUID.
pub const REGISTER_CARD: u32 = 0x25;
pub const UUID: usize = 16;

/// Classes.
pub const DEVICE: u32 = 0x80;
pub const SUBDEVICE: u32 = 0x2080;
pub const EVENT: u64 = 0x79;
/// `RM_USER_SHARED_DATA`
pub const SHARED_PAGE: u32 = 0xde;
pub const PAGES_OF_PROCESS: u64 = 0x71;
/// More than any class has.
pub const MOST_PARAMETERS: usize = 64 << 10;

/// `KEPLER_CHANNEL_GROUP_A`, and the engines of it that run kernels: `NV2080_ENGINE_TYPE_GR0` to `GR7`.
pub const CHANNEL_GROUP: u32 = 0xa06c;
pub const KERNEL_ENGINES: RangeInclusive<u64> = 1..=8;
/// `NVA06C_CTRL_CMD_GPFIFO_SCHEDULE`, the same of a single channel, and `NV2080_CTRL_CMD_FIFO_DISABLE_CHANNELS`.
pub const SCHEDULE_GROUP: u32 = 0xa06c_0101;
pub const SCHEDULE_CHANNEL: u32 = 0xa06f_0103;
pub const DISABLE_CHANNELS: u32 = 0x2080_110b;

/// Controls.
pub const FB_GET_INFO: u64 = 0x2080_1301;
pub const FB_GET_INFO_V2: u64 = 0x2080_1303;
pub const GET_PIDS: u64 = 0x2080_018d;
pub const GET_PID_INFO: u64 = 0x2080_018e;
/// Their lists of processes, and how long these are.
pub const PIDS: (&str, &str) = ("pidTbl", "pidTblCount");
pub const PIDS_OF_INFO: (&str, &str) = ("pidInfoList.pid", "pidInfoListCount");
