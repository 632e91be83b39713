//! What the fuzzer (`fuzz/targets/mediator`) and a look at the code for it have found, each with the driver's stand-in.

use std::sync::atomic::Ordering::Relaxed;

use super::given::{given, noted};
use super::*;

fn halves(address: u64) -> [u32; 2] {
    [address as u32, (address >> 32) as u32]
}

fn place<T>(of: &mut [T]) -> [u32; 2] {
    halves(of.as_mut_ptr().expose_provenance() as u64)
}

#[test]
fn an_address_behind_the_first_of_an_array_is_not_passed_on() {
    alone("hostile::an_address_behind_the_first_of_an_array_is_not_passed_on", || {
        /// `NV83DE_CTRL_CMD_READ_SURFACE`: 64 elements of 24 bytes, each with a pointer after 16.
        const READ_SURFACE: u32 = 0x83de_031a;
        let mut mediator = noted(None);
        let mut parameters = [0u64; 193];
        parameters[2 + 3] = 0xdead_beef;
        let [low, high] = place(&mut parameters);
        let mut words = [1, 1, READ_SURFACE, 0, low, high, 1544, 0];
        assert!(matches!(ask(&mut mediator, RM_CONTROL, &mut words), Answer::Return(0)));
        assert_eq!((words[7], given().calls.load(Relaxed)), (NOT_SUPPORTED, 0));
        assert_eq!(mediator.take_unknown().len(), 1);
    });
}

#[test]
fn parameters_without_a_size_are_not_the_clients_address() {
    alone("hostile::parameters_without_a_size_are_not_the_clients_address", || {
        let mut mediator = noted(None);
        let before = [1, 1, 0x101, 0, 0xbeef, 0x7f00, 0, 0];
        let mut words = before;
        assert!(matches!(ask(&mut mediator, RM_CONTROL, &mut words), Answer::Return(0)));
        let word = |at: usize| u64::from(given().words[at].load(Relaxed));
        let area = given().area.each_ref().map(|end| end.load(Relaxed));
        assert!((area[0]..area[1]).contains(&(word(4) | word(5) << 32)), "{:x} {:x}", word(4), word(5));
        assert_eq!(words, before, "what is ours is not given back");
    });
}

#[test]
fn what_has_no_room_is_not_read() {
    alone("hostile::what_has_no_room_is_not_read", || {
        let mut mediator = noted(None);
        // As much memory as the client says: it is all there.
        let length = 64 << 20;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, flags, -1, 0) };
        let [low, high] = halves(start.expose_provenance() as u64);
        let mut words = [1, 1, 0x101, 0, low, high, length as u32, 0];
        let answer = ask(&mut mediator, RM_CONTROL, &mut words);
        assert!(matches!(answer, Answer::Errno(libc::EINVAL)), "{answer:?}");
        assert_eq!(given().calls.load(Relaxed), 0);
    });
}

#[test]
fn a_size_near_the_end_of_all_numbers_is_over_the_limit() {
    alone("hostile::a_size_near_the_end_of_all_numbers_is_over_the_limit", || {
        let mut mediator = noted(Some(1 << 30));
        let mut parameters = [0u32; 32];
        parameters[16..18].copy_from_slice(&[u32::MAX; 2]);
        let [low, high] = place(&mut parameters);
        let mut words = [1, 2, 3, 0x40, low, high, 0, 0, 0, 0, 0, 0];
        assert!(matches!(ask(&mut mediator, ALLOC, &mut words), Answer::Return(0)));
        assert_eq!((words[10], given().calls.load(Relaxed)), (NO_MEMORY, 0));
    });
}

#[test]
fn contexts_are_not_beyond_the_limit() {
    alone("hostile::contexts_are_not_beyond_the_limit", || {
        let mut mediator = noted(Some(CONTEXT + (1 << 20)));
        let mut parameters = [0u32; 256];
        let [low, high] = place(&mut parameters);
        let mut make = |class: u32, [root, parent, handle]: [u32; 3]| {
            let mut words = [root, parent, handle, class, low, high, 0, 0, 0, 0, 0, 0];
            assert!(matches!(ask(&mut mediator, ALLOC, &mut words), Answer::Return(0)));
            words[10]
        };
        for (client, status) in [(0x10, 0), (0x20, NO_MEMORY)] {
            assert_eq!(make(0x41, [client, 0, client]), 0);
            assert_eq!(make(0x80, [client, client, 2]), 0);
            assert_eq!(make(0xc86f, [client, 2, 3]), status, "a channel, and with it a context");
            assert_eq!(make(0xc86f, [client, 2, 4]), status, "another channel");
        }
        assert_eq!(mediator.used(), [(0, CONTEXT)]);
    });
}

#[test]
fn as_many_unknown_things_as_one_likes_are_told_of_some() {
    alone("hostile::as_many_unknown_things_as_one_likes_are_told_of_some", || {
        let mut mediator = noted(None);
        for class in 0..2 * MOST_TOLD as u32 {
            let mut words = [1, 2, 3, 0x00ff_0000 + class, 0, 0, 0, 0, 0, 0, 0, 0];
            assert!(matches!(ask(&mut mediator, ALLOC, &mut words), Answer::Return(0)));
        }
        assert_eq!(mediator.take_unknown().len(), MOST_TOLD);
    });
}

/// A client that is gone once somebody asks; its number is root's meanwhile.
struct Gone(Own, Identity);

impl Caller for Gone {
    fn process(&self) -> i32 {
        self.0.process()
    }

    fn identity(&self) -> Identity {
        self.1.clone()
    }

    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        self.0.read(address, bytes)
    }

    fn write(&mut self, _: u64, _: &[u8]) -> bool {
        false
    }

    fn descriptor(&mut self, number: i32) -> Option<OwnedFd> {
        self.0.descriptor(number)
    }

    fn is_alive(&self) -> bool {
        self.1.user == u32::MAX
    }
}

#[test]
fn nobody_acts_for_whoever_has_taken_a_dead_clients_number() {
    alone("hostile::nobody_acts_for_whoever_has_taken_a_dead_clients_number", || {
        let mut mediator = noted(None);
        let ask = |mediator: &mut Mediator, user| {
            let mut caller = Gone(own(), Identity { user, group: user, groups: vec![] });
            let (words, number) = ([0u32; 2], caller.0.file.as_raw_fd());
            let argument = words.as_ptr().expose_provenance() as u64;
            let answer = mediator.ioctl(number, 0xc008_46d6, argument, &mut caller);
            wait_until_settled(mediator, &mut caller, answer)
        };
        assert!(matches!(ask(&mut mediator, 0), Ok(Answer::Errno(libc::EINTR))));
        assert!(mediator.clients.is_empty(), "no process was made");
        // One whose user cannot be told does nothing as root.
        let answer = ask(&mut mediator, u32::MAX);
        // SAFETY: the call takes nothing.
        let is_root = unsafe { libc::geteuid() } == 0;
        assert_eq!(matches!(answer, Err(WorkerError::Gone)), is_root, "{answer:?}");
        assert_eq!(given().calls.load(Relaxed) == 0, is_root);
    });
}
