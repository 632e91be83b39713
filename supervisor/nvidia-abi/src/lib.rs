//! What NVIDIA's kernel module is asked and how: the numbers, names, sizes and fields of its ioctls, per driver version.
//!
//! ```text
//!   open-gpu-kernel-modules, 66 tags ──generator/generate.py──▶ tables/550.txt … 595.txt     tables/recorded.txt
//!                                     (the C compiler lays out)        │                      (by hand, with reasons)
//!                                                                      ▼
//!      Abi::of("580.159.04") ── 580.142 ── 580.126.20 ── … ── 575.64.05 ── … ── 550.54.14: rows, newest first
//!          │ escape(0x2a)  control(0x20800110)  class(0x80)  uvm(37)  status(0x56)
//!          ▼
//!         Row ── name, size, access, place in the tree of objects, fields ──▶ read, write, pointers, descriptors
//!          │
//!          └──▶ decode: `NV_ESC_RM_CONTROL NV2080_CTRL_CMD_GPU_GET_NAME_STRING hClient=0xc1d0003e … status=NV_OK`
//! ```
//!
//! - **escape**: an ioctl of `/dev/nvidiactl` and `/dev/nvidiaN`. The lowest byte of the request and the size in it choose.
//! - **control**: a command that the escape `NV_ESC_RM_CONTROL` carries to an object; **class**: what `NV_ESC_RM_ALLOC` makes
//!   an object of. Both point at a struct of their own, the *parameters*.
//! - **UVM command**: an ioctl of `/dev/nvidia-uvm`, a plain number without a size.
//! - **release**: a version of the driver. Its table says what differs from its *parent*, the release before it.
//! - **recorded**: not in the headers, seen in a recording of a real card.
//!
//! A row is one line, and the only place of its facts:
//!
//! ```text
//! escape  0x29 NV_ESC_RM_FREE 16 one control hRoot@0:handle hObjectParent@4:handle hObjectOld@8:handle status@12:status
//! class   0x80 NV01_DEVICE_0 56 optional user Device<RmClientResource deviceId@0:u32 …
//! class   0x40 NV01_MEMORY_LOCAL_USER 128 required user VideoMemory:Memory<Device,Subdevice owner@0:u32 …
//! control 0x80170d NV0080_CTRL_CMD_FIFO_GET_CHANNELLIST 24 user Device numChannels@0:u32 pChannelHandleList@8:ptr>numChannels*4:in …
//! control 0x20800110 NV2080_CTRL_CMD_GPU_GET_NAME_STRING 132 user Subdevice/by-input gpuNameStringFlags@0:u32 …
//! page    0xde NV00DE_SHARED_DATA 2600 bar1MemoryInfo.lastModifiedTimestamp@0:u64 …
//! index   0x20801303 NV2080_CTRL_FB_INFO_INDEX_ fbInfoList.index TILE_REGION_COUNT=0 …
//! no control 0x20801357
//! ```
//!
//! - Number, name, bytes.
//! - An escape takes `one` struct or an array of `many`, on the `control` node, a `gpu`'s or `any`.
//! - A class has `optional` or `required` parameters; RM's own name for its objects, behind colons what else they are, behind
//!   `<` possible parents.
//! - A control has the names of the objects that take it, and behind a slash when an answer is `kept`, also `by-input`.
//! - Classes and controls say who may: `user`, `nice` (CAP_SYS_NICE), `admin`, or `none` without a handler in the open module.
//!   What only the kernel may ask is left out.
//! - A `page` is what a client maps of an object of a class, an `index` names what a control's list may ask for.
//!
//! Fields are `path[count*stride]@offset:form`, behind a pointer `count*bytes:direction`. Of structs with more than 96 fields, of
//! displays' controls and of those without a handler, those are left out that are neither pointer nor descriptor.
//!
//! `generator/generate.py CHECKOUT` writes the tables again; `UPDATE_EXPECTED=1 cargo test -p nvidia-abi` the expected lines.
//!
//! The constants ([`control`], [`class`], …) are the numbers of names that mean the same in every release; others are
//! found by [`Abi::named`].

#![forbid(unsafe_code)]

mod decode;
mod parse;
mod row;
mod version;

use std::collections::HashMap;

use parse::{Key, Release};

pub use decode::{Behind, Call};
pub use row::{Access, Count, Field, Form, Kept, Kind, Node, Place, Pointee, Row};
pub use version::{UnknownVersion, versions};

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// The ioctls of one release.
pub struct Abi {
    version: &'static str,
    rows: HashMap<Key, Row>,
}

impl Abi {
    /// Those of the driver that says it is of that version.
    pub fn of(version: &str) -> Result<Self, UnknownVersion> {
        let (version, rows) = version::rows(version)?;
        Ok(Self { version, rows })
    }

    /// Takes a control out, for tests of what becomes of one that is not known; false if there is none.
    pub fn forget_control(&mut self, number: u32) -> bool {
        self.rows.remove(&(Kind::Control, number)).is_some()
    }

    /// The driver's version.
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// An escape, by the lowest byte of a request.
    pub fn escape(&self, number: u32) -> Option<&Row> {
        self.rows.get(&(Kind::Escape, number))
    }

    /// The struct that an escape's argument of so many bytes is.
    pub fn escape_of_size(&self, number: u32, bytes: usize) -> Option<&Row> {
        [Kind::Escape, Kind::Form]
            .iter()
            .filter_map(|kind| self.rows.get(&(*kind, number)))
            .find(|row| row.has_size(bytes))
    }

    /// There is an escape of this request's number and size. A request that is none may be passed on to the kernel unseen, even
    /// if the program swaps a node for the file that it named: the node refuses it.
    pub fn is_escape(&self, request: u32) -> bool {
        self.escape_of_size(request & 0xff, (request >> 16 & 0x3fff) as usize).is_some()
    }

    /// A command of `/dev/nvidia-uvm`.
    pub fn uvm(&self, number: u32) -> Option<&Row> {
        self.rows.get(&(Kind::Uvm, number))
    }

    /// A class and the parameters of its allocation.
    pub fn class(&self, number: u32) -> Option<&Row> {
        self.rows.get(&(Kind::Class, number))
    }

    /// A control and its parameters.
    pub fn control(&self, number: u32) -> Option<&Row> {
        self.rows.get(&(Kind::Control, number))
    }

    /// Whether objects of a class take a control; none if one of the two is not known, or nothing in the open module has it.
    pub fn takes(&self, class: u32, control: u32) -> Option<bool> {
        let (class, control) = (self.class(class)?.place.as_ref()?, self.control(control)?);
        let is_taken = |name| control.objects.contains(name);
        (!control.objects.is_empty()).then(|| is_taken(&class.internal) || class.also.iter().any(is_taken))
    }

    /// What a client maps of an object of that class, where its layout is known.
    pub fn page(&self, class: u32) -> Option<&Row> {
        self.rows.get(&(Kind::Page, class))
    }

    /// What an element of a control's list of indices asks for, without the prefix of its constant.
    pub fn index(&self, control: u32, field: &str, value: u32) -> Option<&'static str> {
        let (of, names) = self.rows.get(&(Kind::Index, control))?.layout.split_once(' ')?;
        let mut names = names.split(' ').filter_map(|name| name.split_once('='));
        names.find(|(_, number)| of == field && number.parse() == Ok(value)).map(|(name, _)| name)
    }

    /// The name of a status code.
    pub fn status(&self, code: u32) -> Option<&'static str> {
        self.rows.get(&(Kind::Status, code))?.name
    }

    /// The row of that name, looked for among all. An escape's further forms have its name and are not found by it.
    pub fn named(&self, name: &str) -> Option<&Row> {
        self.rows.values().find(|row| row.name == Some(name) && row.kind != Kind::Form)
    }

    /// Every row, in no order.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }
}
