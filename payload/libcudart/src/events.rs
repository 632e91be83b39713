//! cudaEvent…

use crate::driver::{IpcHandle, call_in_context};
use crate::streams::Stream;

exports! {
    fn cudaIpcGetEventHandle(handle: *mut IpcHandle, event: usize) {
        call_in_context!(ipc_get_event(handle, event))
    }

    fn cudaIpcOpenEventHandle(event: *mut usize, handle: IpcHandle) {
        call_in_context!(ipc_open_event(event, handle))
    }

    fn cudaEventCreate(event: *mut usize) {
        call_in_context!(event_create(event, 0))
    }

    fn cudaEventCreateWithFlags(event: *mut usize, flags: u32) {
        call_in_context!(event_create(event, flags))
    }

    fn cudaEventDestroy(event: usize) {
        call_in_context!(event_destroy(event))
    }

    fn cudaEventRecord |cudaEventRecord_ptsz with stream (event: usize, stream: Stream) {
        call_in_context!(event_record(event, stream))
    }

    fn cudaEventRecordWithFlags |cudaEventRecordWithFlags_ptsz with stream (event: usize, stream: Stream, _flags: u32) {
        call_in_context!(event_record(event, stream))
    }

    fn cudaEventQuery(event: usize) {
        call_in_context!(event_query(event))
    }

    fn cudaEventSynchronize(event: usize) {
        call_in_context!(event_synchronize(event))
    }

    fn cudaEventElapsedTime_v2(milliseconds: *mut f32, start: usize, end: usize) {
        call_in_context!(event_elapsed(milliseconds, start, end))
    }

    fn cudaEventElapsedTime(milliseconds: *mut f32, start: usize, end: usize) {
        call_in_context!(event_elapsed(milliseconds, start, end))
    }
}
