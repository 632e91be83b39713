//! What a stream can hold. One type for submission, capture and replay.

use std::ffi::c_void;
use std::sync::Arc;

use wire::blas::{Blas, Matmul};
use wire::command::{self, Command};

use crate::event::Event;
use crate::launch::Launch;
use crate::stream::Stream;
use crate::{Cuda, gone, host_function, memory};

/// A function of the client's that a stream calls.
#[derive(Clone, Copy)]
pub struct HostFunction {
    /// `CUhostFn`.
    pub function: unsafe extern "C" fn(*mut c_void),
    /// Its argument.
    pub data: *mut c_void,
}

// SAFETY: CUDA calls host functions from threads of its own; the caller of `cuLaunchHostFunc` has agreed to that.
unsafe impl Send for HostFunction {}
// SAFETY: as above; the value itself is two words that never change.
unsafe impl Sync for HostFunction {}

/// One thing that a stream does.
#[derive(Clone)]
pub enum Operation {
    /// A kernel.
    Launch(Arc<Launch>),
    /// Bytes between any two kinds of memory.
    Copy {
        /// Target address.
        target: u64,
        /// Source address.
        source: u64,
        /// Bytes.
        length: u64,
    },
    /// A box of bytes between any two kinds of memory.
    CopyRectangle(command::CopyRectangle),
    /// A fill.
    Fill(command::Fill),
    /// An event.
    RecordEvent(Arc<Event>),
    /// Wait for an event as it stands now.
    WaitEvent(Arc<Event>),
    /// Call the client.
    Host(HostFunction),
    /// A routine of linear algebra.
    Blas(Box<Blas>),
    /// cuBLASLt's matrix product.
    Matmul(Box<Matmul>),
    /// `cuStreamWriteValue`.
    WriteValue(command::WriteValue),
    /// `cuStreamWaitValue`.
    WaitValue(command::WaitValue),
    /// Nothing (an empty graph node).
    Nothing,
}

impl Operation {
    /// Hands the operation to the engine, at the end of `stream`.
    pub fn perform(&self, stream: &Stream) -> Cuda {
        match self {
            Operation::Launch(launch) => launch.submit(stream),
            Operation::Copy { target, source, length } => {
                memory::submit_copy(stream, *target, *source, *length)
            }
            Operation::CopyRectangle(order) => memory::submit_rectangle(stream, order),
            Operation::Fill(order) => submit(stream, order),
            Operation::RecordEvent(event) => event.submit_record(stream),
            Operation::WaitEvent(event) => event.submit_wait(stream),
            Operation::Host(function) => host_function::submit(stream, *function),
            Operation::Blas(order) => submit(stream, &**order),
            Operation::Matmul(order) => submit(stream, &**order),
            Operation::WriteValue(order) => submit(stream, order),
            Operation::WaitValue(order) => submit(stream, order),
            Operation::Nothing => Ok(()),
        }
    }
}

fn submit<C: Command>(stream: &Stream, order: &C) -> Cuda {
    stream.engine.submit(stream.slot, order).map(drop).map_err(gone)
}
