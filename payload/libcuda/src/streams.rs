//! cuStream…

use std::ffi::c_void;

use api::structs::StreamMemOp;

use crate::door::*;
use crate::graphs::{EdgeData, check_edge_data};
use driver::operation::{HostFunction, Operation};
use driver::{CuResult, Cuda, context, event, graph, stream};
use wire::command;

/// `CUstreamCallback`
type StreamCallback = unsafe extern "C" fn(stream: usize, status: u32, data: *mut c_void);

/// A callback of the older kind, carried by a host function.
struct Callback {
    function: StreamCallback,
    stream: usize,
    data: *mut c_void,
}

unsafe extern "C" fn run_callback(data: *mut c_void) {
    // SAFETY: made by Box::into_raw in cuStreamAddCallback, and run once.
    let callback = unsafe { Box::from_raw(data.cast::<Callback>()) };
    // SAFETY: the caller of cuStreamAddCallback promised a function that takes these.
    unsafe { (callback.function)(callback.stream, 0, callback.data) };
}

fn capture_info(handle: usize) -> Cuda<Option<(u64, usize, Vec<usize>)>> {
    let stream = stream::by_handle(handle)?;
    let capture = stream.capture.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    Ok(capture.as_ref().map(|capture| capture.info()))
}

thread_local! {
    /// Dependencies told by the newest cuStreamGetCaptureInfo: the caller gets their address.
    static DEPENDENCIES: std::cell::RefCell<Vec<usize>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn write_value(stream: *mut c_void, address: u64, value: u64, width: u32) -> Cuda {
    stream::by_handle(stream as usize)?.enqueue(write(address, value, width))
}

fn write(address: u64, value: u64, width: u32) -> Operation {
    Operation::WriteValue(command::WriteValue { address, value, width, raise: 0 })
}

fn wait_value(stream: *mut c_void, address: u64, value: u64, width: u32, flags: u32) -> Cuda {
    stream::by_handle(stream as usize)?.enqueue(wait(address, value, width, flags))
}

fn wait(address: u64, value: u64, width: u32, flags: u32) -> Operation {
    Operation::WaitValue(command::WaitValue { address, value, width, comparison: flags & 3 })
}

/// Of `CUlaunchAttributeID`, those that a stream has.
const STREAM_ATTRIBUTES: [u32; 5] = [1, ATTRIBUTE_SYNCHRONIZATION_POLICY, ATTRIBUTE_PRIORITY, 9, 10];
const ATTRIBUTE_SYNCHRONIZATION_POLICY: u32 = 3;
const ATTRIBUTE_PRIORITY: u32 = 8;

fn attributes(
    stream: &stream::Stream,
) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<u32, [u8; 64]>> {
    stream.attributes.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// `CUstreamBatchMemOpType`
mod memory_operation {
    pub const WAIT_32: u32 = 1;
    pub const WRITE_32: u32 = 2;
    pub const FLUSH_REMOTE_WRITES: u32 = 3;
    pub const WAIT_64: u32 = 4;
    pub const WRITE_64: u32 = 5;
    pub const BARRIER: u32 = 6;
}

/// The operations of `cuStreamBatchMemOp`, in their order.
pub fn batch(words: &[StreamMemOp]) -> Cuda<Vec<Operation>> {
    use memory_operation::*;
    let operation = |word: &StreamMemOp| {
        let narrow = word.value & 0xffff_ffff;
        Ok(match word.operation {
            WAIT_32 => wait(word.address, narrow, 4, word.flags),
            WAIT_64 => wait(word.address, word.value, 8, word.flags),
            WRITE_32 => write(word.address, narrow, 4),
            WRITE_64 => write(word.address, word.value, 8),
            // Operations of a stream are ordered for everybody, and nobody writes from afar.
            FLUSH_REMOTE_WRITES | BARRIER => Operation::Nothing,
            other => {
                driver::note::unsupported(&format!("cuStreamBatchMemOp of operation {other}"));
                return Err(CuResult::NOT_SUPPORTED);
            }
        })
    };
    words.iter().map(operation).collect()
}

/// The other way round, for a graph that is asked.
pub fn memory_word(operation: &Operation) -> Option<StreamMemOp> {
    use memory_operation::*;
    let word = |operation, address, value, flags| StreamMemOp {
        operation,
        address,
        value,
        flags,
        alias: 0,
        reserved: 0,
    };
    match operation {
        Operation::WaitValue(order) => {
            let kind = if order.width == 4 { WAIT_32 } else { WAIT_64 };
            Some(word(kind, order.address, order.value, order.comparison))
        }
        Operation::WriteValue(order) => {
            Some(word(if order.width == 4 { WRITE_32 } else { WRITE_64 }, order.address, order.value, 0))
        }
        _ => None,
    }
}

exports! {
    fn cuStreamCreate(created: *mut usize, flags: u32) {
        *out(created)? = stream::create(flags, 0)?;
        Ok(())
    }

    fn cuStreamCreateWithPriority(created: *mut usize, flags: u32, priority: i32) {
        *out(created)? = stream::create(flags, priority)?;
        Ok(())
    }

    fn cuStreamDestroy_v2(handle: usize) {
        stream::destroy(handle)
    }

    fn cuStreamDestroy(handle: usize) {
        stream::destroy(handle)
    }

    fn cuStreamSynchronize |cuStreamSynchronize_ptsz with stream (stream: *mut c_void) {
        stream::synchronize(stream as usize)
    }

    fn cuStreamQuery |cuStreamQuery_ptsz with stream (stream: *mut c_void) {
        stream::query(stream as usize)
    }

    fn cuStreamWaitEvent |cuStreamWaitEvent_ptsz with stream (stream: *mut c_void, awaited: usize, _flags: u32) {
        stream::wait_event(stream as usize, &event::by_handle(awaited)?)
    }

    fn cuStreamGetFlags |cuStreamGetFlags_ptsz with stream (stream: *mut c_void, flags: *mut u32) {
        *out(flags)? = stream::by_handle(stream as usize)?.flags;
        Ok(())
    }

    fn cuStreamGetPriority |cuStreamGetPriority_ptsz with stream (stream: *mut c_void, priority: *mut i32) {
        *out(priority)? = stream::by_handle(stream as usize)?.priority;
        Ok(())
    }

    fn cuStreamGetId |cuStreamGetId_ptsz with stream (stream: *mut c_void, id: *mut u64) {
        *out(id)? = stream::by_handle(stream as usize)?.id;
        Ok(())
    }

    fn cuStreamGetCtx |cuStreamGetCtx_ptsz with stream (stream: *mut c_void, owner: *mut usize) {
        stream::by_handle(stream as usize)?;
        *out(owner)? = context::get_current()?;
        Ok(())
    }

    fn cuStreamGetCtx_v2 |cuStreamGetCtx_v2_ptsz with stream (stream: *mut c_void, owner: *mut usize, green: *mut usize) {
        stream::by_handle(stream as usize)?;
        *out(owner)? = context::get_current()?;
        maybe(green, 0);
        Ok(())
    }

    fn cuStreamGetAttribute |cuStreamGetAttribute_ptsz with stream (stream: *mut c_void, number: u32, value: *mut [u8; 64]) {
        let stream = stream::by_handle(stream as usize)?;
        let set = attributes(&stream).get(&number).copied();
        let mut answer = set.unwrap_or([0; 64]);
        match number {
            _ if !STREAM_ATTRIBUTES.contains(&number) => return Err(CuResult::INVALID_VALUE),
            ATTRIBUTE_PRIORITY => answer[..4].copy_from_slice(&stream.priority.to_ne_bytes()),
            ATTRIBUTE_SYNCHRONIZATION_POLICY if set.is_none() => answer[0] = 1,
            _ => {}
        }
        *out(value)? = answer;
        Ok(())
    }

    fn cuStreamSetAttribute |cuStreamSetAttribute_ptsz with stream (stream: *mut c_void, number: u32, value: *const [u8; 64]) {
        let stream = stream::by_handle(stream as usize)?;
        if !STREAM_ATTRIBUTES.contains(&number) {
            return Err(CuResult::INVALID_VALUE);
        }
        attributes(&stream).insert(number, *input(value)?);
        Ok(())
    }

    fn cuStreamCopyAttributes |cuStreamCopyAttributes_ptsz as _per_thread (target: *mut c_void, source: *mut c_void) {
        let (target, source) = (stream::by_handle(target as usize)?, stream::by_handle(source as usize)?);
        let copied = attributes(&source).clone();
        *attributes(&target) = copied;
        Ok(())
    }

    fn cuStreamGetDevice |cuStreamGetDevice_ptsz with stream (stream: *mut c_void, device: *mut i32) {
        stream::by_handle(stream as usize)?;
        *out(device)? = context::current()?.device;
        Ok(())
    }

    fn cuStreamAddCallback |cuStreamAddCallback_ptsz with stream (
        stream: *mut c_void,
        function: Option<StreamCallback>,
        data: *mut c_void,
        flags: u32,
    ) {
        let function = function.filter(|_| flags == 0).ok_or(CuResult::INVALID_VALUE)?;
        let callback = Box::into_raw(Box::new(Callback { function, stream: stream as usize, data }));
        let host = HostFunction { function: run_callback, data: callback.cast() };
        stream::launch_host_function(stream as usize, host)
    }

    fn cuLaunchHostFunc |cuLaunchHostFunc_ptsz with stream (
        stream: *mut c_void,
        function: Option<unsafe extern "C" fn(*mut c_void)>,
        data: *mut c_void,
    ) {
        let function = function.ok_or(CuResult::INVALID_VALUE)?;
        stream::launch_host_function(stream as usize, HostFunction { function, data })
    }

    fn cuStreamAttachMemAsync |cuStreamAttachMemAsync_ptsz with stream (
        stream: *mut c_void,
        _address: u64,
        _bytes: usize,
        _flags: u32,
    ) {
        stream::by_handle(stream as usize).map(drop)
    }

    fn cuStreamBeginCapture_v2 |cuStreamBeginCapture_v2_ptsz with stream (stream: *mut c_void, mode: u32) {
        graph::begin_capture(stream as usize, mode)
    }

    fn cuStreamBeginCapture |cuStreamBeginCapture_ptsz with stream (stream: *mut c_void) {
        graph::begin_capture(stream as usize, 0)
    }

    fn cuStreamBeginCaptureToGraph |cuStreamBeginCaptureToGraph_ptsz with stream (
        stream: *mut c_void,
        target: usize,
        dependencies: *const usize,
        _edges: *const c_void,
        count: usize,
        mode: u32,
    ) {
        graph::begin_capture_to(stream as usize, target, list(dependencies, count), mode)
    }

    fn cuStreamEndCapture |cuStreamEndCapture_ptsz with stream (stream: *mut c_void, made: *mut usize) {
        let target = out(made)?;
        *target = 0;
        *target = graph::end_capture(stream as usize)?;
        Ok(())
    }

    fn cuStreamIsCapturing |cuStreamIsCapturing_ptsz with stream (stream: *mut c_void, status: *mut u32) {
        *out(status)? = capture_info(stream as usize)?.is_some().into();
        Ok(())
    }

    fn cuStreamGetCaptureInfo |cuStreamGetCaptureInfo_ptsz with stream (stream: *mut c_void, status: *mut u32, id: *mut u64) {
        let info = capture_info(stream as usize)?;
        *out(status)? = info.is_some().into();
        maybe(id, info.map_or(0, |(id, _, _)| id));
        Ok(())
    }

    fn cuStreamGetCaptureInfo_v2 |cuStreamGetCaptureInfo_v2_ptsz with stream (
        stream: *mut c_void,
        status: *mut u32,
        id: *mut u64,
        target: *mut usize,
        dependencies: *mut *const usize,
        count: *mut usize,
    ) {
        let info = capture_info(stream as usize)?;
        *out(status)? = info.is_some().into();
        let (number, handle, nodes) = info.unwrap_or_default();
        maybe(id, number);
        maybe(target, handle);
        maybe(count, nodes.len());
        DEPENDENCIES.with_borrow_mut(|kept| {
            *kept = nodes;
            maybe(dependencies, kept.as_ptr());
        });
        Ok(())
    }

    fn cuStreamGetCaptureInfo_v3 |cuStreamGetCaptureInfo_v3_ptsz with stream (
        stream: *mut c_void,
        status: *mut u32,
        id: *mut u64,
        target: *mut usize,
        dependencies: *mut *const usize,
        edges: *mut *const c_void,
        count: *mut usize,
    ) {
        maybe(edges, std::ptr::null());
        match cuStreamGetCaptureInfo_v2(stream, status, id, target, dependencies, count) {
            0 => Ok(()),
            error => Err(CuResult(error)),
        }
    }

    fn cuStreamUpdateCaptureDependencies |cuStreamUpdateCaptureDependencies_ptsz with stream (
        stream: *mut c_void,
        dependencies: *const usize,
        count: usize,
        flags: u32,
    ) {
        let stream = stream::by_handle(stream as usize)?;
        let mut capture = stream.capture.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        capture.as_mut().ok_or(CuResult::ILLEGAL_STATE)?.set_dependencies(list(dependencies, count), flags == 0);
        Ok(())
    }

    fn cuStreamUpdateCaptureDependencies_v2 |cuStreamUpdateCaptureDependencies_v2_ptsz with stream (
        stream: *mut c_void,
        dependencies: *const usize,
        edges: *const EdgeData,
        count: usize,
        flags: u32,
    ) {
        check_edge_data(edges, count)?;
        match cuStreamUpdateCaptureDependencies(stream, dependencies, count, flags) {
            0 => Ok(()),
            error => Err(CuResult(error)),
        }
    }

    fn cuStreamBatchMemOp_v2 |cuStreamBatchMemOp_v2_ptsz with stream (
        stream: *mut c_void,
        count: u32,
        operations: *const StreamMemOp,
        _flags: u32,
    ) {
        let stream = stream::by_handle(stream as usize)?;
        batch(list(operations, count as usize))?.into_iter().try_for_each(|operation| stream.enqueue(operation))
    }

    fn cuThreadExchangeStreamCaptureMode(mode: *mut u32) {
        // Modes only forbid calls; ours are allowed in all of them.
        let mode = out(mode)?;
        if *mode > 2 { Err(CuResult::INVALID_VALUE) } else { Ok(()) }
    }

    fn cuStreamWriteValue32_v2 |cuStreamWriteValue32_v2_ptsz with stream (stream: *mut c_void, address: u64, value: u32, _flags: u32) {
        write_value(stream, address, value.into(), 4)
    }

    fn cuStreamWriteValue64_v2 |cuStreamWriteValue64_v2_ptsz with stream (stream: *mut c_void, address: u64, value: u64, _flags: u32) {
        write_value(stream, address, value, 8)
    }

    fn cuStreamWaitValue32_v2 |cuStreamWaitValue32_v2_ptsz with stream (stream: *mut c_void, address: u64, value: u32, flags: u32) {
        wait_value(stream, address, value.into(), 4, flags)
    }

    fn cuStreamWaitValue64_v2 |cuStreamWaitValue64_v2_ptsz with stream (stream: *mut c_void, address: u64, value: u64, flags: u32) {
        wait_value(stream, address, value, 8, flags)
    }
}
