//! cudaStream…

use std::ffi::c_void;

use crate::driver::{call, call_in_context};

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

    fn cudaThreadExchangeStreamCaptureMode(mode: *mut u32) {
        call!(capture_mode(mode))
    }
}
