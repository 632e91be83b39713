//! The announced card, as plain data: what `cuDeviceGetAttribute`, `cudaGetDeviceProperties` and NVML are answered from.

use bytemuck::{Pod, Zeroable};

/// Room for every `CUdevice_attribute` up to CUDA 13.x; the index is the attribute's number.
pub const ATTRIBUTES: usize = 192;

/// Room for the clocks that a card's memory can have.
pub const MEMORY_CLOCKS: usize = 5;

/// Graphics clocks go in such steps, MHz.
const CLOCK_STEP: usize = 15;

/// Bits of [`Description::features`].
pub mod feature {
    /// Memory with ECC, switched on.
    pub const ECC: u32 = 1 << 0;
    /// Can be parted into instances (it is not).
    pub const MIG: u32 = 1 << 1;
    /// The driver's firmware runs on the card.
    pub const GSP: u32 = 1 << 2;
    /// A sensor at the memory.
    pub const MEMORY_TEMPERATURE: u32 = 1 << 3;
    /// Faulty memory is replaced row by row.
    pub const ROW_REMAPPER: u32 = 1 << 4;
    /// Processes' use can be kept for after their end.
    pub const ACCOUNTING: u32 = 1 << 5;
    /// Thresholds are told as what is left to them.
    pub const MARGINS: u32 = 1 << 6;
    /// Engines for JPEG and optical flow.
    pub const JPEG: u32 = 1 << 7;
    /// A display can be attached.
    pub const DISPLAY: u32 = 1 << 8;
}

/// Bits of [`Usage::modes`]; none is set on a card as it comes.
pub mod mode {
    /// The driver lets go of the card when nobody uses it.
    pub const NOT_PERSISTENT: u32 = 1 << 0;
    /// Accounts are kept of processes.
    pub const ACCOUNTING: u32 = 1 << 1;
    /// Nobody new gets in.
    pub const DRAINING: u32 = 1 << 2;
}

/// Registers of PCI Express of what a function's link can do and does: `[generation, width]`, as [`Description::pcie`] has them.
pub mod link {
    fn speed_and_width([generation, width]: [u32; 2]) -> u32 {
        width << 4 & 0x3f0 | generation & 0xf
    }

    /// Link Capabilities.
    pub fn capabilities(link: [u32; 2]) -> u32 {
        0x0045_7800 | speed_and_width(link)
    }

    /// Link Control, and Link Status in the upper half.
    pub fn control_and_status(link: [u32; 2]) -> u32 {
        (0x1000 | speed_and_width(link)) << 16
    }
}

/// Constant facts of one device. One profile feeds it, so the driver, the runtime and NVML can't disagree.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Description {
    /// Marketing name, NUL padded: `NVIDIA GeForce GTX 1080`.
    pub name: [u8; 96],
    /// `GPU-…` as bytes.
    pub uuid: [u8; 16],
    /// PCI domain, bus, device.
    pub pci: [u32; 3],
    /// PCI device id << 16 | vendor id, and the subsystem's, as NVML reports them.
    pub pci_device_id: u32,
    /// See `pci_device_id`.
    pub pci_subsystem_id: u32,
    /// NVML brand, architecture as `nvmlDeviceArchitecture_t`.
    pub brand: u32,
    /// See `brand`.
    pub architecture: u32,
    /// Compute capability.
    pub capability: [u32; 2],
    /// Width of the memory bus in bits.
    pub memory_bus_width: u32,
    /// Memory of the card, bytes (`cuDeviceTotalMem`).
    pub total_memory: u64,
    /// Memory that NVML v2 reports as reserved by the driver, bytes; not part of `total_memory`'s free figure.
    pub reserved_memory: u64,
    /// Memory that a process's first context on the card costs besides its allocations, bytes.
    pub context_memory: u64,
    /// Maximum clocks in MHz: graphics, SM, memory, video.
    pub clocks_max: [u32; 4],
    /// Idle clocks in MHz: graphics, SM, memory, video.
    pub clocks_idle: [u32; 4],
    /// Clocks that the memory can have, MHz, greatest first; zeroes behind them.
    pub memory_clocks: [u32; MEMORY_CLOCKS],
    /// Graphics clock that applications get by default, MHz; 0: theirs cannot be chosen.
    pub application_clock: u32,
    /// Power in mW: idle, default limit, minimum limit, maximum limit.
    pub power: [u32; 4],
    /// Temperature in °C: idle, slowdown, shutdown, maximum operating.
    pub temperature: [u32; 4],
    /// Greatest temperature at which the memory operates, °C; 0: unknown.
    pub memory_temperature: u32,
    /// Temperature that the fans and clocks aim at, °C; 0: none.
    pub target_temperature: u32,
    /// PCIe: maximum generation, maximum width.
    pub pcie: [u32; 2],
    /// Number of fans.
    pub fans: u32,
    /// What of NVML applies to the card: [`feature`] bits.
    pub features: u32,
    /// Serial number, VBIOS version, board part number, NUL padded.
    pub serial: [u8; 32],
    /// See `serial`.
    pub vbios: [u8; 32],
    /// See `serial`.
    pub part_number: [u8; 32],
    /// Versions of the InfoROM's image, OEM object and ECC object, NUL padded; empty where the card has none.
    pub inforom: [[u8; 16]; 3],
    /// Bytes of the second PCI aperture through which the host sees the card's memory.
    pub bar1: u64,
    /// Value by `CUdevice_attribute` number.
    pub attributes: [i32; ATTRIBUTES],
}

impl Description {
    /// Clocks that the memory can have, MHz, greatest first.
    pub fn memory_clocks(&self) -> &[u32] {
        let count = self.memory_clocks.iter().position(|clock| *clock == 0);
        &self.memory_clocks[..count.unwrap_or(MEMORY_CLOCKS)]
    }

    /// Clocks that the graphics engine can have, MHz, greatest first.
    pub fn graphics_clocks(&self) -> impl Iterator<Item = u32> {
        let [least, most] = [self.clocks_idle[0], self.clocks_max[0]];
        let steps = most.saturating_sub(least) as usize / CLOCK_STEP;
        (0..=steps).map(move |step| most - (step * CLOCK_STEP) as u32)
    }
}

/// Moving figures of one device, all from one ledger.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Usage {
    /// Bytes of the card.
    pub total: u64,
    /// Bytes granted to processes, contexts' own included.
    pub used: u64,
    /// Bytes that can still be granted.
    pub free: u64,
    /// Bytes that the calling process holds.
    pub own: u64,
    /// Per cent of the last sample period in which a kernel ran.
    pub utilisation: u32,
    /// Per cent of the last sample period in which memory was copied.
    pub memory_utilisation: u32,
    /// Processes with a context.
    pub processes: u32,
    /// °C that the sensor shows; 0: what the load makes of it.
    pub temperature: u32,
    /// Who may have contexts: one of [`compute`](crate::settings::compute).
    pub compute_mode: u32,
    /// Power limit in force, mW.
    pub power_limit: u32,
    /// Graphics clocks that it is held between, MHz; zeroes: it is not.
    pub graphics_lock: [u32; 2],
    /// The same of the memory's.
    pub memory_lock: [u32; 2],
    /// Memory and graphics clocks that somebody chose for applications, MHz; zeroes: nobody.
    pub application_clocks: [u32; 2],
    /// What is switched on or off: bits of [`mode`].
    pub modes: u32,
    /// Zero.
    pub reserved: u32,
}

/// `8-4-4-4-12` hexadecimal digits.
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let digits: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// As NVIDIA's programs write a device's: `GPU-8-4-4-4-12`.
pub fn gpu_uuid_text(uuid: &[u8; 16]) -> String {
    format!("GPU-{}", uuid_text(uuid))
}

/// A text as a [`Description`] holds it: cut so that a NUL is left behind it.
pub fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let length = text.len().min(N - 1);
    bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
    bytes
}

/// The text before the first NUL.
pub fn unpadded(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
