//! Fat binary containers.
