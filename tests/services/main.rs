//! Services: what systemd starts, attached to and launched, hardened; and `sudo`, around vgpu-run and in its tree.

mod machine;
mod sudo;
mod units;
