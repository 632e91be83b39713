//! ptrace: the mechanism for where no seccomp listener is to be had. Same requests, same answers.
//!
//! *Tracer*: one thread, which alone may speak to the traced ones and wait for them. *Stop*: a traced thread waits for the
//! tracer; a [`Stopped`] is that fact as a value, made by waiting and consumed by resuming. *Held call*: a stop at the
//! entry of a call that the filter brings to us. *Injected call*: one that the thread makes for us while its own waits.
//!
//! ```text
//!   attach ──▶ child stopped before exec ──start──▶ running ⇄ Stopped(why) ──▶ exited, reaped
//!                                                                 │
//!     a call of ours ─▶ Request ─ Continue ────────────────────────▶ resumed
//!                         ├────── Return, Errno: call number -1, result set ──▶ resumed
//!                         └────── InstallFd: injected calls, then result set ─▶ resumed   (pass)
//!     new thread or process, exec, signal, group-stop ─▶ resumed as below                 (tracer)
//! ```
//!
//! # Which calls stop
//!
//! [`Scope::Filtered`]: the seccomp program of the other mechanism with another action, `RET_TRACE`; all other calls run at
//! full speed. Where a notifier around us owns a call that both programs name, its answer takes precedence and we never see
//! the call (the kernel's order: KILL, TRAP, ERRNO, USER_NOTIF, TRACE). [`Scope::Everything`] needs no program: each call
//! stops at entry and exit, before any filter is asked, and the policy's rows are looked at here. That costs two stops for
//! every call of the tree.
//!
//! # What a tracer must get right
//!
//! - **SEIZE, not ATTACH**: new threads and processes are seized by the kernel as they are made and begin with an
//!   `EVENT_STOP`, which may be seen before their parent's event. Whoever is announced and not yet seen counts as running, or
//!   the tree would seem to be gone.
//! - **Group-stop**: a stop signal takes effect only if the thread is put into LISTEN; it then sleeps until SIGCONT, which
//!   shows as another `EVENT_STOP`. `WCONTINUED` is never asked for: a tracer takes that news from the real parent.
//! - **Signals**: a stop for a signal is resumed with that signal. During injected calls all signals are blocked, so none is
//!   delivered at an instruction that the program does not know of. SIGSTOP cannot be blocked: it is delivered, and the
//!   thread asked to stop again when the injected calls are over.
//! - **exec from another thread than the first**: the caller takes over the first one's number; all others report their
//!   end, except the first, which silently ceases to be. The event names the number that the caller had.
//! - **`CLONE_UNTRACED`** would make a child that has the filter and no tracer, whose trapped calls fail. The flag is
//!   removed at the call (rows [`syscall_filter::TRACED`]).
//! - **Ends** are reaped here before the real parent can wait. A first thread that ends before others is told of only when
//!   the last has been reaped, so one never waits for a certain thread alone: all reports are taken, in order, and kept.
//! - **The tracer's death** ends the tree (`EXITKILL`): with the filter and without a tracer each trapped call would fail
//!   with ENOSYS. So processes that a program leaves behind do not outlive a killed supervisor, as they do with a listener.
//! - **Filters of the program's own** apply to injected calls as well: one that such a filter forbids is not made, and what would
//!   have needed it is let through and told (`filters`).
//! - **A debugger** in the tree finds that its target has a tracer already, and gets EPERM. The report says so.
//!
//! # How a descriptor gets in
//!
//! The kernel has no call that puts a descriptor into another process, so the thread has to receive it: injected `mmap` of a
//! page to work on, once for a process, which keeps it (`page`); `socketpair`, of which we take one end by `pidfd_getfd`;
//! `recvmsg`; `dup3` to the lowest number; `close` of the others. Nothing of it needs a path, a
//! network or a mount that both sides see. Where `pidfd_getfd` is refused (old kernels, Docker's profile), the thread
//! connects to a socket of ours with an abstract name, which needs a common network namespace. While this goes on, two or
//! three descriptors more are in use in the process, closed on exec.
//!
//! Most descriptors are files for loaders, and the thread can open `/proc/US/fd/N` itself, if that leads to our files from
//! where it is: two stops instead of ten (`path`). Right after an exec, where nobody else has the process's memory, the path
//! needs no page either.

mod filters;
mod held;
mod inject;
mod page;
mod pass;
mod path;
mod stopped;
mod sys;
mod table;
mod tracer;
mod visit;
mod wait;

pub use stopped::{Gone, Registers, Stopped};
pub use tracer::{News, Scope, Tracer};
pub use visit::{Visit, VisitError};
