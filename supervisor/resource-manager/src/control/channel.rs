//! Commands to a channel and what it is for.

use nvidia_abi::{control, status};

use super::{Command, Handler};

pub(super) const HANDLERS: &[(u32, Handler)] = &[
    (control::NV906F_CTRL_GET_CLASS_ENGINEID, engine),
    (control::NV2080_CTRL_CMD_GR_GET_CTX_BUFFER_SIZE, buffer_size),
    (control::NVC36F_CTRL_CMD_GPFIFO_GET_WORK_SUBMIT_TOKEN, token),
];

fn engine(command: &mut Command) -> Result<(), u32> {
    let object = command.client.object(command.parameters.word("hObject"))?.clone();
    let engine = object.engine.ok_or(status::NV_ERR_INVALID_OBJECT)?;
    command.parameters.set("classEngineID", object.class);
    command.parameters.set("classID", object.class);
    command.parameters.set("engineID", engine);
    Ok(())
}

/// What a program writes into the doorbell: the queue of the engine, and the channel.
fn token(command: &mut Command) -> Result<(), u32> {
    let channel = command.object.channel.ok_or(status::NV_ERR_INVALID_OBJECT)?;
    let engine = command.object.engine.ok_or(status::NV_ERR_INVALID_OBJECT)?;
    let queue = command.card()?.facts.run_list(engine).ok_or(status::NV_ERR_INVALID_STATE)?;
    command.parameters.set("workSubmitToken", queue << 16 | channel);
    Ok(())
}

/// A row of facts tells the size.
fn buffer_size(command: &mut Command) -> Result<(), u32> {
    command.client.object(command.parameters.word("hChannel")).map(drop)
}
