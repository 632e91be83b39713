//! Lists of information: a program names indices, and each entry gets its datum.
//!
//! The older form of each command holds a pointer to the list, the newer one the list itself.

use nvidia_abi::{control, status};

use super::{Command, Handler};
use crate::card::Card;
use crate::facts::Value;

pub(super) const HANDLERS: &[(u32, Handler)] = &[
    (control::NV2080_CTRL_CMD_GPU_GET_INFO_V2, |command| inline(command, "gpu")),
    (control::NV2080_CTRL_CMD_FB_GET_INFO_V2, |command| inline(command, "fb")),
    (control::NV2080_CTRL_CMD_BUS_GET_INFO_V2, |command| inline(command, "bus")),
    (control::NV2080_CTRL_CMD_BIOS_GET_INFO_V2, |command| inline(command, "bios")),
    (control::NV2080_CTRL_CMD_GR_GET_INFO_V2, |command| inline(command, "gr")),
    (control::NV0080_CTRL_CMD_GR_GET_INFO_V2, |command| inline(command, "gr")),
    (control::NV2080_CTRL_CMD_BUS_GET_INFO, |command| behind_pointer(command, "bus")),
    (control::NV2080_CTRL_CMD_BIOS_GET_INFO, |command| behind_pointer(command, "bios")),
    (control::NV2080_CTRL_CMD_GR_GET_INFO, |command| behind_pointer(command, "gr")),
];

/// Index and datum.
const ENTRY: usize = 8;
/// More entries than any list has.
const MOST: usize = 1024;

/// The field with the number of entries, and that with the entries or their address.
fn fields(group: &str) -> (String, String) {
    (format!("{group}InfoListSize"), format!("{group}InfoList"))
}

fn inline(command: &mut Command, group: &str) -> Result<(), u32> {
    let (count, list) = fields(group);
    let (index, datum) = (format!("{list}.index"), format!("{list}.data"));
    let entries = command.parameters.word(&count) as usize;
    if entries == 0 || entries > command.parameters.len(&index) {
        return Err(status::NV_ERR_INVALID_ARGUMENT);
    }
    for at in 0..entries {
        let asked = command.parameters.element(&index, at);
        let value = look_up(command.card()?, group, asked)?;
        command.parameters.set_element(&datum, at, value);
    }
    Ok(())
}

fn behind_pointer(command: &mut Command, group: &str) -> Result<(), u32> {
    let (count, list) = fields(group);
    let (entries, address) = (command.parameters.word(&count) as usize, command.parameters.get(&list));
    if entries > MOST {
        return Err(status::NV_ERR_INVALID_ARGUMENT);
    }
    let mut bytes = vec![0; entries * ENTRY];
    if !command.caller.read(address, &mut bytes) {
        return Err(status::NV_ERR_INVALID_ADDRESS);
    }
    for entry in bytes.chunks_exact_mut(ENTRY) {
        let (index, datum) = entry.split_at_mut(4);
        let index = u32::from_le_bytes(index.try_into().expect("half an entry"));
        datum.copy_from_slice(&look_up(command.card()?, group, index)?.to_le_bytes());
    }
    if command.caller.write(address, &bytes) { Ok(()) } else { Err(status::NV_ERR_INVALID_ADDRESS) }
}

/// An index that the card has no row for does not exist.
fn look_up(card: &Card, group: &str, index: u32) -> Result<u32, u32> {
    match card.facts.info(group, index) {
        Some(Value::Number(number)) => Ok(*number),
        Some(Value::Figure(name)) => card.figure(name).ok_or(status::NV_ERR_INVALID_STATE),
        Some(Value::Status(status)) => Err(*status),
        None => Err(status::NV_ERR_INVALID_ARGUMENT),
    }
}
