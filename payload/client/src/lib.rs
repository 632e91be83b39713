//! A process's connection to the supervisor and its engine.
