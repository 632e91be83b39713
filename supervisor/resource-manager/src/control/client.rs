//! Commands to a client: the system and its cards.

use std::time::{SystemTime, UNIX_EPOCH};

use nvidia_abi::{control, status};

use super::{Command, Handler};
use crate::object::Space;

pub(super) const HANDLERS: &[(u32, Handler)] = &[
    (control::NV0000_CTRL_CMD_SYSTEM_GET_BUILD_VERSION, build_version),
    (control::NV0000_CTRL_CMD_SYSTEM_GET_BUILD_VERSION_V2, build_version_2),
    (control::NV0000_CTRL_CMD_GPU_GET_PROBED_IDS, probed_ids),
    (control::NV0000_CTRL_CMD_GPU_GET_ATTACHED_IDS, attached_ids),
    (control::NV0000_CTRL_CMD_GPU_ATTACH_IDS, attach_ids),
    (control::NV0000_CTRL_CMD_GPU_ASYNC_ATTACH_ID, attach_id),
    (control::NV0000_CTRL_CMD_GPU_DETACH_IDS, detach_ids),
    (control::NV0000_CTRL_CMD_GPU_GET_ID_INFO, id_info),
    (control::NV0000_CTRL_CMD_GPU_GET_ID_INFO_V2, id_info),
    (control::NV0000_CTRL_CMD_GPU_GET_PCI_INFO, pci_info),
    (control::NV0000_CTRL_CMD_GPU_GET_ACTIVE_DEVICE_IDS, active_devices),
    (control::NV0000_CTRL_CMD_NVD_GET_TIMESTAMP, timestamp),
    (control::NV0000_CTRL_CMD_CLIENT_GET_ADDR_SPACE_TYPE, address_space_type),
    (control::NV0000_CTRL_CMD_SYSTEM_GET_P2P_CAPS_MATRIX, peer_matrix),
];

/// The change that the release was built from, as 580.159.04 tells it.
const CHANGELIST: u32 = 0x0242_246f;
/// NVIDIA's internal names of the branch and of the build.
const BRANCH: &str = "r582_49";
const BUILD: &str = "rel/gpu_drv/r580/r582_49-530";

const NO_ID: u32 = u32::MAX;
/// `NV0000_CTRL_GPU_ATTACH_ALL_PROBED_IDS`
const ALL_IDS: u32 = 0xffff;

/// Three texts into the program's buffers, where it has given some.
fn build_version(command: &mut Command) -> Result<(), u32> {
    let version = command.abi.version();
    let title = format!("Private {BRANCH} {BUILD} unknown");
    let room = command.parameters.word("sizeOfStrings") as usize;
    let texts =
        [("pDriverVersionBuffer", version), ("pVersionBuffer", BUILD), ("pTitleBuffer", title.as_str())];
    for (field, text) in texts {
        let address = command.parameters.get(field);
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        bytes.truncate(room);
        if address != 0 && !command.caller.write(address, &bytes) {
            return Err(status::NV_ERR_INVALID_ADDRESS);
        }
    }
    command.parameters.set("changelistNumber", 0_u64);
    command.parameters.set("officialChangelistNumber", CHANGELIST);
    Ok(())
}

fn build_version_2(command: &mut Command) -> Result<(), u32> {
    let version = command.abi.version();
    let parameters = &mut command.parameters;
    parameters.set_bytes("driverVersionBuffer", version.as_bytes());
    parameters.set_bytes("versionBuffer", BUILD.as_bytes());
    parameters.set_bytes("driverBranch", BRANCH.as_bytes());
    parameters.set_bytes("titleBuffer", format!("Private {BRANCH} {BUILD} unknown").as_bytes());
    parameters.set("changelistNumber", 0_u64);
    parameters.set("officialChangelistNumber", CHANGELIST);
    Ok(())
}

fn ids(command: &Command) -> Vec<u32> {
    command.cards.iter().map(crate::Card::id).collect()
}

fn probed_ids(command: &mut Command) -> Result<(), u32> {
    let ids = ids(command);
    command.parameters.set_words("gpuIds", &ids, NO_ID);
    command.parameters.set_words("excludedGpuIds", &[], NO_ID);
    command.parameters.set_words("gpuFlags", &[], 0);
    Ok(())
}

fn attached_ids(command: &mut Command) -> Result<(), u32> {
    let ids = ids(command);
    command.parameters.set_words("gpuIds", &ids, NO_ID);
    Ok(())
}

/// Cards are attached from the start: there is nothing to power up.
fn attach_ids(command: &mut Command) -> Result<(), u32> {
    let known = ids(command);
    for at in 0..command.parameters.len("gpuIds") {
        match command.parameters.element("gpuIds", at) {
            ALL_IDS if at == 0 => return Ok(()),
            NO_ID => return Ok(()),
            id if known.contains(&id) => {}
            id => {
                command.parameters.set("failedId", id);
                return Err(status::NV_ERR_INVALID_ARGUMENT);
            }
        }
    }
    Ok(())
}

fn attach_id(command: &mut Command) -> Result<(), u32> {
    command.card_of("gpuId").map(drop)
}

fn detach_ids(command: &mut Command) -> Result<(), u32> {
    let known = ids(command);
    let first = command.parameters.element("gpuIds", 0);
    if first == ALL_IDS || known.contains(&first) { Ok(()) } else { Err(status::NV_ERR_INVALID_ARGUMENT) }
}

fn id_info(command: &mut Command) -> Result<(), u32> {
    /// A client has a device of the card.
    const IN_USE: u32 = 1;
    /// Not in a group of linked cards: sliStatus.
    const NOT_LINKED: u32 = 0x41;
    let (index, card) = command.card_of("gpuId")?;
    let id = card.id();
    let is_used = card.numbers.devices > 0 || card.load.has_devices;
    let parameters = &mut command.parameters;
    parameters.set("gpuFlags", if is_used { IN_USE } else { 0 });
    parameters.set("deviceInstance", index as u64);
    parameters.set("subDeviceInstance", 0_u64);
    parameters.set("sliStatus", NOT_LINKED);
    parameters.set("boardId", id);
    parameters.set("gpuInstance", index as u64);
    parameters.set("numaId", u64::from(u32::MAX));
    Ok(())
}

fn pci_info(command: &mut Command) -> Result<(), u32> {
    let (_, card) = command.card_of("gpuId").map_err(|_| status::NV_ERR_OBJECT_NOT_FOUND)?;
    let [domain, bus, device] = card.unit.pci;
    command.parameters.set("domain", domain);
    command.parameters.set("bus", bus);
    command.parameters.set("slot", device);
    Ok(())
}

fn active_devices(command: &mut Command) -> Result<(), u32> {
    let ids = ids(command);
    command.parameters.set("numDevices", ids.len() as u64);
    for (at, id) in ids.into_iter().enumerate() {
        command.parameters.set_element("devices.gpuId", at, id);
        command.parameters.set_element("devices.gpuInstanceId", at, NO_ID);
        command.parameters.set_element("devices.computeInstanceId", at, NO_ID);
    }
    Ok(())
}

/// Microseconds since the epoch.
fn timestamp(command: &mut Command) -> Result<(), u32> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    command.parameters.set("timestamp", now.as_micros() as u64);
    Ok(())
}

fn address_space_type(command: &mut Command) -> Result<(), u32> {
    let memory = command
        .client
        .object(command.parameters.word("hObject"))?
        .memory
        .ok_or(status::NV_ERR_INVALID_OBJECT)?;
    let kind: u32 = match memory.space {
        Space::System | Space::Figures | Space::Collected => 1,
        Space::Video | Space::Window => 2,
        Space::Registers { .. } => 3,
    };
    command.parameters.set("addrSpaceType", kind);
    Ok(())
}

/// Cards of ours reach each other through the system's memory.
fn peer_matrix(command: &mut Command) -> Result<(), u32> {
    if command.parameters.word("grpACount") == 0 {
        return Err(status::NV_ERR_INVALID_ARGUMENT);
    }
    let known = ids(command);
    for group in [("grpACount", "gpuIdGrpA"), ("grpBCount", "gpuIdGrpB")] {
        let count = command.parameters.word(group.0) as usize;
        let all_known = (0..count).all(|at| known.contains(&command.parameters.element(group.1, at)));
        if count > command.parameters.len(group.1) || !all_known {
            return Err(status::NV_ERR_INVALID_ARGUMENT);
        }
    }
    Ok(())
}
