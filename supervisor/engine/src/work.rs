//! Work: what a command means once it is admitted, with everything it refers to looked up and checked.

use std::sync::Arc;

use bytemuck::Pod;
use wire::blas::{Blas, Matmul};
use wire::command::{self, Command};
use wire::shared::EVENT_SLOTS;

use crate::code::Modules;
use crate::fault::result;
use crate::ring::Record;
use crate::tiers::Tiered;

/// One entry of a stream.
pub enum Work {
    /// Run a kernel.
    Launch(Box<Launch>),
    /// Move bytes.
    Copy(command::Copy),
    /// Move a box of bytes.
    CopyRectangle(command::CopyRectangle),
    /// Fill a rectangle.
    Fill(command::Fill),
    /// Write an event slot.
    RecordEvent(command::RecordEvent),
    /// Hold the stream until an event slot has its value.
    WaitEvent(command::WaitEvent),
    /// Let the client run a function.
    HostCallback(command::HostCallback),
    /// Write a word.
    WriteValue(command::WriteValue),
    /// Hold the stream until a word compares.
    WaitValue(command::WaitValue),
    /// A routine of linear algebra.
    Blas(Box<Blas>),
    /// cuBLASLt's matrix product.
    Matmul(Box<Matmul>),
    /// For checks: memory is freed.
    Freed(command::Freed),
    /// Only a place in the stream.
    Nothing,
}

/// A kernel with its arguments.
pub struct Launch {
    pub kernel: Arc<Tiered>,
    pub order: command::Launch,
    pub parameters: Box<[u8]>,
}

/// Why a command has no meaning: a `CUresult` and a text.
#[derive(Debug)]
pub struct Refusal {
    pub result: u32,
    pub text: String,
}

impl Refusal {
    /// A refusal with this text.
    pub fn new(result: u32, text: impl Into<String>) -> Refusal {
        Refusal { result, text: text.into() }
    }
}

/// The fixed part of a record's command.
pub fn fixed<C: Command>(record: &Record) -> Result<C, Refusal> {
    record.body.get(..size_of::<C>()).map(bytemuck::pod_read_unaligned).ok_or_else(|| too_short::<C>(record))
}

/// `length` bytes after the fixed part.
fn variable<'a, C: Command>(record: &Record<'a>, length: u32) -> Result<&'a [u8], Refusal> {
    record
        .body
        .get(size_of::<C>()..)
        .and_then(|tail| tail.get(..length as usize))
        .ok_or_else(|| too_short::<C>(record))
}

fn too_short<C: Pod + Command>(record: &Record) -> Refusal {
    let text = format!("command {} with {} bytes is cut short", C::NAME, record.body.len());
    Refusal::new(result::INVALID_VALUE, text)
}

impl Work {
    /// The work that a record asks for; `Ok(None)` if it is not stream work.
    pub fn decode(record: &Record, modules: &Modules) -> Result<Option<Work>, Refusal> {
        Ok(Some(match record.header.number {
            command::Launch::NUMBER => Work::Launch(decode_launch(record, modules)?),
            command::Copy::NUMBER => Work::Copy(fixed(record)?),
            command::CopyRectangle::NUMBER => Work::CopyRectangle(fixed(record)?),
            command::Fill::NUMBER => Work::Fill(fixed(record)?),
            command::RecordEvent::NUMBER => {
                let order: command::RecordEvent = fixed(record)?;
                check_events(&[order.event])?;
                Work::RecordEvent(order)
            }
            command::WaitEvent::NUMBER => {
                let order: command::WaitEvent = fixed(record)?;
                check_events(&[order.event])?;
                Work::WaitEvent(order)
            }
            command::HostCallback::NUMBER => {
                let order: command::HostCallback = fixed(record)?;
                check_events(&[order.ready_event, order.done_event])?;
                Work::HostCallback(order)
            }
            command::WriteValue::NUMBER => Work::WriteValue(fixed(record)?),
            command::WaitValue::NUMBER => Work::WaitValue(fixed(record)?),
            Blas::NUMBER => Work::Blas(Box::new(fixed(record)?)),
            Matmul::NUMBER => Work::Matmul(Box::new(fixed(record)?)),
            command::Freed::NUMBER => match fixed::<command::Freed>(record)? {
                order if order.in_order != 0 => Work::Freed(order),
                _ => Work::Nothing,
            },
            command::DestroyStream::NUMBER | command::Allocated::NUMBER | command::Written::NUMBER => {
                Work::Nothing
            }
            _ => return Ok(None),
        }))
    }
}

fn decode_launch(record: &Record, modules: &Modules) -> Result<Box<Launch>, Refusal> {
    let order: command::Launch = fixed(record)?;
    let parameters = variable::<command::Launch>(record, order.parameter_length)?.into();
    let kernel = modules.tiered(order.module, order.function, order.block)?;
    Ok(Box::new(Launch { kernel, order, parameters }))
}

fn check_events(slots: &[u32]) -> Result<(), Refusal> {
    match slots.iter().find(|slot| **slot as usize >= EVENT_SLOTS) {
        None => Ok(()),
        Some(slot) => Err(Refusal::new(result::INVALID_VALUE, format!("there is no event slot {slot}"))),
    }
}
