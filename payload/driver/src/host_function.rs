//! Functions of the client's that streams call: one thread, started at the first of them, runs all in order.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use client::Engine;
use wire::command;

use crate::operation::HostFunction;
use crate::stream::Stream;
use crate::{CuResult, Cuda, gone, lock};

struct Call {
    function: HostFunction,
    engine: Arc<Engine>,
    ready: u32,
    done: u32,
    value: u64,
}

static WORKER: Mutex<Option<Sender<Call>>> = Mutex::new(None);

/// Puts a call into a stream: the stream waits until the function has returned.
pub fn submit(stream: &Stream, function: HostFunction) -> Cuda {
    let engine = stream.engine.clone();
    let (Some(ready), Some(done)) = (engine.take_event(), engine.take_event()) else {
        return Err(CuResult::OUT_OF_MEMORY);
    };
    let value = engine.event_value(ready).max(engine.event_value(done)) + 1;
    let order = command::HostCallback { ready_event: ready, done_event: done, value };
    // The lock keeps the order of calls equal to the order of the ring.
    let mut worker = lock(&WORKER);
    let sender = match worker.as_ref() {
        Some(sender) => sender.clone(),
        None => worker.insert(start()?).clone(),
    };
    engine.submit(stream.slot, &order).map_err(gone)?;
    sender.send(Call { function, engine, ready, done, value }).map_err(|_| CuResult::UNKNOWN)
}

fn start() -> Cuda<Sender<Call>> {
    let (sender, calls) = channel::<Call>();
    let body = move || calls.into_iter().for_each(run);
    let name = "vgpu-host-fn".to_owned();
    std::thread::Builder::new().name(name).spawn(body).map_err(|_| CuResult::OPERATING_SYSTEM)?;
    Ok(sender)
}

fn run(call: Call) {
    if call.engine.wait_event(call.ready, call.value).is_ok() {
        // SAFETY: the caller of `cuLaunchHostFunc` promised that this function may be called with this argument by now.
        unsafe { (call.function.function)(call.function.data) };
    }
    call.engine.set_event(call.done, call.value);
    call.engine.give_event(call.ready);
    call.engine.give_event(call.done);
}
