//! What the engine tells the report: notes to the broker, from whichever thread.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use wire::control::NoteKind;
use wire::engine::EngineNote;

/// The broker's socket; owned by the mapper, which lives as long as the process.
static BROKER: OnceLock<RawFd> = OnceLock::new();

/// Notes go to the broker at the other end of `socket`, which has to stay open until the process ends.
pub fn send_to(socket: &OwnedFd) {
    let _ = BROKER.set(socket.as_raw_fd());
}

/// Tells the report. Where there is no broker (`vgpu-engine warm`), nobody.
pub fn tell(kind: NoteKind, value: i64, text: &str) {
    let Some(broker) = BROKER.get() else { return };
    // SAFETY: the mapper owns this descriptor and keeps it until the process ends (see `send_to`).
    let broker = unsafe { BorrowedFd::borrow_raw(*broker) };
    let note = EngineNote { kind: kind as u32, reserved: 0, value };
    let text = &text.as_bytes()[..text.len().min(4000)];
    // A broker that is gone takes no notes; the mapper sees its end.
    let _ = packet::send(broker, &note, text, &[]);
}
