//! Rows as text; the screen has the same.

use std::fmt::Write;

use crate::rates::{Row, Shown};
use crate::snapshot::Device;

/// What stands above the columns.
pub const TITLES: [&str; 9] =
    ["PID", "PROGRAM", "MEMORY", "KERNELS/S", "BUSY", "COMPILED", "QUEUE", "COMPILER", "BUSIEST KERNEL"];

/// Widths of all columns but the last.
pub const WIDTHS: [usize; 8] = [8, 16, 20, 10, 5, 9, 8, 9];

/// A session's line.
pub fn session(shown: &Shown) -> String {
    let seconds = shown.seconds as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{} {} (for {hours}:{minutes:02}:{seconds:02})", shown.supervisor, shown.command.join(" "))
}

/// A device's line, without what its session is.
pub fn device(device: &Device) -> String {
    format!("GPU {} {}: {} of {}", device.index, device.name, size(device.used), size(device.total))
}

/// A process's columns.
pub fn columns(row: &Row) -> [String; 9] {
    let process = &row.process;
    let memory: Vec<String> = process.memory.iter().map(|bytes| size(*bytes)).collect();
    let queue = match process.unread_bytes {
        0 => process.queued.to_string(),
        // How many these are nobody knows yet.
        _ => format!("{}+", process.queued),
    };
    let compiler = match (process.compiling, process.compile_queue) {
        (0, 0) => "-".to_owned(),
        (compiling, waiting) => format!("{compiling}+{waiting}"),
    };
    let busiest = process.busiest.first().map_or_else(String::new, |kernel| kernel.name.clone());
    [
        process.pid.to_string(),
        process.name.clone(),
        memory.join(", "),
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

/// Everything.
pub fn text(sessions: &[Shown]) -> String {
    if sessions.is_empty() {
        return "no vgpu-run of this user runs\n".to_owned();
    }
    let mut text = String::new();
    for shown in sessions {
        let _ = writeln!(text, "{}", session(shown));
        shown.devices.iter().for_each(|one| text += &format!("  {}\n", device(one)));
        if !shown.processes.is_empty() {
            let _ = writeln!(text, "  {}", line(&TITLES.map(str::to_owned)));
        }
        shown.processes.iter().for_each(|row| text += &format!("  {}\n", line(&columns(row))));
    }
    text
}

fn line(columns: &[String; 9]) -> String {
    let mut line = String::new();
    for (column, width) in columns.iter().zip(WIDTHS) {
        let _ = write!(line, "{column:<width$} ");
    }
    line + &columns[8]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rates::Sessions;
    use crate::snapshot::{Kernel, Process, Snapshot};

    #[test]
    fn sessions_are_shown_with_devices_and_processes() {
        let device = Device { index: 0, name: "NVIDIA T4".into(), total: 16 << 30, used: 3 << 29 };
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
            command: vec!["serve".into(), "x".into()],
            seconds: 3723.5,
            devices: vec![device],
            processes: vec![process],
        };
        let mut sessions = Sessions::default();
        sessions.update(vec![session]);
        let expected = "\
4711 serve x (for 1:02:03)
  GPU 0 NVIDIA T4: 1.5 GiB of 16.0 GiB
  PID      PROGRAM          MEMORY               KERNELS/S  BUSY  COMPILED  QUEUE    COMPILER  BUSIEST KERNEL
  4712     runner           1.5 GiB              0          0%    75%       7+       1+2       saxpy
";
        assert_eq!(text(&sessions.shown()), expected);
        assert_eq!(text(&[]), "no vgpu-run of this user runs\n");
    }
}
