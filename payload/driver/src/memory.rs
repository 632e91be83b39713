//! Memory: allocations, copies, fills.
//!
//! Device memory is mapped here at the address that the engine uses, so a synchronous copy is a `memcpy` of the calling thread
//! once the stream has got there; asynchronous copies between engine-visible memory go through the stream. Pageable memory is the
//! client's alone: asynchronous copies from it are staged before the call returns, as the real driver does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use client::{Bounce, Engine, trace};
use wire::command;
use wire::control::{self, MemoryKind};
use wire::trace::value::Writer;

use crate::checks;
use crate::context::{self, Context};
use crate::heap::Heap;
use crate::operation::Operation;
use crate::stream::{self, Stream};
use crate::virtual_memory::{READ, WRITE};
use crate::{CuResult, Cuda, get, gone, lock, pool, status};

/// Allocations up to this size share grants.
const SMALL: u64 = 1 << 20;
/// Size of a shared grant.
const CHUNK: u64 = 2 << 20;
/// Pageable copies up to this size are staged rather than waited for.
const STAGED: u64 = 4 << 20;

/// What is known of one allocation.
#[derive(Clone, Debug)]
pub struct Allocation {
    /// Bytes asked for.
    pub length: u64,
    /// What for.
    pub kind: MemoryKind,
    /// Device ordinal.
    pub device: i32,
    /// Id of the context that made it.
    pub context: u64,
    /// Its handle.
    pub context_handle: usize,
    /// Flags of `cuMemHostAlloc`, `cuMemAllocManaged`.
    pub flags: u32,
    /// It is a part of a shared grant.
    small: bool,
    /// For `CU_POINTER_ATTRIBUTE_BUFFER_ID`.
    pub id: u64,
    /// It came from another process, in a mapping that begins here; else 0.
    imported: u64,
    /// The memory pool that it came from, or 0.
    pub pool: usize,
    /// It is a mapping of this physical memory ([`virtual_memory`](crate::virtual_memory)); else 0.
    pub physical: u64,
    /// `CUmemAccess_flags`: what may be done with it.
    pub access: u32,
    /// `CUmemAllocationHandleType`s of the physical memory.
    pub handle_types: u32,
}

impl Default for Allocation {
    fn default() -> Self {
        Allocation {
            length: 0,
            kind: MemoryKind::Device,
            device: 0,
            context: 0,
            context_handle: 0,
            flags: 0,
            small: false,
            id: 0,
            imported: 0,
            pool: 0,
            physical: 0,
            access: READ | WRITE,
            handle_types: 0,
        }
    }
}

#[derive(Default)]
struct Tables {
    by_address: BTreeMap<u64, Allocation>,
    heaps: HashMap<(i32, u32), Heap>,
    /// Grants that small allocations share.
    chunks: BTreeSet<u64>,
    ids: u64,
    /// Allocations to free once a stream has got there: slot, sequence, address.
    deferred: Vec<(u32, u64, u64)>,
    /// Staged copies: slot, sequence.
    staged: Vec<(u32, u64, Bounce)>,
}

static TABLES: Mutex<Option<Tables>> = Mutex::new(None);

fn with_tables<T>(action: impl FnOnce(&mut Tables) -> T) -> T {
    action(lock(&TABLES).get_or_insert_with(Tables::default))
}

/// The allocation that holds an address, and where it begins.
pub fn find(address: u64) -> Option<(u64, Allocation)> {
    with_tables(|tables| {
        let (start, allocation) = tables.by_address.range(..=address).next_back()?;
        (address - start < allocation.length.max(1)).then(|| (*start, allocation.clone()))
    })
}

/// What may be done with all of a range, as `CUmemAccess_flags`; `None`: it does not lie in allocations. Mappings beside each
/// other are one.
fn access(address: u64, length: u64) -> Option<u32> {
    let end = address.checked_add(length)?;
    with_tables(|tables| {
        let (start, first) = tables.by_address.range(..=address).next_back()?;
        if address - start >= first.length.max(1) {
            return None;
        }
        let (mut covered, mut access) = (start + first.length, first.access);
        while covered < end && first.physical != 0 {
            let next = tables.by_address.get(&covered).filter(|next| next.physical != 0)?;
            covered += next.length;
            access &= next.access;
        }
        (end <= covered).then_some(access)
    })
}

/// Whether the engine can use all of a range in this way.
fn engine_sees(address: u64, length: u64, wanted: u32) -> bool {
    access(address, length).is_some_and(|access| access & wanted == wanted)
}

/// `cuMemAlloc`, `cuMemHostAlloc`, `cuMemAllocManaged`
pub fn allocate(kind: MemoryKind, length: u64, flags: u32) -> Cuda<u64> {
    allocate_in(&context::current()?, kind, length, flags)
}

/// The same for a given context.
pub(crate) fn allocate_in(context: &Arc<Context>, kind: MemoryKind, length: u64, flags: u32) -> Cuda<u64> {
    context::check(&context.engine)?;
    if length == 0 {
        return Err(CuResult::INVALID_VALUE);
    }
    collect_deferred(context);
    let small = length <= SMALL;
    let address = if small { take_small(context, kind, length)? } else { grant(context, kind, length)? };
    with_tables(|tables| {
        tables.ids += 1;
        let allocation = Allocation {
            length,
            kind,
            device: context.device,
            context: context.id,
            context_handle: context.handle(),
            flags,
            small,
            id: tables.ids,
            ..Allocation::default()
        };
        tables.by_address.insert(address, allocation);
    });
    checks::allocated(&context.engine, address, length, kind);
    Ok(address)
}

fn grant(context: &Context, kind: MemoryKind, length: u64) -> Cuda<u64> {
    let driver = get()?;
    let device = driver.device(context.device)?.index;
    let mapped = context.engine.allocate(driver.connection(), device, kind, length).map_err(status)?;
    Ok(mapped.address)
}

fn take_small(context: &Context, kind: MemoryKind, length: u64) -> Cuda<u64> {
    let key = (context.device, kind as u32);
    if let Some(address) = with_tables(|tables| tables.heaps.entry(key).or_default().take(length)) {
        return Ok(address);
    }
    let chunk = grant(context, kind, CHUNK)?;
    with_tables(|tables| {
        tables.chunks.insert(chunk);
        let heap = tables.heaps.entry(key).or_default();
        heap.add(chunk, CHUNK);
        heap.take(length)
    })
    .ok_or(CuResult::OUT_OF_MEMORY)
}

/// `cuMemFree`, `cuMemFreeHost`: waits for the work that may use it.
pub fn free(address: u64) -> Cuda {
    if address == 0 {
        return Ok(());
    }
    if let Some(freed) = crate::graph::freed_by_client(address) {
        context::current()?.engine.wait_all().map_err(gone)?;
        return freed;
    }
    let context = context::current()?;
    if !is_allocation(address) {
        return Err(CuResult::INVALID_VALUE);
    }
    context.engine.wait_all().map_err(gone)?;
    release(&context, address)
}

/// Whether an allocation, and no mapping, begins there.
fn is_allocation(address: u64) -> bool {
    with_tables(|tables| tables.by_address.get(&address).is_some_and(|allocation| allocation.physical == 0))
}

/// Frees memory that the driver itself had taken, once the work that may use it is done.
pub(crate) fn give_back(address: u64) {
    // Its context may be gone by now, and the memory with it.
    if let Some((_, allocation)) = find(address)
        && let Ok(context) = context::by_handle(allocation.context_handle)
    {
        let _ = context.engine.wait_all();
        let _ = release(&context, address);
    }
}

fn release(context: &Context, address: u64) -> Cuda {
    let allocation =
        with_tables(|tables| tables.by_address.remove(&address)).ok_or(CuResult::INVALID_VALUE)?;
    checks::freed(&context.engine, address);
    if let Ok(pool) = pool::by_handle(allocation.pool) {
        pool.count(-(allocation.length as i64));
    }
    if allocation.small {
        let key = (allocation.device, allocation.kind as u32);
        with_tables(|tables| tables.heaps.entry(key).or_default().give(address, allocation.length));
        return Ok(());
    }
    let grant = if allocation.imported == 0 { address } else { allocation.imported };
    context.engine.free(get()?.connection(), grant).map_err(status)
}

/// `cuMemAllocAsync`: the memory is there at once; in a capture it is a graph's.
pub fn allocate_async(length: u64, pool: Option<usize>, stream: &Stream) -> Cuda<u64> {
    if let Some(capture) = lock(&stream.capture).as_mut() {
        return capture.record_allocation(length);
    }
    let handle = pool.map_or_else(|| pool::current_of(context::current()?.device), Ok)?;
    let pool = pool::by_handle(handle)?;
    let address = allocate(MemoryKind::Device, length, 0)?;
    with_tables(|tables| {
        tables.by_address.entry(address).and_modify(|allocation| allocation.pool = handle);
    });
    pool.count(length as i64);
    Ok(address)
}

/// `cuMemFreeAsync`: the memory goes back when the stream gets there.
pub fn free_async(address: u64, stream: &Stream) -> Cuda {
    if let Some(capture) = lock(&stream.capture).as_mut() {
        return capture.record_free(address);
    }
    if let Some(freed) = crate::graph::freed_by_client(address) {
        return freed;
    }
    if !is_allocation(address) {
        return Err(CuResult::INVALID_VALUE);
    }
    // The legacy stream's place includes all blocking streams; a command of its own marks it.
    let mark = command::Copy { target: address, source: address, length: 0, in_area: 0, reserved: 0 };
    let engine = &stream.engine;
    let sequence = match engine.checks() {
        true => engine.submit(stream.slot, &command::Freed { address, in_order: 1 }),
        false => engine.submit(stream.slot, &mark),
    };
    let sequence = sequence.map_err(gone)?;
    with_tables(|tables| tables.deferred.push((stream.slot, sequence, address)));
    Ok(())
}

fn collect_deferred(context: &Context) {
    let engine = &context.engine;
    let done: Vec<u64> = with_tables(|tables| {
        let (done, waiting) =
            tables.deferred.iter().partition(|(slot, sequence, _)| engine.completed(*slot) >= *sequence);
        tables.deferred = waiting;
        Vec::from_iter(done).into_iter().map(|(_, _, address): (u32, u64, u64)| address).collect()
    });
    for address in done {
        let _ = release(context, address);
    }
}

/// A context ends: what it allocated is given back.
pub fn forget_context(context: &Context) {
    let mine: Vec<u64> = with_tables(|tables| {
        let of_context = |(_, allocation): &(&u64, &Allocation)| allocation.context == context.id;
        tables.by_address.iter().filter(of_context).map(|(address, _)| *address).collect()
    });
    for address in mine {
        let _ = release(context, address);
    }
}

/// `cuMemGetInfo`: free and total bytes.
pub fn get_info() -> Cuda<(u64, u64)> {
    crate::device::memory(context::current()?.device)
}

/// What another process needs to map an allocation.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Exported {
    /// Name of the grant.
    token: [u8; 32],
    /// Where the allocation begins in it.
    offset: u64,
    /// Its bytes.
    length: u64,
}

/// `cuIpcGetMemHandle`: as with the real driver, small allocations share a block, and who opens one could reach the others.
pub fn export(address: u64) -> Cuda<Exported> {
    let (start, allocation) = find(address).ok_or(CuResult::INVALID_VALUE)?;
    let exportable =
        allocation.kind == MemoryKind::Device && allocation.imported == 0 && allocation.physical == 0;
    if start != address || !exportable {
        return Err(CuResult::INVALID_VALUE);
    }
    let chunk = with_tables(|tables| tables.chunks.range(..=address).next_back().copied());
    let grant = chunk.filter(|_| allocation.small).unwrap_or(address);
    let exported = get()?.connection().call(&control::ExportMemory { address: grant }).map_err(status)?;
    Ok(Exported { token: exported.token, offset: address - grant, length: allocation.length })
}

/// `cuIpcOpenMemHandle`
pub fn import(exported: Exported) -> Cuda<u64> {
    let context = context::current()?;
    let connection = get()?.connection();
    let mapped = context.engine.import(connection, exported.token, MemoryKind::Device).map_err(status)?;
    let Exported { offset, length, .. } = exported;
    if length == 0 || offset.checked_add(length).is_none_or(|end| end > mapped.length) {
        let _ = context.engine.free(connection, mapped.address);
        return Err(CuResult::INVALID_VALUE);
    }
    let address = mapped.address + offset;
    with_tables(|tables| {
        tables.ids += 1;
        let allocation = Allocation {
            length,
            device: context.device,
            context: context.id,
            context_handle: context.handle(),
            id: tables.ids,
            imported: mapped.address,
            ..Allocation::default()
        };
        tables.by_address.insert(address, allocation);
    });
    checks::shared(&context.engine, address, length, MemoryKind::Device);
    Ok(address)
}

/// `cuIpcCloseMemHandle`
pub fn close_import(address: u64) -> Cuda {
    match find(address) {
        Some((start, allocation)) if start == address && allocation.imported != 0 => free(address),
        _ => Err(CuResult::INVALID_VALUE),
    }
}

// ----- mappings of physical memory

/// Physical memory has a place now, but nobody may use it there yet.
pub(crate) fn insert_mapping(
    address: u64,
    length: u64,
    device: i32,
    kind: MemoryKind,
    physical: u64,
    handle_types: u32,
) {
    with_tables(|tables| {
        tables.ids += 1;
        let id = tables.ids;
        let allocation = Allocation {
            length,
            kind,
            device,
            id,
            physical,
            access: 0,
            handle_types,
            ..Allocation::default()
        };
        tables.by_address.insert(address, allocation);
    });
}

/// What may be done there from now on.
pub(crate) fn set_access(address: u64, access: u32) {
    let changed = with_tables(|tables| {
        let allocation = tables.by_address.get_mut(&address)?;
        allocation.access = access;
        Some((allocation.length, allocation.kind))
    });
    let Some((length, kind)) = changed else { return };
    let Ok(engine) = get().and_then(|driver| driver.engine()) else { return };
    checks::freed(&engine, address);
    if access != 0 {
        checks::shared(&engine, address, length, kind);
    }
}

/// It has no place any more.
pub(crate) fn remove_mapping(address: u64) {
    with_tables(|tables| tables.by_address.remove(&address));
    if let Ok(engine) = get().and_then(|driver| driver.engine()) {
        checks::freed(&engine, address);
    }
}

// ----- copies

/// `cuMemcpy…`: on return the bytes are there.
pub fn copy(stream: &Stream, target: u64, source: u64, length: u64) -> Cuda {
    if length == 0 {
        return context::check(&stream.engine);
    }
    let engine = &stream.engine;
    let seen = (check_range(engine, target, length, WRITE)?, check_range(engine, source, length, READ)?);
    if seen == (true, true) {
        stream.enqueue(Operation::Copy { target, source, length })?;
        // Between device memories the call does not wait for the copy, by the interface's own words.
        return if host_looks_at(target) || host_looks_at(source) { stream.wait() } else { Ok(()) };
    }
    if lock(&stream.capture).is_some() {
        return Err(CuResult::STREAM_CAPTURE_UNSUPPORTED);
    }
    stream.wait()?;
    // SAFETY: device ranges are mapped grants (`check_range`); host ranges are the caller's promise.
    unsafe { copy_here(target, source, length) };
    if seen.0 {
        checks::written(engine, target, length);
    }
    Ok(())
}

/// Copies on the calling thread, and traces that.
///
/// # Safety
/// All of the source must be readable and all of the target writable.
unsafe fn copy_here(target: u64, source: u64, length: u64) {
    let describe = |to: &mut Writer| {
        to.unsigned("bytes", length);
        to.address("target", target);
        to.address("source", source);
    };
    // SAFETY: the caller's promise.
    trace::step("copy", describe, || unsafe {
        std::ptr::copy(source as *const u8, target as *mut u8, length as usize);
    });
}

/// `cuMemcpy…Async`
pub fn copy_async(stream: &Stream, target: u64, source: u64, length: u64) -> Cuda {
    if length == 0 {
        return context::check(&stream.engine);
    }
    check_range(&stream.engine, target, length, WRITE)?;
    check_range(&stream.engine, source, length, READ)?;
    stream.enqueue(Operation::Copy { target, source, length })
}

/// Whether the client uses this memory without asking us: then a synchronous call has to be over when it returns.
fn host_looks_at(address: u64) -> bool {
    find(address).is_some_and(|(_, allocation)| allocation.kind != MemoryKind::Device)
}

/// Whether the engine sees all of a range; `false`: it may be the client's own memory. A range that begins in an allocation must
/// end in it, and be usable; one that begins nowhere is an error where only device memory can be.
fn check_range(engine: &Engine, address: u64, length: u64, wanted: u32) -> Cuda<bool> {
    if engine_sees(address, length, wanted) {
        return Ok(true);
    }
    if address == 0 || engine.in_window(address, 1) || find(address).is_some() {
        checks::refused(engine, address, length);
        return Err(CuResult::INVALID_VALUE);
    }
    Ok(false)
}

/// Executes a copy in stream order (at submission, or at the replay of a graph).
pub fn submit_copy(stream: &Stream, target: u64, source: u64, length: u64) -> Cuda {
    let engine = &stream.engine;
    // Again: a graph may be older than what it was made for.
    match (check_range(engine, target, length, WRITE)?, check_range(engine, source, length, READ)?) {
        (true, true) => {
            let order = command::Copy { target, source, length, in_area: 0, reserved: 0 };
            engine.submit(stream.slot, &order).map(drop).map_err(gone)
        }
        (true, false) if !stream.is_idle() && length <= STAGED => stage(stream, target, source, length),
        // From device to pageable memory the call waits, as the interface says; and an idle stream needs no detour.
        (target_seen, _) => {
            stream.wait()?;
            // SAFETY: as in `copy`.
            unsafe { copy_here(target, source, length) };
            if target_seen {
                checks::written(engine, target, length);
            }
            Ok(())
        }
    }
}

/// Takes the source's bytes now and lets the stream place them.
fn stage(stream: &Stream, target: u64, source: u64, length: u64) -> Cuda {
    let engine = &stream.engine;
    collect_staged(stream);
    let Some(mut bounce) = engine.take_bounce(length) else {
        stream.wait()?;
        // SAFETY: as in `copy`.
        unsafe { copy_here(target, source, length) };
        checks::written(engine, target, length);
        return Ok(());
    };
    // SAFETY: the caller's source, readable by its promise until this call returns.
    bounce.write(engine.view(), unsafe { std::slice::from_raw_parts(source as *const u8, length as usize) });
    let order = command::Copy { target, source: bounce.offset, length, in_area: 1, reserved: 0 };
    match engine.submit(stream.slot, &order) {
        Ok(sequence) => {
            with_tables(|tables| tables.staged.push((stream.slot, sequence, bounce)));
            Ok(())
        }
        Err(error) => {
            engine.give_bounce(bounce);
            Err(gone(error))
        }
    }
}

fn collect_staged(stream: &Stream) {
    let engine = &stream.engine;
    let done: Vec<Bounce> = with_tables(|tables| {
        let all = std::mem::take(&mut tables.staged);
        let (done, waiting): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(slot, sequence, _)| engine.completed(*slot) >= *sequence);
        tables.staged = waiting;
        done.into_iter().map(|(_, _, bounce)| bounce).collect()
    });
    done.into_iter().for_each(|bounce| engine.give_bounce(bounce));
}

/// Executes a box copy in stream order.
pub fn submit_rectangle(stream: &Stream, order: &command::CopyRectangle) -> Cuda {
    let span = |side: usize| {
        let [width, height, depth] = order.extent;
        (depth.saturating_sub(1)) * order.slice_pitch[side]
            + height.saturating_sub(1) * order.row_pitch[side]
            + width
    };
    if order.extent.contains(&0) {
        return Ok(());
    }
    let engine = &stream.engine;
    let target_seen = check_range(engine, order.target, span(0), WRITE)?;
    let source_seen = check_range(engine, order.source, span(1), READ)?;
    if target_seen && source_seen {
        return engine.submit(stream.slot, order).map(drop).map_err(gone);
    }
    stream.wait()?;
    // SAFETY: device sides are mapped; host sides are the caller's promise.
    unsafe { copy_box_here(order) };
    if target_seen {
        checks::written_box(engine, order);
    }
    Ok(())
}

/// Copies a box on the calling thread, and traces that.
///
/// # Safety
/// All of the source must be readable and all of the target writable.
unsafe fn copy_box_here(order: &command::CopyRectangle) {
    let [width, height, depth] = order.extent;
    let describe = |to: &mut Writer| {
        to.unsigned("bytes", width.saturating_mul(height).saturating_mul(depth));
        to.list("extent", order.extent.iter().copied());
    };
    let run = || {
        for (slice, row) in (0..depth).flat_map(|slice| (0..height).map(move |row| (slice, row))) {
            let place = |start: u64, side: usize| {
                start + slice * order.slice_pitch[side] + row * order.row_pitch[side]
            };
            let (source, target) = (place(order.source, 1), place(order.target, 0));
            // SAFETY: a row of the box, by the caller's promise.
            unsafe { std::ptr::copy(source as *const u8, target as *mut u8, width as usize) };
        }
    };
    trace::step("copy of a box", describe, run);
}

/// `cuMemcpy2D`, `cuMemcpy3D` and their kin.
pub fn copy_rectangle(stream: &Stream, order: command::CopyRectangle, synchronous: bool) -> Cuda {
    stream.enqueue(Operation::CopyRectangle(order))?;
    if synchronous { stream.wait() } else { Ok(()) }
}

/// `cuMemsetD…`: `element` bytes a value, `width` values a row.
pub fn fill(
    stream: &Stream,
    target: u64,
    pitch: u64,
    value: u32,
    element: u32,
    width: u64,
    height: u64,
) -> Cuda {
    if !target.is_multiple_of(u64::from(element)) {
        return Err(CuResult::INVALID_VALUE);
    }
    if width == 0 || height == 0 {
        return context::check(&stream.engine);
    }
    check_range(&stream.engine, target, width * u64::from(element), WRITE)?;
    stream.enqueue(Operation::Fill(command::Fill { target, pitch, width, height, value, element }))
}

/// The synchronous form: waits where the client could look.
pub fn fill_and_wait(
    stream: &Stream,
    target: u64,
    pitch: u64,
    value: u32,
    element: u32,
    width: u64,
    height: u64,
) -> Cuda {
    fill(stream, target, pitch, value, element, width, height)?;
    if host_looks_at(target) { stream.wait() } else { Ok(()) }
}

/// Whether the engine sees all of a range; an error if not.
pub(crate) fn check_seen(address: u64, length: u64) -> Cuda {
    if engine_sees(address, length, READ) { Ok(()) } else { Err(CuResult::INVALID_VALUE) }
}

/// The default stream of the calling thread's context, or its own.
pub fn default_stream(per_thread: bool) -> Cuda<Arc<Stream>> {
    stream::by_handle(if per_thread { stream::per_thread(0) } else { 0 })
}
