//! Control calls of the payload: sessions, memory grants, engines.
