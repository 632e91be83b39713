//! Getting in: every descendant is followed, and everything else is as without vgpu-run.

mod attach;
mod configuration;
mod container_profile;
mod decode;
mod following;
mod kills;
mod mechanisms;
mod overlay_full;
mod recordings;
mod status_and_streams;
mod terminals;
