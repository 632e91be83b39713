//! `vgpu-run top`: what this session tells viewers, and the command itself. Beside it the socket for orders, which viewers learn of.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use broker::{Broker, ClientStatus};
use mediation::{Holder, Holding, Mediator};
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

    /// Answers those who have come. `mediator`: if the session has this machine's own cards.
    pub fn answer(&self, broker: &Broker, mut mediator: Option<&mut Mediator>) {
        self.server.answer(|| {
            let (devices, processes) = match &mut mediator {
                Some(mediator) => real(mediator.holdings()),
                None => virtual_ones(broker),
            };
            let seconds = self.begun.elapsed().as_secs_f64();
            Snapshot { seconds, devices, processes, ..self.session.clone() }
        });
    }
}

impl AsFd for Viewers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.server.as_fd()
    }
}

/// What the broker knows.
fn virtual_ones(broker: &Broker) -> (Vec<Device>, Vec<Process>) {
    let device = |(index, device): (usize, broker::DeviceStatus)| Device {
        index: index as u32,
        name: device.name,
        total: device.total,
        used: device.used,
        condition: device.condition,
    };
    let devices = broker.device_status().into_iter().enumerate().map(device);
    (devices.collect(), broker.client_status().into_iter().map(process).collect())
}

/// What the mediator knows: of kernels nothing.
fn real((cards, holders): (Vec<Holding>, Vec<Holder>)) -> (Vec<Device>, Vec<Process>) {
    let device = |of: Holding| Device {
        index: of.card,
        name: of.model,
        total: of.limit.unwrap_or(0),
        used: of.held,
        condition: String::new(),
    };
    let process = |Holder { process, held }: Holder| {
        let pid = process.unsigned_abs();
        Process { pid, name: name(pid), memory: held, is_native: true, ..Process::default() }
    };
    (cards.into_iter().map(device).collect(), holders.into_iter().map(process).collect())
}

fn name(process: u32) -> String {
    procfs::read_to_string(&format!("{process}/comm")).unwrap_or_default().trim_end().to_owned()
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
    Process {
        pid: process,
        name: name(process),
        memory,
        is_native: false,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_cards_are_shown_with_their_limit_and_who_holds_memory_of_them() {
        let own = std::process::id();
        let card = Holding { card: 1, model: "NVIDIA H100".into(), held: 7, limit: None };
        let cards = vec![Holding { card: 0, limit: Some(9), ..card.clone() }, card];
        let (devices, processes) = real((cards, vec![Holder { process: own as i32, held: vec![7, 0] }]));
        let of = |device: &Device| (device.index, device.name.clone(), device.used, device.total);
        let name = || "NVIDIA H100".to_owned();
        assert_eq!(devices.iter().map(of).collect::<Vec<_>>(), [(0, name(), 7, 9), (1, name(), 7, 0)]);
        let [process] = &processes[..] else { panic!("{processes:?}") };
        assert_eq!((process.pid, &process.memory[..], process.is_native), (own, &[7, 0][..], true));
        assert!(!process.name.is_empty());
    }
}
