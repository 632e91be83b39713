//! The PTX instruction set as a table; parser, printer, verifier.
