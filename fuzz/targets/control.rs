//! Control calls of a payload that lies: the first bytes are the call, the rest is the memory that it points to.
#![no_main]

use std::cell::RefCell;
use std::os::fd::{BorrowedFd, OwnedFd};

use broker::{Announcement, Broker, Caller, Config};
use libfuzzer_sys::fuzz_target;
use nix::errno::Errno;

/// A process whose memory begins at address 0 and holds these bytes.
struct Liar<'a>(&'a [u8]);

impl Caller for Liar<'_> {
    fn process(&self) -> u32 {
        std::process::id()
    }

    fn identity(&self) -> (u32, u32) {
        (0, 0)
    }

    fn read(&self, address: u64, target: &mut [u8]) -> Result<(), Errno> {
        let start = usize::try_from(address).map_err(|_| Errno::EFAULT)?;
        let end = start.checked_add(target.len()).ok_or(Errno::EFAULT)?;
        target.copy_from_slice(self.0.get(start..end).ok_or(Errno::EFAULT)?);
        Ok(())
    }

    fn write(&self, _parts: [(u64, &[u8]); 2]) -> Result<(), Errno> {
        Ok(())
    }

    fn install(&self, _descriptor: BorrowedFd) -> Result<i32, Errno> {
        Ok(9)
    }

    fn descriptor(&self, _number: i32) -> Result<OwnedFd, Errno> {
        Err(Errno::EBADF)
    }

    fn is_waiting(&self) -> bool {
        true
    }
}

fn new_broker() -> Broker {
    let announce = || Announcement { devices: vec![], cuda_version: 13000, driver_version: "580.0".into() };
    let config = Config {
        announce: Box::new(announce),
        engine: Box::new(|| Err("there is no engine here".into())),
        checks: false,
    };
    Broker::new(config).expect("a broker")
}

thread_local! {
    static BROKER: RefCell<Broker> = RefCell::new(new_broker());
}

fuzz_target!(|bytes: &[u8]| {
    BROKER.with_borrow_mut(|broker| {
        let mut bytes = bytes.to_vec();
        // Calls with another cookie are nobody's.
        if let Some(start) = bytes.get_mut(..8) {
            start.copy_from_slice(&wire::control::COOKIE.to_ne_bytes());
        }
        let _ = broker.handle(&Liar(&bytes), 0);
        let _ = broker.take_events();
    });
});
