//! NVML as any C program calls it: the payload's library, linked in, so that program and library cannot disagree.

use std::ffi::{CStr, c_char};

use wire::device::unpadded;

/// An `nvmlReturn_t` that is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(pub u32);

/// What a getter answers.
pub type Answer<T> = Result<T, Error>;

impl Error {
    /// `NVML_ERROR_INVALID_ARGUMENT`
    pub const INVALID_ARGUMENT: Error = Error(2);
    /// `NVML_ERROR_NO_PERMISSION`
    pub const NO_PERMISSION: Error = Error(4);
    /// `NVML_ERROR_NOT_SUPPORTED`
    pub const NOT_SUPPORTED: Error = Error(3);
    /// `NVML_ERROR_INSUFFICIENT_SIZE`
    const INSUFFICIENT_SIZE: Error = Error(7);
    /// `NVML_ERROR_GPU_IS_LOST`
    pub const GPU_IS_LOST: Error = Error(15);
    /// `NVML_ERROR_IN_USE`
    pub const IN_USE: Error = Error(19);
    /// `NVML_ERROR_DEPRECATED`
    pub const DEPRECATED: Error = Error(26);

    /// What is printed in a value's place.
    pub fn text(self) -> String {
        if self == Self::NOT_SUPPORTED { "N/A".to_owned() } else { self.name() }
    }

    /// NVML's text of it.
    pub fn name(self) -> String {
        // SAFETY: the function answers with a text that lives as long as the program, whatever it is asked.
        unsafe { CStr::from_ptr(nvmlErrorString(self.0)) }.to_string_lossy().into_owned()
    }
}

type Handle = usize;

/// `nvmlPciInfoExt_v1_t`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Pci {
    version: u32,
    pub domain: u32,
    pub bus: u32,
    pub device: u32,
    pub device_id: u32,
    pub subsystem_id: u32,
    pub base_class: u32,
    pub sub_class: u32,
    id: [u8; 32],
}

impl Pci {
    /// Domain, bus, device and function as text.
    pub fn id(&self) -> String {
        unpadded(&self.id)
    }
}

/// `nvmlMemory_v2_t`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Memory {
    version: u32,
    pub total: u64,
    pub reserved: u64,
    pub free: u64,
    pub used: u64,
}

/// `nvmlProcessInfo_t`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Process {
    pub pid: u32,
    pub used: u64,
    instances: [u32; 2],
}

/// `nvmlFieldValue_t`
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Field {
    number: u32,
    scope: u32,
    times: [i64; 2],
    kind: u32,
    result: u32,
    value: u64,
}

/// `nvmlAccountingStats_t`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Account {
    pub utilization: u32,
    pub memory_utilization: u32,
    pub most_memory: u64,
    /// ms.
    pub time: u64,
    start: u64,
    is_running: u32,
    reserved: [u32; 5],
}

/// One card.
#[derive(Clone, Copy)]
pub struct Card {
    /// From 0.
    pub index: u32,
    handle: Handle,
}

/// Longest text that NVML gives.
const ROOM: usize = 128;

fn checked<T>(code: u32, value: T) -> Answer<T> {
    if code == 0 { Ok(value) } else { Err(Error(code)) }
}

fn text(call: impl FnOnce(*mut c_char, u32) -> u32) -> Answer<String> {
    let mut bytes = [0u8; ROOM];
    let code = call(bytes.as_mut_ptr().cast(), ROOM as u32);
    checked(code, unpadded(&bytes))
}

/// Declares getters of a card and gives each a method. What they take behind the handle: `number`: a place for one; `pair`: two
/// places; `kind`: which one, and a place; `text`: a buffer and its size; `words`, `longs`: so many of them, the first of which
/// holds the version where one is given.
macro_rules! getters {
    ($($shape:ident $([$length:literal $(, $version:literal)?])? $method:ident = $name:ident;)*) => {
        $(getters!(@declare $shape $([$length])? $name);)*
        impl Card {
            $(getters!(@method $shape $([$length $(, $version)?])? $method $name);)*
        }
    };
    (@declare number $name:ident) => { unsafe extern "C" { fn $name(card: Handle, place: *mut u32) -> u32; } };
    (@declare long $name:ident) => { unsafe extern "C" { fn $name(card: Handle, place: *mut u64) -> u32; } };
    (@declare pair $name:ident) => { unsafe extern "C" { fn $name(card: Handle, one: *mut u32, other: *mut u32) -> u32; } };
    (@declare kind $name:ident) => { unsafe extern "C" { fn $name(card: Handle, kind: u32, place: *mut u32) -> u32; } };
    (@declare text $name:ident) => { unsafe extern "C" { fn $name(card: Handle, place: *mut c_char, room: u32) -> u32; } };
    (@declare words [$length:literal] $name:ident) => { unsafe extern "C" { fn $name(card: Handle, place: *mut [u32; $length]) -> u32; } };
    (@declare longs [$length:literal] $name:ident) => { unsafe extern "C" { fn $name(card: Handle, place: *mut [u64; $length]) -> u32; } };
    (@method number $method:ident $name:ident) => {
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $method(&self) -> Answer<u32> {
            let mut value = 0;
            // SAFETY: a handle of the library's, and a place on this stack.
            checked(unsafe { $name(self.handle, &mut value) }, value)
        }
    };
    (@method long $method:ident $name:ident) => {
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $method(&self) -> Answer<u64> {
            let mut value = 0;
            // SAFETY: a handle of the library's, and a place on this stack.
            checked(unsafe { $name(self.handle, &mut value) }, value)
        }
    };
    (@method pair $method:ident $name:ident) => {
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $method(&self) -> Answer<[u32; 2]> {
            let [mut one, mut other] = [0; 2];
            // SAFETY: a handle of the library's, and places on this stack.
            checked(unsafe { $name(self.handle, &mut one, &mut other) }, [one, other])
        }
    };
    (@method kind $method:ident $name:ident) => {
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $method(&self, kind: u32) -> Answer<u32> {
            let mut value = 0;
            // SAFETY: a handle of the library's, and a place on this stack.
            checked(unsafe { $name(self.handle, kind, &mut value) }, value)
        }
    };
    (@method text $method:ident $name:ident) => {
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $method(&self) -> Answer<String> {
            // SAFETY: a handle of the library's; the place has the room that it is said to have.
            text(|place, room| unsafe { $name(self.handle, place, room) })
        }
    };
    (@method words [$length:literal $(, $version:literal)?] $method:ident $name:ident) => {
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $method(&self) -> Answer<[u32; $length]> {
            let mut words = [0; $length];
            $(words[0] = $version;)?
            // SAFETY: a handle of the library's, and a place on this stack of the structure's size.
            checked(unsafe { $name(self.handle, &mut words) }, words)
        }
    };
    (@method longs [$length:literal $(, $version:literal)?] $method:ident $name:ident) => {
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $method(&self) -> Answer<[u64; $length]> {
            let mut words = [0; $length];
            $(words[0] = $version;)?
            // SAFETY: a handle of the library's, and a place on this stack of the structure's size.
            checked(unsafe { $name(self.handle, &mut words) }, words)
        }
    };
}

getters! {
    number minor_number = nvmlDeviceGetMinorNumber;
    number brand = nvmlDeviceGetBrand;
    number architecture = nvmlDeviceGetArchitecture;
    number board_id = nvmlDeviceGetBoardId;
    number multi_gpu_board = nvmlDeviceGetMultiGpuBoard;
    number module_id = nvmlDeviceGetModuleId;
    number display_mode = nvmlDeviceGetDisplayMode;
    number display_active = nvmlDeviceGetDisplayActive;
    number persistence_mode = nvmlDeviceGetPersistenceMode;
    number accounting_mode = nvmlDeviceGetAccountingMode;
    number accounting_buffer = nvmlDeviceGetAccountingBufferSize;
    number compute_mode = nvmlDeviceGetComputeMode;
    number c2c_mode = nvmlDeviceGetC2cModeInfoV;
    number virtualization = nvmlDeviceGetVirtualizationMode;
    number fan_speed = nvmlDeviceGetFanSpeed;
    number performance_state = nvmlDeviceGetPerformanceState;
    number power_mode = nvmlDeviceGetPowerManagementMode;
    number power = nvmlDeviceGetPowerUsage;
    number power_limit = nvmlDeviceGetPowerManagementLimit;
    number power_enforced = nvmlDeviceGetEnforcedPowerLimit;
    number power_default = nvmlDeviceGetPowerManagementDefaultLimit;
    number link_generation = nvmlDeviceGetCurrPcieLinkGeneration;
    number link_generation_most = nvmlDeviceGetMaxPcieLinkGeneration;
    number gpu_link_generation_most = nvmlDeviceGetGpuMaxPcieLinkGeneration;
    number link_width = nvmlDeviceGetCurrPcieLinkWidth;
    number link_width_most = nvmlDeviceGetMaxPcieLinkWidth;
    number replays = nvmlDeviceGetPcieReplayCounter;
    number inforom_checksum = nvmlDeviceGetInforomConfigurationChecksum;
    number retirement_pending = nvmlDeviceGetRetiredPagesPendingStatus;
    number unrepairable = nvmlDeviceGetUnrepairableMemoryFlag_v1;
    long event_reasons = nvmlDeviceGetCurrentClocksEventReasons;
    long supported_event_reasons = nvmlDeviceGetSupportedClocksEventReasons;
    pair mig_mode = nvmlDeviceGetMigMode;
    pair ecc_mode = nvmlDeviceGetEccMode;
    pair gsp_mode = nvmlDeviceGetGspFirmwareMode;
    pair encoder = nvmlDeviceGetEncoderUtilization;
    pair decoder = nvmlDeviceGetDecoderUtilization;
    pair jpeg = nvmlDeviceGetJpgUtilization;
    pair optical_flow = nvmlDeviceGetOfaUtilization;
    pair power_constraints = nvmlDeviceGetPowerManagementLimitConstraints;
    pair capability = nvmlDeviceGetCudaComputeCapability;
    kind temperature = nvmlDeviceGetTemperature;
    kind threshold = nvmlDeviceGetTemperatureThreshold;
    kind clock = nvmlDeviceGetClockInfo;
    kind clock_most = nvmlDeviceGetMaxClockInfo;
    kind clock_of_applications = nvmlDeviceGetApplicationsClock;
    kind clock_by_default = nvmlDeviceGetDefaultApplicationsClock;
    kind clock_boost = nvmlDeviceGetMaxCustomerBoostClock;
    kind throughput = nvmlDeviceGetPcieThroughput;
    text name = nvmlDeviceGetName;
    text uuid = nvmlDeviceGetUUID;
    text serial = nvmlDeviceGetSerial;
    text vbios = nvmlDeviceGetVbiosVersion;
    text part_number = nvmlDeviceGetBoardPartNumber;
    text inforom_image = nvmlDeviceGetInforomImageVersion;
    words[2] utilization = nvmlDeviceGetUtilizationRates;
    words[3] fbc_stats = nvmlDeviceGetFBCStats;
    words[6] remapped_rows = nvmlDeviceGetRemappedRows_v2;
    words[5] remapper_histogram = nvmlDeviceGetRowRemapperHistogram;
    words[2, 0x0100_0008] margin = nvmlDeviceGetMarginTemperature;
    words[2, 0x0100_0008] addressing_mode = nvmlDeviceGetAddressingMode;
    words[3, 0x0100_000c] repair_status = nvmlDeviceGetRepairStatus;
    longs[3] bar1 = nvmlDeviceGetBAR1MemoryInfo;
    longs[3] protected_memory = nvmlDeviceGetConfComputeProtectedMemoryUsage;
    longs[2, 0x0100_0010] pdi = nvmlDeviceGetPdi;
    longs[13, 0x0100_0068] sram_errors = nvmlDeviceGetSramEccErrorStatus;
}

unsafe extern "C" {
    fn nvmlErrorString(code: u32) -> *const c_char;
    fn nvmlInit_v2() -> u32;
    fn nvmlSystemGetDriverVersion(text: *mut c_char, room: u32) -> u32;
    fn nvmlSystemGetNVMLVersion(text: *mut c_char, room: u32) -> u32;
    fn nvmlSystemGetCudaDriverVersion_v2(version: *mut u32) -> u32;
    fn nvmlSystemGetProcessName(pid: u32, text: *mut c_char, room: u32) -> u32;
    fn nvmlDeviceGetCount_v2(count: *mut u32) -> u32;
    fn nvmlDeviceGetHandleByIndex_v2(index: u32, handle: *mut Handle) -> u32;
    fn nvmlDeviceGetPciInfoExt(card: Handle, target: *mut Pci) -> u32;
    fn nvmlDeviceGetMemoryInfo_v2(card: Handle, target: *mut Memory) -> u32;
    fn nvmlDeviceGetComputeRunningProcesses_v3(card: Handle, count: *mut u32, list: *mut Process) -> u32;
    fn nvmlDeviceGetFieldValues(card: Handle, count: i32, values: *mut Field) -> u32;
    fn nvmlDeviceGetMemoryErrorCounter(
        card: Handle,
        kind: u32,
        counter: u32,
        location: u32,
        place: *mut u64,
    ) -> u32;
    fn nvmlDeviceGetRetiredPages(card: Handle, cause: u32, count: *mut u32, addresses: *mut u64) -> u32;
    fn nvmlDeviceGetTotalEccErrors(card: Handle, kind: u32, counter: u32, place: *mut u64) -> u32;
    fn nvmlDeviceGetInforomVersion(card: Handle, object: u32, place: *mut c_char, room: u32) -> u32;
    fn nvmlDeviceGetGspFirmwareVersion(card: Handle, place: *mut c_char) -> u32;
    fn nvmlDeviceGetEncoderStats(
        card: Handle,
        sessions: *mut u32,
        frames: *mut u32,
        latency: *mut u32,
    ) -> u32;
}

/// The cards of a machine.
#[derive(Default)]
pub struct Cards {
    /// That can be asked.
    pub present: Vec<Card>,
    /// Indices of those that are lost.
    pub lost: Vec<u32>,
}

impl Cards {
    /// How many there are, lost ones with them.
    pub fn count(&self) -> usize {
        self.present.len() + self.lost.len()
    }
}

/// Opens the library; all cards.
pub fn cards() -> Answer<Cards> {
    let mut count = 0;
    // SAFETY: no argument, and a place on this stack.
    checked(unsafe { nvmlInit_v2() }, ())?;
    // SAFETY: the same.
    checked(unsafe { nvmlDeviceGetCount_v2(&mut count) }, ())?;
    let mut cards = Cards::default();
    for index in 0..count {
        let mut handle = 0;
        // SAFETY: a place on this stack.
        match checked(unsafe { nvmlDeviceGetHandleByIndex_v2(index, &mut handle) }, ()) {
            Ok(()) => cards.present.push(Card { index, handle }),
            Err(Error::GPU_IS_LOST) => cards.lost.push(index),
            Err(error) => return Err(error),
        }
    }
    Ok(cards)
}

/// The driver's version.
pub fn driver_version() -> Answer<String> {
    // SAFETY: the place has the room that it is said to have.
    text(|place, room| unsafe { nvmlSystemGetDriverVersion(place, room) })
}

/// The library's.
pub fn library_version() -> Answer<String> {
    // SAFETY: as above.
    text(|place, room| unsafe { nvmlSystemGetNVMLVersion(place, room) })
}

/// CUDA's, as people write it.
pub fn cuda_version() -> Answer<String> {
    let mut version = 0;
    // SAFETY: a place on this stack.
    let code = unsafe { nvmlSystemGetCudaDriverVersion_v2(&mut version) };
    checked(code, format!("{}.{}", version / 1000, version % 1000 / 10))
}

/// What a process was started as.
pub fn process_name(pid: u32) -> Answer<String> {
    // SAFETY: the place has the room that it is said to have.
    text(|place, room| unsafe { nvmlSystemGetProcessName(pid, place, room) })
}

impl Card {
    /// Where on the bus it is.
    pub fn pci(&self) -> Answer<Pci> {
        let mut pci = Pci { version: 0x0100_0040, ..Pci::default() };
        // SAFETY: a handle of the library's, and a structure of the version that it names.
        checked(unsafe { nvmlDeviceGetPciInfoExt(self.handle, &mut pci) }, pci)
    }

    /// Its memory, bytes.
    pub fn memory(&self) -> Answer<Memory> {
        let mut memory = Memory { version: 0x0200_0028, ..Memory::default() };
        // SAFETY: as above.
        checked(unsafe { nvmlDeviceGetMemoryInfo_v2(self.handle, &mut memory) }, memory)
    }

    /// Who has a context on it.
    pub fn processes(&self) -> Answer<Vec<Process>> {
        let mut list = Vec::new();
        loop {
            let mut count = list.len() as u32;
            // SAFETY: the list is as long as it is said to be.
            let code = unsafe {
                nvmlDeviceGetComputeRunningProcesses_v3(self.handle, &mut count, list.as_mut_ptr())
            };
            // More may come between two calls.
            list.resize(count as usize, Process::default());
            if Error(code) != Error::INSUFFICIENT_SIZE {
                return checked(code, list);
            }
        }
    }

    /// A value by its `NVML_FI_DEV_…` number.
    pub fn field(&self, number: u32) -> Answer<u64> {
        let mut field = Field { number, ..Field::default() };
        // SAFETY: one structure on this stack.
        checked(unsafe { nvmlDeviceGetFieldValues(self.handle, 1, &mut field) }, ())?;
        checked(field.result, field.value)
    }

    /// Errors at a place (`nvmlMemoryLocation_t`): `corrected`, since the driver was loaded or ever.
    pub fn errors_at(&self, corrected: bool, ever: bool, location: u32) -> Answer<u64> {
        let mut value = 0;
        // SAFETY: a handle of the library's, and a place on this stack.
        let code = unsafe {
            nvmlDeviceGetMemoryErrorCounter(
                self.handle,
                u32::from(!corrected),
                ever.into(),
                location,
                &mut value,
            )
        };
        checked(code, value)
    }

    /// The same, everywhere.
    pub fn errors(&self, corrected: bool, ever: bool) -> Answer<u64> {
        let mut value = 0;
        // SAFETY: as above.
        let code = unsafe {
            nvmlDeviceGetTotalEccErrors(self.handle, u32::from(!corrected), ever.into(), &mut value)
        };
        checked(code, value)
    }

    /// Pages taken out of use, by cause (`nvmlPageRetirementCause_t`).
    pub fn retired_pages(&self, cause: u32) -> Answer<usize> {
        let nowhere = std::ptr::null_mut();
        let mut count = 0;
        // SAFETY: a place on this stack, and no list.
        let code = unsafe { nvmlDeviceGetRetiredPages(self.handle, cause, &mut count, nowhere) };
        match Error(code) {
            // Nobody asked for more than how many there are.
            Error::INSUFFICIENT_SIZE => Ok(count as usize),
            _ => checked(code, count as usize),
        }
    }

    /// Version of an object of the InfoROM (`nvmlInforomObject_t`).
    pub fn inforom(&self, object: u32) -> Answer<String> {
        // SAFETY: the place has the room that it is said to have.
        text(|place, room| unsafe { nvmlDeviceGetInforomVersion(self.handle, object, place, room) })
    }

    /// Version of the firmware.
    pub fn gsp_version(&self) -> Answer<String> {
        // SAFETY: the place has more room than the 64 bytes that NVML asks for.
        text(|place, _| unsafe { nvmlDeviceGetGspFirmwareVersion(self.handle, place) })
    }

    /// Of the video encoder: sessions, frames a second, latency.
    pub fn encoder_stats(&self) -> Answer<[u32; 3]> {
        let [mut sessions, mut frames, mut latency] = [0; 3];
        // SAFETY: places on this stack.
        let code =
            unsafe { nvmlDeviceGetEncoderStats(self.handle, &mut sessions, &mut frames, &mut latency) };
        checked(code, [sessions, frames, latency])
    }
}

unsafe extern "C" {
    fn nvmlDeviceGetSupportedMemoryClocks(card: Handle, count: *mut u32, list: *mut u32) -> u32;
    fn nvmlDeviceGetSupportedGraphicsClocks(
        card: Handle,
        memory: u32,
        count: *mut u32,
        list: *mut u32,
    ) -> u32;
}

impl Card {
    /// Clocks of its memory, MHz.
    pub fn memory_clocks(&self) -> Answer<Vec<u32>> {
        // SAFETY: the list has the length that it is said to have.
        list(|count, list| unsafe { nvmlDeviceGetSupportedMemoryClocks(self.handle, count, list) })
    }

    /// Graphics clocks beside one of them.
    pub fn graphics_clocks(&self, memory: u32) -> Answer<Vec<u32>> {
        // SAFETY: as above.
        list(|count, list| unsafe { nvmlDeviceGetSupportedGraphicsClocks(self.handle, memory, count, list) })
    }
}

/// Declares functions that change a card and gives each a method; behind the handle they take numbers.
macro_rules! setters {
    ($($method:ident ($($argument:ident),*) = $name:ident;)*) => {
        unsafe extern "C" { $(fn $name(card: Handle, $($argument: u32),*) -> u32;)* }
        impl Card {
            $(
                #[doc = concat!("`", stringify!($name), "`")]
                pub fn $method(&self, $($argument: u32),*) -> Answer<()> {
                    // SAFETY: a handle of the library's, and numbers.
                    checked(unsafe { $name(self.handle, $($argument),*) }, ())
                }
            )*
        }
    };
}

setters! {
    set_power_limit (milliwatts) = nvmlDeviceSetPowerManagementLimit;
    lock_graphics_clocks (least, most) = nvmlDeviceSetGpuLockedClocks;
    reset_graphics_clocks () = nvmlDeviceResetGpuLockedClocks;
    lock_memory_clocks (least, most) = nvmlDeviceSetMemoryLockedClocks;
    reset_memory_clocks () = nvmlDeviceResetMemoryLockedClocks;
    set_application_clocks (memory, graphics) = nvmlDeviceSetApplicationsClocks;
    reset_application_clocks () = nvmlDeviceResetApplicationsClocks;
    set_compute_mode (mode) = nvmlDeviceSetComputeMode;
    set_persistence_mode (mode) = nvmlDeviceSetPersistenceMode;
    set_accounting_mode (mode) = nvmlDeviceSetAccountingMode;
    set_ecc_mode (mode) = nvmlDeviceSetEccMode;
    clear_accounts () = nvmlDeviceClearAccountingPids;
    clear_errors (counter) = nvmlDeviceClearEccErrorCounts;
}

/// `nvmlPciInfo_t`, as far as it names a card.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    legacy_id: [u8; 16],
    domain: u32,
    bus: u32,
    device: u32,
    numbers: [u32; 2],
    id: [u8; 32],
}

unsafe extern "C" {
    fn nvmlDeviceModifyDrainState(place: *const Place, state: u32) -> u32;
    fn nvmlDeviceQueryDrainState(place: *const Place, state: *mut u32) -> u32;
    fn nvmlDeviceSetMigMode(card: Handle, mode: u32, activation: *mut u32) -> u32;
    fn nvmlDeviceGetAccountingPids(card: Handle, count: *mut u32, list: *mut u32) -> u32;
    fn nvmlDeviceGetAccountingStats(card: Handle, pid: u32, target: *mut Account) -> u32;
}

impl Place {
    /// Of `01:00.0`, with a domain of 4 or 8 digits before it or without one.
    pub fn parse(text: &str) -> Option<Place> {
        let (address, function) = text.rsplit_once('.')?;
        let mut parts = address.rsplit(':').map(|part| u32::from_str_radix(part, 16).ok());
        let (device, bus, domain) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
        (function == "0" && parts.next().is_none()).then_some(Place {
            domain,
            bus,
            device,
            ..Place::default()
        })
    }

    /// As it is printed.
    pub fn id(&self) -> String {
        format!("{:08X}:{:02X}:{:02X}.0", self.domain, self.bus, self.device)
    }

    /// Whether its card lets nobody new in.
    pub fn is_draining(&self) -> Answer<bool> {
        let mut state = 0;
        // SAFETY: a structure, and a place on this stack.
        checked(unsafe { nvmlDeviceQueryDrainState(self, &mut state) }, ())?;
        Ok(state != 0)
    }

    /// Lets nobody new in, or everybody again.
    pub fn set_draining(&self, on: bool) -> Answer<()> {
        // SAFETY: a structure, and a number.
        checked(unsafe { nvmlDeviceModifyDrainState(self, on.into()) }, ())
    }
}

impl Card {
    /// Resets it, if nobody has a context on it: the library's own call, as NVML has none.
    pub fn reset(&self) -> Answer<()> {
        checked(libnvml::reset_card(self.handle), ())
    }

    /// Processes that accounts were kept of.
    pub fn accounts(&self) -> Answer<Vec<(u32, Account)>> {
        // SAFETY: the list has the length that it is said to have.
        let pids = list(|count, list| unsafe { nvmlDeviceGetAccountingPids(self.handle, count, list) })?;
        let mut accounts = Vec::new();
        for pid in pids {
            let mut account = Account::default();
            // SAFETY: a handle of the library's, and a structure on this stack.
            let code = unsafe { nvmlDeviceGetAccountingStats(self.handle, pid, &mut account) };
            accounts.push((pid, checked(code, account)?));
        }
        Ok(accounts)
    }

    /// Whether it may be parted; answers why the mode is not in force yet, if it is not.
    pub fn set_mig_mode(&self, mode: u32) -> Answer<Option<Error>> {
        let mut activation = 0;
        // SAFETY: a handle of the library's, and a place on this stack.
        let code = unsafe { nvmlDeviceSetMigMode(self.handle, mode, &mut activation) };
        checked(code, (activation != 0).then_some(Error(activation)))
    }
}

fn list(call: impl FnOnce(*mut u32, *mut u32) -> u32) -> Answer<Vec<u32>> {
    /// More clocks than any card has, more accounts than any keeps.
    const MOST: usize = 4096;
    let mut list = vec![0; MOST];
    let mut count = MOST as u32;
    let code = call(&mut count, list.as_mut_ptr());
    list.truncate(count as usize);
    checked(code, list)
}
