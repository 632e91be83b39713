//! Clients, their open files, and what is known of the driver's objects.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use mediation::{Answer, Held, Mapping, Mediator, Node, StandIn, WorkerError};
use nvidia_abi::{Row, class, escape};

use crate::call::{CLASSES, Call, Known, Made, Rows};
use crate::choices::Choices;
use crate::client::{Client, Meanwhile, Open, Watch, Watched};
use crate::driver::KERNEL;
use crate::machine::{self, NODES, VERSION, abi};
use crate::memory::{BASE, Memory};
use crate::page::{CLIENTS, page};

/// Descriptors of a client.
const OPEN: usize = 16;
/// Objects that are remembered.
const OBJECTS: usize = 64;
/// Bytes of each card that may be held, at first.
const LIMIT: u64 = 1 << 30;
/// What lets the driver wait, of what it is to answer.
const TAKES_LONG: u8 = 13;
/// How long processes that were killed may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who has started all this.
pub static USER: OnceLock<u32> = OnceLock::new();

/// Both kinds of sessions. They are those of all inputs: the process that makes others has to be made while this one has one thread.
pub struct Sessions {
    all: Session,
    one_card: Session,
}

thread_local! {
    static SESSIONS: RefCell<Option<Sessions>> = const { RefCell::new(None) };
}

impl Sessions {
    /// Before libFuzzer has threads and handlers of signals.
    pub fn prepare() {
        // SAFETY: the call takes nothing.
        USER.get_or_init(|| unsafe { libc::getuid() });
        abi();
        page();
        let mut sessions = Self { all: Session::new(false), one_card: Session::new(true) };
        // With the first client the cards are opened, and stay so.
        for session in [&mut sessions.all, &mut sessions.one_card] {
            page().hides.store(session.hides.into(), Relaxed);
            session.begin(0);
            session.close_all();
        }
        SESSIONS.set(Some(sessions));
    }

    pub fn with(choices: &mut Choices, use_it: impl FnOnce(&mut Session, &mut Choices)) {
        SESSIONS.with_borrow_mut(|sessions| {
            let Sessions { all, one_card } = sessions.as_mut().expect("prepared");
            let session = if choices.seldom(2) { one_card } else { all };
            page().hides.store(session.hides.into(), Relaxed);
            let open = open_descriptors();
            use_it(session, choices);
            assert_eq!(open_descriptors(), open, "descriptors are left");
        });
    }
}

pub struct Session {
    rows: &'static Rows<'static>,
    mediator: Mediator,
    hides: bool,
    clients: Vec<Client>,
    /// RM clients with those that made them, and other objects.
    roots: Vec<(u32, usize)>,
    objects: Vec<Made>,
    limit: u64,
}

impl Session {
    fn new(hides: bool) -> Self {
        let nodes = NODES.iter().map(|(_, numbers, node)| (*numbers, *node)).collect();
        let mut driver = StandIn { version: VERSION, nodes, kernel: KERNEL }.driver().expect("known");
        if hides {
            driver.choose_of(1, &machine::cards());
        }
        let mut mediator = Mediator::begin(driver, Some(LIMIT)).expect("processes");
        mediator.keep_calls();
        Self {
            rows: Box::leak(Box::new(Rows::of(abi()))),
            mediator,
            hides,
            clients: (0..CLIENTS).map(Client::new).collect(),
            roots: Vec::new(),
            objects: Vec::new(),
            limit: LIMIT,
        }
    }

    pub fn step(&mut self, choices: &mut Choices) {
        let client = choices.below(CLIENTS);
        let open: Vec<i32> = self.clients[client].descriptors.keys().copied().collect();
        if self.clients[client].put_off.is_some() {
            return self.step_of_busy(client, choices);
        }
        match choices.byte() % 32 {
            _ if open.is_empty() => self.open(client, choices),
            20..24 if open.len() < OPEN => self.open(client, choices),
            24 if open.len() + 1 < OPEN => self.begin(client),
            25 | 26 => self.duplicate(client, &open, choices),
            27 => drop(self.clients[client].descriptors.remove(&choices.of(&open).expect("some"))),
            28 if choices.seldom(4) => self.end(client),
            29 if choices.seldom(4) => self.kill_worker(client),
            30 if choices.seldom(2) => self.set_limit(choices.odd_number()),
            31 => self.map(client, choices.of(&open).expect("some"), choices),
            _ => self.ioctl(client, choices.of(&open).expect("some"), choices),
        }
    }

    /// What may happen while a call takes long.
    fn step_of_busy(&mut self, client: usize, choices: &mut Choices) {
        match choices.byte() % 8 {
            7 => self.end(client),
            6 => self.kill_worker(client),
            5 => self.ask_beside(client),
            _ => page().lanes[client].gate.store(1, Relaxed),
        }
        self.settle(|_| false);
    }

    /// A second call of the process is not made.
    fn ask_beside(&mut self, index: usize) {
        let lane = &page().lanes[index];
        let client = &mut self.clients[index];
        let Some(descriptor) = client.descriptors.keys().next().copied() else { return };
        let watch = Watch::new(Node::Control, 0, BASE, Meanwhile::default());
        let put_off = client.put_off.take();
        let mut watched = Watched { client, lane, watch };
        let answer = self.mediator.ioctl(descriptor, 0xc020_462a, BASE, &mut watched);
        assert!(matches!(answer, Ok(Answer::Errno(libc::EBUSY))), "{answer:?}");
        self.clients[index].put_off = put_off;
    }

    /// Answers calls that took longer, and waits for those of which that is wanted.
    fn settle(&mut self, is_awaited: impl Fn(usize) -> bool) {
        loop {
            for process in self.mediator.settled() {
                let client = (0..CLIENTS).find(|client| self.clients[*client].process() == process);
                let client = client.expect("one of the clients");
                let watch = self.clients[client].put_off.take().expect("it was put off");
                let lane = &page().lanes[client];
                let mut watched = Watched { client: &mut self.clients[client], lane, watch };
                let answer = self.mediator.settle(&mut watched).expect("it was put off");
                let watch = watched.watch;
                self.judge(client, watch, answer);
            }
            let is_busy = |client: &Client| client.put_off.is_some() && is_awaited(client.index);
            if !self.clients.iter().any(is_busy) {
                return;
            }
            self.wait_for_bell();
        }
    }

    fn wait_for_bell(&self) {
        let mediator = self.mediator.as_fd().as_raw_fd();
        let mut polled = libc::pollfd { fd: mediator, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, alive here.
        let ready = unsafe { libc::poll(&mut polled, 1, PATIENCE.as_millis() as i32) };
        assert_ne!(ready, 0, "the bell does not ring");
    }

    fn open(&mut self, client: usize, choices: &mut Choices) {
        let nodes = NODES.map(|(.., node)| node);
        self.open_as(client, choices.of(&nodes).expect("some"));
    }

    fn open_as(&mut self, client: usize, node: Node) -> i32 {
        let descriptor = self.clients[client].free_descriptor();
        let open = Open { file: machine::open(node, 1 << client), node };
        self.clients[client].descriptors.insert(descriptor, Rc::new(open));
        descriptor
    }

    /// dup2, also onto itself and onto another node; or what a child inherits.
    fn duplicate(&mut self, client: usize, open: &[i32], choices: &mut Choices) {
        let from = choices.of(open).expect("some");
        let onto = if choices.seldom(2) {
            choices.of(open).expect("some")
        } else {
            self.clients[client].free_descriptor()
        };
        let into = if choices.seldom(4) { choices.below(CLIENTS) } else { client };
        let Some(open) = self.clients[client].descriptors.get(&from).cloned() else { return };
        let owners = machine::owners(open.file.as_raw_fd()).expect("it is open");
        machine::belongs_to(&open.file, owners | 1 << into);
        self.clients[into].descriptors.insert(onto, open);
    }

    /// The process ends, and its number is another one's.
    fn end(&mut self, client: usize) {
        self.mediator.process_ended(self.clients[client].process());
        self.forget_worker(client);
        self.clients[client] = Client::new(client);
        self.roots.retain(|(_, of)| *of != client);
    }

    fn forget_worker(&self, client: usize) {
        let lane = &page().lanes[client];
        for word in [&lane.expects, &lane.died, &lane.gate] {
            word.store(0, Relaxed);
        }
        lane.worker.store(0, Relaxed);
    }

    fn kill_worker(&mut self, client: usize) {
        if let Some(worker) = self.mediator.worker_of(self.clients[client].process()) {
            // SAFETY: the call takes numbers; the process is the mediator's.
            unsafe { libc::kill(worker, libc::SIGKILL) };
            page().lanes[client].died.store(1, Relaxed);
        }
    }

    fn set_limit(&mut self, limit: u64) {
        assert!(self.mediator.set_limit(limit));
        self.limit = limit;
    }

    /// What every program begins with.
    fn begin(&mut self, client: usize) {
        let [control, _] = [Node::Control, Node::Gpu(0)].map(|node| self.open_as(client, node));
        self.script(client, |_| 0);
        for class in CLASSES {
            self.call(client, control, Meanwhile::default(), |known, _, memory| {
                Call::alloc(class, known, memory)
            });
        }
    }

    fn script(&self, client: usize, mut byte: impl FnMut(usize) -> u8) {
        for (at, place) in page().lanes[client].script.iter().enumerate() {
            place.store(byte(at), Relaxed);
        }
    }

    fn ioctl(&mut self, client: usize, descriptor: i32, choices: &mut Choices) {
        let answers = choices.seldom(2);
        self.script(client, |at| if answers && at < 24 { choices.byte() } else { 0 });
        let mut meanwhile = Meanwhile::default();
        if choices.seldom(4) {
            meanwhile.spoils = (0..4).map(|_| (choices.byte(), choices.byte())).collect();
        }
        if choices.seldom(8) {
            let open: Vec<i32> = self.clients[client].descriptors.keys().copied().collect();
            meanwhile.swap = choices
                .of(&open)
                .zip(choices.of(&open))
                .map(|(from, onto)| (1 + choices.below(3), from, onto));
        }
        if choices.seldom(16) {
            meanwhile.lives = Cell::new(Some(choices.byte() % 4));
        }
        let rows = self.rows;
        self.call(client, descriptor, meanwhile, |known, node, memory| {
            Call::make(choices, rows, known, node == Node::UnifiedMemory, memory)
        });
    }

    /// Any mapping, which nobody makes: it may come yet.
    fn map(&mut self, index: usize, descriptor: i32, choices: &mut Choices) {
        let lane = &page().lanes[index];
        let client = &mut self.clients[index];
        let is_node = client.descriptors[&descriptor].node == Node::UnifiedMemory;
        let held = most_used(&self.mediator);
        let watch = Watch::new(Node::UnifiedMemory, 0, BASE, Meanwhile::default());
        let mapping = Mapping { descriptor, length: choices.odd_number(), offset: choices.odd_number() };
        let answer = self.mediator.mmap(&mapping, &mut Watched { client, lane, watch });
        match answer {
            Answer::Observed | Answer::Errno(libc::ENOMEM) => assert!(is_node),
            Answer::NotOurs => assert!(!is_node),
            other => panic!("{other:?} of a mapping"),
        }
        assert!(most_used(&self.mediator) <= self.limit.max(held), "more is mapped than may be");
    }

    fn call(
        &mut self,
        index: usize,
        descriptor: i32,
        meanwhile: Meanwhile,
        make: impl FnOnce(&Known, Node, &mut Memory) -> Call,
    ) {
        let client = &mut self.clients[index];
        let node = client.descriptors[&descriptor].node;
        let descriptors: Vec<i32> = client.descriptors.keys().copied().collect();
        let clients: Vec<u32> =
            self.roots.iter().filter(|(_, of)| *of == index).map(|(root, _)| *root).collect();
        let roots =
            clients.iter().map(|&root| Made { client: root, handle: root, class: class::NV01_ROOT_CLIENT });
        let objects = self.objects.iter().filter(|made| clients.contains(&made.client)).copied();
        let own: Vec<Made> = roots.chain(objects).collect();
        let handles: Vec<u32> = self
            .objects
            .iter()
            .map(|made| made.handle)
            .chain(self.roots.iter().map(|(root, _)| *root))
            .collect();
        let cards: Vec<_> = (0..2).map(|card| (machine::id(card), machine::uuid(card))).collect();
        let known = Known {
            abi: abi(),
            own: &own,
            clients: &clients,
            handles: &handles,
            descriptors: &descriptors,
            strays: true,
            cards: &cards,
        };
        let call = make(&known, node, &mut client.memory);
        let lane = &page().lanes[index];
        lane.user.store(client.user(), Relaxed);
        lane.gate.store(0, Relaxed);
        lane.expects.store(1, Relaxed);
        let held = most_used(&self.mediator);
        let watch = Watch::new(node, call.request, call.argument, meanwhile);
        let mut watched = Watched { client, lane, watch };
        let answer = self.mediator.ioctl(descriptor, call.request, call.argument, &mut watched);
        let watch = watched.watch;
        self.judge(index, watch, answer);
        if lane.script[0].load(Relaxed) % 16 != TAKES_LONG {
            // It is the machine that is slow.
            self.settle(|client| client == index);
        }
        assert!(most_used(&self.mediator) <= self.limit.max(held), "more is held than may be");
    }

    /// Whether a call may be answered so.
    fn judge(&mut self, index: usize, watch: Watch, answer: Result<Answer, WorkerError>) {
        let lane = &page().lanes[index];
        if matches!(answer, Ok(Answer::Later)) {
            self.clients[index].put_off = Some(watch);
            return;
        }
        lane.expects.store(0, Relaxed);
        match answer {
            Err(WorkerError::Gone) => {
                let has_died = lane.died.load(Relaxed) != 0;
                assert!(has_died, "the driver was given what it may not be given: it has said above what");
                self.forget_worker(index);
            }
            Err(error) => panic!("{error}"),
            Ok(Answer::Frozen { address, expected }) => {
                let (row, read) = watch.outer().expect("it was looked at");
                assert_eq!((address, &*expected), (watch.argument, read));
                assert_eq!(row.number, escape::NV_ESC_RM_ALLOC_MEMORY);
            }
            Ok(Answer::Return(result)) => {
                assert_eq!(result, 0);
                if let Some(outer) = watch.outer() {
                    self.note(index, outer, watch.argument);
                }
            }
            Ok(Answer::Errno(errno)) => assert!(errno > 0),
            Ok(other) => panic!("{other:?} of a node of ours"),
        }
        let _ = (self.mediator.take_last(), self.mediator.take_unknown());
    }

    /// An object that was made.
    fn note(&mut self, client: usize, (row, before): (&Row, &[u8]), argument: u64) {
        let Some(after) = self.clients[client].memory.get(argument, before.len()) else { return };
        let field = |bytes: &[u8], name: &str| row.read(bytes, name).unwrap_or(0) as u32;
        if row.number != escape::NV_ESC_RM_ALLOC || field(after, "status") != 0 {
            return;
        }
        let (class, handle) = (field(before, "hClass"), field(after, "hObjectNew"));
        if matches!(class, class::NV01_ROOT | class::NV01_ROOT_NON_PRIV | class::NV01_ROOT_CLIENT) {
            self.roots.push((handle, client));
        } else if self.objects.len() < OBJECTS {
            self.objects.push(Made { client: field(before, "hRoot"), handle, class });
        }
    }

    /// Ends all clients. Nothing may be left of them.
    pub fn close_all(&mut self) {
        for client in 0..CLIENTS {
            self.end(client);
        }
        let begun = Instant::now();
        while self.mediator.held() != Held::default() {
            assert!(begun.elapsed() < PATIENCE, "all have ended: {:?}", self.mediator.held());
            self.wait_for_bell();
            assert!(self.mediator.settled().is_empty(), "nobody waits for an answer");
        }
        self.mediator.begin_again(Some(LIMIT));
        self.limit = LIMIT;
        self.roots.clear();
        self.objects.clear();
    }
}

/// Of this process, and so of all that the mediators have made.
fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("there is /proc").count()
}

/// What is held of the card that has most.
fn most_used(mediator: &Mediator) -> u64 {
    mediator.used().into_iter().map(|(_, bytes)| bytes).max().unwrap_or(0)
}
