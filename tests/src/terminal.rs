//! A program on a terminal of its own, and a user at the keyboard.

use std::ffi::{CStr, OsStr};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A terminal and the session on it.
pub struct Terminal {
    keyboard: File,
    child: Child,
    seen: Vec<u8>,
}

/// Both ends. Other tests start programs meanwhile, which must not get them: they would keep the terminal.
fn open() -> io::Result<(File, File)> {
    let keyboard =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/ptmx")?;
    let mut name = [0; 64];
    let end = keyboard.as_raw_fd();
    // SAFETY: `end` is open, and the name's length is told.
    let failed = unsafe {
        libc::grantpt(end) != 0
            || libc::unlockpt(end) != 0
            || libc::ptsname_r(end, name.as_mut_ptr(), name.len()) != 0
    };
    if failed {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has ended it by a NUL.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    let name = OsStr::from_bytes(name.to_bytes());
    Ok((keyboard, OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(name)?))
}

impl Terminal {
    /// Starts a command as leader of a new session on a new terminal.
    pub fn start(mut command: Command) -> Self {
        let (keyboard, screen) = open().expect("a terminal");
        let stream = || Stdio::from(screen.try_clone().expect("a duplicate"));
        command.stdin(stream()).stdout(stream()).stderr(stream());
        // SAFETY: setsid and ioctl are async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            })
        };
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { keyboard, child, seen: vec![] }
    }

    /// Types.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("types");
    }

    /// Changes the size of the window.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the request reads one winsize.
        unsafe { libc::ioctl(self.keyboard.as_raw_fd(), libc::TIOCSWINSZ, &size) };
    }

    /// Waits until this appears on the screen, after what was waited for before.
    pub fn expect(&mut self, text: &str) {
        let mut all = String::new();
        let appeared = self.show(|bytes| {
            all += &String::from_utf8_lossy(bytes);
            all.contains(text)
        });
        if !appeared {
            let _ = self.child.kill();
            panic!("`{text}` did not appear; instead: {all:?}");
        }
        let end = all.find(text).map_or(0, |at| at + text.len());
        self.seen = all.split_off(end).into_bytes();
    }

    /// What is written to the terminal goes to `screen`, until that says that it is enough or twenty seconds are over; whether it was.
    pub fn show(&mut self, mut screen: impl FnMut(&[u8]) -> bool) -> bool {
        let begin = Instant::now();
        let mut is_enough = screen(&std::mem::take(&mut self.seen));
        while !is_enough && begin.elapsed() < Duration::from_secs(20) {
            let mut poll = libc::pollfd { fd: self.keyboard.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd, alive here.
            if unsafe { libc::poll(&mut poll, 1, 100) } > 0 {
                let mut buffer = [0; 4096];
                match self.keyboard.read(&mut buffer) {
                    Ok(count) => is_enough = screen(&buffer[..count]),
                    Err(_) => break,
                }
            }
        }
        is_enough
    }

    /// How the terminal treats what is typed and written, also after the end.
    pub fn modes(&self) -> [libc::tcflag_t; 4] {
        // SAFETY: zeros are a termios.
        let mut modes: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: writes one termios.
        assert_eq!(unsafe { libc::tcgetattr(self.keyboard.as_raw_fd(), &mut modes) }, 0);
        [modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag]
    }

    /// Sends a signal to the command.
    pub fn signal(&self, signal: i32) {
        // SAFETY: a child of ours that was not waited for.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    /// Takes the terminal away, and waits for the end.
    pub fn hang_up(mut self) -> ExitStatus {
        let nowhere = File::open("/dev/null").expect("it is there");
        drop(std::mem::replace(&mut self.keyboard, nowhere));
        self.end()
    }

    /// Waits for the end.
    pub fn end(&mut self) -> ExitStatus {
        let mut status = None;
        let ended = crate::wait_until(Duration::from_secs(20), || {
            status = self.child.try_wait().expect("its status");
            status.is_some()
        });
        let _ = self.child.kill();
        assert!(ended, "the session did not end");
        status.expect("checked")
    }
}

/// Not left behind by a test that failed.
impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
