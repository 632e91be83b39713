//! The seccomp program that runs inside the kernel: its policy as a table, and how it is installed.
