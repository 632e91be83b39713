//! cuMemset…

use std::ffi::c_void;

use driver::{Cuda, memory, stream};

fn fill(stream: &driver::stream::Stream, target: u64, value: u32, element: u32, width: usize) -> Cuda {
    memory::fill(stream, target, 0, value, element, width as u64, 1)
}

fn fill_and_wait(
    stream: &driver::stream::Stream,
    target: u64,
    value: u32,
    element: u32,
    width: usize,
) -> Cuda {
    memory::fill_and_wait(stream, target, 0, value, element, width as u64, 1)
}

fn asynchronous(stream: *mut c_void) -> Cuda<std::sync::Arc<driver::stream::Stream>> {
    stream::by_handle(stream as usize)
}

exports! {
    fn cuMemsetD8_v2 |cuMemsetD8_v2_ptds as per_thread (target: u64, value: u8, count: usize) {
        fill_and_wait(&*memory::default_stream(per_thread)?, target, value.into(), 1, count)
    }

    fn cuMemsetD8Async |cuMemsetD8Async_ptsz with stream (target: u64, value: u8, count: usize, stream: *mut c_void) {
        fill(&*asynchronous(stream)?, target, value.into(), 1, count)
    }

    fn cuMemsetD2D8_v2 |cuMemsetD2D8_v2_ptds as per_thread (
        target: u64,
        pitch: usize,
        value: u8,
        width: usize,
        height: usize,
    ) {
        let stream = memory::default_stream(per_thread)?;
        memory::fill_and_wait(&stream, target, pitch as u64, value.into(), 1, width as u64, height as u64)
    }

    fn cuMemsetD2D8Async |cuMemsetD2D8Async_ptsz with stream (
        target: u64,
        pitch: usize,
        value: u8,
        width: usize,
        height: usize,
        stream: *mut c_void,
    ) {
        memory::fill(&*asynchronous(stream)?, target, pitch as u64, value.into(), 1, width as u64, height as u64)
    }

    fn cuMemsetD16_v2 |cuMemsetD16_v2_ptds as per_thread (target: u64, value: u16, count: usize) {
        fill_and_wait(&*memory::default_stream(per_thread)?, target, value.into(), 2, count)
    }

    fn cuMemsetD16Async |cuMemsetD16Async_ptsz with stream (target: u64, value: u16, count: usize, stream: *mut c_void) {
        fill(&*asynchronous(stream)?, target, value.into(), 2, count)
    }

    fn cuMemsetD2D16_v2 |cuMemsetD2D16_v2_ptds as per_thread (
        target: u64,
        pitch: usize,
        value: u16,
        width: usize,
        height: usize,
    ) {
        let stream = memory::default_stream(per_thread)?;
        memory::fill_and_wait(&stream, target, pitch as u64, value.into(), 2, width as u64, height as u64)
    }

    fn cuMemsetD2D16Async |cuMemsetD2D16Async_ptsz with stream (
        target: u64,
        pitch: usize,
        value: u16,
        width: usize,
        height: usize,
        stream: *mut c_void,
    ) {
        memory::fill(&*asynchronous(stream)?, target, pitch as u64, value.into(), 2, width as u64, height as u64)
    }

    fn cuMemsetD32_v2 |cuMemsetD32_v2_ptds as per_thread (target: u64, value: u32, count: usize) {
        fill_and_wait(&*memory::default_stream(per_thread)?, target, value, 4, count)
    }

    fn cuMemsetD32Async |cuMemsetD32Async_ptsz with stream (target: u64, value: u32, count: usize, stream: *mut c_void) {
        fill(&*asynchronous(stream)?, target, value, 4, count)
    }

    fn cuMemsetD2D32_v2 |cuMemsetD2D32_v2_ptds as per_thread (
        target: u64,
        pitch: usize,
        value: u32,
        width: usize,
        height: usize,
    ) {
        let stream = memory::default_stream(per_thread)?;
        memory::fill_and_wait(&stream, target, pitch as u64, value, 4, width as u64, height as u64)
    }

    fn cuMemsetD2D32Async |cuMemsetD2D32Async_ptsz with stream (
        target: u64,
        pitch: usize,
        value: u32,
        width: usize,
        height: usize,
        stream: *mut c_void,
    ) {
        memory::fill(&*asynchronous(stream)?, target, pitch as u64, value, 4, width as u64, height as u64)
    }
}
