//! A share of the cards' time: what clients make and free, and what the driver is asked because of it.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::*;

/// What was asked of channels, in this process: to disable, and which.
static ASKED: Mutex<Vec<(bool, Vec<u32>)>> = Mutex::new(Vec::new());

const GROUP: u32 = 0xa06c;
const CHANNEL: u32 = 0xc86f;
const SCHEDULE: u32 = 0xa06c_0101;
const DISABLE: u32 = 0x2080_110b;
const ROOT: u32 = 1;

/// A driver that says yes to all, in workers and in this process.
fn driver() -> Driver {
    let kernel = Kernel { ioctl: take, open: Kernel::OWN.open };
    StandIn { version: VERSION, nodes: vec![(NULL, Node::Control)], kernel }.driver().expect("known")
}

fn take(handed: &Handed) -> std::io::Result<i32> {
    let word = |at: u64| {
        // SAFETY: whoever hands a call over has its bytes in the area.
        unsafe { std::ptr::with_exposed_provenance::<u32>(at as usize).read_unaligned() }
    };
    let parameters = handed.argument + 32;
    if handed.number == RM_CONTROL && word(handed.argument + 8) == DISABLE {
        let channels = (0..u64::from(word(parameters + 4))).map(|index| word(parameters + 280 + 4 * index));
        let disables = word(parameters) & 1 != 0;
        ASKED.lock().expect("not poisoned").push((disables, channels.collect()));
    }
    Ok(0)
}

fn asked() -> Vec<(bool, Vec<u32>)> {
    ASKED.lock().expect("not poisoned").clone()
}

fn wait_for(what: &str, is_so: impl Fn(&[(bool, Vec<u32>)]) -> bool) {
    let begun = Instant::now();
    while !is_so(&asked()) {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}: {:?}", asked());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An object with parameters.
fn make(mediator: &mut Mediator, class: u32, parent: u32, handle: u32, parameters: &mut [u32]) {
    let address = parameters.as_mut_ptr().expose_provenance() as u64;
    let mut words = [ROOT, parent, handle, class, address as u32, (address >> 32) as u32, 0, 0, 0, 0, 0, 0];
    let answer = ask(mediator, ALLOC, &mut words);
    assert!(matches!(answer, Answer::Return(0)), "{class:#x}: {answer:?}");
}

fn control(mediator: &mut Mediator, object: u32, command: u32, parameters: &mut [u32], size: u32) -> u32 {
    let address = parameters.as_mut_ptr().expose_provenance() as u64;
    let mut words = [ROOT, object, command, 0, address as u32, (address >> 32) as u32, size, 0];
    assert!(matches!(ask(mediator, RM_CONTROL, &mut words), Answer::Return(0)));
    words[7]
}

/// A context as libcuda makes one: a device, its card, a group for kernels with two channels, one for copies with one.
fn context(mediator: &mut Mediator) {
    make(mediator, 0x80, ROOT, 2, &mut [0; 14]);
    make(mediator, 0x2080, 2, 3, &mut [0; 1]);
    for (group, engine, channels) in [(10, 1, 11..13), (20, 11, 21..22)] {
        make(mediator, GROUP, 2, group, &mut [0, 0, 0, engine, 0]);
        for channel in channels {
            make(mediator, CHANNEL, group, channel, &mut [0; 92]);
        }
        assert_eq!(control(mediator, group, SCHEDULE, &mut [1], 3), 0);
    }
}

fn paced(percent: u32) -> Mediator {
    let mut mediator = Mediator::begin(driver(), None).expect("processes");
    mediator.pace(TimeShare::of_percent(percent).expect("a share"));
    mediator
}

#[test]
fn channels_for_kernels_take_turns_and_no_others() {
    alone("cores::channels_for_kernels_take_turns_and_no_others", || {
        let mut mediator = paced(50);
        context(&mut mediator);
        wait_for("turns", |asked| asked.len() > 3);
        let turns = asked();
        assert!(turns.iter().all(|(_, channels)| *channels == [11, 12]), "{turns:?}");
        assert!(turns.iter().enumerate().all(|(at, (disables, _))| *disables == (at % 2 == 0)), "{turns:?}");
        assert!(mediator.take_unpaced().is_empty() && mediator.time_used().is_some());
    });
}

#[test]
fn a_client_that_ends_in_a_pause_leaves_nothing_to_be_switched() {
    alone("cores::a_client_that_ends_in_a_pause_leaves_nothing_to_be_switched", || {
        let mut mediator = paced(1);
        context(&mut mediator);
        wait_for("a pause", |asked| asked.last().is_some_and(|(disables, _)| *disables));
        mediator.process_ended(std::process::id() as i32);
        let count = asked().len();
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(asked().len(), count);
    });
}

#[test]
fn a_freed_channel_is_spoken_of_no_more_and_a_new_one_waits_as_well() {
    alone("cores::a_freed_channel_is_spoken_of_no_more_and_a_new_one_waits_as_well", || {
        let mut mediator = paced(1);
        context(&mut mediator);
        wait_for("a pause", |asked| asked.last().is_some_and(|(disables, _)| *disables));
        let answer = ask(&mut mediator, 0xc010_4629, &mut [ROOT, 10, 11, 0]);
        assert!(matches!(answer, Answer::Return(0)), "{answer:?}");
        make(&mut mediator, CHANNEL, 10, 14, &mut [0; 92]);
        wait_for("both", |asked| asked.last() == Some(&(true, vec![12, 14])));
        let answer = ask(&mut mediator, 0xc010_4629, &mut [ROOT, 2, 10, 0]);
        assert!(matches!(answer, Answer::Return(0)), "{answer:?}");
        let count = asked().len();
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(asked().len(), count, "the group is gone");
    });
}

#[test]
fn what_would_undo_it_is_refused_and_only_then() {
    alone("cores::what_would_undo_it_is_refused_and_only_then", || {
        const SCHEDULE_CHANNEL: u32 = 0xa06f_0103;
        for (mut mediator, refused) in
            [(paced(50), NOT_SUPPORTED), (Mediator::begin(driver(), None).expect("processes"), 0)]
        {
            context(&mut mediator);
            assert_eq!(control(&mut mediator, 3, DISABLE, &mut [0; 134], 536), refused);
            assert_eq!(control(&mut mediator, 11, SCHEDULE_CHANNEL, &mut [1], 3), refused);
            assert_eq!(control(&mut mediator, 21, SCHEDULE_CHANNEL, &mut [1], 3), 0, "of copies");
            assert_eq!(mediator.take_unknown().is_empty(), refused == 0);
        }
    });
}

#[test]
fn a_share_can_be_changed_only_where_there_was_one() {
    alone("cores::a_share_can_be_changed_only_where_there_was_one", || {
        let half = TimeShare::of_percent(50).expect("a share");
        assert!(!Mediator::begin(driver(), None).expect("processes").set_cores(half));
        let mut mediator = paced(100);
        context(&mut mediator);
        std::thread::sleep(Duration::from_millis(100));
        assert!(asked().is_empty());
        assert!(mediator.set_cores(half));
        wait_for("turns", |asked| asked.len() > 2);
        assert_eq!(mediator.time_used().map(|time| time.share), Some(half));
    });
}
