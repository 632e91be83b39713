//! The mediator with a driver that takes no call at all: `/dev/null` in the place of a card.

mod cores;
mod given;
mod hostile;
mod long;
mod managed;
mod memory;
mod policy;

use std::fs::File;
use std::process::Command;

use super::*;

/// Numbers of `/dev/null`.
const NULL: (u32, u32) = (1, 3);
const VERSION: &str = "580.159.04";
const ALLOC: u32 = 0xc030_462b;
const RM_CONTROL: u32 = 0xc020_462a;

/// Runs a test in a process that has one thread, which is what the mediator wants.
fn alone(name: &str, test: impl FnOnce()) {
    const VARIABLE: &str = "MEDIATION_TEST_ALONE";
    if std::env::var_os(VARIABLE).is_some() {
        return test();
    }
    let own = std::env::current_exe().expect("this program");
    let mut command = Command::new(own);
    command
        .args([&format!("tests::{name}"), "--exact", "--test-threads=1", "--nocapture"])
        .env(VARIABLE, "1");
    let ran = command.output().expect("runs");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// Card 3 is `/dev/null`, and the kernel itself is asked.
fn driver() -> Driver {
    let nodes = vec![(NULL, Node::Gpu(NULL.1))];
    StandIn { version: VERSION, nodes, kernel: Kernel::OWN }.driver().expect("known")
}

fn mediator(limit: Option<u64>, change: impl FnOnce(&mut Abi)) -> Mediator {
    let mut driver = driver();
    change(&mut driver.abi);
    Mediator::begin(driver, limit).expect("processes")
}

/// Calls of this process, whose memory and descriptors they are about, whatever numbers it goes by.
struct Own {
    file: File,
    process: i32,
    thread: i32,
    /// A descriptor that is to be another file's.
    replaced: Option<(i32, OwnedFd)>,
}

impl Caller for Own {
    fn process(&self) -> i32 {
        self.process
    }

    fn thread(&self) -> i32 {
        self.thread
    }

    fn identity(&self) -> Identity {
        Identity { user: 65534, group: 65534, groups: vec![] }
    }

    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        tracee::Memory::of(std::process::id() as i32)
            .read_bytes(tracee::RemotePtr::new(address), bytes)
            .is_ok()
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        tracee::Memory::of(std::process::id() as i32)
            .write_bytes(tracee::RemotePtr::new(address), bytes)
            .is_ok()
    }

    fn descriptor(&mut self, number: i32) -> Option<OwnedFd> {
        (number == self.file.as_raw_fd()).then(|| self.file.try_clone().expect("a duplicate").into())
    }

    fn replace(&mut self, number: i32, file: OwnedFd) -> std::io::Result<()> {
        self.replaced = Some((number, file));
        Ok(())
    }

    fn is_alive(&self) -> bool {
        true
    }
}

impl Own {
    fn with(file: File) -> Self {
        let number = std::process::id() as i32;
        Self { file, process: number, thread: number, replaced: None }
    }
}

fn own() -> Own {
    Own::with(File::options().read(true).write(true).open("/dev/null").expect("there is one"))
}

/// A call with so many words, and what they are afterwards.
fn ask(mediator: &mut Mediator, request: u32, words: &mut [u32]) -> Answer {
    let mut caller = own();
    let argument = words.as_mut_ptr().expose_provenance() as u64;
    ask_at(mediator, &mut caller, request, argument).expect("a process")
}

/// A call of this process. However long it takes, which is the machine's matter.
fn ask_at(
    mediator: &mut Mediator,
    caller: &mut Own,
    request: u32,
    argument: u64,
) -> Result<Answer, WorkerError> {
    let answer = mediator.ioctl(caller.file.as_raw_fd(), request, argument, caller);
    wait_until_settled(mediator, caller, answer)
}

fn wait_until_settled(
    mediator: &mut Mediator,
    caller: &mut dyn Caller,
    mut answer: Result<Answer, WorkerError>,
) -> Result<Answer, WorkerError> {
    while matches!(answer, Ok(Answer::Later)) {
        std::thread::yield_now();
        mediator.settled();
        answer = mediator.settle(caller).expect("it was put off");
    }
    answer
}

#[test]
fn a_call_is_executed_by_a_process_of_the_clients_user_without_capabilities() {
    alone("a_call_is_executed_by_a_process_of_the_clients_user_without_capabilities", || {
        let mut mediator = mediator(None, |_| {});
        // NV_ESC_SYS_PARAMS: the kernel's own answer for this file.
        let answer = ask(&mut mediator, 0xc008_46d6, &mut [0; 2]);
        assert!(matches!(answer, Answer::Errno(libc::ENOTTY)), "{answer:?}");
        let pid = mediator.clients[&(std::process::id() as i32)].pid;
        let field = |name| procfs::status_field(pid, name).expect("it lives");
        assert_eq!(field("CapEff").trim_start_matches('0'), "");
        assert_eq!(field("NoNewPrivs"), "1");
        // SAFETY: the call takes nothing.
        if unsafe { libc::geteuid() } == 0 {
            assert!(field("Uid").starts_with("65534\t65534\t65534"), "{}", field("Uid"));
        }
        mediator.process_ended(std::process::id() as i32);
        while procfs::status_field(pid, "State").is_some_and(|state| !state.starts_with('Z')) {
            std::thread::yield_now();
        }
    });
}

#[test]
fn what_is_not_in_the_tables_is_refused_and_named_once() {
    alone("what_is_not_in_the_tables_is_refused_and_named_once", || {
        const BUILD_VERSION: u32 = 0x101;
        let mut mediator = mediator(None, |abi| assert!(abi.forget_control(BUILD_VERSION)));
        let mut parameters = [0u64; 5];
        let address = parameters.as_mut_ptr().expose_provenance() as u64;
        for _ in 0..2 {
            let mut words = [1, 1, BUILD_VERSION, 0, address as u32, (address >> 32) as u32, 40, 0];
            assert!(matches!(ask(&mut mediator, RM_CONTROL, &mut words), Answer::Return(0)));
            assert_eq!(words[7], NOT_SUPPORTED, "the status");
        }
        assert_eq!(mediator.take_unknown(), ["control 0x101 with 40 bytes of parameters"]);
        let mut words = [1, 1, 2, 0xbeef, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(matches!(ask(&mut mediator, ALLOC, &mut words), Answer::Return(0)));
        assert_eq!((words[10], mediator.take_unknown()), (INVALID_CLASS, vec!["class 0xbeef".to_owned()]));
        // Escapes that no row could describe, and a size that the driver does not have.
        for request in [0xc0b8_464a, 0xc010_46d3, 0xc021_462a] {
            let answer = ask(&mut mediator, request, &mut [0; 64]);
            assert_eq!(mediator.take_unknown().len(), 1, "{request:#x}: {answer:?}");
        }
    });
}

#[test]
fn an_allocation_over_the_limit_fails_before_the_driver_hears_of_it() {
    alone("an_allocation_over_the_limit_fails_before_the_driver_hears_of_it", || {
        let mut mediator = mediator(Some(1 << 30), |_| {});
        for (size, expected) in [(1u64 << 31, Ok(NO_MEMORY)), (1 << 20, Err(libc::ENOTTY))] {
            let mut parameters = [0u32; 32];
            parameters[16..18].copy_from_slice(&[size as u32, (size >> 32) as u32]);
            let address = parameters.as_mut_ptr().expose_provenance() as u64;
            let mut words = [1, 2, 3, 0x40, address as u32, (address >> 32) as u32, 0, 0, 0, 0, 0, 0];
            let answered = match ask(&mut mediator, ALLOC, &mut words) {
                Answer::Return(0) => Ok(words[10]),
                Answer::Errno(errno) => Err(errno),
                other => panic!("{other:?}"),
            };
            assert_eq!(answered, expected, "{size} bytes");
        }
    });
}

#[test]
fn a_card_that_the_session_does_not_have_is_no_device() {
    alone("a_card_that_the_session_does_not_have_is_no_device", || {
        let mut driver = driver();
        driver.choose_of(0, &[]);
        let mut mediator = Mediator::begin(driver, None).expect("processes");
        let answer = ask(&mut mediator, 0xc008_46d6, &mut [0; 2]);
        assert!(matches!(answer, Answer::Errno(libc::ENODEV)), "{answer:?}");
        assert!(mediator.clients.is_empty(), "nobody was asked");
        assert!(mediator.hides(b"/dev/nvidia3") && !mediator.hides(b"/dev/null"));
    });
}

#[test]
fn what_is_only_looked_at_is_told_and_left_to_the_kernel() {
    alone("what_is_only_looked_at_is_told_and_left_to_the_kernel", || {
        let mut driver = driver();
        driver.observe();
        let mut mediator = Mediator::begin(driver, None).expect("processes");
        mediator.keep_calls();
        let mut parameters = [7u64; 5];
        let address = parameters.as_mut_ptr().expose_provenance() as u64;
        for (command, unknown) in [(0x101, 0), (0xbeef, 1)] {
            let before = [1, 1, command, 0, address as u32, (address >> 32) as u32, 40, 99];
            let mut words = before;
            assert!(matches!(ask(&mut mediator, RM_CONTROL, &mut words), Answer::Observed));
            assert_eq!((words, mediator.take_unknown().len()), (before, unknown));
            let last = mediator.take_last().expect("it was kept");
            assert_eq!((last.parameters_before.len(), last.outer_before.len()), (40, 32));
            assert_eq!(last.outer_after.len(), 28, "its status has not been seen");
        }
        for address in [0, 8, u64::MAX] {
            let mut caller = own();
            let number = caller.file.as_raw_fd();
            let answer = mediator.ioctl(number, RM_CONTROL, address, &mut caller);
            assert!(matches!(answer, Ok(Answer::Observed)), "{address:#x}");
        }
        assert!(mediator.clients.is_empty() && !mediator.set_limit(1));
    });
}

#[test]
fn arguments_that_lead_nowhere_are_errors() {
    alone("arguments_that_lead_nowhere_are_errors", || {
        let mut mediator = mediator(None, |_| {});
        let mut caller = own();
        let mut say = |request, argument| match ask_at(&mut mediator, &mut caller, request, argument) {
            Ok(Answer::Errno(errno)) => errno,
            other => panic!("{other:?}"),
        };
        assert_eq!(say(RM_CONTROL, 8), libc::EFAULT);
        // Parameters that are not there; too many; a descriptor that is not open.
        let control =
            |address: u64, size: u32| [1, 1, 0x101, 0, address as u32, (address >> 32) as u32, size, 0];
        for (words, errno) in [
            (control(8, 40), libc::EFAULT),
            (control(1 << 60, u32::MAX), libc::EINVAL),
            (control(8, 1 << 22), libc::EINVAL),
        ] {
            let got = say(RM_CONTROL, words.as_ptr().expose_provenance() as u64);
            assert!(got == errno || got == libc::EFAULT, "{got} for {words:x?}");
        }
        let register = [99u32];
        assert_eq!(say(0xc004_46c9, register.as_ptr().expose_provenance() as u64), libc::EBADF);
    });
}

#[test]
fn a_client_whose_process_was_killed_is_told_and_gets_another() {
    alone("a_client_whose_process_was_killed_is_told_and_gets_another", || {
        let mut mediator = mediator(None, |_| {});
        let ask = |mediator: &mut Mediator| {
            let mut caller = own();
            let words = [0u32; 2];
            ask_at(mediator, &mut caller, 0xc008_46d6, words.as_ptr().expose_provenance() as u64)
        };
        assert!(matches!(ask(&mut mediator), Ok(Answer::Errno(libc::ENOTTY))));
        let pid = mediator.clients[&(std::process::id() as i32)].pid;
        // SAFETY: the call takes numbers; the process is the mediator's.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        assert!(matches!(ask(&mut mediator), Err(WorkerError::Gone)));
        assert!(matches!(ask(&mut mediator), Ok(Answer::Errno(libc::ENOTTY))));
    });
}
