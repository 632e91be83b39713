"""Reads the types that a C compiler understood, from the BTF section of an object file (`gcc -gbtf`).

BTF is a flat list of types that refer to each other by index; the format is described in the kernel's
Documentation/bpf/btf.rst. Sizes and offsets are therefore the compiler's, never computed here.
"""

import struct
from dataclasses import dataclass, field

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT = range(1, 12)
FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(12, 20)


@dataclass
class Member:
    name: str
    type: int
    bit_offset: int
    bits: int  # 0 unless a bit field


@dataclass
class Type:
    kind: int
    name: str
    size: int = 0  # of what has one by itself
    target: int = 0  # what a pointer, typedef, qualifier or array refers to
    count: int = 0  # elements of an array
    signed: bool = False
    members: list = field(default_factory=list)
    values: list = field(default_factory=list)  # (name, value) of an enumeration


class Btf:
    """The types of one object file."""

    def __init__(self, object_file: bytes):
        self.types = _parse(_section(object_file, b".BTF"))
        self.named = {}
        for index, t in enumerate(self.types):
            # A typedef and the struct it names often share a name and always a layout.
            if t.name and t.kind in (STRUCT, UNION, TYPEDEF, ENUM, INT):
                self.named.setdefault(t.name, index)

    def constants(self):
        """Every enumerator of the object file."""
        return {name: value for t in self.types for name, value in t.values}

    def strip(self, index):
        """The type behind typedefs and qualifiers."""
        while self.types[index].kind in (TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG):
            index = self.types[index].target
        return self.types[index]

    def size(self, index):
        t = self.strip(index)
        if t.kind == ARRAY:
            return t.count * self.size(t.target)
        return 8 if t.kind == PTR else t.size

    def typedef_names(self, index):
        """The names by which a type is known, outermost first."""
        while self.types[index].kind in (TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG):
            if self.types[index].kind == TYPEDEF:
                yield self.types[index].name
            index = self.types[index].target


def _section(elf, wanted):
    """The bytes of an ELF64 section (little-endian)."""
    offset, = struct.unpack_from("<Q", elf, 0x28)
    entry, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", elf, offset + i * entry) for i in range(count)]
    strings = headers[names][4]
    for h in headers:
        start = strings + h[0]
        if elf[start:elf.index(b"\0", start)] == wanted:
            return elf[h[4]:h[4] + h[5]]
    raise SystemExit("the compiler wrote no BTF: GCC 12 or newer is needed")


def _parse(data):
    magic, _, _, header, type_offset, type_size, string_offset, _ = struct.unpack_from("<HBBIIIII", data)
    assert magic == 0xEB9F, "not BTF"
    strings = header + string_offset

    def name(at):
        return data[strings + at:data.index(b"\0", strings + at)].decode()

    types = [Type(kind=0, name="void")]
    at, end = header + type_offset, header + type_offset + type_size
    while at < end:
        name_at, info, size_or_type = struct.unpack_from("<III", data, at)
        at += 12
        kind, entries, flag = info >> 24 & 0x1F, info & 0xFFFF, info >> 31
        t = Type(kind, name(name_at), size=size_or_type, target=size_or_type)
        if kind == INT:
            encoding, = struct.unpack_from("<I", data, at)
            t.signed = bool(encoding >> 24 & 1)
            at += 4
        elif kind == ARRAY:
            t.target, _, t.count = struct.unpack_from("<III", data, at)
            at += 12
        elif kind in (STRUCT, UNION):
            for _ in range(entries):
                member, target, offset = struct.unpack_from("<III", data, at)
                bits = offset >> 24 if flag else 0
                t.members.append(Member(name(member), target, offset & 0xFFFFFF if flag else offset, bits))
                at += 12
        elif kind == ENUM:
            for _ in range(entries):
                value_name, value = struct.unpack_from("<II", data, at)
                t.values.append((name(value_name), value))
                at += 8
        elif kind == ENUM64:
            for _ in range(entries):
                value_name, low, high = struct.unpack_from("<III", data, at)
                t.values.append((name(value_name), high << 32 | low))
                at += 12
        elif kind == FUNC_PROTO:
            at += 8 * entries
        elif kind in (VAR, DECL_TAG):
            at += 4
        elif kind == DATASEC:
            at += 12 * entries
        types.append(t)
    return types
