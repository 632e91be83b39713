//! The process tree under our supervision.
