//! The tracer: one thread hears of sources and shows them that it lives, the other reads them and writes.

use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use packet::Packet;
use wire::trace::now;

use crate::calls::{Call, Calls, Told};
use crate::lines;
use crate::perfetto::Perfetto;
use crate::sink::{CallsOf, Done, Heard, LeaveTerminal, Outputs, WorkOf};
use crate::sources::Source;

/// How often sources see that we live; they give us up after three seconds.
const BEAT: Duration = Duration::from_millis(200);
/// How long we sleep when nobody has written anything.
const PAUSE: Duration = Duration::from_millis(5);
/// How often it is looked for processes that have ended.
const LOOK: Duration = Duration::from_millis(100);
/// Records read of a source before the next one's turn.
const TURN: usize = 4096;

/// Lines of the supervisor's that wait to be written; more than that are counted only.
const WAITING: usize = 1 << 15;

/// What both threads have.
#[derive(Default)]
struct Shared {
    sources: Mutex<Vec<Arc<Source>>>,
    heard: Mutex<Waiting>,
    /// The supervisor has no more to tell.
    is_over: AtomicBool,
    leave_terminal: AtomicBool,
}

/// What the supervisor has told and nobody has written yet.
#[derive(Default)]
struct Waiting {
    lines: Vec<(Heard, String)>,
    lost: usize,
}

impl Shared {
    fn heard(&self) -> MutexGuard<'_, Waiting> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sources(&self) -> MutexGuard<'_, Vec<Arc<Source>>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs until the supervisor hangs up and everything has been read.
pub fn run(socket: OwnedFd, outputs: Outputs) -> ! {
    let _ = nix::sys::prctl::set_name(c"vgpu-tracer");
    let socket = Arc::new(socket);
    let shared = Arc::new(Shared::default());
    let listener = {
        let (socket, shared) = (socket.clone(), shared.clone());
        std::thread::Builder::new().name("vgpu-listener".into()).spawn(move || listen(&socket, &shared))
    };
    if let Err(error) = listener {
        eprintln!("vgpu-run: error: nothing is traced: {error}");
        std::process::exit(1);
    }
    let written = Reading::begin(outputs).and_then(|mut reading| reading.serve(&shared));
    let code = match written {
        Ok(()) => {
            let _ = packet::send(socket.as_fd(), &Done { zero: 0 }, &[], &[]);
            0
        }
        Err(error) => {
            eprintln!("vgpu-run: error: the trace ends here: {error}");
            1
        }
    };
    std::process::exit(code)
}

fn listen(socket: &OwnedFd, shared: &Shared) {
    loop {
        let mut readable = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        if poll(&mut readable, BEAT.as_millis() as u16).is_ok_and(|ready| ready > 0) {
            match packet::receive(socket.as_fd()) {
                Ok(Some(packet)) => hear(packet, shared),
                Err(Errno::EBADMSG) => {}
                _ => break shared.is_over.store(true, Ordering::SeqCst),
            }
        }
        shared.sources().iter().for_each(|source| source.ring().beat());
    }
    // What is left is read and written still.
    loop {
        std::thread::sleep(BEAT);
        shared.sources().iter().for_each(|source| source.ring().beat());
    }
}

fn hear(mut packet: Packet, shared: &Shared) {
    if let Some(heard) = packet.message::<Heard>() {
        let mut waiting = shared.heard();
        if waiting.lines.len() < WAITING {
            let text = String::from_utf8_lossy(packet.tail::<Heard>()).into_owned();
            waiting.lines.push((heard, text));
        } else {
            waiting.lost += 1;
        }
        return;
    }
    let (calls, work) = (packet.message::<CallsOf>(), packet.message::<WorkOf>());
    if packet.message::<LeaveTerminal>().is_some() {
        shared.leave_terminal.store(true, Ordering::SeqCst);
    }
    let memory = packet.descriptors.pop();
    let source = match (calls, work, memory) {
        (Some(CallsOf { process }), _, Some(memory)) => Source::calls(process, &memory),
        (_, Some(WorkOf { process }), Some(area)) => Source::work(process, &area),
        _ => return,
    };
    match source {
        Ok(source) => shared.sources().push(Arc::new(source)),
        Err(error) => eprintln!("vgpu-run: error: a process is not traced: {error}"),
    }
}

/// What is written to.
struct Reading {
    lines: Option<Box<dyn Write>>,
    perfetto: Option<Perfetto<BufWriter<std::fs::File>>>,
    filter: crate::Filter,
    calls: Calls,
    /// When the session began.
    start: u64,
    to_terminal: bool,
}

impl Reading {
    fn begin(outputs: Outputs) -> io::Result<Reading> {
        let Outputs { has_lines, lines, perfetto, filter } = outputs;
        let perfetto = perfetto.map(|file| Perfetto::new(BufWriter::new(file))).transpose()?;
        let to_terminal = lines.is_none();
        let lines: Option<Box<dyn Write>> = match lines {
            _ if !has_lines => None,
            Some(file) => Some(Box::new(BufWriter::new(file))),
            // One write for each turn, so that lines of the program do not come in between.
            None => Some(Box::new(BufWriter::with_capacity(1 << 16, io::stderr()))),
        };
        Ok(Reading { lines, perfetto, filter, calls: Calls::default(), start: now(), to_terminal })
    }

    fn serve(&mut self, shared: &Shared) -> io::Result<()> {
        let mut looked = Instant::now();
        loop {
            let is_over = shared.is_over.load(Ordering::SeqCst);
            if shared.leave_terminal.swap(false, Ordering::SeqCst) {
                self.leave_terminal()?;
            }
            let sources = shared.sources().clone();
            let mut went_on = self.write_heard(shared)?;
            for source in &sources {
                went_on |= self.read(source, shared)?;
            }
            if went_on {
                continue;
            }
            self.flush()?;
            if is_over {
                return self.finish(&sources);
            }
            if looked.elapsed() > LOOK {
                looked = Instant::now();
                self.look_for_ended(&sources, shared)?;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Whoever reads the session's standard error to its end must not wait for us.
    fn leave_terminal(&mut self) -> io::Result<()> {
        self.flush()?;
        if self.to_terminal {
            self.lines = None;
        }
        let null = std::fs::File::options().write(true).open("/dev/null")?;
        Ok(nix::unistd::dup2_stderr(null)?)
    }

    /// Reads some of a source. Whether there was something.
    fn read(&mut self, source: &Arc<Source>, shared: &Shared) -> io::Result<bool> {
        if let Some(perfetto) = &mut self.perfetto {
            perfetto.process(source.process)?;
        }
        for count in 0..TURN {
            match source.ring().read() {
                Ok(Some(record)) => {
                    let told = self.calls.take(source.process, record);
                    self.tell(told)?;
                }
                Ok(None) => {
                    self.tell_lost(source)?;
                    return Ok(count > 0);
                }
                Err(why) => {
                    self.tell_gap(source.process, &why)?;
                    shared.sources().retain(|other| !Arc::ptr_eq(other, source));
                    return Ok(true);
                }
            }
        }
        Ok(true)
    }

    fn tell(&mut self, told: Told) -> io::Result<()> {
        match (told, &mut self.perfetto) {
            (Told::Calls(calls), _) => self.write_calls(&calls),
            (Told::Work(work), Some(perfetto)) => perfetto.work(&work),
            _ => Ok(()),
        }
    }

    /// Writes what the supervisor has told. Whether there was something.
    fn write_heard(&mut self, shared: &Shared) -> io::Result<bool> {
        let Waiting { lines: heard, lost } = std::mem::take(&mut *shared.heard());
        if let Some(lines) = &mut self.lines {
            for (heard, text) in &heard {
                writeln!(lines, "{}", lines::heard(heard, text, self.start))?;
            }
            if lost > 0 {
                writeln!(lines, "{lost} calls on device nodes were lost")?;
            }
        }
        Ok(!heard.is_empty())
    }

    fn write_calls(&mut self, calls: &[Call]) -> io::Result<()> {
        let shown: Vec<&Call> =
            calls.iter().filter(|call| call.is_step || self.filter.shows(call.caller, &call.name)).collect();
        if let Some(lines) = &mut self.lines {
            for call in shown.iter().filter(|call| !call.is_step) {
                writeln!(lines, "{}", lines::line(call, self.start))?;
            }
        }
        if let Some(perfetto) = &mut self.perfetto {
            // Ends of inner calls before those of outer ones, also where both are at the same time.
            let mut open: Vec<&Call> = Vec::new();
            for call in shown {
                while let Some(ended) = open.pop_if(|outer| outer.depth >= call.depth) {
                    perfetto.call_end(ended)?;
                }
                perfetto.call(call)?;
                open.push(call);
            }
            open.iter().rev().try_for_each(|call| perfetto.call_end(call))?;
        }
        Ok(())
    }

    fn tell_lost(&mut self, source: &Source) -> io::Result<()> {
        match source.ring().take_lost() {
            0 => Ok(()),
            lost => self.tell_gap(source.process, &format!("{lost} records were lost")),
        }
    }

    fn tell_gap(&mut self, process: u32, what: &str) -> io::Result<()> {
        if let Some(lines) = &mut self.lines {
            writeln!(lines, "{process}: {what}")?;
        }
        if let Some(perfetto) = &mut self.perfetto {
            perfetto.gap(process, now(), what)?;
        }
        Ok(())
    }

    fn look_for_ended(&mut self, sources: &[Arc<Source>], shared: &Shared) -> io::Result<()> {
        for source in sources.iter().filter(|source| source.is_over()) {
            while self.read(source, shared)? {}
            self.write_unfinished(source.process)?;
            shared.sources().retain(|other| !Arc::ptr_eq(other, source));
        }
        Ok(())
    }

    fn write_unfinished(&mut self, process: u32) -> io::Result<()> {
        let threads = self.calls.unfinished(process);
        threads.iter().try_for_each(|calls| self.write_calls(calls))
    }

    fn finish(&mut self, sources: &[Arc<Source>]) -> io::Result<()> {
        for source in sources {
            self.write_unfinished(source.process)?;
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(lines) = &mut self.lines {
            lines.flush()?;
        }
        self.perfetto.as_mut().map_or(Ok(()), Perfetto::flush)
    }
}
