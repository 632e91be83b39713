//! Recordings: what a program asked the kernel module and what that answered, one ioctl a line of JSON.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Error, ErrorKind};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// An ioctl with what it read and wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The path of the device node.
    #[serde(rename = "dev")]
    pub node: String,
    /// The request, the ioctl's second argument.
    #[serde(rename = "cmd", with = "hexadecimal_number")]
    pub request: u32,
    /// Its lowest byte, or what a recorder made of it; [`Call::number`] is the one to use.
    nr: u32,
    /// What the call returned.
    #[serde(rename = "rc")]
    pub result: i32,
    /// Why it failed.
    pub errno: i32,
    /// The argument's struct before the call.
    #[serde(rename = "in", with = "hexadecimal")]
    pub before: Vec<u8>,
    /// And after it.
    #[serde(rename = "out", with = "hexadecimal")]
    pub after: Vec<u8>,
    /// The parameters of a control or an allocation before the call.
    #[serde(rename = "pin", with = "hexadecimal", default, skip_serializing_if = "Vec::is_empty")]
    pub parameters_before: Vec<u8>,
    /// And after it.
    #[serde(rename = "pout", with = "hexadecimal", default, skip_serializing_if = "Vec::is_empty")]
    pub parameters_after: Vec<u8>,
}

impl Call {
    /// A call of `request` on a node, with its struct before and after.
    pub fn new(node: &str, request: u32, before: Vec<u8>, after: Vec<u8>) -> Self {
        let node = node.to_owned();
        let (parameters_before, parameters_after) = (vec![], vec![]);
        Self {
            node,
            request,
            nr: request & 0xff,
            result: 0,
            errno: 0,
            before,
            after,
            parameters_before,
            parameters_after,
        }
    }

    /// It went to `/dev/nvidia-uvm`, whose requests are plain numbers.
    pub fn is_uvm(&self) -> bool {
        self.node.starts_with("/dev/nvidia-uvm")
    }

    /// What chooses the command: all of a UVM request, else the lowest byte. The kernel module ignores type and direction.
    pub fn number(&self) -> u32 {
        if self.is_uvm() { self.request } else { self.request & 0xff }
    }

    /// Bytes of the argument that the request promises; UVM's promise none.
    pub fn promised_size(&self) -> Option<usize> {
        (!self.is_uvm()).then_some((self.request >> 16 & 0x3fff) as usize)
    }
}

/// Reads a recording, compressed by xz if its name says so.
pub fn open(path: &Path) -> io::Result<Vec<Call>> {
    let file = BufReader::new(File::open(path)?);
    if path.extension().is_some_and(|extension| extension == "xz") {
        read(BufReader::new(lzma_rust2::XzReader::new(file, true)))
    } else {
        read(file)
    }
}

/// Reads a recording. An error names the line.
pub fn read(lines: impl BufRead) -> io::Result<Vec<Call>> {
    let call = |(number, line): (usize, io::Result<String>)| {
        serde_json::from_str(&line?)
            .map_err(|error| Error::new(ErrorKind::InvalidData, format!("line {}: {error}", number + 1)))
    };
    lines.lines().enumerate().map(call).collect()
}

mod hexadecimal_number {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(number: &u32, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{number:08x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
        u32::from_str_radix(&String::deserialize(from)?, 16).map_err(de::Error::custom)
    }
}

mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = Option::<String>::deserialize(from)?.unwrap_or_default();
        let byte = |pair: &[u8]| {
            let pair = str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        };
        let bytes: Option<_> = text.as_bytes().chunks(2).map(byte).collect();
        bytes.ok_or_else(|| de::Error::custom("bytes are not pairs of hexadecimal digits"))
    }
}
