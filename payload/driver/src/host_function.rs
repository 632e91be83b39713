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
    turn: Option<Turn>,
}

/// When a stream's call may begin, and what waits for its end.
struct Turn {
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
    let sender = sender(&mut worker)?;
    engine.submit(stream.slot, &order).map_err(gone)?;
    let turn = Some(Turn { engine, ready, done, value });
    sender.send(Call { function, turn }).map_err(|_| CuResult::UNKNOWN)
}

/// Calls a function in the same thread, behind what streams have handed it so far.
pub fn run_soon(function: HostFunction) -> Cuda {
    let sender = sender(&mut lock(&WORKER))?;
    sender.send(Call { function, turn: None }).map_err(|_| CuResult::UNKNOWN)
}

fn sender(worker: &mut Option<Sender<Call>>) -> Cuda<Sender<Call>> {
    match worker.as_ref() {
        Some(sender) => Ok(sender.clone()),
        None => Ok(worker.insert(start()?).clone()),
    }
}

fn start() -> Cuda<Sender<Call>> {
    let (sender, calls) = channel::<Call>();
    let body = move || calls.into_iter().for_each(run);
    let name = "vgpu-host-fn".to_owned();
    std::thread::Builder::new().name(name).spawn(body).map_err(|_| CuResult::OPERATING_SYSTEM)?;
    Ok(sender)
}

fn run(Call { function, turn }: Call) {
    let begins = turn.as_ref().is_none_or(|turn| turn.engine.wait_event(turn.ready, turn.value).is_ok());
    if begins {
        // SAFETY: whoever handed the function over promised that it may be called with this argument by now.
        unsafe { (function.function)(function.data) };
    }
    if let Some(Turn { engine, ready, done, value }) = turn {
        engine.set_event(done, value);
        engine.give_event(ready);
        engine.give_event(done);
    }
}
