//! From a fork of the zygote to an engine that serves: identity, confinement, mappings, threads.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::unistd::Pid;
use wire::engine::Fork;
use wire::shared::EngineState;

use crate::area::SharedArea;
use crate::dispatch::Dispatcher;
use crate::grants::Grants;
use crate::mapper::Mapper;
use crate::{cache, confine, fault, gauges, host, note, robust, trace, worker};

/// Names this process (or thread) for `ps`, `top` and `pgrep`.
pub fn set_name(name: &CStr) {
    // SAFETY: PR_SET_NAME reads a NUL-terminated string of at most 16 bytes, which `name` is for its whole life.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
}

/// Becomes the engine of one client; ends with it, and with the zygote. `descriptors` are those of [`Fork`].
pub fn run(order: Fork, descriptors: Vec<OwnedFd>, zygote: Pid) -> ! {
    set_name(c"vgpu-engine");
    let Ok([area, client, socket]) = <[OwnedFd; 3]>::try_from(descriptors) else {
        unreachable!("checked by message()")
    };
    let threads = host::threads_of(order.client);
    let supervisors_user = nix::unistd::geteuid();
    if let Err(error) = confine::take_identity(&order, zygote) {
        give_up("become the client's user", error);
    }
    cache::open(supervisors_user);
    let area = match SharedArea::map(area) {
        Ok(area) => area,
        Err(error) => give_up("map the shared area", error),
    };
    fault::watch(area, order.window..order.window + order.window_length);
    robust::own_until_death(&area.head().robust.0);
    let grants = Arc::new(Grants::default());
    note::send_to(&socket);
    gauges::begin(area);
    if order.traces != 0 {
        trace::begin(area);
    }
    let dispatcher = Dispatcher::new(area, grants.clone(), &order, threads);
    Mapper { area, grants, socket, client }.start();
    if let Err(error) = confine::drop_privileges(cache::descriptor().ok()) {
        give_up("confine itself", error);
    }
    area.set_state(EngineState::Ready);
    worker::serve(dispatcher)
}

fn give_up(what: &str, error: impl std::fmt::Display) -> ! {
    // The broker sees the exit through its pidfd and tells the client.
    eprintln!("vgpu-engine: can't {what}: {error}");
    std::process::exit(1);
}
