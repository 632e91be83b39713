//! Whether a call says what a recorded one said.

use nvidia_abi::{Field, Form, Row};

use crate::bytes::word;

/// How exactly a recorded call has to fit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Exact,
    /// But for what the call overwrites.
    Overwritten,
    /// Of a control without a name: it is one of those.
    Kind,
}

/// Makes fields equal that differ from run to run: addresses are there or not, descriptors are descriptors; of a status nothing is
/// asked.
pub(crate) fn level(row: Option<&Row>, bytes: &mut [u8]) {
    let fields = row.into_iter().flat_map(Row::fields);
    for field in fields.filter(|field| is_the_runs_own(field)) {
        for index in 0..field.len() {
            let there = match field.form {
                Form::Pointer(_) => field.read(bytes, index).is_some_and(|address| address != 0),
                _ => false,
            };
            field.write(bytes, index, there.into());
        }
    }
}

fn is_the_runs_own(field: &Field) -> bool {
    matches!(field.form, Form::Pointer(_) | Form::Descriptor(_) | Form::Status)
}

/// A new object's handle that the program chose otherwise this time.
pub(crate) fn level_new_handle(recorded: &mut [u8], given: &mut [u8]) {
    const NEW: std::ops::Range<usize> = 8..12;
    if word(recorded, NEW.start) != 0
        && word(given, NEW.start) != 0
        && let (Some(recorded), Some(given)) = (recorded.get_mut(NEW), given.get_mut(NEW))
    {
        recorded.copy_from_slice(given);
    }
}

/// Whether the program says what was recorded. `before` and `after`: what the call found and left there.
pub(crate) fn same(recorded: &[u8], after: &[u8], given: &[u8], fit: Fit, before: &[u8]) -> bool {
    if fit == Fit::Kind {
        return recorded.len() == given.len();
    }
    let is_overwritten = |at: usize| fit == Fit::Overwritten && after.get(at) != before.get(at);
    recorded.len() == given.len()
        && (0..recorded.len()).all(|at| recorded[at] == given[at] || is_overwritten(at))
}
