//! Payload library.
