//! Streams: queues of operations, or the pen of a capture.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use client::Engine;
use wire::command;

use crate::context::{self, Context};
use crate::event::Event;
use crate::graph::Capture;
use crate::handle::Handles;
use crate::operation::{HostFunction, Operation};
use crate::{CuResult, Cuda, gone, lock};

/// `CU_STREAM_NON_BLOCKING`
pub const NON_BLOCKING: u32 = 1;
/// `CU_STREAM_LEGACY`
const LEGACY: usize = 1;
/// `CU_STREAM_PER_THREAD`
const PER_THREAD: usize = 2;

/// A stream.
pub struct Stream {
    /// Its slot in the shared area; 0 is the legacy stream.
    pub slot: u32,
    /// Creation flags.
    pub flags: u32,
    /// CUDA's priority.
    pub priority: i32,
    /// The context's id.
    pub context: u64,
    /// For `cuStreamGetId`.
    pub id: u64,
    /// The process's engine.
    pub engine: Arc<Engine>,
    /// The capture that it takes part in.
    pub capture: Mutex<Option<Capture>>,
    /// Launch attributes as `cuStreamSetAttribute` gave them, by their number. They tune; nothing here depends on them.
    pub attributes: Mutex<BTreeMap<u32, [u8; 64]>>,
}

static STREAMS: Handles<Stream> = Handles::new();
static IDS: AtomicU64 = AtomicU64::new(3);
/// Slots of blocking streams: what the legacy stream waits for.
static BLOCKING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

thread_local! {
    /// This thread's default stream, by context.
    static MINE: RefCell<HashMap<u64, Arc<Stream>>> = RefCell::new(HashMap::new());
}

impl Stream {
    /// A context's legacy stream.
    pub fn legacy(context: u64, engine: Arc<Engine>) -> Stream {
        Stream {
            slot: 0,
            flags: 0,
            priority: 0,
            context,
            id: 1,
            engine,
            capture: Mutex::default(),
            attributes: Mutex::default(),
        }
    }

    fn make(context: &Context, flags: u32, priority: i32) -> Cuda<Arc<Stream>> {
        let engine = context.engine.clone();
        let slot = engine.take_stream().ok_or(CuResult::OUT_OF_MEMORY)?;
        let order = command::CreateStream {
            non_blocking: u32::from(flags & NON_BLOCKING != 0),
            priority,
            device: context.device as u32,
            reserved: 0,
        };
        engine.submit(slot, &order).map_err(gone)?;
        if flags & NON_BLOCKING == 0 {
            lock(&BLOCKING).push(slot);
        }
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Stream {
            slot,
            flags,
            priority,
            context: context.id,
            id,
            engine,
            capture: Mutex::default(),
            attributes: Mutex::default(),
        }))
    }

    fn is_legacy(&self) -> bool {
        self.slot == 0
    }

    /// Appends an operation, or records it if the stream captures.
    pub fn enqueue(&self, operation: Operation) -> Cuda {
        if let Some(capture) = lock(&self.capture).as_mut() {
            return capture.record(operation);
        }
        context::check(&self.engine)?;
        operation.perform(self)
    }

    /// Whether everything that came before, by the order of streams, is done.
    pub fn is_idle(&self) -> bool {
        let idle = |slot: u32| self.engine.completed(slot) >= self.engine.submitted(slot);
        if self.is_legacy() {
            return idle(0) && lock(&BLOCKING).iter().all(|slot| idle(*slot));
        }
        idle(self.slot) && (self.flags & NON_BLOCKING != 0 || idle(0))
    }

    /// Waits for everything that came before, by the order of streams.
    pub fn wait(&self) -> Cuda {
        let engine = &self.engine;
        let wait = |slot: u32| engine.wait(slot, engine.submitted(slot)).map_err(gone);
        if self.is_legacy() {
            let blocking = lock(&BLOCKING).clone();
            blocking.into_iter().try_for_each(wait)?;
        }
        wait(self.slot)?;
        print_output(engine);
        Ok(())
    }

    fn retire(&self) {
        if self.is_legacy() {
            return;
        }
        // The work that is queued still runs; only the slot has to wait for its end.
        let last = self.engine.submit(self.slot, &command::DestroyStream::default());
        lock(&BLOCKING).retain(|slot| *slot != self.slot);
        if let Ok(sequence) = last
            && self.engine.wait(self.slot, sequence).is_ok()
        {
            self.engine.give_stream(self.slot);
        }
    }
}

/// The stream of a handle for the calling thread: 0 and 1 are the legacy stream, 2 the thread's own.
pub fn by_handle(handle: usize) -> Cuda<Arc<Stream>> {
    match handle {
        0 | LEGACY => Ok(context::current()?.legacy.clone()),
        PER_THREAD => mine(),
        _ => {
            crate::get()?;
            STREAMS.get(handle)
        }
    }
}

fn mine() -> Cuda<Arc<Stream>> {
    let context = context::current()?;
    if let Some(stream) = MINE.with_borrow(|mine| mine.get(&context.id).cloned()) {
        return Ok(stream);
    }
    let stream = Stream::make(&context, 0, 0)?;
    MINE.with_borrow_mut(|mine| mine.insert(context.id, stream.clone()));
    Ok(stream)
}

/// The handle that a caller with per-thread default streams means.
pub fn per_thread(handle: usize) -> usize {
    if handle == 0 { PER_THREAD } else { handle }
}

/// `cuStreamCreate`, `cuStreamCreateWithPriority`
pub fn create(flags: u32, priority: i32) -> Cuda<usize> {
    if flags & !NON_BLOCKING != 0 {
        return Err(CuResult::INVALID_VALUE);
    }
    let context = context::current()?;
    let (least, greatest) = PRIORITIES;
    Ok(STREAMS.insert(Stream::make(&context, flags, priority.clamp(greatest, least))?))
}

/// Least and greatest priority.
pub const PRIORITIES: (i32, i32) = (0, -5);

/// `cuStreamDestroy`
pub fn destroy(handle: usize) -> Cuda {
    crate::get()?;
    let stream = STREAMS.remove(handle)?;
    *lock(&stream.capture) = None;
    stream.retire();
    Ok(())
}

/// `cuStreamSynchronize`
pub fn synchronize(handle: usize) -> Cuda {
    let stream = by_handle(handle)?;
    if lock(&stream.capture).is_some() {
        return Err(CuResult::STREAM_CAPTURE_UNSUPPORTED);
    }
    stream.wait()
}

/// `cuStreamQuery`
pub fn query(handle: usize) -> Cuda {
    let stream = by_handle(handle)?;
    if lock(&stream.capture).is_some() {
        return Err(CuResult::STREAM_CAPTURE_UNSUPPORTED);
    }
    context::check(&stream.engine)?;
    if stream.is_idle() { Ok(()) } else { Err(CuResult::NOT_READY) }
}

/// `cuStreamWaitEvent`
pub fn wait_event(handle: usize, event: &Arc<Event>) -> Cuda {
    let stream = by_handle(handle)?;
    if let Some(captured) = event.captured() {
        return captured.join(&stream);
    }
    if lock(&stream.capture).is_some() {
        // Waiting for work outside of the capture would tie the graph to it.
        return Err(CuResult::STREAM_CAPTURE_ISOLATION);
    }
    stream.enqueue(Operation::WaitEvent(event.clone()))
}

/// `cuLaunchHostFunc`
pub fn launch_host_function(handle: usize, function: HostFunction) -> Cuda {
    by_handle(handle)?.enqueue(Operation::Host(function))
}

/// While a stream captures in the global mode, calls that wait for everything are refused.
pub fn refuse_while_capturing() -> Cuda {
    if crate::graph::any_global_capture() { Err(CuResult::STREAM_CAPTURE_UNSUPPORTED) } else { Ok(()) }
}

/// Writes what kernels have printed to the program's standard output.
pub fn print_output(engine: &Engine) {
    let (text, lost) = engine.take_output();
    if !text.is_empty() {
        // Through C's stream, so that the order with the program's own output stays what the program sees.
        // SAFETY: the format takes a length and a pointer, and gets both.
        unsafe { libc::printf(c"%.*s".as_ptr(), text.len() as libc::c_int, text.as_ptr()) };
    }
    if lost > 0 {
        let _ =
            writeln!(std::io::stderr(), "vgpu-run: {lost} printf calls of kernels did not fit the buffer");
    }
}

/// A context ends: its streams are stale.
pub fn forget_context(context: &Context) {
    for stream in STREAMS.remove_if(|stream| stream.context == context.id) {
        stream.retire();
    }
    if let Ok(Some(stream)) = MINE.try_with(|mine| mine.borrow_mut().remove(&context.id)) {
        stream.retire();
    }
}

/// A capture has ended: streams that had joined it are ordinary again.
pub fn leave_capture(id: u64) {
    for stream in STREAMS.all() {
        let mut capture = lock(&stream.capture);
        if crate::graph::is_of(&capture, id) {
            *capture = None;
        }
    }
}
