//! What an engine that makes checks (`vgpu-run --check`) is told of memory; without checks none of this does anything.

use client::Engine;
use wire::command::{Allocated, CopyRectangle, Freed, Written};
use wire::control::{MemoryKind, NoteKind};

use crate::note;

/// There is memory of this exact size, which nobody has written.
pub fn allocated(engine: &Engine, address: u64, length: u64, kind: MemoryKind) {
    engine.tell(&Allocated { address, length, kind: kind as u32, shared: 0 });
}

/// There is memory that others may have written, or may write unseen.
pub fn shared(engine: &Engine, address: u64, length: u64, kind: MemoryKind) {
    engine.tell(&Allocated { address, length, kind: kind as u32, shared: 1 });
}

/// It is not the program's any more.
pub fn freed(engine: &Engine, address: u64) {
    engine.tell(&Freed { address, in_order: 0 });
}

/// This thread has written device memory.
pub fn written(engine: &Engine, address: u64, length: u64) {
    engine.tell(&Written { address, length, pitch: 0, rows: 1 });
}

/// This thread has written a box of device memory.
pub fn written_box(engine: &Engine, order: &CopyRectangle) {
    let [width, height, depth] = order.extent;
    for slice in 0..depth {
        let address = order.target + slice * order.slice_pitch[0];
        engine.tell(&Written { address, length: width, pitch: order.row_pitch[0], rows: height });
    }
}

/// A copy or fill was refused because its range is not all in one allocation.
pub fn refused(engine: &Engine, address: u64, length: u64) {
    if engine.checks() {
        let text = format!(
            "memory: a copy or fill of {length} bytes at {address:#x} goes beyond its allocation: refused with CUDA_ERROR_INVALID_VALUE"
        );
        note::tell(NoteKind::Checked, 1, &text);
    }
}
