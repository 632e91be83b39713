//! What the report is told.

use std::collections::BTreeSet;
use std::sync::Mutex;

use client::Connection;
use wire::control::{Caller, NoteKind};

use crate::{init, lock};

static TOLD: Mutex<BTreeSet<(u32, String)>> = Mutex::new(BTreeSet::new());

/// Tells the report, once per kind and text.
pub fn once(kind: NoteKind, value: i64, text: &str) {
    if lock(&TOLD).insert((kind as u32, text.to_owned())) {
        tell(kind, value, text);
    }
}

/// Tells the report. Works before `cuInit` too, over a connection of its own.
pub fn tell(kind: NoteKind, value: i64, text: &str) {
    match init::connection() {
        Some(connection) => connection.note(kind, value, text),
        None => {
            if let Ok(connection) = Connection::open(Caller::Driver) {
                connection.note(kind, value, text);
            }
        }
    }
}

/// An entry point was called that we lack.
pub fn unsupported(name: &str) {
    once(NoteKind::Unsupported, 0, name);
}
