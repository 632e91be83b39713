//! Commands to a subdevice: one card.

use std::time::{SystemTime, UNIX_EPOCH};

use nvidia_abi::{class, control, status};
use wire::device::gpu_uuid_text;

use super::{Command, Handler};
use crate::event::Told;

pub(super) const HANDLERS: &[(u32, Handler)] = &[
    (control::NV2080_CTRL_CMD_GPU_GET_NAME_STRING, name),
    (control::NV2080_CTRL_CMD_GPU_GET_GID_INFO, uuid),
    (control::NV2080_CTRL_CMD_GPU_GET_OEM_BOARD_INFO, board),
    (control::NV2080_CTRL_CMD_GPU_GET_INFOROM_OBJECT_VERSION, inforom_object),
    (control::NV2080_CTRL_CMD_EVENT_SET_NOTIFICATION, notification),
    (control::NV2080_CTRL_CMD_GPU_GET_PIDS, processes),
    (control::NV2080_CTRL_CMD_GPU_GET_PID_INFO, process_memory),
    (control::NV2080_CTRL_CMD_TIMER_GET_GPU_CPU_TIME_CORRELATION_INFO, times),
    (control::NV2080_CTRL_CMD_BUS_GET_PCI_INFO, pci),
    (control::NV2080_CTRL_CMD_BUS_GET_PCI_BAR_INFO, bars),
    (control::NV2080_CTRL_CMD_GSP_GET_FEATURES, firmware),
];

fn name(command: &mut Command) -> Result<(), u32> {
    const ASCII: u32 = 0;
    let name = command.card()?.description.name;
    if command.parameters.word("gpuNameStringFlags") == ASCII {
        command.parameters.set_bytes("gpuNameString.ascii", &name);
    } else {
        for at in 0..command.parameters.len("gpuNameString.unicode") {
            command.parameters.set_element("gpuNameString.unicode", at, name.get(at).copied().unwrap_or(0));
        }
    }
    Ok(())
}

/// `GPU-…` as text, or its bytes.
fn uuid(command: &mut Command) -> Result<(), u32> {
    const BINARY: u32 = 2;
    let uuid = command.card()?.description.uuid;
    let is_binary = command.parameters.word("flags") & BINARY != 0;
    let bytes = if is_binary { uuid.to_vec() } else { format!("{}\0", gpu_uuid_text(&uuid)).into_bytes() };
    command.parameters.set("length", bytes.len() as u64);
    command.parameters.set_bytes("data", &bytes);
    Ok(())
}

/// What is one board's alone; a row of facts has what all of them share.
fn board(command: &mut Command) -> Result<(), u32> {
    let card = command.card()?;
    let (serial, part, built) = (card.description.serial, card.description.part_number, card.unit.built);
    command.parameters.set("buildDate", built);
    command.parameters.set_bytes("serialNumber", &serial);
    command.parameters.set_bytes("productPartNumber", &part);
    Ok(())
}

fn inforom_object(command: &mut Command) -> Result<(), u32> {
    let name: String = (0..3).map(|at| command.parameters.element("objectType", at) as u8 as char).collect();
    let (version, subversion) =
        command.card()?.facts.inforom(&name).ok_or(status::NV_ERR_OBJECT_NOT_FOUND)?;
    command.parameters.set("version", version);
    command.parameters.set("subversion", subversion);
    Ok(())
}

/// Whether the subdevice tells its event objects of what has this index.
fn notification(command: &mut Command) -> Result<(), u32> {
    /// NV2080_CTRL_EVENT_SET_NOTIFICATION_ACTION_…
    const DISABLE: u32 = 0;
    const SINGLE: u32 = 1;
    const REPEAT: u32 = 2;
    /// NV2080_NOTIFIERS_MAXCOUNT
    const COUNT: u32 = 198;
    let (index, action) = (command.parameters.word("event"), command.parameters.word("action"));
    if index >= COUNT {
        return Err(status::NV_ERR_INVALID_ARGUMENT);
    }
    let tells = &mut command.client.object_mut(command.handle)?.tells;
    match action {
        DISABLE => tells.remove(&index),
        SINGLE => tells.insert(index, Told::Next),
        REPEAT => tells.insert(index, Told::Always),
        _ => return Err(status::NV_ERR_INVALID_ARGUMENT),
    };
    Ok(())
}

/// Processes that have an object of a class: contexts of our own libraries compute.
fn processes(command: &mut Command) -> Result<(), u32> {
    /// NV2080_CTRL_GPU_GET_PIDS_ID_TYPE_…
    const OF_CLASS: u32 = 0;
    let computes = command.parameters.word("idType") == OF_CLASS
        && command.parameters.word("id") == class::HOPPER_COMPUTE_A;
    let mut processes = command.card()?.load.processes.clone();
    processes.truncate(if computes { command.parameters.len("pidTbl") } else { 0 });
    command.parameters.set("pidTblCount", processes.len() as u64);
    for (at, (process, _)) in processes.into_iter().enumerate() {
        command.parameters.set_element("pidTbl", at, process);
    }
    Ok(())
}

/// What each process of a list holds.
fn process_memory(command: &mut Command) -> Result<(), u32> {
    /// NV2080_CTRL_GPU_PID_INFO_INDEX_VIDEO_MEMORY_USAGE
    const VIDEO_MEMORY: u32 = 0;
    /// Of an instance of a card that is parted.
    const NO_INSTANCE: u32 = u32::MAX;
    let processes = command.card()?.load.processes.clone();
    let parameters = &mut command.parameters;
    let count = parameters.word("pidInfoListCount") as usize;
    if count == 0 || count > parameters.len("pidInfoList.pid") {
        return Err(status::NV_ERR_INVALID_ARGUMENT);
    }
    for at in 0..count {
        for instance in ["computeInstanceId", "gpuInstanceId"] {
            parameters.set_element(&format!("pidInfoList.smcSubscription.{instance}"), at, NO_INSTANCE);
        }
        if parameters.element("pidInfoList.index", at) != VIDEO_MEMORY {
            parameters.set_element("pidInfoList.result", at, status::NV_ERR_INVALID_ARGUMENT);
            continue;
        }
        let asked = parameters.element("pidInfoList.pid", at);
        let held = processes.iter().find(|(process, _)| *process == asked).map_or(0, |(_, bytes)| *bytes);
        for kind in ["memPrivate", "memSharedDuped"] {
            parameters.set_element(&format!("pidInfoList.data.vidMemUsage.{kind}"), at, 0_u64);
        }
        parameters.set_element("pidInfoList.data.vidMemUsage.memSharedOwned", at, held);
        parameters.set_element("pidInfoList.result", at, status::NV_OK);
    }
    Ok(())
}

/// Pairs of the processor's and the card's time. The card's clock counts from the epoch, in steps of 32 ns.
fn times(command: &mut Command) -> Result<(), u32> {
    /// NV2080_TIMER_GPU_CPU_TIME_CPU_CLK_ID_OSTIME
    const SYSTEM_TIME: u32 = 1;
    if command.parameters.word("cpuClkId") != SYSTEM_TIME {
        return Err(status::NV_ERR_NOT_SUPPORTED);
    }
    let count = command.parameters.word("sampleCount") as usize;
    if count > command.parameters.len("samples.cpuTime") {
        return Err(status::NV_ERR_INVALID_ARGUMENT);
    }
    for at in 0..count {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        command.parameters.set_element("samples.cpuTime", at, now.as_micros() as u64);
        command.parameters.set_element("samples.gpuTime", at, now.as_nanos() as u64 & !31);
    }
    Ok(())
}

fn pci(command: &mut Command) -> Result<(), u32> {
    let card = command.card()?;
    let (device, subsystem) = (card.description.pci_device_id, card.description.pci_subsystem_id);
    command.parameters.set("pciDeviceId", device);
    command.parameters.set("pciSubSystemId", subsystem);
    command.parameters.set("pciExtDeviceId", device >> 16);
    Ok(())
}

/// Registers, memory, and the driver's own, each with its place.
fn bars(command: &mut Command) -> Result<(), u32> {
    /// One more than there are is told of, all zeros.
    const TOLD: u64 = 4;
    let bars = command.card()?.unit.bars;
    command.parameters.set("pciBarCount", TOLD);
    for (at, [address, length]) in bars.into_iter().enumerate() {
        command.parameters.set_element("pciBarInfo.barSize", at, length >> 20);
        command.parameters.set_element("pciBarInfo.barSizeBytes", at, length);
        command.parameters.set_element("pciBarInfo.barOffset", at, address);
    }
    Ok(())
}

/// The card's own processor runs most of RM.
fn firmware(command: &mut Command) -> Result<(), u32> {
    let version = command.abi.version();
    command.parameters.set("gspFeatures", 1_u64);
    command.parameters.set("bValid", 1_u64);
    command.parameters.set("bDefaultGspRmGpu", 1_u64);
    command.parameters.set_bytes("firmwareVersion", version.as_bytes());
    Ok(())
}
