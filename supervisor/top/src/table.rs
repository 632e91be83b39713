//! What is shown, line by line: as text, and with styles on the screen.

use nix::unistd::geteuid;

use crate::rates::{Row, Session, Shown};
use crate::snapshot::Device;

/// A line, and what it is of.
pub enum Line {
    /// A session.
    Session(String),
    /// One of its devices.
    Device(String),
    /// What stands above the columns of its processes.
    Titles(String),
    /// One of its processes.
    Process(String),
    /// What there is none of, or no answer from.
    Nothing(String),
}

impl Line {
    /// Without what it is of.
    pub fn into_text(self) -> String {
        match self {
            Line::Session(text)
            | Line::Device(text)
            | Line::Titles(text)
            | Line::Process(text)
            | Line::Nothing(text) => text,
        }
    }
}

type Columns = [String; 9];

const TITLES: [&str; 9] =
    ["PID", "PROGRAM", "MEMORY", "KERNELS/S", "BUSY", "COMPILED", "QUEUE", "COMPILER", "BUSIEST KERNEL"];

/// Widths of all columns but the last, so that they seldom move; wider where something is.
const WIDTHS: [usize; 8] = [7, 10, 8, 9, 5, 8, 5, 8];

/// Everything.
pub fn lines(shown: &Shown) -> Vec<Line> {
    let rows = shown.sessions.iter().flat_map(|session| &session.processes);
    let widths = rows.fold(WIDTHS, |widths, row| widest(widths, &columns(row)));
    let mut lines: Vec<Line> =
        shown.sessions.iter().flat_map(|session| of_session(session, &widths)).collect();
    lines.extend(silent(&shown.silent).map(Line::Nothing));
    if lines.is_empty() {
        lines.push(Line::Nothing(nobody().to_owned()));
    }
    lines
}

/// The same as text.
pub fn text(shown: &Shown) -> String {
    lines(shown).into_iter().map(|line| line.into_text() + "\n").collect()
}

fn of_session(session: &Session, widths: &[usize; 8]) -> Vec<Line> {
    let devices = session.devices.iter().map(|one| Line::Device(format!("  {}", device(one))));
    let titles =
        (!session.processes.is_empty()).then(|| Line::Titles(joined(&TITLES.map(str::to_owned), widths)));
    let processes = session.processes.iter().map(|row| Line::Process(joined(&columns(row), widths)));
    [Line::Session(head(session))].into_iter().chain(devices).chain(titles).chain(processes).collect()
}

fn widest(mut widths: [usize; 8], columns: &Columns) -> [usize; 8] {
    for (width, column) in widths.iter_mut().zip(columns) {
        *width = column.chars().count().max(*width);
    }
    widths
}

/// Numbers end where their titles do.
fn joined(columns: &Columns, widths: &[usize; 8]) -> String {
    let padded = columns.iter().zip(widths).enumerate().map(|(index, (column, &width))| match index {
        0 | 3..=7 => format!("{column:>width$} "),
        _ => format!("{column:<width$} "),
    });
    padded.chain([columns[8].clone()]).collect()
}

fn head(session: &Session) -> String {
    let seconds = session.seconds as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let user = match geteuid().as_raw() == session.user {
        true => String::new(),
        false => format!(" of user {}", session.user),
    };
    let attached = session.attached.map_or_else(String::new, |process| format!(" attached to {process}:"));
    let command = printable(&session.command.join(" "));
    format!("{}{user} for {hours}:{minutes:02}:{seconds:02}{attached} {command}", session.supervisor)
}

/// Sessions that are there and do not answer.
fn silent(supervisors: &[u32]) -> Option<String> {
    let numbers: Vec<String> = supervisors.iter().map(u32::to_string).collect();
    (!numbers.is_empty()).then(|| format!("{} (no answer: stopped, or busy)", numbers.join(", ")))
}

/// Names are of programs: none of their characters may move the cursor or worse.
pub fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '?' } else { char }).collect()
}

fn device(device: &Device) -> String {
    let wrong = if device.condition.is_empty() { "" } else { ", " };
    let Device { index, name, total, used, condition } = device;
    let of = if *total == 0 { String::new() } else { format!(" of {}", size(*total)) };
    format!("GPU {index} {name}: {}{of}{wrong}{condition}", size(*used))
}

fn columns(row: &Row) -> Columns {
    let process = &row.process;
    let memory: Vec<String> = process.memory.iter().map(|bytes| size(*bytes)).collect();
    let first = [process.pid.to_string(), printable(&process.name), memory.join(", ")];
    let rest =
        if process.is_native { ["-", "-", "-", "-", "-", ""].map(str::to_owned) } else { of_kernels(row) };
    let mut columns = first.into_iter().chain(rest);
    std::array::from_fn(|_| columns.next().unwrap_or_default())
}

/// What is known of them where we run them.
fn of_kernels(row: &Row) -> [String; 6] {
    let process = &row.process;
    let queue = match process.unread_bytes {
        0 => process.queued.to_string(),
        // How many these are nobody knows yet.
        _ => format!("{}+", process.queued),
    };
    let compiler = match (process.compiling, process.compile_queue) {
        (0, 0) => "-".to_owned(),
        (compiling, waiting) => format!("{compiling}+{waiting}"),
    };
    let busiest = process.busiest.first().map_or_else(String::new, |kernel| printable(&kernel.name));
    [
        format!("{:.0}", row.kernels_per_second),
        percent(row.busy),
        row.compiled_share.map_or_else(|| "-".to_owned(), percent),
        queue,
        compiler,
        busiest,
    ]
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// Bytes with a binary unit.
fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

fn nobody() -> &'static str {
    match geteuid().is_root() {
        true => "no vgpu-run is running here",
        false => "no vgpu-run of this user is running here",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rates::Sessions;
    use crate::sessions::Found;
    use crate::snapshot::{Kernel, Process, Snapshot};

    #[test]
    fn sessions_are_shown_with_devices_and_processes() {
        let device = Device {
            index: 0,
            name: "NVIDIA T4".into(),
            total: 16 << 30,
            used: 3 << 29,
            condition: "lost".into(),
        };
        let process = Process {
            pid: 4712,
            name: "runner".into(),
            memory: vec![3 << 29],
            queued: 7,
            unread_bytes: 64,
            compiling: 1,
            compile_queue: 2,
            nanoseconds: 4,
            interpreted_nanoseconds: 1,
            busiest: vec![Kernel { name: "saxpy".into(), ..Kernel::default() }],
            ..Process::default()
        };
        let session = Snapshot {
            supervisor: 4711,
            user: geteuid().as_raw(),
            command: vec!["serve".into(), "x".into()],
            attached: None,
            seconds: 3723.5,
            devices: vec![device],
            processes: vec![process],
            ..Snapshot::default()
        };
        // One with this machine's own cards, one of which has a limit.
        let real = |index, total| Device {
            index,
            name: "NVIDIA H100".into(),
            total,
            used: 3 << 29,
            ..Device::default()
        };
        let native = Process {
            pid: 4722,
            name: "python3".into(),
            memory: vec![3 << 29, 0],
            is_native: true,
            ..Process::default()
        };
        let host = Snapshot {
            supervisor: 4712,
            user: session.user,
            devices: vec![real(0, 4 << 30), real(1, 0)],
            processes: vec![native],
            ..Snapshot::default()
        };
        let elsewhere = Snapshot {
            supervisor: 4713,
            user: geteuid().as_raw() + 1,
            command: vec!["a\x1b[2Jb".into()],
            attached: Some(99),
            ..Snapshot::default()
        };
        let shown = |found: Found| {
            let mut sessions = Sessions::default();
            sessions.update(found);
            text(&sessions.shown())
        };
        let other = elsewhere.user;
        let expected = format!(
            "\
4711 for 1:02:03 serve x
  GPU 0 NVIDIA T4: 1.5 GiB of 16.0 GiB, lost
    PID PROGRAM    MEMORY         KERNELS/S  BUSY COMPILED QUEUE COMPILER BUSIEST KERNEL
   4712 runner     1.5 GiB                0    0%      75%    7+      1+2 saxpy
4712 for 0:00:00 
  GPU 0 NVIDIA H100: 1.5 GiB of 4.0 GiB
  GPU 1 NVIDIA H100: 1.5 GiB
    PID PROGRAM    MEMORY         KERNELS/S  BUSY COMPILED QUEUE COMPILER BUSIEST KERNEL
   4722 python3    1.5 GiB, 0 KiB         -     -        -     -        - 
4713 of user {other} for 0:00:00 attached to 99: a?[2Jb
4715, 4716 (no answer: stopped, or busy)
"
        );
        assert_eq!(
            shown(Found { sessions: vec![session, host, elsewhere], silent: vec![4715, 4716] }),
            expected
        );
        assert_eq!(shown(Found::default()), format!("{}\n", nobody()));
    }
}
