//! A call that is held by its thread's being stopped, and how it is answered.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use interception::{Delivery, HeldCall, Reply};

use crate::inject::Injection;
use crate::pass::{self, PassError};
use crate::stopped::Gone;

/// A call without answer yet; nothing once it has one.
pub struct Held(RefCell<Option<Injection>>);

impl Held {
    pub fn new(injection: Injection) -> Self {
        Self(RefCell::new(Some(injection)))
    }
}

impl HeldCall for Held {
    fn is_alive(&self) -> bool {
        self.0.borrow().as_ref().is_some_and(Injection::is_alive)
    }

    fn give(&self, descriptor: BorrowedFd, cloexec: bool) -> io::Result<i32> {
        let mut injection = self.0.borrow_mut();
        let injection = injection.as_mut().ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
        pass::give(injection, descriptor, cloexec).map_err(io::Error::from)
    }

    fn give_as(&self, descriptor: BorrowedFd, number: i32, cloexec: bool) -> io::Result<()> {
        let mut injection = self.0.borrow_mut();
        let injection = injection.as_mut().ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
        pass::give_as(injection, descriptor, number, cloexec).map_err(io::Error::from)
    }

    fn answer(self: Box<Self>, reply: Reply) -> io::Result<Delivery> {
        let Some(injection) = self.0.borrow_mut().take() else { return Ok(Delivery::Gone) };
        match reply {
            Reply::Continue => Ok(delivery(injection.let_through())),
            Reply::Return(value) => Ok(delivery(injection.finish(value))),
            Reply::Errno(errno) => Ok(delivery(injection.finish(-i64::from(errno)))),
            Reply::InstallFd { fd, cloexec } => install(injection, &fd, cloexec),
        }
    }
}

fn install(mut injection: Injection, fd: &OwnedFd, cloexec: bool) -> io::Result<Delivery> {
    match pass::give(&mut injection, fd.as_fd(), cloexec) {
        Ok(number) => Ok(delivery(injection.finish(number.into()))),
        Err(PassError::Gone(_)) => Ok(Delivery::Gone),
        Err(PassError::NoRoom) => {
            Ok(injection.finish(-i64::from(libc::EMFILE)).map_or(Delivery::Gone, |()| Delivery::NoRoom))
        }
        Err(error) => {
            // Gone or let through: in both cases there is nobody to tell.
            let _ = injection.let_through();
            Err(error.into())
        }
    }
}

fn delivery(result: Result<(), Gone>) -> Delivery {
    match result {
        Ok(()) => Delivery::Delivered,
        Err(Gone(_)) => Delivery::Gone,
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(injection) = self.0.get_mut().take() {
            let _ = injection.let_through();
        }
    }
}
