//! The seccomp listener and its closed set of replies.
