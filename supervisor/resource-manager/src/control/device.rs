//! Commands to a device: what all parts of a card have in common.

use nvidia_abi::control;

use super::{Command, Handler};

pub(super) const HANDLERS: &[(u32, Handler)] = &[
    (control::NV0080_CTRL_CMD_GPU_GET_NUM_SUBDEVICES, subdevices),
    (control::NV0080_CTRL_CMD_GPU_GET_VIRTUALIZATION_MODE, virtualisation),
    (control::NV0080_CTRL_CMD_GPU_GET_CLASSLIST_V2, classes),
];

fn subdevices(command: &mut Command) -> Result<(), u32> {
    command.parameters.set("numSubDevices", 1_u64);
    Ok(())
}

fn virtualisation(command: &mut Command) -> Result<(), u32> {
    const NONE: u32 = 0;
    const WHOLE_CARD_IN_A_VIRTUAL_MACHINE: u32 = 1;
    let passed_through = command.card()?.unit.passed_through;
    let mode = if passed_through { WHOLE_CARD_IN_A_VIRTUAL_MACHINE } else { NONE };
    command.parameters.set("virtualizationMode", mode);
    Ok(())
}

fn classes(command: &mut Command) -> Result<(), u32> {
    let facts = command.card()?.facts.clone();
    command.parameters.set("numClasses", facts.classes.len() as u64);
    for (at, class) in facts.classes.iter().enumerate() {
        command.parameters.set_element("classList", at, *class);
    }
    Ok(())
}
