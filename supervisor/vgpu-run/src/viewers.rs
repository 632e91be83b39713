//! `vgpu-run top`: what this session tells viewers, and the command itself. Beside it the socket for orders, which viewers learn of.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use broker::{Broker, ClientStatus};
use nix::unistd::{Pid, geteuid, getppid};
use top::{Device, Form, Inbox, Kernel, Process, Server, Snapshot};
use tracee::Facts;
use wire::figures::KernelCost;

use crate::cli::{Session, Target, Top};
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

/// This session as `vgpu-run top` finds it.
pub struct Viewers {
    server: Server,
    inbox: Option<Inbox>,
    /// What does not change.
    session: Snapshot,
    begun: Instant,
}

impl Viewers {
    /// Listens for them.
    pub fn open(session: &Session, program: Pid) -> io::Result<Self> {
        let (command, attached) = match &session.target {
            Target::Command(words) => {
                (words.iter().map(|word| word.to_string_lossy().into_owned()).collect(), None)
            }
            Target::Process { pid, .. } => (Facts::of(*pid).arguments, Some(pid.unsigned_abs())),
        };
        let (supervisor, user) = (std::process::id(), geteuid().as_raw());
        let (keeper, program) = (getppid().as_raw().unsigned_abs(), program.as_raw().unsigned_abs());
        let server = Server::open()?;
        let inbox =
            Inbox::open().inspect_err(|error| tracing::info!("no faults can be injected: {error}")).ok();
        let faults = inbox.as_ref().map_or_else(String::new, |inbox| inbox.name().to_owned());
        let session =
            Snapshot { supervisor, keeper, program, faults, user, command, attached, ..Snapshot::default() };
        Ok(Self { server, inbox, session, begun: Instant::now() })
    }

    /// Where orders come in.
    pub fn inbox(&self) -> Option<&Inbox> {
        self.inbox.as_ref()
    }

    /// Answers those who have come.
    pub fn answer(&self, broker: &Broker) {
        self.server.answer(|| self.snapshot(broker));
    }

    fn snapshot(&self, broker: &Broker) -> Snapshot {
        let devices = broker.device_status().into_iter().enumerate();
        let device = |(index, device): (usize, broker::DeviceStatus)| Device {
            index: index as u32,
            name: device.name,
            total: device.total,
            used: device.used,
            condition: device.condition,
        };
        Snapshot {
            seconds: self.begun.elapsed().as_secs_f64(),
            devices: devices.map(device).collect(),
            processes: broker.client_status().into_iter().map(process).collect(),
            ..self.session.clone()
        }
    }
}

impl AsFd for Viewers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.server.as_fd()
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
