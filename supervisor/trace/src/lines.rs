//! A line for each call.

use std::fmt::Write;
use std::time::Duration;

use crate::calls::Call;
use crate::names;
use crate::sink::Heard;

/// A call as a line, without its end. `start`: when the session began.
pub fn line(call: &Call, start: u64) -> String {
    let mut line = begin(call.begun.saturating_sub(start), call.process, call.thread);
    let _ = write!(line, " {:indent$}{}({}) = ", "", call.name, arguments(call), indent = 2 * call.depth);
    match &call.outcome {
        Some(outcome) => {
            let time = Duration::from_nanos(outcome.ended.saturating_sub(call.begun));
            if outcome.name.is_empty() {
                let _ = write!(line, "{}", outcome.result);
            } else {
                line += &outcome.name;
            }
            let _ = write!(line, " <{time:.1?}>");
        }
        None => line += "? <unfinished>",
    }
    line
}

/// A call on a device node, of which the supervisor has told the words.
pub fn heard(heard: &Heard, text: &str, start: u64) -> String {
    let time = Duration::from_nanos(heard.ended.saturating_sub(heard.begun));
    let begin = begin(heard.begun.saturating_sub(start), heard.process, heard.thread);
    format!("{begin} {text} <{time:.1?}>")
}

/// When it was, after so many nanoseconds, and whose.
fn begin(since: u64, process: u32, thread: u32) -> String {
    let mut line = format!("{:>11.6} {process}", Duration::from_nanos(since).as_secs_f64());
    if thread != process {
        let _ = write!(line, "/{thread}");
    }
    line
}

/// All arguments; behind an arrow what the call wrote through one.
fn arguments(call: &Call) -> String {
    let told = call.outcome.as_ref().map_or(&[][..], |outcome| &outcome.told);
    let argument = |given: &wire::trace::value::Named| {
        let mut text = format!("{}: {}", given.name, names::show(&call.name, given));
        let told = told.iter().find(|told| told.name == given.name && names::is_told(&told.name));
        if let Some(told) = told {
            let _ = write!(text, " -> {}", names::show(&call.name, told));
        }
        text
    };
    let mut all: Vec<String> = call.given.iter().map(argument).collect();
    if call.is_cut {
        all.push("…".to_owned());
    }
    all.join(", ")
}
