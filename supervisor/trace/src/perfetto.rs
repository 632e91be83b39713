//! A timeline for <https://ui.perfetto.dev> and Perfetto's `trace_processor`.
//!
//! ```text
//!   process                 ProcessDescriptor
//!   ├─ thread               calls as slices, steps within them
//!   ├─ Stream 0 (default)   kernels, copies, fills as slices; an arrow from the call that put each there
//!   └─ Compiler 4713        kernels that it makes code of
//! ```
//!
//! Written packet by packet: what has been written so far is a trace, whenever it ends. The messages are declared in [`proto`] and
//! encoded by `prost`, so no compiler of `.proto` files is needed.

#[allow(missing_docs, reason = "Perfetto's own names")]
mod proto;

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use nix::time::{ClockId, clock_gettime};
use prost::Message;
use wire::trace::value::{Named, Value};
use wire::trace::{Kind, Place};

use crate::calls::{Call, Work};
use crate::{filter, names};
use proto::*;

/// All packets are of one sequence.
const SEQUENCE: u32 = 1;
/// `SEQ_INCREMENTAL_STATE_CLEARED`: the sequence begins here.
const BEGINS: u32 = 1;

/// Writes a trace.
pub struct Perfetto<W> {
    target: W,
    /// Tracks that are described already.
    tracks: HashSet<u64>,
    /// Of processes, while they were there.
    names: HashMap<u32, String>,
}

/// What a track's number begins with.
#[derive(Clone, Copy)]
enum Track {
    Process = 1,
    Thread = 2,
    Stream = 3,
    Compiler = 4,
}

fn uuid(track: Track, process: u32, number: u32) -> u64 {
    // Process numbers have 22 bits at most (PID_MAX_LIMIT).
    (track as u64) << 60 | u64::from(process) << 32 | u64::from(number)
}

/// The same number for what is put into a stream and for what is done there.
fn flow(process: u32, place: &Place) -> u64 {
    u64::from(process) << 42 | u64::from(place.stream) << 30 | place.sequence & 0x3fff_ffff
}

impl<W: Write> Perfetto<W> {
    /// Begins a trace.
    pub fn new(target: W) -> io::Result<Self> {
        let mut perfetto = Perfetto { target, tracks: HashSet::new(), names: HashMap::new() };
        let clocks = [
            (BuiltinClock::Monotonic, ClockId::CLOCK_MONOTONIC),
            (BuiltinClock::Boottime, ClockId::CLOCK_BOOTTIME),
            (BuiltinClock::Realtime, ClockId::CLOCK_REALTIME),
        ];
        let read = |(clock, id): (BuiltinClock, ClockId)| {
            let now = clock_gettime(id).ok()?;
            let nanoseconds = now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64;
            Some(Clock { clock_id: Some(clock as u32), timestamp: Some(nanoseconds) })
        };
        let snapshot = ClockSnapshot {
            clocks: clocks.into_iter().filter_map(read).collect(),
            primary_trace_clock: Some(BuiltinClock::Monotonic as i32),
        };
        perfetto.put(TracePacket {
            sequence_flags: Some(BEGINS),
            data: Some(Data::ClockSnapshot(snapshot)),
            ..TracePacket::default()
        })?;
        Ok(perfetto)
    }

    /// Hands on what has been written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }

    fn put(&mut self, mut packet: TracePacket) -> io::Result<()> {
        packet.trusted_packet_sequence_id = Some(SEQUENCE);
        self.target.write_all(&Trace { packet: vec![packet] }.encode_to_vec())
    }

    fn event(&mut self, time: u64, event: TrackEvent) -> io::Result<()> {
        self.put(TracePacket {
            timestamp: Some(time),
            timestamp_clock_id: Some(BuiltinClock::Monotonic as u32),
            data: Some(Data::TrackEvent(event)),
            ..TracePacket::default()
        })
    }

    /// Describes a track, the first time.
    fn describe(&mut self, uuid: u64, describe: impl FnOnce() -> TrackDescriptor) -> io::Result<u64> {
        if self.tracks.insert(uuid) {
            let descriptor = TrackDescriptor { uuid: Some(uuid), ..describe() };
            self.put(TracePacket {
                data: Some(Data::TrackDescriptor(descriptor)),
                ..TracePacket::default()
            })?;
        }
        Ok(uuid)
    }

    /// A process is there. Said while it is, so that its name can be seen.
    pub fn process(&mut self, process: u32) -> io::Result<u64> {
        let uuid = uuid(Track::Process, process, 0);
        if !self.tracks.contains(&uuid)
            && let Some(name) = text_of(&format!("{process}/comm"))
        {
            self.names.insert(process, name);
        }
        let process_name = self.names.get(&process).cloned();
        self.describe(uuid, || TrackDescriptor {
            process: Some(ProcessDescriptor {
                pid: Some(process as i32),
                cmdline: command_line(process),
                process_name,
            }),
            ..TrackDescriptor::default()
        })
    }

    fn thread(&mut self, process: u32, thread: u32) -> io::Result<u64> {
        let parent = self.process(process)?;
        // By the end of its first call a thread may be gone; it began with its process's name.
        let first_name = self.names.get(&process).cloned();
        self.describe(uuid(Track::Thread, process, thread), || TrackDescriptor {
            parent_uuid: Some(parent),
            thread: Some(ThreadDescriptor {
                pid: Some(process as i32),
                tid: Some(thread.into()),
                thread_name: text_of(&format!("{process}/task/{thread}/comm")).or(first_name),
            }),
            ..TrackDescriptor::default()
        })
    }

    fn plain(&mut self, track: Track, process: u32, number: u32, name: String) -> io::Result<u64> {
        let parent_uuid = Some(self.process(process)?);
        let describe = || TrackDescriptor { parent_uuid, name: Some(name), ..TrackDescriptor::default() };
        self.describe(uuid(track, process, number), describe)
    }

    fn stream(&mut self, process: u32, stream: u32) -> io::Result<u64> {
        let name = if stream == 0 { "Stream 0 (default)".into() } else { format!("Stream {stream}") };
        self.plain(Track::Stream, process, stream, name)
    }

    /// A call that is over, or will never be.
    pub fn call(&mut self, call: &Call) -> io::Result<()> {
        let track_uuid = Some(self.thread(call.process, call.thread)?);
        let annotate = |named: &Named| annotation(&call.name, named);
        let begin = TrackEvent {
            categories: vec![if call.is_step { "step" } else { filter::library(call.caller) }.into()],
            name: Some(call.name.clone()),
            r#type: Some(Type::SliceBegin as i32),
            track_uuid,
            flow_ids: call.submitted.iter().map(|place| flow(call.process, place)).collect(),
            debug_annotations: call.given.iter().map(annotate).collect(),
            ..TrackEvent::default()
        };
        self.event(call.begun, begin)
    }

    /// The end of a call, if it has one. Said after those of the calls in it.
    pub fn call_end(&mut self, call: &Call) -> io::Result<()> {
        let Some(outcome) = &call.outcome else { return Ok(()) };
        let track_uuid = Some(self.thread(call.process, call.thread)?);
        let told = outcome.told.iter().filter(|told| names::is_told(&told.name));
        let mut debug_annotations: Vec<_> = told
            .map(|told| DebugAnnotation {
                name: Some(format!("{} (written)", told.name)),
                ..annotation(&call.name, told)
            })
            .collect();
        if !call.is_step {
            let name =
                if outcome.name.is_empty() { outcome.result.to_string() } else { outcome.name.clone() };
            debug_annotations.push(text("result", name));
        }
        let end = TrackEvent {
            r#type: Some(Type::SliceEnd as i32),
            track_uuid,
            debug_annotations,
            ..TrackEvent::default()
        };
        self.event(outcome.ended, end)
    }

    /// Something that an engine begins or ends.
    pub fn work(&mut self, work: &Work) -> io::Result<()> {
        let Work { process, thread, kind, place, .. } = work;
        let track = match kind {
            Kind::WorkBegin | Kind::WorkEnd => self.stream(*process, place.stream)?,
            _ => self.plain(Track::Compiler, *process, *thread, format!("Compiler {thread}"))?,
        };
        let begins = matches!(kind, Kind::WorkBegin | Kind::CompileBegin);
        let category = match kind {
            Kind::WorkBegin if place.command == LAUNCH => "kernel",
            Kind::WorkBegin => "work",
            _ => "compile",
        };
        let event = TrackEvent {
            categories: if begins { vec![category.into()] } else { Vec::new() },
            name: begins.then(|| work.name.clone()),
            r#type: Some(if begins { Type::SliceBegin } else { Type::SliceEnd } as i32),
            track_uuid: Some(track),
            terminating_flow_ids: match kind {
                Kind::WorkBegin => vec![flow(*process, place)],
                _ => Vec::new(),
            },
            debug_annotations: work.values.iter().map(|value| annotation("", value)).collect(),
            ..TrackEvent::default()
        };
        self.event(work.time, event)
    }

    /// Something was left out here.
    pub fn gap(&mut self, process: u32, time: u64, what: &str) -> io::Result<()> {
        let track_uuid = Some(self.process(process)?);
        let instant = TrackEvent {
            name: Some(what.to_owned()),
            r#type: Some(Type::Instant as i32),
            track_uuid,
            ..TrackEvent::default()
        };
        self.event(time, instant)
    }
}

const LAUNCH: u32 = <wire::command::Launch as wire::command::Command>::NUMBER as u32;

fn text(name: &str, value: String) -> DebugAnnotation {
    DebugAnnotation {
        name: Some(name.to_owned()),
        value: Some(Annotated::Text(value)),
        ..DebugAnnotation::default()
    }
}

/// A value, by its name where it has one of an enumeration.
fn annotation(function: &str, named: &Named) -> DebugAnnotation {
    let mut annotation = DebugAnnotation {
        name: Some(named.name.clone()).filter(|name| !name.is_empty()),
        ..DebugAnnotation::default()
    };
    let shown = names::show(function, named);
    annotation.value = match &named.value {
        Value::Unsigned(number) if shown == number.to_string() => Some(Annotated::Unsigned(*number)),
        Value::Signed(number) if shown == number.to_string() => Some(Annotated::Signed(*number)),
        Value::Unsigned(number) if shown.starts_with("0x") => Some(Annotated::Pointer(*number)),
        Value::Address(address) => Some(Annotated::Pointer(*address)),
        Value::Float(number) => Some(Annotated::Float(*number)),
        Value::Text(text, false) => Some(Annotated::Text(text.clone())),
        Value::Fields(fields) => {
            let inner = fields.iter().map(|field| self::annotation("", field)).collect();
            let is_list = fields.iter().all(|field| field.name.is_empty());
            *(if is_list { &mut annotation.array_values } else { &mut annotation.dict_entries }) = inner;
            None
        }
        _ => Some(Annotated::Text(shown)),
    };
    annotation
}

fn text_of(path: &str) -> Option<String> {
    procfs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}

fn command_line(process: u32) -> Vec<String> {
    let text = procfs::read_to_string(&format!("{process}/cmdline")).unwrap_or_default();
    text.split_terminator('\0').map(str::to_owned).collect()
}
