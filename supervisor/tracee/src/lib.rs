//! The processes under our supervision: their memory, their identity, what is known about them.
//!
//! *tid*: a thread, *tgid*: its process (thread group); both in our pid namespace. Numbers are reused, so
//! what must outlive one request is held by a [`PidFd`], and facts read under a number are believed only
//! after the request has been seen to be alive (see `notification`).

mod facts;
mod memory;
mod own_filter;
mod pidfd;
mod thread_groups;

pub use facts::Facts;
pub use memory::{Memory, MemoryError, RemotePtr};
pub use own_filter::{OwnFilter, read_program};
pub use pidfd::PidFd;
pub use thread_groups::ThreadGroups;
