//! A session of one process with one card, for tests.

#![allow(dead_code, reason = "each test program uses a part")]

use nvidia_abi::{Abi, class, escape, status};
use resource_manager::{
    Accounted, Caller, CallerMemory, Card, Errno, FileId, Node, Order, ResourceManager, Unit, facts,
};

pub const VERSION: &str = "580.159.04";
/// Where the program's memory begins.
const BASE: u64 = 0x1000;
pub const OUTER: u64 = BASE;
pub const PARAMETERS: u64 = BASE + 0x800;
pub const AROUND: u64 = BASE + 0x400;

/// The largest parameters of a control have 34,720 bytes.
const PAGES: usize = 10;

/// A process with some pages of memory, and two nodes open.
pub struct Process {
    pub memory: Vec<u8>,
    pub files: [FileId; 2],
    pub is_administrator: bool,
    /// What it has changed of the card.
    pub orders: Vec<Order>,
    /// What its session says to the next ones.
    pub answer: Result<(), u32>,
    pub accounts: Vec<Accounted>,
}

impl CallerMemory for Process {
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        let Some(start) = address.checked_sub(BASE).map(|start| start as usize) else {
            return bytes.is_empty();
        };
        let found = self.memory.get(start..start.saturating_add(bytes.len()));
        found.map(|found| bytes.copy_from_slice(found)).is_some()
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        let Some(start) = address.checked_sub(BASE).map(|start| start as usize) else {
            return bytes.is_empty();
        };
        let found = self.memory.get_mut(start..start.saturating_add(bytes.len()));
        found.map(|found| found.copy_from_slice(bytes)).is_some()
    }
}

impl Caller for Process {
    fn file(&mut self, descriptor: i32) -> Option<FileId> {
        self.files.get(descriptor as usize).copied()
    }

    fn has_open(&mut self, card: usize) -> bool {
        card == 0
    }

    fn order(&mut self, card: usize, order: Order) -> Result<(), u32> {
        assert_eq!(card, 0);
        self.orders.push(order);
        self.answer
    }

    fn accounts(&mut self, card: usize) -> Vec<Accounted> {
        assert_eq!(card, 0);
        self.accounts.clone()
    }

    fn process(&self) -> u32 {
        1
    }

    fn is_administrator(&self) -> bool {
        self.is_administrator
    }
}

/// A card, and a process that has the control node and the card's open.
pub struct Session {
    pub abi: Abi,
    pub manager: ResourceManager,
    pub process: Process,
}

impl Session {
    pub fn new() -> Self {
        let profile = device::by_name("h100").expect("embedded");
        let description = profile.describe(0, profile.memory, profile.multiprocessors);
        let facts = facts("h100").expect("recorded");
        let card = Card::new(description, Unit::emulated(&description, 0), &facts);
        let mut manager = ResourceManager::new(VERSION, vec![card]).expect("a known version");
        let files = [Node::Control, Node::Gpu(0)].map(|node| manager.open(node));
        let process = Process {
            memory: vec![0; PAGES * 4096],
            files,
            is_administrator: false,
            orders: Vec::new(),
            answer: Ok(()),
            accounts: Vec::new(),
        };
        Self { abi: Abi::of(VERSION).expect("a known version"), manager, process }
    }

    /// An escape on the `file`-th node with these fields; what it answered.
    pub fn escape(
        &mut self,
        file: usize,
        number: u32,
        fields: &[(&str, u64)],
    ) -> (Result<(), Errno>, Vec<u8>) {
        let row = self.abi.escape(number).expect("a row");
        let mut outer = vec![0; row.size];
        for (field, value) in fields {
            assert!(row.write(&mut outer, field, *value), "{field}");
        }
        assert!(self.process.write(OUTER, &outer));
        let request = 0xc000_4600 | (outer.len() as u32) << 16 | number;
        let answer = self.manager.ioctl(self.process.files[file], request, OUTER, &mut self.process);
        assert!(self.process.read(OUTER, &mut outer));
        (answer, outer)
    }

    /// The field of an answer.
    pub fn field(&self, number: u32, outer: &[u8], field: &str) -> u64 {
        self.abi.escape(number).and_then(|row| row.read(outer, field)).expect("a field")
    }

    /// Makes an object: its handle, or the status.
    pub fn alloc(
        &mut self,
        [client, parent]: [u32; 2],
        class: u32,
        fields: &[(&str, u64)],
    ) -> Result<u32, u32> {
        let row = self.abi.class(class).expect("a row");
        let mut parameters = vec![0; row.size];
        for (field, value) in fields {
            assert!(row.write(&mut parameters, field, *value), "{field}");
        }
        assert!(self.process.write(PARAMETERS, &parameters));
        let address = if parameters.is_empty() { 0 } else { PARAMETERS };
        let (answer, outer) = self.escape(
            0,
            escape::NV_ESC_RM_ALLOC,
            &[
                ("hRoot", client.into()),
                ("hObjectParent", parent.into()),
                ("hClass", class.into()),
                ("pAllocParms", address),
            ],
        );
        assert_eq!(answer, Ok(()));
        let field = |name| self.field(escape::NV_ESC_RM_ALLOC, &outer, name) as u32;
        if field("status") == status::NV_OK { Ok(field("hObjectNew")) } else { Err(field("status")) }
    }

    /// A client and its device.
    pub fn device(&mut self) -> (u32, u32) {
        let client = self.alloc([0, 0], class::NV01_ROOT_CLIENT, &[]).expect("a client");
        let device = self.alloc([client, client], class::NV01_DEVICE_0, &[]).expect("a device");
        (client, device)
    }
}

/// A client, its device and its subdevice.
pub fn card(session: &mut Session) -> [u32; 3] {
    let (client, device) = session.device();
    let subdevice = session.alloc([client, device], class::NV20_SUBDEVICE_0, &[]).expect("a subdevice");
    [client, device, subdevice]
}

/// A control with these fields: its status, and its parameters.
pub fn control(
    session: &mut Session,
    [client, object]: [u32; 2],
    number: u32,
    fields: &[(&str, u64)],
) -> (u32, Vec<u8>) {
    let row = session.abi.control(number).expect("a row");
    let mut parameters = vec![0; row.size];
    for (field, value) in fields {
        assert!(row.write(&mut parameters, field, *value), "{field}");
    }
    command(session, [client, object], number, parameters)
}

/// The same with parameters as bytes.
pub fn command(
    session: &mut Session,
    [client, object]: [u32; 2],
    number: u32,
    mut parameters: Vec<u8>,
) -> (u32, Vec<u8>) {
    assert!(session.process.write(PARAMETERS, &parameters));
    let outer = [
        ("hClient", client.into()),
        ("hObject", object.into()),
        ("cmd", number.into()),
        ("params", PARAMETERS),
        ("paramsSize", parameters.len() as u64),
    ];
    let (answer, outer) = session.escape(0, escape::NV_ESC_RM_CONTROL, &outer);
    assert_eq!(answer, Ok(()));
    let status = session.field(escape::NV_ESC_RM_CONTROL, &outer, "status") as u32;
    assert!(session.process.read(PARAMETERS, &mut parameters));
    (status, parameters)
}
