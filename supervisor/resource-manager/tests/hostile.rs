//! What the fuzz target `nodes` has found, and what it can't reach in a short time.

use nvidia_abi::{Abi, class, escape, status, uvm};
use resource_manager::{Caller, Card, Errno, FileId, Held, Node, ResourceManager, Unit, facts};

const VERSION: &str = "580.159.04";
/// Where the program's memory begins.
const BASE: u64 = 0x1000;
const OUTER: u64 = BASE;
const PARAMETERS: u64 = BASE + 0x800;
const AROUND: u64 = BASE + 0x400;

/// A process with one page of memory, and two nodes open.
struct Process {
    memory: Vec<u8>,
    files: [FileId; 2],
}

impl Caller for Process {
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

    fn file(&mut self, descriptor: i32) -> Option<FileId> {
        self.files.get(descriptor as usize).copied()
    }

    fn has_open(&mut self, card: usize) -> bool {
        card == 0
    }

    fn process(&self) -> u32 {
        1
    }

    fn is_administrator(&self) -> bool {
        false
    }
}

/// A card, and a process that has the control node and the card's open.
struct Session {
    abi: Abi,
    manager: ResourceManager,
    process: Process,
}

impl Session {
    fn new() -> Self {
        let profile = device::by_name("h100").expect("embedded");
        let description = profile.describe(0, profile.memory, profile.multiprocessors);
        let facts = facts("h100").expect("recorded");
        let card = Card::new(description, Unit::emulated(&description, 0), &facts);
        let mut manager = ResourceManager::new(VERSION, vec![card]).expect("a known version");
        let files = [Node::Control, Node::Gpu(0)].map(|node| manager.open(node));
        let process = Process { memory: vec![0; 4096], files };
        Self { abi: Abi::of(VERSION).expect("a known version"), manager, process }
    }

    /// An escape on the `file`-th node with these fields; what it answered.
    fn escape(&mut self, file: usize, number: u32, fields: &[(&str, u64)]) -> (Result<(), Errno>, Vec<u8>) {
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
    fn field(&self, number: u32, outer: &[u8], field: &str) -> u64 {
        self.abi.escape(number).and_then(|row| row.read(outer, field)).expect("a field")
    }

    /// Makes an object: its handle, or the status.
    fn alloc(&mut self, [client, parent]: [u32; 2], class: u32, fields: &[(&str, u64)]) -> Result<u32, u32> {
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
    fn device(&mut self) -> (u32, u32) {
        let client = self.alloc([0, 0], class::NV01_ROOT_CLIENT, &[]).expect("a client");
        let device = self.alloc([client, client], class::NV01_DEVICE_0, &[]).expect("a device");
        (client, device)
    }
}

#[test]
fn copy_engine_beyond_all_numbers_is_an_invalid_argument() {
    let mut session = Session::new();
    let (client, device) = session.device();
    let space = session.alloc([client, device], class::FERMI_VASPACE_A, &[]).expect("an address space");
    let group = [("hVASpace", space.into()), ("engineType", 9)];
    let group = session.alloc([client, device], class::KEPLER_CHANNEL_GROUP_A, &group).expect("a group");
    let channel = session.alloc([client, group], class::HOPPER_CHANNEL_GPFIFO_A, &[]).expect("a channel");
    for number in [u64::from(u32::MAX), u64::from(u32::MAX) - 7, 1000] {
        let copy = session.alloc([client, channel], class::HOPPER_DMA_COPY_A, &[("engineType", number)]);
        assert_eq!(copy, Err(status::NV_ERR_INVALID_ARGUMENT), "{number:#x}");
    }
    assert!(session.alloc([client, channel], class::HOPPER_DMA_COPY_A, &[("engineType", 1)]).is_ok());
}

#[test]
fn mapping_of_all_memory_there_is_has_a_name() {
    let mut session = Session::new();
    let (client, device) = session.device();
    let (answer, _) = session.escape(1, escape::NV_ESC_REGISTER_FD, &[("ctl_fd", 0)]);
    assert_eq!(answer, Ok(()));
    let described = [
        ("params.hRoot", client.into()),
        ("params.hObjectParent", device.into()),
        ("params.hObjectNew", 7),
        ("params.hClass", class::NV01_MEMORY_SYSTEM_OS_DESCRIPTOR.into()),
        ("params.limit", u64::MAX),
    ];
    let (answer, outer) = session.escape(1, escape::NV_ESC_RM_ALLOC_MEMORY, &described);
    assert_eq!(answer, Ok(()));
    assert_eq!(session.field(escape::NV_ESC_RM_ALLOC_MEMORY, &outer, "params.status"), 0);
    for _ in 0..3 {
        let mapping = [("params.hClient", client.into()), ("params.hMemory", 7), ("params.length", u64::MAX)];
        let (answer, outer) = session.escape(0, escape::NV_ESC_RM_MAP_MEMORY, &mapping);
        assert_eq!(answer, Ok(()));
        assert_eq!(session.field(escape::NV_ESC_RM_MAP_MEMORY, &outer, "params.status"), 0);
    }
}

#[test]
fn escape_inside_another_is_answered_as_if_it_came_alone() {
    let mut session = Session::new();
    let fields =
        |number: u32, size: u64, place: u64| [("cmd", number.into()), ("size", size), ("ptr", place)];
    let version = session.abi.escape(escape::NV_ESC_CHECK_VERSION_STR).expect("a row").size as u64;
    let inside = fields(escape::NV_ESC_CHECK_VERSION_STR, version, AROUND);
    // Any version.
    assert!(session.process.write(AROUND, &u32::from(b'2').to_le_bytes()));
    let (answer, _) = session.escape(0, escape::NV_ESC_IOCTL_XFER_CMD, &inside);
    assert_eq!(answer, Ok(()));
    let mut text = [0; VERSION.len()];
    assert!(session.process.read(AROUND + 8, &mut text));
    assert_eq!(text, VERSION.as_bytes());

    let xfer = escape::NV_ESC_IOCTL_XFER_CMD;
    for (fields, error) in [
        (fields(xfer, 16, OUTER), Errno::Invalid),
        (fields(escape::NV_ESC_CHECK_VERSION_STR, version - 1, AROUND), Errno::Invalid),
        (fields(escape::NV_ESC_CHECK_VERSION_STR | 0x100, version, AROUND), Errno::Invalid),
        (fields(escape::NV_ESC_CARD_INFO, 16385, AROUND), Errno::Invalid),
        (fields(escape::NV_ESC_CARD_INFO, u64::from(u32::MAX), AROUND), Errno::Invalid),
        (fields(escape::NV_ESC_CHECK_VERSION_STR, version, 0), Errno::Fault),
        (fields(escape::NV_ESC_CHECK_VERSION_STR, version, u64::MAX - 8), Errno::Fault),
    ] {
        assert_eq!(session.escape(0, xfer, &fields).0, Err(error), "{fields:x?}");
    }
}

#[test]
fn closed_files_leave_nothing() {
    let mut session = Session::new();
    let (client, device) = session.device();
    let memory = [("size", 3 << 20)];
    session.alloc([client, device], class::NV01_MEMORY_LOCAL_USER, &memory).expect("memory");
    let event = [("hClient", u64::from(client)), ("fd", 5)];
    assert_eq!(session.escape(1, escape::NV_ESC_ALLOC_OS_EVENT, &event).0, Ok(()));
    assert_eq!(session.escape(0, escape::NV_ESC_SYS_PARAMS, &[("memblock_size", 0x1234)]).0, Ok(()));
    let held = session.manager.held();
    assert_eq!((held.files, held.clients, held.objects, held.video_memory), (2, 1, 4, 4 << 20));

    let unified = session.manager.open(Node::UnifiedMemory);
    for request in [uvm::UVM_INITIALIZE, uvm::UVM_CREATE_RANGE_GROUP] {
        let answer = session.manager.ioctl(unified, request, AROUND, &mut session.process);
        assert_eq!(answer, Ok(()));
        session.process.memory.fill(0);
    }
    assert_eq!(session.manager.held().unified_memory, 1);
    let files = session.process.files;
    [files[0], unified, files[1]].into_iter().for_each(|file| session.manager.close(file));
    assert_eq!(session.manager.held(), Held::default());

    // What the first program said for all is forgotten with the last one.
    session.process.files = [Node::Control, Node::Gpu(0)].map(|node| session.manager.open(node));
    assert_eq!(session.escape(0, escape::NV_ESC_SYS_PARAMS, &[("memblock_size", 1)]).0, Ok(()));
    assert_eq!(session.escape(0, escape::NV_ESC_SYS_PARAMS, &[("memblock_size", 2)]).0, Err(Errno::Busy));
}
