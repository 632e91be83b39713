//! A recording answers another run of the same program: what differs from run to run does not matter, and nothing else does.
//!
//! The other run is a recording too, made on the same machine: its calls are made again, with what it had in memory then.

mod common;

use std::collections::BTreeMap;

use nvidia_abi::escape;
use recording::{Event, Ioctl};
use replay::{Place, Player, Refusal, Shows, node};
use resource_manager::CallerMemory;

/// Where each call's outer structure lies.
const OUTER: u64 = 0x1000;

/// What the program had in memory, as far as the call touched it.
#[derive(Default)]
struct Memory(Vec<(u64, Vec<u8>)>);

impl Memory {
    fn find(&mut self, address: u64, length: usize) -> Option<&mut [u8]> {
        self.0.iter_mut().find_map(|(start, bytes)| {
            let at = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get_mut(at..at.checked_add(length)?)
        })
    }
}

impl CallerMemory for Memory {
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        self.find(address, bytes.len()).map(|found| bytes.copy_from_slice(found)).is_some()
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        self.find(address, bytes.len()).map(|found| found.copy_from_slice(bytes)).is_some()
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().expect("4 bytes")))
}

/// The other run's handles of the driver's, as this one's.
type Names = BTreeMap<u32, u32>;

fn renamed(bytes: &[u8], names: &Names) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for word in bytes.chunks_exact_mut(4) {
        let name = u32::from_le_bytes((&*word).try_into().expect("4 bytes"));
        if let Some(other) = names.get(&name) {
            word.copy_from_slice(&other.to_le_bytes());
        }
    }
    bytes
}

/// What a call is answered.
type Answer = Result<Option<Shows>, Refusal>;

/// Makes a call of the other run. None: it is no call of a node.
fn make(player: &mut Player, ioctl: &Ioctl, names: &mut Names) -> Option<Answer> {
    const HANDLE: usize = 8;
    let (node, request) = (node(&ioctl.dev)?, u32::from_str_radix(&ioctl.cmd, 16).ok()?);
    let mut memory = Memory(vec![(OUTER, renamed(&ioctl.outer_before, names))]);
    let parameters = renamed(&ioctl.parameters_before, names);
    if ioctl.outer_before.len() >= 24 {
        let address =
            u64::from(word(&ioctl.outer_before, 20)) << 32 | u64::from(word(&ioctl.outer_before, 16));
        memory.0.push((address, parameters));
    }
    for buffer in &ioctl.indirect {
        let low = word(&ioctl.parameters_before, buffer.at);
        let high = word(&ioctl.parameters_before, buffer.at + 4);
        memory.0.push((u64::from(high) << 32 | u64::from(low), renamed(&buffer.before, names)));
    }
    let answer = player.ioctl(node, request, OUTER, &mut memory);
    let is_alloc = ioctl.nr == escape::NV_ESC_RM_ALLOC && answer.is_ok();
    if is_alloc && let Some(outer) = memory.find(OUTER, ioctl.outer_before.len()) {
        names.insert(word(&ioctl.outer_after, HANDLE), word(outer, HANDLE));
    }
    Some(answer)
}

fn events(name: &str) -> Vec<Event> {
    recording::open(&common::folder("h100-2").join(format!("{name}.jsonl.xz"))).expect("a recording")
}

fn player(name: &str) -> Player {
    Player::new(events(name), device::DRIVER_VERSION).expect("a known version")
}

/// What the recording `by` answers to the calls of the run `of`.
fn answers(of: &str, by: &str) -> impl Iterator<Item = Answer> {
    let (mut player, mut names) = (player(by), Names::new());
    let calls = events(of).into_iter().filter_map(|event| match event {
        Event::Ioctl(ioctl) => Some(ioctl),
        Event::Other(_) => None,
    });
    calls.filter_map(move |ioctl| make(&mut player, &ioctl, &mut names))
}

/// Two runs of the same, and one that asks less: handles, addresses, times and what lay on stacks differ.
#[test]
fn a_recording_answers_the_next_run_of_nvidia_smi() {
    for (of, by) in
        [("smi-after", "smi-q"), ("smi-q", "smi-after"), ("smi-i0", "smi"), ("smi-q-x-dtd", "smi-q-x")]
    {
        let mut calls = 0;
        for answer in answers(of, by) {
            assert!(
                !matches!(answer, Err(Refusal::Missing(_) | Refusal::Work(_))),
                "{of} by {by}: {answer:?}"
            );
            calls += 1;
        }
        assert!(calls > 90, "{of} by {by}: {calls}");
    }
}

#[test]
fn what_was_not_asked_before_is_missing() {
    let missing = answers("smi-q-x", "smi-q").filter(|answer| matches!(answer, Err(Refusal::Missing(_))));
    assert_eq!(missing.count(), 3, "-x asks for more clocks, and for accounts");
}

/// NVML maps the page of figures, CUDA's start registers as well; a context needs channels.
#[test]
fn what_is_mapped_is_shown_until_the_card_would_have_to_work() {
    let shown = |of| answers(of, of).map_while(|answer| answer.ok()).flatten().collect::<Vec<_>>();
    let [Shows::Figures { card: 0, .. }] = shown("smi-q")[..] else { panic!("{:?}", shown("smi-q")) };
    let registers = |shows: &Shows| matches!(shows, Shows::Zeros { length: 0x10000, .. });
    let [first, second, Shows::Figures { card: 0, .. }] = &shown("cuda-start")[..] else {
        panic!("{:?}", shown("cuda-start"))
    };
    assert!(registers(first) && registers(second));
    let refused = answers("cuda-start", "cuda-start").find_map(Result::err);
    let Some(Refusal::Work(what)) = refused else { panic!("{refused:?}") };
    assert!(what.contains("NV01_MEMORY_LOCAL_USER") || what.contains("CHANNEL_GPFIFO"), "{what}");
}

/// Ranges that a program takes are those of its own addresses, which differ from run to run.
#[test]
fn a_context_at_other_addresses_is_work_too() {
    let is_range =
        |ioctl: &Ioctl| u32::from_str_radix(&ioctl.cmd, 16) == Ok(nvidia_abi::uvm::UVM_CREATE_EXTERNAL_RANGE);
    let mut ranges = events("cuda-start").into_iter().filter_map(|event| match event {
        Event::Ioctl(ioctl) if ioctl.dev.ends_with("/nvidia-uvm") && is_range(&ioctl) => Some(ioctl),
        _ => None,
    });
    let mut range = ranges.next_back().expect("a context was made");
    assert!(make(&mut player("cuda-start"), &range, &mut Names::new()).expect("a call").is_ok());
    range.outer_before[4] ^= 1;
    let refused = make(&mut player("cuda-start"), &range, &mut Names::new()).expect("a call");
    let Err(Refusal::Work(what)) = refused else { panic!("{refused:?}") };
    assert!(what.contains("UVM_CREATE_EXTERNAL_RANGE"), "{what}");
}

#[test]
fn a_recording_tells_where_its_card_was() {
    let card = Place {
        pci: [0, 0, 6],
        device: 0x2330_10de,
        irq: 41,
        bars: [[0x1020_0200_0000, 16 << 20], [0x1000_0000_0000, 128 << 30]],
        uuid: Some([
            0xc0, 0xff, 0xee, 0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x34, 0x56, 0x78,
        ]),
    };
    assert_eq!(player("smi").places(), [card]);
}
