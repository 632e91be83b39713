//! cudaStream…

use std::ffi::c_void;

use crate::driver::{call, call_in_context};
use crate::graphs::{EdgeData, plain_edges};

/// `cudaStream_t`: the driver's stream.
pub type Stream = *mut c_void;

/// What a caller compiled with per-thread default streams means: its null stream is its own.
pub fn per_thread(stream: Stream) -> Stream {
    const PER_THREAD: Stream = 2 as Stream;
    if stream.is_null() { PER_THREAD } else { stream }
}

exports! {
    fn cudaStreamCreate(stream: *mut usize) {
        call_in_context!(stream_create(stream, 0, 0))
    }

    fn cudaStreamCreateWithFlags(stream: *mut usize, flags: u32) {
        call_in_context!(stream_create(stream, flags, 0))
    }

    fn cudaStreamCreateWithPriority(stream: *mut usize, flags: u32, priority: i32) {
        call_in_context!(stream_create(stream, flags, priority))
    }

    fn cudaStreamDestroy(stream: Stream) {
        call_in_context!(stream_destroy(stream))
    }

    fn cudaStreamSynchronize |cudaStreamSynchronize_ptsz with stream (stream: Stream) {
        call_in_context!(stream_synchronize(stream))
    }

    fn cudaStreamQuery |cudaStreamQuery_ptsz with stream (stream: Stream) {
        call_in_context!(stream_query(stream))
    }

    fn cudaStreamWaitEvent |cudaStreamWaitEvent_ptsz with stream (stream: Stream, event: usize, flags: u32) {
        call_in_context!(stream_wait(stream, event, flags))
    }

    fn cudaStreamGetFlags |cudaStreamGetFlags_ptsz with stream (stream: Stream, flags: *mut u32) {
        call_in_context!(stream_flags(stream, flags))
    }

    fn cudaStreamGetPriority |cudaStreamGetPriority_ptsz with stream (stream: Stream, priority: *mut i32) {
        call_in_context!(stream_priority(stream, priority))
    }

    fn cudaStreamGetId |cudaStreamGetId_ptsz with stream (stream: Stream, id: *mut u64) {
        call_in_context!(stream_id(stream, id))
    }

    fn cudaStreamGetDevice |cudaStreamGetDevice_ptsz with stream (stream: Stream, device: *mut i32) {
        let _ = stream;
        call_in_context!(context_device(device))
    }

    fn cudaStreamGetAttribute |cudaStreamGetAttribute_ptsz with stream (stream: Stream, attribute: u32, value: *mut [u8; 64]) {
        call_in_context!(stream_attribute(stream, attribute, value))
    }

    fn cudaStreamSetAttribute |cudaStreamSetAttribute_ptsz with stream (stream: Stream, attribute: u32, value: *const [u8; 64]) {
        call_in_context!(stream_set_attribute(stream, attribute, value))
    }

    fn cudaStreamCopyAttributes(target: Stream, source: Stream) {
        call_in_context!(stream_copy_attributes(target, source))
    }

    fn cudaStreamCopyAttributes_ptsz(target: Stream, source: Stream) {
        call_in_context!(stream_copy_attributes(per_thread(target), per_thread(source)))
    }

    fn cudaStreamAddCallback |cudaStreamAddCallback_ptsz with stream (stream: Stream, callback: *const c_void, data: *mut c_void, flags: u32) {
        call_in_context!(stream_callback(stream, callback, data, flags))
    }

    fn cudaStreamAttachMemAsync |cudaStreamAttachMemAsync_ptsz with stream (stream: Stream, pointer: u64, bytes: usize, flags: u32) {
        call_in_context!(stream_attach(stream, pointer, bytes, flags))
    }

    fn cudaStreamBeginCapture |cudaStreamBeginCapture_ptsz with stream (stream: Stream, mode: u32) {
        call_in_context!(capture_begin(stream, mode))
    }

    fn cudaStreamEndCapture |cudaStreamEndCapture_ptsz with stream (stream: Stream, graph: *mut usize) {
        call_in_context!(capture_end(stream, graph))
    }

    fn cudaStreamIsCapturing |cudaStreamIsCapturing_ptsz with stream (stream: Stream, status: *mut u32) {
        call_in_context!(capture_status(stream, status))
    }

    fn cudaStreamGetCaptureInfo_v2 |cudaStreamGetCaptureInfo_v2_ptsz with stream (
        stream: Stream,
        status: *mut u32,
        id: *mut u64,
        graph: *mut usize,
        dependencies: *mut *const usize,
        count: *mut usize,
    ) {
        call_in_context!(capture_info(stream, status, id, graph, dependencies, count))
    }

    fn abi11_cudaStreamGetCaptureInfo |abi11_cudaStreamGetCaptureInfo_ptsz with stream (stream: Stream, status: *mut u32, id: *mut u64) {
        let (graph, nodes, count) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        call_in_context!(capture_info(stream, status, id, graph, nodes, count))
    }

    fn cudaStreamGetCaptureInfo_v3 |cudaStreamGetCaptureInfo_v3_ptsz with stream (
        stream: Stream,
        status: *mut u32,
        id: *mut u64,
        graph: *mut usize,
        dependencies: *mut *const usize,
        edges: *mut *const c_void,
        count: *mut usize,
    ) {
        call_in_context!(capture_info_with_edges(stream, status, id, graph, dependencies, edges, count))
    }

    fn abi13_cudaStreamGetCaptureInfo |abi13_cudaStreamGetCaptureInfo_ptsz with stream (
        stream: Stream,
        status: *mut u32,
        id: *mut u64,
        graph: *mut usize,
        dependencies: *mut *const usize,
        edges: *mut *const c_void,
        count: *mut usize,
    ) {
        call_in_context!(capture_info_with_edges(stream, status, id, graph, dependencies, edges, count))
    }

    fn abi11_cudaStreamUpdateCaptureDependencies |abi11_cudaStreamUpdateCaptureDependencies_ptsz with stream (
        stream: Stream,
        nodes: *const usize,
        count: usize,
        flags: u32,
    ) {
        call_in_context!(capture_update(stream, nodes, count, flags))
    }

    fn cudaStreamUpdateCaptureDependencies_v2 |cudaStreamUpdateCaptureDependencies_v2_ptsz with stream (
        stream: Stream,
        nodes: *const usize,
        edges: *const EdgeData,
        count: usize,
        flags: u32,
    ) {
        plain_edges(edges, count)?;
        call_in_context!(capture_update(stream, nodes, count, flags))
    }

    fn abi13_cudaStreamUpdateCaptureDependencies |abi13_cudaStreamUpdateCaptureDependencies_ptsz with stream (
        stream: Stream,
        nodes: *const usize,
        edges: *const EdgeData,
        count: usize,
        flags: u32,
    ) {
        plain_edges(edges, count)?;
        call_in_context!(capture_update(stream, nodes, count, flags))
    }

    fn cudaStreamBeginCaptureToGraph |cudaStreamBeginCaptureToGraph_ptsz with stream (
        stream: Stream,
        graph: usize,
        nodes: *const usize,
        edges: *const EdgeData,
        count: usize,
        mode: u32,
    ) {
        plain_edges(edges, count)?;
        call_in_context!(capture_begin_to(stream, graph, nodes, std::ptr::null(), count, mode))
    }

    fn cudaThreadExchangeStreamCaptureMode(mode: *mut u32) {
        call!(capture_mode(mode))
    }
}
