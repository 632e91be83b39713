//! One program run twice, with vgpu-run and without: nothing but what vgpu-run is for may differ.

use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::launch::{Launch, Run};

/// Nothing here takes that long, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The two runs.
pub struct Both {
    /// Without vgpu-run.
    pub native: Run,
    /// With it.
    pub ours: Run,
}

impl Launch {
    /// Runs the program without vgpu-run, then with it. Neither may hang.
    pub fn both(&self) -> Both {
        Both { native: run_in_time(self.native_command()), ours: self.run_in_time() }
    }

    /// Like [`Launch::run`], but fails when it takes a minute.
    pub fn run_in_time(&self) -> Run {
        run_in_time(self.command())
    }
}

impl Both {
    /// Same status, output and errors.
    pub fn assert_same(&self) -> &Self {
        self.assert_same_but_stderr();
        assert_eq!(self.ours.stderr(), self.native.stderr(), "other errors of {}", self.ours.text());
        self
    }

    /// Same status and output; vgpu-run has something to say, or the program names processes in its errors.
    pub fn assert_same_but_stderr(&self) -> &Self {
        assert_eq!(self.ours.status(), self.native.status(), "{}\n{}", self.ours.text(), self.native.text());
        assert_eq!(self.ours.stdout(), self.native.stdout(), "{}\n{}", self.ours.text(), self.native.text());
        self
    }

    /// Without us it must have ended with 0: otherwise the comparison says little.
    pub fn assert_works(&self) -> &Self {
        self.native.assert_exit(0);
        self
    }

    /// Lines of standard output that differ, as vgpu-run's side has them.
    pub fn different_lines(&self) -> Vec<String> {
        let (native, ours) = (self.native.stdout(), self.ours.stdout());
        assert_eq!(ours.lines().count(), native.lines().count(), "{ours}\n{native}");
        ours.lines()
            .zip(native.lines())
            .filter(|(ours, native)| ours != native)
            .map(|(ours, _)| ours.into())
            .collect()
    }
}

/// Kills it after a minute. Of vgpu-run that is the keeper, whose death ends the tree.
fn run_in_time(mut command: Command) -> Run {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let what = format!("{command:?}");
    let child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
    let pid = child.id() as i32;
    let (ended, end) = channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let hangs = end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
        if hangs {
            // SAFETY: the call takes numbers. The child was not waited for, or was within this very moment.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        hangs
    });
    let run = Run::of(child).named(what);
    drop(ended);
    assert!(!watchdog.join().expect("the watchdog"), "it hung: {}", run.text());
    run
}
