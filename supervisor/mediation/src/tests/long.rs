//! Calls that take longer than anybody waits for them.

use std::sync::atomic::Ordering::Relaxed;

use super::given::{DONE, LONG, given, noted};
use super::*;

/// `NV_ESC_SYS_PARAMS`, of two words.
const SYS_PARAMS: u32 = 0xc008_46d6;

/// One of several clients, all of which are this process.
struct Client {
    own: Own,
    words: Box<[u32; 12]>,
    /// Of an allocation.
    parameters: Box<[u32; 32]>,
}

impl Client {
    fn new(number: i32) -> Self {
        let own = Own { process: number, thread: number, ..own() };
        Self { own, words: Box::new([0; 12]), parameters: Box::new([0; 32]) }
    }

    fn ask(&mut self, mediator: &mut Mediator, request: u32, first: u32) -> Answer {
        self.words[0] = first;
        let (number, argument) = (self.own.file.as_raw_fd(), self.words.as_ptr().expose_provenance() as u64);
        mediator.ioctl(number, request, argument, &mut self.own).expect("a process")
    }

    /// An allocation of memory of a card, which takes long.
    fn allocate(&mut self, mediator: &mut Mediator, size: u32) -> Answer {
        self.parameters[16] = size;
        let address = self.parameters.as_ptr().expose_provenance() as u64;
        self.words[1..6].copy_from_slice(&[2, 3, 0x40, address as u32, (address >> 32) as u32]);
        self.ask(mediator, ALLOC, LONG)
    }

    /// The answer, however long it takes.
    fn ask_and_wait(&mut self, mediator: &mut Mediator, request: u32, first: u32) -> Answer {
        match self.ask(mediator, request, first) {
            Answer::Later => {
                wait_for(mediator, self.own.process);
                mediator.settle(&mut self.own).expect("it was put off").expect("a process")
            }
            answer => answer,
        }
    }
}

/// Waits for the bell until that client's call can be answered. Of others none can.
fn wait_for(mediator: &mut Mediator, client: i32) {
    loop {
        let descriptor = mediator.as_fd().as_raw_fd();
        let mut polled = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, alive here.
        assert_eq!(unsafe { libc::poll(&mut polled, 1, 20_000) }, 1, "the bell does not ring");
        match mediator.settled().as_slice() {
            [] => {}
            settled => return assert_eq!(settled, [client]),
        }
    }
}

#[test]
fn a_call_that_takes_long_delays_no_other_client() {
    alone("long::a_call_that_takes_long_delays_no_other_client", || {
        let mut mediator = noted(None);
        let (mut slow, mut quick) = (Client::new(1), Client::new(2));
        let answer = slow.ask(&mut mediator, SYS_PARAMS, LONG);
        assert!(matches!(answer, Answer::Later), "{answer:?}");
        for _ in 0..100 {
            let answer = quick.ask_and_wait(&mut mediator, SYS_PARAMS, 1);
            assert!(matches!(answer, Answer::Return(0)), "{answer:?}");
        }
        assert!(matches!(slow.ask(&mut mediator, SYS_PARAMS, LONG), Answer::Errno(libc::EBUSY)));
        assert_eq!(slow.words[1], 0);
        let early = mediator.settle(&mut slow.own);
        assert!(matches!(early, Some(Ok(Answer::Later))), "it has not been executed: {early:?}");
        given().gate.store(1, Relaxed);
        wait_for(&mut mediator, 1);
        assert!(matches!(mediator.settle(&mut slow.own), Some(Ok(Answer::Return(0)))));
        assert_eq!(slow.words[1], DONE);
        assert!(mediator.settle(&mut slow.own).is_none() && mediator.settled().is_empty());
    });
}

#[test]
fn what_is_recorded_of_a_call_that_took_long_is_what_it_came_to() {
    alone("long::what_is_recorded_of_a_call_that_took_long_is_what_it_came_to", || {
        let mut mediator = noted(None);
        mediator.keep_calls();
        let mut client = Client::new(1);
        assert!(matches!(client.ask(&mut mediator, SYS_PARAMS, LONG), Answer::Later));
        assert!(mediator.take_last().is_none());
        given().gate.store(1, Relaxed);
        wait_for(&mut mediator, 1);
        assert!(matches!(mediator.settle(&mut client.own), Some(Ok(Answer::Return(0)))));
        let last = mediator.take_last().expect("it was kept");
        assert_eq!(
            (last.nr, &*last.dev, &last.outer_after[4..]),
            (0xd6, "/dev/nvidia3", &DONE.to_le_bytes()[..])
        );
    });
}

#[test]
fn a_client_that_ends_in_a_call_leaves_nothing() {
    alone("long::a_client_that_ends_in_a_call_leaves_nothing", || {
        let mut mediator = noted(Some(1 << 30));
        let open = || std::fs::read_dir("/proc/self/fd").expect("there is /proc").count();
        let (mut first, mut second) = (Client::new(1), Client::new(2));
        assert!(matches!(second.ask_and_wait(&mut mediator, SYS_PARAMS, 1), Answer::Return(0)));
        let before = open();
        assert!(matches!(first.allocate(&mut mediator, 1 << 30), Answer::Later));
        assert!(matches!(second.allocate(&mut mediator, 1 << 20), Answer::Return(0)));
        assert_eq!(second.words[10], NO_MEMORY, "all that is left is promised");
        let worker = mediator.worker_of(1).expect("it executes the call");
        mediator.process_ended(1);
        let begun = std::time::Instant::now();
        while mediator.held().workers > 1 {
            assert!(begun.elapsed().as_secs() < 20);
            std::thread::yield_now();
        }
        assert_eq!(open(), before);
        assert!(procfs::status_field(worker, "State").is_none_or(|state| state.starts_with('Z')));
        second.words[10] = 0;
        given().gate.store(1, Relaxed);
        assert!(matches!(second.allocate(&mut mediator, 1 << 20), Answer::Later | Answer::Return(0)));
        assert_eq!(second.words[10], 0, "there is room again");
    });
}

#[test]
fn a_process_that_is_killed_in_a_call_is_heard_of() {
    alone("long::a_process_that_is_killed_in_a_call_is_heard_of", || {
        let mut mediator = noted(None);
        let mut client = Client::new(1);
        assert!(matches!(client.ask(&mut mediator, SYS_PARAMS, LONG), Answer::Later));
        // SAFETY: the call takes numbers; the process is the mediator's.
        unsafe { libc::kill(mediator.worker_of(1).expect("it executes the call"), libc::SIGKILL) };
        wait_for(&mut mediator, 1);
        assert!(matches!(mediator.settle(&mut client.own), Some(Err(WorkerError::Gone))));
        let answer = client.ask_and_wait(&mut mediator, SYS_PARAMS, 1);
        assert!(matches!(answer, Answer::Return(0)), "another process: {answer:?}");
    });
}
