//! Processes, their open files, and what is known of the driver's state.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use nvidia_abi::{Abi, Access, Row, class, control, escape, status};
use replay::Player;
use resource_manager::{Card, Errno, FileId, Held, Node, ResourceManager, Unit, facts};

use crate::call::{CLASSES, Call, Known, Made, Rows};
use crate::choices::Choices;
use crate::memory::Memory;
use crate::process::{Process, Unwatched, Watched};

/// Cards of the session.
const CARDS: u32 = 2;
/// Descriptors of a process.
const OPEN: usize = 24;
/// Objects that are remembered.
const OBJECTS: usize = 64;

pub struct Session<'a> {
    abi: &'a Abi,
    rows: &'a Rows<'a>,
    manager: ResourceManager,
    player: Player,
    processes: Vec<Process>,
    /// How many descriptors an open file has.
    references: HashMap<FileId, usize>,
    /// Clients with the file that each was made through, and other objects' handles.
    clients: Vec<(u32, FileId)>,
    objects: Vec<Made>,
    cards: Vec<(u32, [u8; 16])>,
}

fn cards() -> Vec<Card> {
    let profile = device::by_name("h100").expect("embedded");
    let facts = facts("h100").expect("recorded");
    let card = |index| {
        let description = profile.describe(index, profile.memory, profile.multiprocessors);
        Card::new(description, Unit::emulated(&description, index), &facts)
    };
    (0..CARDS).map(card).collect()
}

impl Session<'_> {
    /// A session without clients. The manager is that of all inputs: it takes longer to make than an input to play, and must
    /// be as new after each.
    pub fn with(use_it: impl FnOnce(&mut Session)) {
        thread_local! {
            static KEPT: RefCell<Session<'static>> = RefCell::new(Session::new());
        }
        KEPT.with_borrow_mut(use_it);
    }

    fn new() -> Session<'static> {
        let abi = Arc::new(Abi::of(device::DRIVER_VERSION).expect("a release of the tables"));
        let manager = ResourceManager::of(abi.clone(), cards());
        let abi: &'static Abi = Box::leak(Box::new(abi));
        let rows = Box::leak(Box::new(Rows::of(abi)));
        let known = cards().iter().map(|card| (card.id(), card.description.uuid)).collect();
        let mut session = Session {
            abi,
            rows,
            manager,
            player: Player::new(Vec::new(), device::DRIVER_VERSION).expect("a release of the tables"),
            processes: Vec::new(),
            references: HashMap::new(),
            clients: Vec::new(),
            objects: Vec::new(),
            cards: known,
        };
        session.close_all();
        session
    }

    pub fn step(&mut self, choices: &mut Choices) {
        let process = choices.below(self.processes.len());
        let open: Vec<i32> = self.processes[process].descriptors.keys().copied().collect();
        match choices.byte() % 16 {
            _ if open.is_empty() => self.open(process, choices),
            14 if open.len() < OPEN => self.begin(process),
            10..12 if open.len() < OPEN => self.open(process, choices),
            // dup2, also onto itself and onto another node; or what a child inherits.
            12 => {
                let from = choices.of(&open).expect("some");
                let onto = if choices.seldom(2) {
                    choices.of(&open).expect("some")
                } else {
                    self.processes[process].free_descriptor()
                };
                let into = if choices.seldom(4) { choices.below(self.processes.len()) } else { process };
                self.duplicate((process, from), (into, onto));
            }
            13 => self.close(process, choices.of(&open).expect("some")),
            15 if choices.seldom(8) => open.into_iter().for_each(|number| self.close(process, number)),
            _ => {
                let descriptor = choices.of(&open).expect("some");
                self.ioctl(process, descriptor, choices);
            }
        }
    }

    /// Ends all processes. Nothing may be left of them.
    pub fn close_all(&mut self) {
        for process in 0..self.processes.len() {
            let open: Vec<i32> = self.processes[process].descriptors.keys().copied().collect();
            open.into_iter().for_each(|number| self.close(process, number));
        }
        assert_eq!(self.manager.held(), Held::default(), "all files are closed");
        assert!(self.clients.is_empty() && self.references.is_empty());
        self.processes = (1..=3).map(Process::new).collect();
        self.objects.clear();
    }

    fn open(&mut self, process: usize, choices: &mut Choices) {
        let nodes = [Node::Control, Node::Gpu(0), Node::UnifiedMemory, Node::Gpu(1)];
        self.open_as(process, choices.of(&nodes).expect("some"));
    }

    fn open_as(&mut self, process: usize, node: Node) -> i32 {
        let process = &mut self.processes[process];
        let (file, descriptor) = (self.manager.open(node), process.free_descriptor());
        process.descriptors.insert(descriptor, (file, node));
        self.references.insert(file, 1);
        descriptor
    }

    fn duplicate(&mut self, (process, from): (usize, i32), (into, onto): (usize, i32)) {
        let Some(&file) = self.processes[process].descriptors.get(&from) else { return };
        *self.references.get_mut(&file.0).expect("open") += 1;
        self.close(into, onto);
        self.processes[into].descriptors.insert(onto, file);
    }

    fn close(&mut self, process: usize, descriptor: i32) {
        let Some((file, _)) = self.processes[process].descriptors.remove(&descriptor) else { return };
        let references = self.references.get_mut(&file).expect("open");
        *references -= 1;
        if *references == 0 {
            self.references.remove(&file);
            self.manager.close(file);
            self.clients.retain(|(_, of)| *of != file);
        }
    }

    /// What every program begins with.
    fn begin(&mut self, process: usize) {
        let [control, _] = [Node::Control, Node::Gpu(0)].map(|node| self.open_as(process, node));
        for class in CLASSES {
            self.call(process, control, &[], |known, _, memory| Call::alloc(class, known, memory));
        }
    }

    fn ioctl(&mut self, process: usize, descriptor: i32, choices: &mut Choices) {
        let spoils: Vec<(u8, u8)> = if choices.seldom(4) {
            (0..4).map(|_| (choices.byte(), choices.byte())).collect()
        } else {
            Vec::new()
        };
        let rows = self.rows;
        self.call(process, descriptor, &spoils, |known, node, memory| {
            Call::make(choices, rows, known, node == Node::UnifiedMemory, memory)
        });
    }

    fn call(
        &mut self,
        process: usize,
        descriptor: i32,
        spoils: &[(u8, u8)],
        make: impl FnOnce(&Known, Node, &mut Memory) -> Call,
    ) {
        let process = &mut self.processes[process];
        let (file, node) = process.descriptors[&descriptor];
        let descriptors: Vec<i32> = process.descriptors.keys().copied().collect();
        let own = self.clients.iter().filter(|(_, of)| *of == file).map(|(client, _)| *client);
        let clients: Vec<u32> = own.collect();
        let of_clients =
            clients.iter().map(|&client| Made { client, handle: client, class: class::NV01_ROOT_CLIENT });
        let objects = self.objects.iter().filter(|made| clients.contains(&made.client)).copied();
        let own: Vec<Made> = of_clients.chain(objects).collect();
        let all = self.clients.iter().map(|(client, _)| *client);
        let handles: Vec<u32> = self.objects.iter().map(|made| made.handle).chain(all).collect();
        let known = Known {
            abi: self.abi,
            own: &own,
            clients: &clients,
            handles: &handles,
            descriptors: &descriptors,
            strays: false,
            cards: &self.cards,
        };
        let call = make(&known, node, &mut process.memory);
        // What a recording that has none of it would say.
        let _ = self.player.ioctl(node, call.request, call.argument, &mut Unwatched(process));
        let mut watched = Watched::new(process, self.abi, (node, call.request, call.argument), spoils);
        let answer = self.manager.ioctl(file, call.request, call.argument, &mut watched);
        let is_administrator = watched.process.is_administrator;
        if let Some((row, before, after)) = watched.outcome()
            && node != Node::UnifiedMemory
            && is_answered(answer, row, &before)
        {
            self.judge(file, row, &before, &after, is_administrator);
        }
    }

    /// Whether that may have been answered so.
    fn judge(&mut self, file: FileId, row: &Row, before: &[u8], after: &[u8], is_administrator: bool) {
        let field = |bytes: &[u8], name: &str| row.read(bytes, name).unwrap_or(0) as u32;
        if field(after, "status") != status::NV_OK {
            return;
        }
        let may = |access| is_administrator || access != Some(Access::Admin);
        let owner = |clients: &[(u32, FileId)], client| {
            clients.iter().find(|(known, _)| *known == client).map(|(_, file)| *file)
        };
        match row.number {
            escape::NV_ESC_RM_CONTROL if field(before, "cmd") != 0 => {
                let command = field(before, "cmd");
                let row = self.abi.control(command);
                assert!(may(row.and_then(|row| row.access)), "privileged control {command:#x} for everybody");
                let is_kept = command == control::NV2080_CTRL_CMD_GPU_GET_NAME_STRING;
                let owner = owner(&self.clients, field(before, "hClient"));
                assert!(is_kept || owner == Some(file), "control {command:#x} to a client of another file");
            }
            escape::NV_ESC_RM_ALLOC => {
                let (class, made) = (field(before, "hClass"), field(after, "hObjectNew"));
                if is_client(class) {
                    self.clients.push((made, file));
                    return;
                }
                assert!(
                    may(self.abi.class(class).and_then(|row| row.access)),
                    "privileged class {class:#x} for everybody"
                );
                if self.objects.len() < OBJECTS {
                    self.objects.push(Made { client: field(before, "hRoot"), handle: made, class });
                }
            }
            escape::NV_ESC_RM_FREE => {
                let (root, object) = (field(before, "hRoot"), field(before, "hObjectOld"));
                assert_eq!(owner(&self.clients, root), Some(file), "a client of another file is freed");
                if root == object {
                    self.clients.retain(|(client, _)| *client != root);
                }
            }
            _ => {}
        }
    }
}

/// Whether the status tells what happened: it was not looked at if the call itself failed, unless because the handle of a client that
/// had been made could not be written where the program wanted it.
fn is_answered(answer: Result<(), Errno>, row: &Row, before: &[u8]) -> bool {
    let makes_client = || {
        row.number == escape::NV_ESC_RM_ALLOC
            && row.read(before, "hClass").is_some_and(|class| is_client(class as u32))
    };
    answer.is_ok() || answer == Err(Errno::Fault) && makes_client()
}

fn is_client(class: u32) -> bool {
    matches!(class, class::NV01_ROOT | class::NV01_ROOT_NON_PRIV | class::NV01_ROOT_CLIENT)
}
