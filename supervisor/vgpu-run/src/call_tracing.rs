//! `vgpu-run trace`: the tracer's start and end.

use trace::{Filter, Outputs, Sink};

use crate::cli::Trace;
use crate::descriptors;
use crate::failure::{Doing, Failure};

/// Makes the files, before anything is started.
pub fn open(trace: &Trace) -> Result<Outputs, Failure> {
    let filter = Filter::new(&trace.filter);
    Outputs::open(trace.output.as_deref(), trace.perfetto.as_deref(), filter).doing("write the trace")
}

/// Starts the tracer. Precondition: this process has one thread.
pub fn start(outputs: Outputs) -> Result<Sink, Failure> {
    Sink::start(outputs, descriptors::keep_only).doing("start the tracer")
}

/// Waits until the trace is written.
pub fn finish(tracing: Option<Sink>) {
    if let Some(sink) = tracing
        && !sink.finish()
    {
        eprint!("{}", Failure::new("the trace is incomplete: its process has ended too early"));
    }
}
