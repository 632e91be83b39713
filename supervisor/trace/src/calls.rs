//! From records to calls: what belongs together, in the order in which calls began.

use std::collections::HashMap;

use wire::trace::value::{Named, Reader};
use wire::trace::{Kind, Place, Record, Return};

/// A call, or something that a thread did itself within one.
#[derive(Debug)]
pub struct Call {
    /// Thread-group id, in the supervisor's process namespace.
    pub process: u32,
    /// Thread, in its own.
    pub thread: u32,
    /// Library, as [`Caller`](wire::control::Caller) numbers it.
    pub caller: u16,
    /// It is no call of a function, but a step within one.
    pub is_step: bool,
    /// The function.
    pub name: String,
    /// How many calls of the same thread it lies in.
    pub depth: usize,
    /// What was given.
    pub given: Vec<Named>,
    /// Some of that did not fit into the record.
    pub is_cut: bool,
    /// CLOCK_MONOTONIC nanoseconds.
    pub begun: u64,
    /// What came back; `None`: nothing has.
    pub outcome: Option<Outcome>,
    /// Work that it has put into streams.
    pub submitted: Vec<Place>,
    /// Where its record begins.
    place: u64,
}

/// How a call ended.
#[derive(Debug)]
pub struct Outcome {
    /// CLOCK_MONOTONIC nanoseconds.
    pub ended: u64,
    /// The result as a number.
    pub result: u32,
    /// Its name; empty: unknown, or there is none.
    pub name: String,
    /// What was written through arguments.
    pub told: Vec<Named>,
}

/// What a record comes to.
pub enum Told {
    /// Nothing yet.
    Nothing,
    /// A call with those in it is over.
    Calls(Vec<Call>),
    /// Something that an engine does.
    Work(Work),
}

/// Something that an engine begins or ends.
pub struct Work {
    /// Whose engine.
    pub process: u32,
    /// The engine's thread.
    pub thread: u32,
    /// Which of the engine's kinds.
    pub kind: Kind,
    /// Where in which stream, if it is in one.
    pub place: Place,
    /// The kernel, or what it is.
    pub name: String,
    /// More of it.
    pub values: Vec<Named>,
    /// CLOCK_MONOTONIC nanoseconds.
    pub time: u64,
}

/// Calls that are not over, of all threads.
#[derive(Default)]
pub struct Calls {
    threads: HashMap<(u32, u32), Thread>,
}

#[derive(Default)]
struct Thread {
    /// The outermost call that is not over, and all within it, in the order in which they began.
    calls: Vec<Call>,
    /// Those of them that are not over, as indices.
    open: Vec<usize>,
}

impl Calls {
    /// Takes the next record of a process.
    pub fn take(&mut self, process: u32, record: Record) -> Told {
        let Some(kind) = Kind::from_number(record.head.kind) else { return Told::Nothing };
        match kind {
            Kind::Padding => Told::Nothing,
            Kind::Call | Kind::Begin => {
                if let Some(call) = begin(process, &record, kind == Kind::Begin) {
                    self.thread(process, &record).begin(call);
                }
                Told::Nothing
            }
            Kind::Return => self.returned(process, &record).map_or(Told::Nothing, Told::Calls),
            Kind::End => {
                self.thread(process, &record).end_step(record.head.time);
                Told::Nothing
            }
            Kind::Submitted => {
                let place = Reader::new(&record.body).fixed();
                let thread = self.thread(process, &record);
                if let (Some(place), Some(open)) = (place, thread.open.last()) {
                    thread.calls[*open].submitted.push(place);
                }
                Told::Nothing
            }
            Kind::WorkBegin | Kind::WorkEnd | Kind::CompileBegin | Kind::CompileEnd => {
                work(process, &record, kind).map_or(Told::Nothing, Told::Work)
            }
        }
    }

    fn thread(&mut self, process: u32, record: &Record) -> &mut Thread {
        self.threads.entry((process, record.head.thread)).or_default()
    }

    fn returned(&mut self, process: u32, record: &Record) -> Option<Vec<Call>> {
        let mut reader = Reader::new(&record.body);
        let Return { call, result, .. } = reader.fixed()?;
        let name = reader.name()?;
        let told = reader.values().0;
        let outcome = Outcome { ended: record.head.time, result, name, told };
        let thread = self.thread(process, record);
        thread.end(call, outcome);
        let is_over = thread.open.is_empty();
        is_over.then(|| self.threads.remove(&(process, record.head.thread)).unwrap_or_default().calls)
    }

    /// A process has ended: the calls that its threads were in.
    pub fn unfinished(&mut self, process: u32) -> Vec<Vec<Call>> {
        let mut threads: Vec<u32> =
            self.threads.keys().filter(|(of, _)| *of == process).map(|(_, thread)| *thread).collect();
        threads.sort_unstable();
        let calls = threads.iter().filter_map(|thread| self.threads.remove(&(process, *thread)));
        calls.map(|thread| thread.calls).filter(|calls| !calls.is_empty()).collect()
    }
}

impl Thread {
    fn begin(&mut self, mut call: Call) {
        call.depth = self.open.len();
        self.open.push(self.calls.len());
        self.calls.push(call);
    }

    /// The call whose record begins there is over. Those within it that have not returned never will: something has jumped out
    /// of them.
    fn end(&mut self, place: u64, outcome: Outcome) {
        let is_it = |index: &usize| !self.calls[*index].is_step && self.calls[*index].place == place;
        let Some(position) = self.open.iter().rposition(is_it) else { return };
        let index = self.open[position];
        self.open.truncate(position);
        self.calls[index].outcome = Some(outcome);
    }

    fn end_step(&mut self, ended: u64) {
        if let Some(index) = self.open.pop_if(|index| self.calls[*index].is_step) {
            let outcome = Outcome { ended, result: 0, name: String::new(), told: Vec::new() };
            self.calls[index].outcome = Some(outcome);
        }
    }
}

fn begin(process: u32, record: &Record, is_step: bool) -> Option<Call> {
    let mut reader = Reader::new(&record.body);
    let name = reader.name()?;
    let (given, is_cut) = reader.values();
    Some(Call {
        process,
        thread: record.head.thread,
        caller: record.head.caller,
        is_step,
        name,
        depth: 0,
        given,
        is_cut,
        begun: record.head.time,
        outcome: None,
        submitted: Vec::new(),
        place: record.place,
    })
}

fn work(process: u32, record: &Record, kind: Kind) -> Option<Work> {
    let mut reader = Reader::new(&record.body);
    let place = match kind {
        Kind::WorkBegin | Kind::WorkEnd => reader.fixed()?,
        _ => Place::default(),
    };
    let name = reader.name()?;
    let values = reader.values().0;
    Some(Work { process, thread: record.head.thread, kind, place, name, values, time: record.head.time })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::trace::Head;
    use wire::trace::value::Writer;

    /// Records of process 1, thread 2; each one's time and place are how many came before.
    #[derive(Default)]
    struct Source {
        calls: Calls,
        next: u64,
    }

    impl Source {
        fn put(&mut self, kind: Kind, body: &[u8]) -> Vec<Call> {
            let head = Head { kind: kind as u16, caller: 1, thread: 2, time: self.next, ..Head::default() };
            let record = Record { head, place: self.next, body: body.to_vec() };
            self.next += 1;
            match self.calls.take(1, record) {
                Told::Calls(calls) => calls,
                _ => Vec::new(),
            }
        }

        fn call(&mut self, name: &str) -> u64 {
            let mut writer = Writer::new(&[]);
            writer.name(name);
            assert!(self.put(Kind::Call, writer.finish()).is_empty());
            self.next - 1
        }

        fn returns(&mut self, call: u64, result: u32) -> Vec<Call> {
            let mut writer = Writer::new(bytemuck::bytes_of(&Return { call, result, reserved: 0 }));
            writer.name("NAME");
            self.put(Kind::Return, writer.finish())
        }
    }

    fn shape(calls: &[Call]) -> Vec<(&str, usize, Option<u32>)> {
        let result = |call: &Call| call.outcome.as_ref().map(|outcome| outcome.result);
        calls.iter().map(|call| (call.name.as_str(), call.depth, result(call))).collect()
    }

    #[test]
    fn calls_within_calls_come_behind_them() {
        let mut source = Source::default();
        let outer = source.call("outer");
        let first = source.call("first");
        assert!(source.returns(first, 1).is_empty());
        let place = Place { sequence: 9, stream: 3, command: 5 };
        source.put(Kind::Submitted, bytemuck::bytes_of(&place));
        let calls = source.returns(outer, 0);
        assert_eq!(shape(&calls), [("outer", 0, Some(0)), ("first", 1, Some(1))]);
        assert_eq!(calls[0].submitted, [place]);
    }

    #[test]
    fn what_was_jumped_out_of_is_unfinished() {
        let mut source = Source::default();
        let outer = source.call("outer");
        source.call("inner");
        assert_eq!(shape(&source.returns(outer, 0)), [("outer", 0, Some(0)), ("inner", 1, None)]);
    }

    #[test]
    fn what_a_killed_process_was_in_is_told() {
        let mut source = Source::default();
        source.call("outer");
        let inner = source.call("inner");
        source.returns(inner, 5);
        assert!(source.calls.unfinished(7).is_empty());
        let threads = source.calls.unfinished(1);
        assert_eq!(threads.len(), 1);
        assert_eq!(shape(&threads[0]), [("outer", 0, None), ("inner", 1, Some(5))]);
        assert!(source.calls.unfinished(1).is_empty());
    }

    #[test]
    fn returns_of_nothing_and_broken_records_are_passed_over() {
        let mut source = Source::default();
        assert!(source.returns(77, 0).is_empty());
        for kind in 0..12 {
            let head = Head { kind, thread: 2, ..Head::default() };
            source.calls.take(1, Record { head, place: 0, body: vec![9; 3] });
        }
    }
}
