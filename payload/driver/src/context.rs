//! Contexts: primary and created ones, and each thread's stack of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use client::Engine;
use wire::command::SetHeap;
use wire::control::MemoryKind;

use crate::handle::Handles;
use crate::stream::Stream;
use crate::{CuResult, Cuda, array, get, lock, memory, module, registered, stream, texture};

/// A context. All contexts of a process share its engine; a context owns allocations, modules and streams.
pub struct Context {
    /// Unlike the handle, never used again.
    pub id: u64,
    /// Device ordinal.
    pub device: i32,
    /// Creation flags.
    pub flags: u32,
    /// Of `cuDevicePrimaryCtxRetain`.
    pub primary: bool,
    /// The process's engine.
    pub engine: Arc<Engine>,
    /// The legacy default stream.
    pub legacy: Arc<Stream>,
    alive: AtomicBool,
    limits: Mutex<HashMap<u32, u64>>,
    /// Whether device `malloc` has memory.
    has_heap: Mutex<bool>,
    /// Uses by `cuCtxAttach`, and the one by `cuCtxCreate`.
    uses: AtomicU32,
}

/// `CU_LIMIT_MALLOC_HEAP_SIZE`
const HEAP_SIZE: u32 = 2;

static CONTEXTS: Handles<Context> = Handles::new();
static IDS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// Without a destructor, so that it is there in exit handlers too, which run when thread-locals are gone (GCC's OpenMP
    /// runtime asks for the current context in one).
    static STACK: RefCell<ManuallyDrop<Vec<Arc<Context>>>> = const { RefCell::new(ManuallyDrop::new(Vec::new())) };
    static END: EndOfThread = const { EndOfThread };
}

/// Empties the stack of a thread that ends. The main thread's is needed until the process has ended.
struct EndOfThread;

impl Drop for EndOfThread {
    fn drop(&mut self) {
        // SAFETY: the calls take nothing and cannot fail. By number: older C libraries have no `gettid`.
        let is_main = unsafe { libc::syscall(libc::SYS_gettid) == i64::from(libc::getpid()) };
        if !is_main {
            drop(STACK.with_borrow_mut(|stack| std::mem::take(&mut **stack)));
        }
    }
}

/// Changes this thread's stack.
fn with_stack<T>(change: impl FnOnce(&mut Vec<Arc<Context>>) -> T) -> T {
    // In an exit handler there is nobody any more to empty the stack later, nor need.
    let _ = END.try_with(|_| ());
    STACK.with_borrow_mut(|stack| change(stack))
}

impl Context {
    fn new(device: i32, flags: u32, primary: bool) -> Cuda<Arc<Context>> {
        let driver = get()?;
        let engine = driver.engine()?;
        check(&engine)?;
        driver.enter(device)?;
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let legacy = Arc::new(Stream::legacy(id, engine.clone()));
        let limits = Mutex::new(HashMap::from([
            (0, 1024),
            (1, 1 << 20),
            (HEAP_SIZE, 8 << 20),
            (3, 2),
            (4, 2048),
            (5, 128),
        ]));
        let alive = AtomicBool::new(true);
        let context = Arc::new(Context {
            id,
            device,
            flags,
            primary,
            engine,
            legacy,
            alive,
            limits,
            has_heap: Mutex::new(false),
            uses: AtomicU32::new(1),
        });
        CONTEXTS.insert(context.clone());
        Ok(context)
    }

    /// Its handle.
    pub fn handle(self: &Arc<Self>) -> usize {
        Handles::of(self)
    }

    /// Gives device `malloc` its memory, if it has none: as much as the limit says, which is settled thereby.
    pub(crate) fn ensure_heap(self: &Arc<Self>) -> Cuda {
        let mut has_heap = lock(&self.has_heap);
        if !*has_heap {
            // A heap of one byte serves nobody, as one of none.
            let length = lock(&self.limits)[&HEAP_SIZE].max(1);
            let address = memory::allocate_in(self, MemoryKind::Device, length, 0)?;
            self.engine.submit(0, &SetHeap { context: self.id, address, length }).map_err(crate::gone)?;
            *has_heap = true;
        }
        Ok(())
    }

    /// Waits for all of its work and gives back what it owns.
    fn destroy(self: &Arc<Self>) {
        self.alive.store(false, Ordering::SeqCst);
        let _ = CONTEXTS.remove(self.handle());
        let _ = self.engine.wait_all();
        stream::forget_context(self);
        module::forget_context(self.id);
        texture::forget_context(self.id);
        array::forget_context(self.id);
        if *lock(&self.has_heap) {
            let _ = self.engine.submit(0, &SetHeap { context: self.id, address: 0, length: 0 });
        }
        memory::forget_context(self);
        registered::forget_context(self.id);
    }
}

/// The engine's sticky error, if any.
pub fn check(engine: &Engine) -> Cuda {
    match engine.error() {
        0 => Ok(()),
        error => Err(CuResult(error)),
    }
}

/// The calling thread's current context.
pub fn current() -> Cuda<Arc<Context>> {
    get()?;
    let current = STACK.with_borrow(|stack| stack.last().cloned()).ok_or(CuResult::INVALID_CONTEXT)?;
    match current.alive.load(Ordering::Relaxed) {
        true => Ok(current),
        false => Err(CuResult::CONTEXT_IS_DESTROYED),
    }
}

/// A context by its handle; 0 means the current one.
pub fn by_handle(handle: usize) -> Cuda<Arc<Context>> {
    if handle == 0 { current() } else { CONTEXTS.get(handle).map_err(|_| CuResult::INVALID_CONTEXT) }
}

/// `cuCtxCreate`
pub fn create(flags: u32, device: i32) -> Cuda<usize> {
    get()?.device(device)?;
    let context = Context::new(device, flags, false)?;
    with_stack(|stack| stack.push(context.clone()));
    Ok(context.handle())
}

/// `cuCtxDestroy`
pub fn destroy(handle: usize) -> Cuda {
    get()?;
    let context = CONTEXTS.get(handle).map_err(|_| CuResult::INVALID_CONTEXT)?;
    if context.primary {
        return Err(CuResult::INVALID_CONTEXT);
    }
    with_stack(|stack| {
        if stack.last().is_some_and(|top| Arc::ptr_eq(top, &context)) {
            stack.pop();
        }
    });
    context.destroy();
    Ok(())
}

/// `cuCtxAttach`: the current context is used once more.
pub fn attach() -> Cuda<usize> {
    let context = current()?;
    context.uses.fetch_add(1, Ordering::Relaxed);
    Ok(context.handle())
}

/// `cuCtxDetach`: the current context, which ends with its last use.
pub fn detach(handle: usize) -> Cuda {
    let context = current()?;
    if context.primary || context.handle() != handle {
        return Err(CuResult::INVALID_CONTEXT);
    }
    let last = context.uses.fetch_sub(1, Ordering::Relaxed) == 1;
    if last { destroy(handle) } else { Ok(()) }
}

/// `cuCtxPushCurrent`
pub fn push_current(handle: usize) -> Cuda {
    get()?;
    let context = CONTEXTS.get(handle).map_err(|_| CuResult::INVALID_CONTEXT)?;
    with_stack(|stack| stack.push(context));
    Ok(())
}

/// `cuCtxPopCurrent`
pub fn pop_current() -> Cuda<usize> {
    get()?;
    with_stack(Vec::pop).map(|context| context.handle()).ok_or(CuResult::INVALID_CONTEXT)
}

/// `cuCtxSetCurrent`
pub fn set_current(handle: usize) -> Cuda {
    get()?;
    let context = match handle {
        0 => None,
        _ => Some(CONTEXTS.get(handle).map_err(|_| CuResult::INVALID_CONTEXT)?),
    };
    with_stack(|stack| {
        stack.pop();
        stack.extend(context);
    });
    Ok(())
}

/// `cuCtxGetCurrent`: 0 if there is none.
pub fn get_current() -> Cuda<usize> {
    get()?;
    Ok(STACK.with_borrow(|stack| stack.last().map_or(0, |context| context.handle())))
}

/// `cuCtxSynchronize`
pub fn synchronize() -> Cuda {
    let context = current()?;
    stream::refuse_while_capturing()?;
    let result = context.engine.wait_all().map_err(crate::gone);
    stream::print_output(&context.engine);
    result
}

/// `cuCtxGetLimit`
pub fn get_limit(limit: u32) -> Cuda<u64> {
    lock(&current()?.limits).get(&limit).copied().ok_or(CuResult::INVALID_VALUE)
}

/// `cuCtxSetLimit`
pub fn set_limit(limit: u32, value: u64) -> Cuda {
    let context = current()?;
    // Held to the end, so that no launch settles it meanwhile.
    let has_heap = lock(&context.has_heap);
    if limit == HEAP_SIZE && *has_heap {
        // As CUDA says: its size can be set before the first launch of a kernel that uses it.
        return Err(CuResult::INVALID_VALUE);
    }
    let mut limits = lock(&context.limits);
    *limits.get_mut(&limit).ok_or(CuResult::INVALID_VALUE)? = value;
    Ok(())
}

/// `cuDevicePrimaryCtxRetain`
pub fn primary_retain(device: i32) -> Cuda<usize> {
    let place = &get()?.device(device)?.primary;
    let mut primary = lock(place);
    let context = match &primary.context {
        Some(context) => context.clone(),
        None => {
            let context = Context::new(device, primary.flags, true)?;
            primary.context = Some(context.clone());
            context
        }
    };
    primary.count += 1;
    Ok(context.handle())
}

/// `cuDevicePrimaryCtxRelease`
pub fn primary_release(device: i32) -> Cuda {
    let place = &get()?.device(device)?.primary;
    let mut primary = lock(place);
    if primary.count == 0 {
        return Err(CuResult::INVALID_CONTEXT);
    }
    primary.count -= 1;
    if primary.count > 0 {
        return Ok(());
    }
    let context = primary.context.take();
    drop(primary);
    if let Some(context) = context {
        context.destroy();
    }
    Ok(())
}

/// `cuDevicePrimaryCtxReset`: the retains stay, the context begins anew at the next use.
pub fn primary_reset(device: i32) -> Cuda {
    let place = &get()?.device(device)?.primary;
    let context = lock(place).context.take();
    if let Some(context) = context {
        context.destroy();
    }
    lock(place).count = 0;
    Ok(())
}

/// `cuDevicePrimaryCtxSetFlags`
pub fn primary_set_flags(device: i32, flags: u32) -> Cuda {
    lock(&get()?.device(device)?.primary).flags = flags;
    Ok(())
}

/// `cuDevicePrimaryCtxGetState`: flags, active.
pub fn primary_state(device: i32) -> Cuda<(u32, bool)> {
    let primary = lock(&get()?.device(device)?.primary);
    Ok((primary.flags, primary.context.is_some()))
}
