//! Commands of confidential computing, which the card can and is not set to.

use nvidia_abi::control;

use super::{Command, Handler};

pub(super) const HANDLERS: &[(u32, Handler)] =
    &[(control::NV_CONF_COMPUTE_CTRL_CMD_GPU_GET_VIDMEM_SIZE, memory_sizes)];

/// All memory is unprotected.
fn memory_sizes(command: &mut Command) -> Result<(), u32> {
    let subdevice = command.client.object(command.parameters.word("hSubDevice"))?;
    let card = &command.cards[subdevice.card.unwrap_or(0)];
    let usable = card.description.total_memory / 1024;
    command.parameters.set("protectedMemSizeInKb", 0_u64);
    command.parameters.set("unprotectedMemSizeInKb", usable);
    Ok(())
}
