//! Failures to find a GPU that nobody was told about, each taken from the history of a real project and made to happen
//! again: the report has to name the cause. See `tests/causes.rs`; and `tests/doctor.rs` for what is said before a run.
