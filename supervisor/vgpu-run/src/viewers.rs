//! `vgpu-run top`: what this session tells viewers, and the command itself.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use broker::{Broker, ClientStatus};
use top::{Device, Form, Kernel, Process, Snapshot};
use wire::figures::KernelCost;

use crate::cli::{Session, Top};
use crate::failure::{Doing, Failure};

/// Kernels that are told of each process.
const BUSIEST: usize = 5;

/// Shows all sessions.
pub fn show(order: &Top) -> Result<ExitCode, Failure> {
    let form = match (order.once, order.json) {
        (_, true) => Form::Json,
        (true, _) => Form::Once,
        _ => Form::Live,
    };
    let doing = if form == Form::Live { "show sessions on this terminal" } else { "show sessions" };
    let shown = top::run(form, Duration::from_secs_f64(order.interval)).doing(doing);
    shown.map(|()| ExitCode::SUCCESS).map_err(|failure| match form {
        Form::Live => failure.hint("`vgpu-run top --once` and `--json` need no terminal"),
        _ => failure,
    })
}

/// What this session does.
pub fn snapshot(session: &Session, broker: &Broker, begun: Instant) -> Snapshot {
    let devices = broker.device_status().into_iter().enumerate();
    let device = |(index, device): (usize, broker::DeviceStatus)| Device {
        index: index as u32,
        name: device.name,
        total: device.total,
        used: device.used,
    };
    Snapshot {
        supervisor: std::process::id(),
        command: session.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        seconds: begun.elapsed().as_secs_f64(),
        devices: devices.map(device).collect(),
        processes: broker.client_status().into_iter().map(process).collect(),
    }
}

fn process(client: ClientStatus) -> Process {
    let ClientStatus { process, memory, engine } = client;
    let mut costs = engine.costs;
    let sum = |of: fn(&KernelCost) -> Duration| costs.iter().map(|cost| of(cost).as_nanos() as u64).sum();
    let (nanoseconds, interpreted_nanoseconds) = (sum(|cost| cost.time), sum(|cost| cost.interpreted));
    costs.sort_by_key(|cost| std::cmp::Reverse(cost.time));
    costs.truncate(BUSIEST);
    let kernel = |cost: KernelCost| Kernel {
        name: cost.kernel,
        launches: cost.launches,
        compiled: cost.compiled,
        nanoseconds: cost.time.as_nanos() as u64,
    };
    let name = procfs::read_to_string(&format!("{process}/comm")).unwrap_or_default();
    Process {
        pid: process,
        name: name.trim_end().to_owned(),
        memory,
        kernels: engine.kernels,
        kernel_nanoseconds: engine.kernel_nanoseconds,
        nanoseconds,
        interpreted_nanoseconds,
        queued: engine.queued,
        unread_bytes: engine.unread_bytes,
        compile_queue: engine.compile_queue,
        compiling: engine.compiling,
        busiest: costs.into_iter().map(kernel).collect(),
    }
}
