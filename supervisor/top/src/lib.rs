//! `vgpu-run top`: what the sessions of this user do, live.
//!
//! ```text
//!   supervisor ── Server: an abstract socket ◀──connect── viewer: `vgpu-run top`
//!                   └── one Snapshot as JSON, then hangs up ──▶ │ two of them make rates ──▶ screen, table, JSON
//! ```
//!
//! - Every supervisor listens on an **abstract socket** named after its user and process ([`Server`]). Such a name needs no directory
//!   and no clean-up, is gone with the process however it ends, and is listed in `/proc/net/unix`. Both ends look at the kernel's word
//!   for who the other is: the name alone proves nothing.
//! - A **snapshot** holds sums since the session's start; the viewer keeps the one before to tell rates. So the supervisor keeps no
//!   state for viewers, and a viewer that hangs costs it nothing.
//! - A session can be **told to do something** ([`order`]): its snapshot names the socket that takes orders ([`Inbox`]).
//! - Sessions in other network namespaces are not seen.

#![forbid(unsafe_code)]

mod keys;
mod orders;
mod rates;
mod screen;
mod server;
mod sessions;
mod snapshot;
mod table;

use std::io::{self, Write};
use std::time::Duration;

pub use orders::{Answer, Inbox, order};
pub use server::Server;
pub use sessions::{Found, all as find};
pub use snapshot::{Device, Kernel, Process, Snapshot};
pub use table::printable;

use rates::Sessions;

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// On the screen, until a key ends it.
    Live,
    /// Once, as text.
    Once,
    /// Once, as JSON.
    Json,
}

/// Shows this user's sessions (all, to root). Rates are those of the last `interval`.
pub fn run(form: Form, interval: Duration) -> io::Result<()> {
    if form == Form::Live {
        return screen::run(interval);
    }
    let mut sessions = Sessions::default();
    sessions.update(sessions::all()?);
    std::thread::sleep(interval);
    sessions.update(sessions::all()?);
    let mut out = io::stdout().lock();
    match form {
        Form::Json => {
            serde_json::to_writer_pretty(&mut out, &sessions.shown())?;
            writeln!(out)
        }
        _ => out.write_all(table::text(&sessions.shown()).as_bytes()),
    }
}
