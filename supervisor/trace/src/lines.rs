//! A line for each call.

use std::fmt::Write;
use std::time::Duration;

use crate::calls::Call;
use crate::names;

/// A call as a line, without its end. `start`: when the session began.
pub fn line(call: &Call, start: u64) -> String {
    let mut line = String::new();
    let since = Duration::from_nanos(call.begun.saturating_sub(start));
    let _ = write!(line, "{:>11.6} {}", since.as_secs_f64(), call.process);
    if call.thread != call.process {
        let _ = write!(line, "/{}", call.thread);
    }
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
