//! Functions of the client's that streams call: one thread, started at the first of them, runs each when its stream has come to it.
//! One that is called waits for none that another stream has not come to: it may be what that stream waits for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
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

impl Call {
    /// Whether its stream has come to it. One without a stream is `first` if all that were handed over before it are done.
    fn is_ready(&self, first: bool) -> bool {
        self.turn.as_ref().map_or(first, |turn| turn.engine.event_value(turn.ready) >= turn.value)
    }
}

static WORKER: Mutex<Option<Sender<Call>>> = Mutex::new(None);
/// Calls that were handed over so far.
static HANDED: AtomicUsize = AtomicUsize::new(0);

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
    hand_over(&sender, Call { function, turn })?;
    // It may be asleep, waiting for others.
    stream.engine.wake_own();
    Ok(())
}

fn hand_over(sender: &Sender<Call>, call: Call) -> Cuda {
    sender.send(call).map_err(|_| CuResult::UNKNOWN)?;
    HANDED.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// Calls a function in the same thread, behind what streams have handed it so far.
pub fn run_soon(function: HostFunction) -> Cuda {
    let sender = sender(&mut lock(&WORKER))?;
    hand_over(&sender, Call { function, turn: None })
}

fn sender(worker: &mut Option<Sender<Call>>) -> Cuda<Sender<Call>> {
    match worker.as_ref() {
        Some(sender) => Ok(sender.clone()),
        None => Ok(worker.insert(start()?).clone()),
    }
}

fn start() -> Cuda<Sender<Call>> {
    let (sender, calls) = channel::<Call>();
    let body = move || serve(&calls);
    let name = "vgpu-host-fn".to_owned();
    std::thread::Builder::new().name(name).spawn(body).map_err(|_| CuResult::OPERATING_SYSTEM)?;
    Ok(sender)
}

fn serve(calls: &Receiver<Call>) {
    let mut waiting: Vec<Call> = Vec::new();
    loop {
        let handed = HANDED.load(Ordering::SeqCst);
        waiting.extend(calls.try_iter());
        let ready = waiting.iter().enumerate().position(|(place, call)| call.is_ready(place == 0));
        match (ready, waiting.first()) {
            (Some(place), _) => run(waiting.remove(place), true),
            (None, Some(Call { turn: Some(turn), .. })) => {
                let engine = turn.engine.clone();
                let is_any_ready = || waiting.iter().any(|call| call.is_ready(false));
                let come = || is_any_ready() || HANDED.load(Ordering::SeqCst) != handed;
                if engine.wait_for_event(come).is_err() {
                    // The engine has failed or is gone: nothing that waits for it will be called.
                    waiting.drain(..).for_each(|call| run(call, false));
                }
            }
            (None, _) => match calls.recv() {
                Ok(call) => waiting.push(call),
                Err(_) => return,
            },
        }
    }
}

/// Calls a function, or at least ends its turn.
fn run(Call { function, turn }: Call, begins: bool) {
    if begins || turn.is_none() {
        // SAFETY: whoever handed the function over promised that it may be called with this argument by now.
        unsafe { (function.function)(function.data) };
    }
    if let Some(Turn { engine, ready, done, value }) = turn {
        engine.set_event(done, value);
        engine.give_event(ready);
        engine.give_event(done);
    }
}
