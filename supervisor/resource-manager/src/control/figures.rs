//! Commands to the object that stands for the page of figures.

use nvidia_abi::control;

use super::{Command, Handler};

pub(super) const HANDLERS: &[(u32, Handler)] = &[(control::NV00DE_CTRL_CMD_REQUEST_DATA_POLL, poll)];

/// The object asks for these groups from now on, instead of those before.
fn poll(command: &mut Command) -> Result<(), u32> {
    let asked = command.parameters.get("polledDataMask");
    let object = command.client.object_mut(command.handle)?;
    let before = std::mem::replace(&mut object.polled, asked);
    command.card()?.numbers.polled.change(before, asked);
    Ok(())
}
