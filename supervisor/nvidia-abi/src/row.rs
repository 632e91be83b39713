//! Rows of the tables and the fields of their structs.

use std::ops::Range;
use std::sync::OnceLock;

use crate::parse;

/// What a row describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An ioctl of `/dev/nvidiactl` and `/dev/nvidiaN`.
    Escape,
    /// Another struct for an escape, told apart by its size.
    Form,
    /// An ioctl of `/dev/nvidia-uvm`.
    Uvm,
    /// A class of RM objects; the struct is what an allocation points at.
    Class,
    /// A command of `NV_ESC_RM_CONTROL`.
    Control,
    /// What clients map of an object of a class; the struct at the start of the mapping.
    Page,
    /// Names of the indices that a control's list takes.
    Index,
    /// A status code.
    Status,
}

/// Who may make a call, as RM itself decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    User,
    /// Processes with CAP_SYS_NICE.
    Nice,
    /// Processes with CAP_SYS_ADMIN; others get `NV_ERR_INSUFFICIENT_PERMISSIONS`.
    Admin,
    /// The open kernel module has no handler: rewritten to another control, served by the GSP's firmware alone, or refused.
    NoHandler,
    /// Not in the headers: seen in a recording, and of its size.
    Recorded,
}

/// Which nodes take an escape; the others answer EINVAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// `/dev/nvidiactl`.
    Control,
    /// `/dev/nvidiaN`.
    Gpu,
    /// Both, or some arguments here and some there: `NV_ESC_RM_ALLOC` takes events on both, everything else on the control node.
    Any,
}

/// When RM gives a control's answer again, whatever object of the card is asked: it looks for one before it looks at the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Always.
    Always,
    /// When the same is asked.
    ByInput,
}

/// A row.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it describes.
    pub kind: Kind,
    /// The number that a client sends.
    pub number: u32,
    /// The headers' name, or none for what they do not have.
    pub name: Option<&'static str>,
    /// Bytes of the struct, of one element if it is [`many`](Self::many).
    pub size: usize,
    /// The argument is an array of any length.
    pub many: bool,
    /// Of escapes: which nodes take it.
    pub node: Option<Node>,
    /// Of classes: an allocation may leave its parameters out, by a null pointer.
    pub is_optional: bool,
    /// Of classes and controls.
    pub access: Option<Access>,
    /// Of classes: RM's own name for its objects, and those of the objects that may be their parents.
    pub place: Option<Place>,
    /// Of controls: RM's own names for the objects that take it; [`Abi::takes`](crate::Abi::takes) tells it of a class.
    pub objects: Vec<&'static str>,
    /// Of controls: when an answer is given again.
    pub kept: Option<Kept>,
    /// The words of its fields, read when somebody asks for them: of the 1,700 rows a client needs a hundred.
    pub(crate) layout: &'static str,
    pub(crate) fields: OnceLock<Vec<Field>>,
}

/// Where objects of a class belong in the tree of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// RM's own name for objects of the class; several classes share one.
    pub internal: &'static str,
    /// What else such an object is, and takes the controls of.
    pub also: Vec<&'static str>,
    /// The internal names of possible parents; none for clients.
    pub parents: Vec<&'static str>,
    /// Every object may be the parent.
    pub any_parent: bool,
}

/// A leaf of a struct: a number, or an array of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The path to it, `gpuNameString.ascii`; indices of arrays are not part of it.
    pub name: &'static str,
    /// Of its first element.
    pub offset: usize,
    /// What it is.
    pub form: Form,
    /// Elements and the distance between them, of each array around it, outermost first.
    pub dimensions: Vec<(usize, usize)>,
}

/// What a leaf is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A number of so many bytes.
    Unsigned(u8),
    /// A number of so many bytes.
    Signed(u8),
    /// Text.
    Character,
    /// A byte.
    Bool,
    /// An RM object's handle.
    Handle,
    /// A status code.
    Status,
    /// A file descriptor's number, of so many bytes.
    Descriptor(u8),
    /// An address in the client, and what is there if that is known.
    Pointer(Option<Pointee>),
    /// Bits of a 32-bit word: the lowest, and how many.
    Bits(u8, u8),
}

/// What a pointer points at: `count` times `element` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointee {
    /// How many elements.
    pub count: Count,
    /// Bytes of one.
    pub element: usize,
    /// RM reads it.
    pub read: bool,
    /// RM writes it.
    pub written: bool,
}

/// How many elements there are behind a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many; none if RM does not look.
    Fixed(usize),
    /// What a field of the same struct says.
    Field(&'static str),
    /// The square of what a field of the same struct says.
    Square(&'static str),
    /// One struct of the class that is allocated.
    OfClass,
}

impl Row {
    /// Leaves of the struct, none of an index; of large ones, and of what no client of ours sends, pointers and descriptors only.
    pub fn fields(&self) -> &[Field] {
        let layout = if self.kind == Kind::Index { "" } else { self.layout };
        self.fields.get_or_init(|| layout.split_whitespace().map(parse::field).collect())
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields().iter().find(|field| field.name == name)
    }

    /// What a field says in these bytes.
    pub fn read(&self, bytes: &[u8], name: &str) -> Option<u64> {
        self.field(name)?.read(bytes, 0)
    }

    /// Lets a field say that; false if there is no such field in these bytes.
    pub fn write(&self, bytes: &mut [u8], name: &str, value: u64) -> bool {
        self.field(name).is_some_and(|field| field.write(bytes, 0, value))
    }

    /// Fields with addresses of the client's.
    pub fn pointers(&self) -> impl Iterator<Item = (&Field, Option<Pointee>)> {
        self.fields().iter().filter_map(|field| match field.form {
            Form::Pointer(pointee) => Some((field, pointee)),
            _ => None,
        })
    }

    /// Fields with numbers of the client's file descriptors.
    pub fn descriptors(&self) -> impl Iterator<Item = &Field> {
        self.fields().iter().filter(|field| matches!(field.form, Form::Descriptor(_)))
    }

    /// An argument of so many bytes is one.
    pub fn has_size(&self, bytes: usize) -> bool {
        if self.many { bytes > 0 && bytes.is_multiple_of(self.size) } else { bytes == self.size }
    }
}

/// Rows are equal if their lines are, whether or not somebody has asked for the fields.
impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        let head = |row: &Self| (row.kind, row.number, row.name, row.size, row.many, row.node);
        let tail = |row: &Self| (row.is_optional, row.access, row.kept, row.layout);
        let objects = |row: &Self| (row.place.clone(), row.objects.clone());
        head(self) == head(other) && tail(self) == tail(other) && objects(self) == objects(other)
    }
}

impl Field {
    /// Elements of all its arrays together; 1 if it is in none.
    pub fn len(&self) -> usize {
        self.dimensions.iter().map(|(count, _)| count).product()
    }

    /// It has no element: an array of no length.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of one element.
    pub fn width(&self) -> usize {
        match self.form {
            Form::Unsigned(bytes) | Form::Signed(bytes) | Form::Descriptor(bytes) => bytes.into(),
            Form::Character | Form::Bool => 1,
            Form::Handle | Form::Status | Form::Bits(..) => 4,
            Form::Pointer(_) => 8,
        }
    }

    /// Where an element lies. Elements of several dimensions are counted as C does, the last one fastest.
    pub fn range(&self, mut index: usize) -> Option<Range<usize>> {
        let mut start = self.offset;
        for (count, stride) in self.dimensions.iter().rev() {
            start += index % count * stride;
            index /= count;
        }
        (index == 0).then(|| start..start + self.width())
    }

    /// Where what may follow it begins. Other members of a struct lie between the elements of an array of structs.
    pub fn end(&self) -> usize {
        let is_dense = self.dimensions.last().is_none_or(|(_, stride)| *stride == self.width());
        let last =
            self.dimensions.last().filter(|_| is_dense).map_or(0, |(count, _)| count.saturating_sub(1));
        self.range(last).map_or(self.offset, |range| range.end)
    }

    /// An element as a number, sign-extended if it has a sign.
    pub fn read(&self, bytes: &[u8], index: usize) -> Option<u64> {
        let bytes = bytes.get(self.range(index)?)?;
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let value = u64::from_le_bytes(word);
        let unused = 64 - 8 * bytes.len() as u32;
        Some(match self.form {
            Form::Signed(_) => ((value << unused) as i64 >> unused) as u64,
            Form::Bits(lowest, bits) => value >> lowest & !(u64::MAX << bits),
            _ => value,
        })
    }

    /// Lets an element be that number, cut to its width; false if these bytes do not hold it.
    pub fn write(&self, bytes: &mut [u8], index: usize, value: u64) -> bool {
        let Some(place) = self.range(index).and_then(|range| bytes.get_mut(range)) else { return false };
        let mut word = [0; 8];
        word[..place.len()].copy_from_slice(place);
        let value = match self.form {
            Form::Bits(lowest, bits) => {
                let mask = !(u64::MAX << bits) << lowest;
                u64::from_le_bytes(word) & !mask | value << lowest & mask
            }
            _ => value,
        };
        place.copy_from_slice(&value.to_le_bytes()[..place.len()]);
        true
    }
}
