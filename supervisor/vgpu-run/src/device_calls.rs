//! The tree's calls on the driver's nodes, for those who want to hear of them: a recording (`vgpu-run record`), the trace.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, LineWriter};
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use interception::Reply;
use nvidia_abi::Abi;
use recording::{Call, Event, Ioctl};
use replay::Player;
use trace::{Filter, Heard, LineTeller};

use crate::cli::Session;
use crate::decode;
use crate::failure::{Doing, Failure};
use crate::opens::Open;

/// Who hears of calls, and who answers them if it is not the emulated driver.
#[derive(Default)]
pub struct DeviceCalls {
    recording: Option<Recording>,
    lines: Option<Lines>,
    /// The recording that answers.
    pub player: Option<Player>,
}

/// Lines of `vgpu-run trace`.
struct Lines {
    teller: LineTeller,
    filter: Filter,
    abi: Abi,
}

/// A recording that is being written.
struct Recording {
    file: LineWriter<File>,
    /// Their numbers in it.
    processes: HashMap<i32, u32>,
}

impl DeviceCalls {
    /// What the session's options ask for; files are made or read before anything is started.
    pub fn open(session: &Session) -> Result<Self, Failure> {
        let recording = session.record.as_deref().map(Recording::create).transpose()?;
        let player = session.replay.as_deref().map(player).transpose()?;
        Ok(Self { recording, lines: None, player })
    }

    /// A descriptor to keep open.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.recording.as_ref().map(|recording| recording.file.get_ref().as_raw_fd())
    }

    /// How many cards have nodes.
    pub fn gpus(&self, session: &Session) -> u32 {
        let recorded = self.player.as_ref().map(|player| player.gpus() as u32);
        recorded.unwrap_or_else(|| session.announced())
    }

    /// The tracer wants lines of calls to that release of the driver.
    pub fn trace(&mut self, teller: LineTeller, filter: Filter, release: &str) -> Result<(), Failure> {
        let abi = Abi::of(release).doing("trace calls of the driver's nodes")?;
        self.lines = Some(Lines { teller, filter, abi });
        Ok(())
    }

    /// Whether anybody wants to hear of calls.
    pub fn are_heard(&self) -> bool {
        self.recording.is_some() || self.lines.is_some()
    }

    /// Whether opens have to be told.
    pub fn are_recorded(&self) -> bool {
        self.recording.is_some()
    }

    /// A node was opened, or could not be.
    pub fn opened(&mut self, tgid: i32, open: &Open, reply: &Reply) {
        let Some(recording) = &mut self.recording else { return };
        let result = match reply {
            Reply::Return(descriptor) => *descriptor,
            Reply::Errno(errno) => -i64::from(*errno),
            Reply::Continue | Reply::InstallFd { .. } => return,
        };
        let process = recording.process(tgid);
        let path = String::from_utf8_lossy(&open.path).into_owned();
        self.write(&Event::Other(Call::Open { process, path, flags: open.flags as u32, rc: result }));
    }

    /// A call was answered.
    pub fn answered(&mut self, when: &Heard, mut ioctl: Ioctl) {
        if let Some(lines) = &mut self.lines
            && let Some(text) = decode::ioctl_line(&lines.abi, &lines.filter, &ioctl)
        {
            lines.teller.tell(when, &text);
        }
        if let Some(recording) = &mut self.recording {
            ioctl.process = recording.process(when.process as i32);
            self.write(&Event::Ioctl(ioctl));
        }
    }

    /// A recording that lacks calls is none: after an error nothing more is written, and that is said.
    fn write(&mut self, event: &Event) {
        let Some(recording) = &mut self.recording else { return };
        if let Err(error) = recording.write(event) {
            tracing::error!("the recording ends here: {error}");
            self.recording = None;
        }
    }
}

impl Recording {
    fn create(path: &Path) -> Result<Self, Failure> {
        let doing = format!("write the recording `{}`", path.display());
        if path.extension().is_some_and(|extension| extension == "xz") {
            let failure =
                Failure::new(format!("cannot {doing}")).cause("recordings are written uncompressed");
            return Err(failure.hint("name it `….jsonl`, and run `xz` afterwards: it is read either way"));
        }
        let file = File::create(path).doing(&doing)?;
        let mut recording = Self { file: LineWriter::new(file), processes: HashMap::new() };
        // SAFETY: the call takes nothing.
        let user = unsafe { libc::geteuid() };
        // Whose program it was and what it was told is not the recording's business.
        recording.write(&Event::Other(Call::Begin { user, command: Vec::new() })).doing(&doing)?;
        Ok(recording)
    }

    fn process(&mut self, tgid: i32) -> u32 {
        let next = self.processes.len() as u32 + 1;
        *self.processes.entry(tgid).or_insert(next)
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        recording::write(event, &mut self.file)
    }
}

fn player(path: &Path) -> Result<Player, Failure> {
    let doing = format!("answer from the recording `{}`", path.display());
    let events = recording::open(path).doing(&doing)?;
    let version = decode::version(&events).unwrap_or_else(|| device::DRIVER_VERSION.to_owned());
    Player::new(events, &version).map_err(|unknown| Failure::new(format!("cannot {doing}")).cause(&unknown))
}
