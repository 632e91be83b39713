//! Capability sets: what the driver's rows are for, in words of those who use it.
//!
//! A set is a part of the driver that somebody may want to allow or deny. Every row is in one: that of the first rule that fits it, or
//! [`Set::Other`]. Names are those of the container toolkit's `NVIDIA_DRIVER_CAPABILITIES` where it has such. Which rows programs need was
//! seen in recordings of an H100 (`tests/recordings`), against which the table is tested; what nobody recorded is by its header's name.

use nvidia_abi::{Kind, Row};

use Set::*;

/// A part of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Set {
    /// Which cards there are and what they are, objects, events, versions: every program. It is always allowed.
    Basic,
    /// Contexts, memory, kernels, copies.
    Compute,
    /// What monitoring asks and sets: load, clocks, power, temperatures, errors, processes.
    Utility,
    /// Moving managed memory, and advice where it should be.
    Managed,
    /// Memory of other processes: exporting objects, sharing them, taking them over.
    Ipc,
    /// Other cards and nodes directly: peer access, fabric, multicast.
    P2p,
    /// Counters and tools that watch programs.
    Profiling,
    /// Debuggers, and memory of programs that they read and write.
    Debugging,
    /// Drawing.
    Graphics,
    /// Coding and decoding of videos and pictures.
    Video,
    /// Screens.
    Display,
    /// Managing virtual cards for virtual machines.
    Vgpu,
    /// What is in no other set.
    Other,
}

/// All, with their names.
pub const SETS: [(Set, &str); 13] = [
    (Basic, "basic"),
    (Compute, "compute"),
    (Utility, "utility"),
    (Managed, "managed"),
    (Ipc, "ipc"),
    (P2p, "p2p"),
    (Profiling, "profiling"),
    (Debugging, "debugging"),
    (Graphics, "graphics"),
    (Video, "video"),
    (Display, "display"),
    (Vgpu, "vgpu"),
    (Other, "other"),
];

impl Set {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        SETS.iter().find(|(set, _)| *set == self).map_or("other", |(_, name)| name)
    }

    /// The set of that name.
    pub fn named(name: &str) -> Option<Self> {
        SETS.iter().find(|(_, other)| *other == name).map(|(set, _)| *set)
    }

    /// The set that a row is in.
    pub fn of(row: &Row) -> Self {
        let kind = if row.kind == Kind::Form { Kind::Escape } else { row.kind };
        let fits = |rule: &&Rule| rule.0 == kind && row.number & rule.1 == rule.2;
        RULES.iter().find(fits).map_or(Other, |rule| rule.3)
    }
}

/// Rows of a kind whose numbers have this value under this mask, and their set.
struct Rule(Kind, u32, u32, Set);

const E: Kind = Kind::Escape;
const K: Kind = Kind::Class;
const C: Kind = Kind::Control;
const U: Kind = Kind::Uvm;
/// One number.
const ONE: u32 = u32::MAX;
/// Controls of a class: all, and those of a category.
const OF: u32 = 0xffff_0000;
const IN: u32 = 0xffff_ff00;
/// Classes of all generations, and their controls.
const ANY: u32 = 0xff;
const OF_ANY: u32 = 0x00ff_0000;

/// The first that fits counts.
const RULES: &[Rule] = &[
    // Escapes of nv_escape.h and nv-ioctl-numbers.h.
    Rule(E, ONE, 0x27, Compute),  // ALLOC_MEMORY: pages of the program
    Rule(E, ONE, 0x34, Ipc),      // DUP_OBJECT: needed for objects of others; libcuda's start does not
    Rule(E, ONE, 0x35, Ipc),      // SHARE
    Rule(E, ONE, 0x39, Display),  // I2C_ACCESS
    Rule(E, ONE, 0x41, Compute),  // IDLE_CHANNELS
    Rule(E, ONE, 0x54, Graphics), // ALLOC_CONTEXT_DMA2
    Rule(E, ONE, 0x56, Display),  // ADD_VBLANK_CALLBACK
    Rule(E, ONE, 0x57, Compute),  // MAP_MEMORY_DMA, UNMAP_MEMORY_DMA
    Rule(E, ONE, 0x58, Compute),
    Rule(E, ONE, 0x59, Graphics), // BIND_CONTEXT_DMA
    Rule(E, ONE, 0x5f, Other),    // LOCKLESS_DIAGNOSTIC
    Rule(E, ONE, 0xd5, Other),    // QUERY_DEVICE_INTR
    Rule(E, 0, 0, Basic),
    // Commands of uvm_ioctl.h.
    Rule(U, ONE, 0x3000_0001, Basic), // INITIALIZE, DEINITIALIZE, MM_INITIALIZE, PAGEABLE_MEM_ACCESS: libnvidia-ml as well
    Rule(U, ONE, 0x3000_0002, Basic),
    Rule(U, ONE, 0x4b, Basic),
    Rule(U, ONE, 0x27, Basic),
    Rule(U, ONE, 0x09, Other), // RUN_TEST
    Rule(U, ONE, 0x1d, P2p),   // ENABLE_PEER_ACCESS, DISABLE_PEER_ACCESS, ALLOC_DEVICE_P2P
    Rule(U, ONE, 0x1e, P2p),
    Rule(U, ONE, 0x4e, P2p),
    Rule(U, ONE, 0x24, Debugging), // DEBUG_ACCESS_MEMORY, TOOLS_READ_PROCESS_MEMORY, TOOLS_WRITE_PROCESS_MEMORY
    Rule(U, ONE, 0x3e, Debugging),
    Rule(U, ONE, 0x3f, Debugging),
    Rule(U, 0xffff_fff8, 0x08, Profiling), // sessions, counters, event queues
    Rule(U, ONE, 0x10, Profiling),
    Rule(U, ONE, 0x11, Profiling),
    Rule(U, 0xffff_fff8, 0x38, Profiling), // TOOLS_…
    Rule(U, ONE, 0x40, Profiling),
    Rule(U, ONE, 0x43, Profiling),
    Rule(U, ONE, 0x4c, Profiling),
    Rule(U, ONE, 0x4d, Profiling),
    Rule(U, ONE, 0x2b, Compute), // UNSET_PREFERRED_LOCATION, DISABLE_READ_DUPLICATION, UNSET_ACCESSED_BY: libcuda's start
    Rule(U, ONE, 0x2d, Compute),
    Rule(U, ONE, 0x2f, Compute),
    Rule(U, 0xffff_fff8, 0x28, Managed), // range groups, preferred location, read duplication, accessed by
    Rule(U, ONE, 0x33, Managed),         // MIGRATE, MIGRATE_RANGE_GROUP, POPULATE_PAGEABLE
    Rule(U, ONE, 0x35, Managed),
    Rule(U, ONE, 0x47, Managed),
    Rule(U, 0, 0, Compute),
    // Classes, by the headers of their names.
    Rule(K, ONE, 0x00, Basic), // clients
    Rule(K, ONE, 0x01, Basic),
    Rule(K, ONE, 0x41, Basic),
    Rule(K, ONE, 0x05, Basic), // events
    Rule(K, ONE, 0x79, Basic),
    Rule(K, ONE, 0x80, Basic), // device, subdevice, and its binary interface
    Rule(K, ONE, 0x2080, Basic),
    Rule(K, ONE, 0x2081, Basic),
    Rule(K, ONE, 0xde, Basic),   // RM_USER_SHARED_DATA
    Rule(K, ONE, 0xc639, Basic), // sessions of partitions, which libraries open to see whether there are any
    Rule(K, ONE, 0xc640, Basic),
    Rule(K, ONE, 0xcb33, Basic), // NV_CONFIDENTIAL_COMPUTE
    Rule(K, ONE, 0x20, Utility), // NV0020_GPU_MANAGEMENT
    Rule(K, ONE, 0x73, Utility), // NV04_DISPLAY_COMMON: libnvidia-ml asks whether there are screens
    Rule(K, ONE, 0x208f, Utility),
    Rule(K, ONE, 0x90cd, Utility), // NV_EVENT_BUFFER
    Rule(K, ONE, 0x90e7, Utility), // INFOROM
    Rule(K, ONE, 0xcbca, Utility), // NV_COUNTER_COLLECTION_UNIT: GPM
    Rule(K, ONE, 0x0f, P2p),       // FABRIC_MANAGER_SESSION
    Rule(K, ONE, 0x503b, P2p),
    Rule(K, ONE, 0xf3, P2p), // FLA, fabric, multicast
    Rule(K, ONE, 0xf8, P2p),
    Rule(K, ONE, 0xf9, P2p),
    Rule(K, ONE, 0xfb, P2p),
    Rule(K, ONE, 0xfd, P2p),
    Rule(K, ONE, 0xe0, Ipc), // NV_MEMORY_EXPORT, NV_IMEX_SESSION
    Rule(K, ONE, 0xf1, Ipc),
    Rule(K, ONE, 0x844c, Profiling),
    Rule(K, ANY, 0xcc, Profiling), // …_PROFILER
    Rule(K, ONE, 0xa0bc, Video),   // sessions of encoders and of framebuffer capture
    Rule(K, ONE, 0xa0bd, Video),
    Rule(K, ONE, 0xb1, Compute), // NV01_MEMORY_HW_RESOURCES, and others with numbers like those below
    Rule(K, ONE, 0x70, Compute),
    Rule(K, ONE, 0x71, Compute),
    Rule(K, ONE, 0x76, Display),
    Rule(K, ONE, 0x78, Other),
    Rule(K, ONE, 0x7d, Other),
    Rule(K, ONE, 0x7e, Other),
    Rule(K, 0xffff_f0ff, 0xc0b0, Video), // decoders, encoders, JPEG, optical flow
    Rule(K, 0xffff_f0ff, 0xb0b0, Video),
    Rule(K, ANY, 0xb7, Video),
    Rule(K, ANY, 0xd1, Video),
    Rule(K, ANY, 0xfa, Video),
    Rule(K, ANY, 0x97, Graphics), // 3D, 2D, clears, timed semaphores
    Rule(K, ONE, 0x902d, Graphics),
    Rule(K, ONE, 0x9096, Graphics),
    Rule(K, ONE, 0x9072, Display),
    Rule(K, ONE, 0x9074, Graphics),
    Rule(K, ONE, 0x9067, Compute), // what is in a context
    Rule(K, ONE, 0x90f1, Compute),
    Rule(K, ONE, 0x90e6, Compute),
    Rule(K, ONE, 0xa06c, Compute),
    Rule(K, ONE, 0xa140, Compute),
    Rule(K, ONE, 0x83de, Compute), // libcuda opens a debugger's session for each context, to hear of exceptions
    Rule(K, ONE, 0x503c, Compute), // and one for third parties, whose memory it registers
    Rule(K, ONE, 0x5080, Compute),
    Rule(K, ONE, 0x50a0, Compute),
    Rule(K, ONE, 0x900e, Compute), // MPS
    Rule(K, ONE, 0xc637, Compute), // a partition's part of the card
    Rule(K, ONE, 0xc638, Compute),
    Rule(K, ONE, 0xcba2, Compute), // SEC2 of confidential computing
    Rule(K, ANY, 0x6f, Compute),   // channels, copies, kernels, doorbells
    Rule(K, ANY, 0xb5, Compute),
    Rule(K, 0xffff_f0ff, 0xc0c0, Compute),
    Rule(K, ANY, 0x61, Compute),
    Rule(K, ONE, 0xa080, Vgpu),
    Rule(K, ONE, 0xa081, Vgpu),
    Rule(K, ONE, 0xa084, Vgpu),
    Rule(K, ONE, 0x30f1, Display),
    Rule(K, ONE, 0x402c, Display),
    Rule(K, ONE, 0x90ec, Display),
    Rule(K, 0xffff_f0f0, 0xc070, Display),
    Rule(K, ONE, 0x20_82, Other), // privileged
    Rule(K, ONE, 0x3f, Other),
    Rule(K, ONE, 0xc2, Other),
    Rule(K, 0xffff_fffc, 0x80, Other), // NV01_MEMORY_LIST_…
    Rule(K, 0xffff_ff00, 0, Compute),  // memory, timers, semaphores
    Rule(K, ONE, 0x90ce, Compute),
    // Controls of clients.
    Rule(C, ONE, 0x0000_0a04, Compute), // SYNC_GPU_BOOST_GROUP_INFO
    Rule(C, IN, 0x0000_0100, Basic),    // system, cards, events, objects
    Rule(C, IN, 0x0000_0200, Basic),
    Rule(C, IN, 0x0000_0500, Basic),
    Rule(C, IN, 0x0000_0d00, Basic),
    Rule(C, IN, 0x0000_0b00, Utility), // accounting
    Rule(C, IN, 0x0000_3d00, Ipc),     // descriptors of objects
    // Of devices.
    Rule(C, IN, 0x0080_0200, Basic),
    Rule(C, IN, 0x0080_1b00, Video),
    Rule(C, IN, 0x0080_1c00, Video),
    Rule(C, IN, 0x0080_1f00, Video),
    Rule(C, OF, 0x0080_0000, Compute),
    // Of subdevices.
    Rule(C, ONE, 0x2080_0145, Compute), // reservations of compute mode
    Rule(C, ONE, 0x2080_0146, Compute),
    Rule(C, ONE, 0x2080_018d, Utility), // GET_PIDS, GET_PID_INFO
    Rule(C, ONE, 0x2080_018e, Utility),
    Rule(C, ONE, 0x2080_016d, Utility), // sessions of encoders and of framebuffer capture
    Rule(C, ONE, 0x2080_016e, Utility),
    Rule(C, ONE, 0x2080_017b, Utility),
    Rule(C, ONE, 0x2080_017c, Utility),
    Rule(C, ONE, 0x2080_01af, Utility),
    Rule(C, IN, 0x2080_0100, Basic), // the card, events, timer
    Rule(C, IN, 0x2080_0300, Basic),
    Rule(C, IN, 0x2080_0400, Basic),
    Rule(C, IN, 0x2080_0500, Utility), // temperatures
    Rule(C, IN, 0x2080_0600, Display), // I2C
    Rule(C, IN, 0x2080_0800, Utility), // BIOS
    Rule(C, IN, 0x2080_1100, Compute), // channels
    Rule(C, ONE, 0x2080_1201, Basic),  // what the engine for kernels is
    Rule(C, ONE, 0x2080_1228, Basic),
    Rule(C, ONE, 0x2080_1230, Basic),
    Rule(C, IN, 0x2080_1200, Compute),
    Rule(C, IN, 0x2080_1300, Basic), // memory, chip, bus
    Rule(C, IN, 0x2080_1700, Basic),
    Rule(C, IN, 0x2080_1800, Basic),
    Rule(C, ONE, 0x2080_200a, Compute), // PERF_BOOST
    Rule(C, IN, 0x2080_2000, Utility),  // clocks and load
    Rule(C, IN, 0x2080_2200, Compute),  // what becomes of channels with errors
    Rule(C, IN, 0x2080_2400, Compute),
    Rule(C, IN, 0x2080_2500, Compute),
    Rule(C, IN, 0x2080_2600, Utility), // power
    Rule(C, IN, 0x2080_2700, Utility),
    Rule(C, IN, 0x2080_2800, Utility),
    Rule(C, IN, 0x2080_2a00, Compute), // copy engines
    Rule(C, ONE, 0x2080_3001, Basic),  // whether there are links
    Rule(C, ONE, 0x2080_3002, Basic),
    Rule(C, IN, 0x2080_3000, Utility), // links, falcons, errors of memory
    Rule(C, IN, 0x2080_3100, Utility),
    Rule(C, IN, 0x2080_3400, Utility),
    Rule(C, IN, 0x2080_3500, P2p),
    Rule(C, IN, 0x2080_3600, Basic), // firmware, how the engine is divided
    Rule(C, IN, 0x2080_3800, Basic),
    // Recorded, of no header: both libraries ask these, libcuda those, and libnvidia-ml all others.
    Rule(C, ONE, 0x2080_9009, Basic),
    Rule(C, ONE, 0x2080_9038, Basic),
    Rule(C, ONE, 0x2080_9064, Basic),
    Rule(C, ONE, 0x2080_a084, Basic),
    Rule(C, ONE, 0x2081_0108, Basic),
    Rule(C, ONE, 0x2080_8159, Compute),
    Rule(C, ONE, 0x2080_8162, Compute),
    Rule(C, ONE, 0x2080_9001, Compute),
    Rule(C, ONE, 0x2080_a026, Compute),
    Rule(C, 0xffff_8000, 0x2080_8000, Utility),
    Rule(C, OF, 0x2081_0000, Utility),
    // Of others.
    Rule(C, ONE, 0x83de_0309, Compute), // DEBUG_SET_EXCEPTION_MASK
    Rule(C, OF, 0x83de_0000, Debugging),
    Rule(C, ONE, 0xc56f_010e, Basic), // CONF_COMPUTE_CTRL_CMD_GET_SECURITY_POLICY
    Rule(C, OF, 0xcb33_0000, Basic),
    Rule(C, OF, 0x00de_0000, Utility),
    Rule(C, OF, 0x0020_0000, Utility),
    Rule(C, OF, 0x208f_0000, Utility),
    Rule(C, OF, 0x90cd_0000, Utility),
    Rule(C, OF, 0x90e7_0000, Utility),
    Rule(C, OF, 0xcbca_0000, Utility),
    Rule(C, OF, 0x00e0_0000, Ipc),
    Rule(C, OF, 0x00f1_0000, Ipc),
    Rule(C, OF, 0x000f_0000, P2p),
    Rule(C, OF, 0x00f3_0000, P2p),
    Rule(C, OF, 0x00f8_0000, P2p),
    Rule(C, OF, 0x00f9_0000, P2p),
    Rule(C, OF, 0x00fb_0000, P2p),
    Rule(C, OF, 0x00fd_0000, P2p),
    Rule(C, OF, 0x503c_0000, Compute),
    Rule(C, OF_ANY, 0x00cc_0000, Profiling),
    Rule(C, OF_ANY, 0x006f_0000, Compute),
    Rule(C, OF, 0x90f1_0000, Compute),
    Rule(C, OF, 0x90e6_0000, Compute),
    Rule(C, OF, 0xa06c_0000, Compute),
    Rule(C, OF, 0x5080_0000, Compute),
    Rule(C, OF, 0x900e_0000, Compute),
    Rule(C, OF, 0xb069_0000, Compute),
    Rule(C, OF, 0x0004_0000, Compute),
    Rule(C, OF, 0x003e_0000, Compute),
    Rule(C, OF, 0x0041_0000, Compute),
    Rule(C, OF, 0x0090_0000, Compute),
    Rule(C, OF, 0x00da_0000, Compute),
    Rule(C, OF, 0x00fe_0000, Compute),
    Rule(C, OF, 0xc637_0000, Compute),
    Rule(C, OF, 0xc638_0000, Compute),
    Rule(C, OF, 0xa0bc_0000, Video),
    Rule(C, OF, 0xa0bd_0000, Video),
    Rule(C, OF, 0x9072_0000, Display),
    Rule(C, OF, 0x9074_0000, Graphics),
    Rule(C, OF, 0x9096_0000, Graphics),
    Rule(C, OF, 0x0073_0000, Display),
    Rule(C, OF, 0x30f1_0000, Display),
    Rule(C, OF, 0x402c_0000, Display),
    Rule(C, OF, 0x5070_0000, Display),
    Rule(C, OF, 0x90ec_0000, Display),
    Rule(C, 0xf0f0_0000, 0xc070_0000, Display),
    Rule(C, OF, 0xa080_0000, Vgpu),
    Rule(C, OF, 0xa081_0000, Vgpu),
    Rule(C, OF, 0xa084_0000, Vgpu),
];

#[cfg(test)]
mod tests {
    use nvidia_abi::Abi;

    use super::*;

    #[test]
    fn names_lead_to_sets_and_back() {
        for (set, name) in SETS {
            assert_eq!((Set::named(name), set.name()), (Some(set), name));
        }
        assert_eq!(Set::named("luck"), None);
    }

    #[test]
    fn rows_are_in_the_sets_that_their_names_say() {
        let abi = Abi::of("580.159.04").expect("known");
        for (name, set) in [
            ("NV_ESC_RM_CONTROL", Basic),
            ("NV_ESC_RM_SHARE", Ipc),
            ("UVM_INITIALIZE", Basic),
            ("UVM_MIGRATE", Managed),
            ("UVM_SET_ACCESSED_BY", Managed),
            ("UVM_ENABLE_PEER_ACCESS", P2p),
            ("UVM_TOOLS_FLUSH_EVENTS", Profiling),
            ("UVM_REGISTER_GPU", Compute),
            ("NV01_DEVICE_0", Basic),
            ("NV01_MEMORY_LOCAL_USER", Compute),
            ("HOPPER_CHANNEL_GPFIFO_A", Compute),
            ("HOPPER_COMPUTE_A", Compute),
            ("HOPPER_A", Graphics),
            ("MAXWELL_PROFILER_DEVICE", Profiling),
            ("NVC9B7_VIDEO_ENCODER", Video),
            ("NV50_P2P", P2p),
            ("NVC770_DISPLAY", Display),
            ("NV0000_CTRL_CMD_OS_UNIX_EXPORT_OBJECT_TO_FD", Ipc),
            ("NV2080_CTRL_CMD_GPU_GET_PIDS", Utility),
            ("NV2080_CTRL_CMD_FB_GET_INFO_V2", Basic),
            ("NV83DE_CTRL_CMD_READ_SURFACE", Debugging),
        ] {
            let row = abi.named(name).unwrap_or_else(|| panic!("{name} is not known"));
            assert_eq!(Set::of(row), set, "{name}");
        }
    }

    #[test]
    fn of_what_every_user_may_ask_little_is_in_no_set() {
        let abi = Abi::of("580.159.04").expect("known");
        let of_users = |row: &&Row| row.access == Some(nvidia_abi::Access::User);
        let (mut all, mut other) = (0, Vec::new());
        for row in abi.rows().filter(of_users) {
            all += 1;
            if Set::of(row) == Other {
                other.push(row.name.unwrap_or("?"));
            }
        }
        assert!(other.len() * 10 < all, "{} of {all}: {other:?}", other.len());
    }
}
