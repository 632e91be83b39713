//! One line of a recording.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

/// A finished call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Event {
    /// On a node.
    Ioctl(Ioctl),
    /// Anything else that tells what a program expects around its nodes.
    Other(Call),
}

/// An `ioctl` on a node, with everything it pointed to before (`in`) and after (`out`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ioctl {
    /// Thread group, numbered from 1 in the order of appearance; 0 where the recorder did not say.
    #[serde(default)]
    pub process: u32,
    /// Descriptor; -1 where the recorder did not say.
    #[serde(default = "unknown_descriptor")]
    pub fd: i32,
    /// Name of the node.
    pub dev: String,
    /// The request, as eight hexadecimal digits.
    pub cmd: String,
    /// Its low byte.
    pub nr: u32,
    /// What the call returned, -1 for an error.
    pub rc: i64,
    /// The error, 0 without.
    pub errno: i32,
    /// Outer structure before.
    #[serde(rename = "in", with = "hex")]
    pub outer_before: Vec<u8>,
    /// Outer structure after.
    #[serde(rename = "out", with = "hex")]
    pub outer_after: Vec<u8>,
    /// Parameters before.
    #[serde(rename = "pin", default, with = "hex", skip_serializing_if = "Vec::is_empty")]
    pub parameters_before: Vec<u8>,
    /// Parameters after.
    #[serde(rename = "pout", default, with = "hex", skip_serializing_if = "Vec::is_empty")]
    pub parameters_after: Vec<u8>,
    /// Buffers that the parameters point to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indirect: Vec<Indirect>,
}

/// A buffer that parameters point to, as far as the call changed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Indirect {
    /// Where in the parameters the pointer lies.
    pub at: usize,
    /// Before the call.
    #[serde(rename = "in", with = "hex")]
    pub before: Vec<u8>,
    /// After it.
    #[serde(rename = "out", with = "hex")]
    pub after: Vec<u8>,
}

/// A call other than an `ioctl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "lowercase")]
pub enum Call {
    /// The first line: who runs what.
    Begin {
        /// User id of the program.
        user: u32,
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// A file was opened: any file, since what a library looks for is what an emulation has to offer.
    Open {
        /// Thread group.
        process: u32,
        /// As the program wrote it.
        path: String,
        /// `O_…`
        flags: u32,
        /// Descriptor, or a negative error.
        rc: i64,
    },
    /// A name was asked about (stat, access, readlink) without opening it.
    Look {
        /// Thread group.
        process: u32,
        /// Name of the system call.
        by: String,
        /// As the program wrote it.
        path: String,
        /// 0 or more, or a negative error.
        rc: i64,
    },
    /// A node was mapped.
    Mmap {
        /// Thread group.
        process: u32,
        /// Descriptor.
        fd: i32,
        /// Name of the node.
        dev: String,
        /// Length.
        length: u64,
        /// `PROT_…`
        protection: u32,
        /// `MAP_…`
        flags: u32,
        /// Offset in the file.
        offset: u64,
        /// Address, or a negative error.
        rc: i64,
    },
    /// Where a node was mapped, nothing is any more.
    Munmap {
        /// Thread group.
        process: u32,
        /// Address.
        address: u64,
        /// Length.
        length: u64,
    },
    /// Descriptors were waited for, a node among them.
    Poll {
        /// Thread group.
        process: u32,
        /// Names of the nodes, with the events wanted and those that came.
        nodes: Vec<(String, i16, i16)>,
        /// Milliseconds.
        timeout: i64,
        /// How many were ready, or a negative error.
        rc: i64,
    },
    /// A node was read.
    Read {
        /// Thread group.
        process: u32,
        /// Name of the node.
        dev: String,
        /// Bytes wanted.
        length: u64,
        /// Bytes, or a negative error.
        rc: i64,
    },
    /// A node's descriptor was closed.
    Close {
        /// Thread group.
        process: u32,
        /// Descriptor.
        fd: i32,
        /// Name of the node.
        dev: String,
    },
    /// The program said what it is about to do: `prctl` with an option that no kernel knows.
    Mark {
        /// Thread group.
        process: u32,
        /// Its words.
        text: String,
    },
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, flags, rc, .. } => write!(f, "open {path:?} flags={flags:#x} = {rc}"),
            Self::Look { by, path, rc, .. } => write!(f, "{by} {path:?} = {rc}"),
            Self::Mmap { fd, dev, length, protection, flags, offset, rc, .. } => {
                write!(f, "mmap {dev} fd={fd} length={length:#x} protection={protection} flags={flags:#x} ")?;
                write!(f, "offset={offset:#x} = {rc:#x}")
            }
            Self::Poll { nodes, timeout, rc, .. } => {
                f.write_str("poll")?;
                for (node, wanted, came) in nodes {
                    write!(f, " {node} events={wanted:#x} → {came:#x}")?;
                }
                write!(f, " timeout={timeout} = {rc}")
            }
            Self::Read { dev, length, rc, .. } => write!(f, "read {dev} length={length} = {rc}"),
            Self::Close { fd, dev, .. } => write!(f, "close {dev} fd={fd}"),
            Self::Begin { user, command } => write!(f, "# {} as user {user}", command.join(" ")),
            Self::Munmap { address, length, .. } => write!(f, "munmap({address:#x}, {length:#x})"),
            Self::Mark { text, .. } => write!(f, "# {text}"),
        }
    }
}

/// An option that no `prctl` knows: the kernel refuses it, a recorder reads the text that the second argument points to.
pub const MARK: i32 = 0x7667_7075;

fn unknown_descriptor() -> i32 {
    -1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_older_recordings_lack_process_and_descriptor() {
        let line = r#"{"dev":"/dev/nvidiactl","cmd":"c00846d6","nr":214,"rc":0,"errno":0,"in":"0000004000000000","out":"0000004000000000"}"#;
        let Event::Ioctl(ioctl) = serde_json::from_str(line).unwrap() else { panic!("not an ioctl") };
        assert_eq!((ioctl.process, ioctl.fd, ioctl.outer_before[3]), (0, -1, 0x40));
        assert!(ioctl.parameters_before.is_empty());
    }

    #[test]
    fn calls_are_lines_of_text() {
        let call = |line| serde_json::from_str::<Call>(line).unwrap().to_string();
        assert_eq!(
            call(r#"{"call":"open","process":1,"path":"/dev/nvidiactl","flags":524290,"rc":3}"#),
            "open \"/dev/nvidiactl\" flags=0x80002 = 3"
        );
        assert_eq!(
            call(r#"{"call":"poll","process":1,"nodes":[["/dev/nvidiactl",1,0]],"timeout":-1,"rc":0}"#),
            "poll /dev/nvidiactl events=0x1 → 0x0 timeout=-1 = 0"
        );
        assert_eq!(call(r#"{"call":"mark","process":1,"text":"nvmlInit"}"#), "# nvmlInit");
    }

    #[test]
    fn what_is_written_reads_back() {
        let ioctl = Ioctl {
            dev: "/dev/nvidia0".into(),
            indirect: vec![Indirect { at: 8, before: vec![0], after: vec![1] }],
            ..Ioctl::default()
        };
        let call = Call::Close { process: 1, fd: 3, dev: "/dev/nvidia0".into() };
        for event in [Event::Ioctl(ioctl), Event::Other(call)] {
            let line = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event, "{line}");
        }
    }
}
