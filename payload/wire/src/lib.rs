//! What payload, supervisor and engine say to each other.
