//! A recording that answers, call by call: order, what is left open, errors.

use recording::{Call, Event, Indirect, Ioctl};
use replay::{Player, Refusal};
use resource_manager::{CallerMemory, Node};

const VERSION: &str = "580.159.04";
/// Where the calls' structures lie this time.
const OUTER: u64 = 0x1000;
const PARAMETERS: u64 = 0x1100;
const BUFFER: u64 = 0x1200;

/// A program's memory.
struct Memory(Vec<u8>);

impl Memory {
    fn with(pieces: &[(u64, &[u8])]) -> Self {
        let mut memory = Self(vec![0; 0x1000]);
        for (address, bytes) in pieces {
            assert!(memory.write(*address, bytes));
        }
        memory
    }

    fn at(&self, address: u64, length: usize) -> &[u8] {
        &self.0[(address - OUTER) as usize..][..length]
    }
}

impl CallerMemory for Memory {
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        let start = address.wrapping_sub(OUTER) as usize;
        let found = self.0.get(start..start.saturating_add(bytes.len()));
        found.map(|found| bytes.copy_from_slice(found)).is_some()
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        let start = address.wrapping_sub(OUTER) as usize;
        let found = self.0.get_mut(start..start.saturating_add(bytes.len()));
        found.map(|found| found.copy_from_slice(bytes)).is_some()
    }
}

/// `NVOS54_PARAMETERS` of a control with 16 bytes of parameters.
fn control(command: u32, parameters: u64) -> Vec<u8> {
    let words = [0xc1d0_0001, 0x77, command, 0, parameters as u32, (parameters >> 32) as u32, 16, 0];
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

const REQUEST: u32 = 0xc020_462a;
/// `NV2080_CTRL_CMD_BUS_GET_PCI_INFO`: four words are answered.
const PCI: u32 = 0x2080_1801;
/// `NV2080_CTRL_CMD_BUS_GET_INFO`: a count, and a pointer to pairs.
const BUS: u32 = 0x2080_1802;

fn recorded(command: u32, before: &[u8], after: &[u8], indirect: Vec<Indirect>) -> Event {
    let outer = control(command, 0x7fff_0000_1234);
    Event::Ioctl(Ioctl {
        dev: "/dev/nvidiactl".into(),
        cmd: format!("{REQUEST:08x}"),
        nr: REQUEST & 0xff,
        outer_before: outer.clone(),
        outer_after: outer,
        parameters_before: before.to_vec(),
        parameters_after: after.to_vec(),
        indirect,
        ..Ioctl::default()
    })
}

fn player(events: Vec<Event>) -> Player {
    Player::new(events, VERSION).expect("a known version")
}

fn ask(player: &mut Player, command: u32, memory: &mut Memory) -> Result<(), Refusal> {
    assert!(memory.write(OUTER, &control(command, PARAMETERS)));
    player.ioctl(Node::Control, REQUEST, OUTER, memory).map(|shows| assert_eq!(shows, None))
}

fn missing(result: Result<(), Refusal>, parts: &[&str]) {
    let Err(Refusal::Missing(words)) = result else { panic!("{result:?}") };
    assert!(parts.iter().all(|part| words.contains(part)), "{words}");
}

#[test]
fn equal_calls_are_answered_in_their_order_and_no_more_often() {
    let answer = |value| recorded(PCI, &[0; 16], &[value; 16], Vec::new());
    let mut player = player(vec![answer(1), answer(2)]);
    for value in [1, 2] {
        let mut memory = Memory::with(&[]);
        assert_eq!(ask(&mut player, PCI, &mut memory), Ok(()));
        assert_eq!(memory.at(PARAMETERS, 16), [value; 16]);
    }
    assert_eq!(player.left(), 0);
    let again = ask(&mut player, PCI, &mut Memory::with(&[]));
    missing(again, &["NV2080_CTRL_CMD_BUS_GET_PCI_INFO", "all 2 of that kind have been made"]);
}

#[test]
fn what_the_call_overwrites_may_be_anything_but_the_same_comes_first() {
    let answer = |before, value| recorded(PCI, &[before; 16], &[value; 16], Vec::new());
    let mut player = player(vec![answer(0, 1), answer(5, 2)]);
    for (before, value) in [(5, 2), (7, 1)] {
        let mut memory = Memory::with(&[(PARAMETERS, &[before; 16])]);
        assert_eq!(ask(&mut player, PCI, &mut memory), Ok(()));
        assert_eq!(memory.at(PARAMETERS, 16), [value; 16]);
    }
}

#[test]
fn input_is_compared_behind_pointers_too_and_pointers_are_the_programs_own() {
    let parameters = |address: u64| [1_u64.to_le_bytes(), address.to_le_bytes()].concat();
    let buffer =
        Indirect { at: 8, before: vec![3, 0, 0, 0, 9, 9, 9, 9], after: vec![3, 0, 0, 0, 1, 2, 3, 4] };
    let before = parameters(0x7fff_0000_5678);
    let mut player = player(vec![recorded(BUS, &before, &before, vec![buffer])]);
    let mut other = Memory::with(&[(PARAMETERS, &parameters(BUFFER)), (BUFFER, &[4])]);
    missing(ask(&mut player, BUS, &mut other), &["busInfoListSize=1", "say something else"]);
    let mut without = Memory::with(&[(PARAMETERS, &parameters(0))]);
    missing(ask(&mut player, BUS, &mut without), &["say something else"]);
    let mut same = Memory::with(&[(PARAMETERS, &parameters(BUFFER)), (BUFFER, &[3])]);
    assert_eq!(ask(&mut player, BUS, &mut same), Ok(()));
    assert_eq!(same.at(BUFFER, 8), [3, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(same.at(PARAMETERS, 16), parameters(BUFFER));
}

#[test]
fn errors_and_nodes_are_as_recorded() {
    let open = |path: &str, rc| Event::Other(Call::Open { process: 1, path: path.into(), flags: 2, rc });
    let failed = Event::Ioctl(Ioctl {
        dev: "/dev/nvidia-uvm".into(),
        cmd: "00000001".into(),
        nr: 1,
        rc: -1,
        errno: libc::ENOSYS,
        ..Ioctl::default()
    });
    let mut player = player(vec![open("/dev/nvidia1", 3), open("/dev/nvidia2", -2), failed]);
    assert_eq!(player.gpus(), 2);
    let has = [Node::Gpu(0), Node::Gpu(1), Node::Gpu(2), Node::UnifiedMemory, Node::Control];
    assert_eq!(has.map(|node| player.has(node)), [false, true, false, true, false]);
    let memory = &mut Memory::with(&[]);
    assert_eq!(player.ioctl(Node::UnifiedMemory, 1, OUTER, memory), Err(Refusal::Error(libc::ENOSYS)));
    let nowhere = player.ioctl(Node::Control, REQUEST, 0xffff_8880_0000_0000, memory);
    assert_eq!(nowhere, Err(Refusal::Error(libc::EFAULT)));
}
