//! Events.
//!
//! An event's state is a slot of the area that client and engine share, or, of an event that processes share
//! (`CU_EVENT_INTERPROCESS`), a page that all of them map (file `shared_event.rs`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use client::Engine;
use wire::command;

use crate::context;
use crate::graph::CapturedPoint;
use crate::handle::Handles;
use crate::operation::Operation;
use crate::shared_event::SharedState;
use crate::stream::{self, Stream};
use crate::{CuResult, Cuda, gone, lock};

/// `CU_EVENT_DISABLE_TIMING`
const DISABLE_TIMING: u32 = 2;
/// `CU_EVENT_INTERPROCESS`
const INTERPROCESS: u32 = 4;

/// Where an event's state is.
enum State {
    /// In this slot.
    Slot(u32),
    /// Where other processes see it too.
    Shared(SharedState),
}

/// An event.
pub struct Event {
    state: State,
    flags: u32,
    engine: Arc<Engine>,
    /// Number of the newest record in a slot; 0: never recorded.
    newest: AtomicU64,
    /// Where it was recorded, if that was in a capture.
    captured: Mutex<Option<CapturedPoint>>,
}

static EVENTS: Handles<Event> = Handles::new();

impl Event {
    /// An event of the driver's own, without a handle.
    pub(crate) fn untimed(engine: &Arc<Engine>) -> Cuda<Arc<Event>> {
        Ok(Arc::new(Event::new(engine, DISABLE_TIMING)?))
    }

    fn new(engine: &Arc<Engine>, flags: u32) -> Cuda<Event> {
        let slot = engine.take_event().ok_or(CuResult::OUT_OF_MEMORY)?;
        Ok(Event::of(engine, State::Slot(slot), flags))
    }

    fn of(engine: &Arc<Engine>, state: State, flags: u32) -> Event {
        let engine = engine.clone();
        Event { state, flags, engine, newest: AtomicU64::new(0), captured: Mutex::new(None) }
    }

    /// Its handle.
    pub fn handle(self: &Arc<Self>) -> usize {
        Handles::of(self)
    }

    /// The point of a capture at which it was recorded.
    pub fn captured(&self) -> Option<CapturedPoint> {
        lock(&self.captured).clone()
    }

    pub(crate) fn submit_record(&self, stream: &Stream) -> Cuda {
        let slot = match &self.state {
            State::Slot(slot) => *slot,
            State::Shared(state) => return state.submit_record(stream),
        };
        // The slot may have had another owner: numbers go on from wherever they are.
        let floor = self.engine.event_value(slot);
        let previous = self
            .newest
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |newest| Some(newest.max(floor) + 1))
            .unwrap_or_default();
        let order = command::RecordEvent {
            event: slot,
            timing: u32::from(self.flags & DISABLE_TIMING == 0),
            value: previous.max(floor) + 1,
        };
        self.engine.submit(stream.slot, &order).map(drop).map_err(gone)
    }

    pub(crate) fn submit_wait(&self, stream: &Stream) -> Cuda {
        if self.reached() {
            return Ok(());
        }
        match &self.state {
            State::Shared(state) => state.submit_wait(stream),
            State::Slot(slot) => {
                let value = self.newest.load(Ordering::SeqCst);
                let order = command::WaitEvent { event: *slot, reserved: 0, value };
                self.engine.submit(stream.slot, &order).map(drop).map_err(gone)
            }
        }
    }

    fn reached(&self) -> bool {
        match &self.state {
            State::Shared(state) => state.reached(state.submitted()),
            State::Slot(slot) => {
                let value = self.newest.load(Ordering::SeqCst);
                value == 0 || self.engine.event_value(*slot) >= value
            }
        }
    }

    /// Waits for the newest record of now.
    fn wait(&self) -> Cuda {
        match &self.state {
            State::Shared(state) => {
                let value = state.submitted();
                self.engine.wait_for_others(|| state.reached(value)).map_err(gone)
            }
            State::Slot(slot) => {
                self.engine.wait_event(*slot, self.newest.load(Ordering::SeqCst)).map_err(gone)
            }
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let State::Slot(slot) = self.state {
            // Records under way would write a slot of somebody else's; let them end.
            let _ = self.engine.wait_event(slot, self.newest.load(Ordering::SeqCst));
            self.engine.give_event(slot);
        }
    }
}

/// The event of a handle.
pub fn by_handle(handle: usize) -> Cuda<Arc<Event>> {
    crate::get()?;
    EVENTS.get(handle)
}

/// `cuEventCreate`
pub fn create(flags: u32) -> Cuda<usize> {
    const KNOWN: u32 = 7;
    // By the interface, an event that processes share has no time.
    if flags & !KNOWN != 0 || flags & (INTERPROCESS | DISABLE_TIMING) == INTERPROCESS {
        return Err(CuResult::INVALID_VALUE);
    }
    let context = context::current()?;
    context::check(&context.engine)?;
    if flags & INTERPROCESS != 0 {
        let state = SharedState::new(&context)?;
        return Ok(EVENTS.insert(Arc::new(Event::of(&context.engine, State::Shared(state), flags))));
    }
    Ok(EVENTS.insert(Arc::new(Event::new(&context.engine, flags)?)))
}

/// `cuEventDestroy`
pub fn destroy(handle: usize) -> Cuda {
    crate::get()?;
    EVENTS.remove(handle).map(drop)
}

/// `cuIpcGetEventHandle`: what another process needs to open the event.
pub fn export(handle: usize) -> Cuda<[u8; 32]> {
    match &by_handle(handle)?.state {
        State::Shared(state) => state.export(),
        State::Slot(_) => Err(CuResult::INVALID_HANDLE),
    }
}

/// `cuIpcOpenEventHandle`
pub fn import(token: [u8; 32]) -> Cuda<usize> {
    let context = context::current()?;
    context::check(&context.engine)?;
    let state = SharedState::import(&context, token)?;
    let event = Event::of(&context.engine, State::Shared(state), INTERPROCESS | DISABLE_TIMING);
    Ok(EVENTS.insert(Arc::new(event)))
}

/// `cuEventRecord`
pub fn record(handle: usize, stream: usize) -> Cuda {
    let (event, stream) = (by_handle(handle)?, stream::by_handle(stream)?);
    let point = lock(&stream.capture).as_ref().map(|capture| capture.point());
    let capturing = point.is_some();
    *lock(&event.captured) = point;
    if capturing { Ok(()) } else { stream.enqueue(Operation::RecordEvent(event)) }
}

/// `cuEventQuery`
pub fn query(handle: usize) -> Cuda {
    let event = by_handle(handle)?;
    if event.captured().is_some() {
        return Err(CuResult::CAPTURED_EVENT);
    }
    context::check(&event.engine)?;
    if event.reached() { Ok(()) } else { Err(CuResult::NOT_READY) }
}

/// `cuEventSynchronize`
pub fn synchronize(handle: usize) -> Cuda {
    let event = by_handle(handle)?;
    if event.captured().is_some() {
        return Err(CuResult::CAPTURED_EVENT);
    }
    if !event.reached() {
        event.wait()?;
    }
    stream::print_output(&event.engine);
    context::check(&event.engine)
}

/// `cuEventElapsedTime`: milliseconds.
pub fn elapsed_time(start: usize, end: usize) -> Cuda<f32> {
    let (start, end) = (by_handle(start)?, by_handle(end)?);
    let untimed =
        |event: &Event| event.flags & DISABLE_TIMING != 0 || event.newest.load(Ordering::SeqCst) == 0;
    if untimed(&start) || untimed(&end) {
        return Err(CuResult::INVALID_HANDLE);
    }
    if !start.reached() || !end.reached() {
        return Err(CuResult::NOT_READY);
    }
    let time = |event: &Event| match event.state {
        State::Slot(slot) => event.engine.event_time(slot) as f64,
        State::Shared(_) => 0.0,
    };
    Ok(((time(&end) - time(&start)) / 1e6) as f32)
}
