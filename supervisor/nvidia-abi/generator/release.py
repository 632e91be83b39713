"""One release of the driver: its headers, unpacked and understood by the C compiler, as rows."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import known
from btf import ARRAY, Btf, ENUM, INT, PTR, STRUCT, UNION
from handlers import Handlers

SDK = "src/common/sdk/nvidia/inc"
UNIX = "src/nvidia/arch/nvalloc/unix/include"
RMAPI = "src/nvidia/src/kernel/rmapi"
UVM = "kernel-open/nvidia-uvm"
GENERATED = "src/nvidia/generated"
CONTROL_FLAGS = "src/nvidia/inc/kernel/rmapi/control.h"
DISPATCHERS = ["kernel-open/nvidia/nv.c", "src/nvidia/arch/nvalloc/unix/src/escape.c"]
INCLUDES = [SDK, "src/common/inc", UNIX, UVM, "kernel-open/common/inc"]
PATHS = [*(f"{path}/*.h" for path in INCLUDES), f"{RMAPI}/*", CONTROL_FLAGS, *DISPATCHERS,
         f"{GENERATED}/g_*_nvoc.c"]

# Of structs with more fields a row has the size, pointers and descriptors only.
MOST_FIELDS = 96


@dataclass(frozen=True)
class Row:
    """A line of the table. `text` is all that follows kind and number."""
    kind: str
    number: int
    text: str


class Release:
    def __init__(self, checkout, tag):
        self.tag = tag
        with tempfile.TemporaryDirectory() as folder:
            self.root = Path(folder)
            self._unpack(checkout)
            self.macros = self._macros()
            self.btf = self._compile()
            self.constants = self.btf.constants()
            self.handlers = Handlers((self.root / GENERATED).glob("g_*_nvoc.c"), self._read(CONTROL_FLAGS))
            self.pointers = known.POINTERS | self._embedded_pointers()
            self.outer_statuses = self._outer_statuses()
            rows = [*self._escapes(), *self._uvm(), *self._classes(), *self._pages(), *self._controls(),
                    *self._indices(), *self._statuses()]
            self.rows = [row for row in rows if row]

    def _unpack(self, checkout):
        archive = subprocess.run(["git", "-C", checkout, "archive", self.tag, "--", *PATHS],
                                 check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "-x", "-C", self.root], input=archive, check=True)

    def _read(self, path):
        return (self.root / path).read_text(errors="replace")

    def _headers(self):
        sdk = self.root / SDK
        found = [p.relative_to(sdk) for folder in ("class", "alloc", "ctrl") for p in (sdk / folder).rglob("*.h")]
        unix = [p.name for p in (self.root / UNIX).glob("nv*ioctl*.h")]
        return ["nvtypes.h", "nvos.h", "nvstatus.h", *sorted(map(str, found)), "nv_escape.h", *sorted(unix),
                "nv-unix-nvos-params-wrappers.h", "uvm_linux_ioctl.h"]

    def _macros(self):
        """Names of constants whose values the compiler shall tell."""
        names = set(self._control_names()) | set(self._class_entries()) | set(self._uvm_names())
        for prefix in known.INDICES.values():
            names |= set(self._index_names(prefix))
        for header in ("nv_escape.h", "nv-ioctl-numbers.h", "nv-ioctl-numa.h"):
            path = self.root / UNIX / header
            if path.exists():
                names |= set(re.findall(r"^#define (NV_ESC_\w+)\s", path.read_text(), re.M))
        return sorted(names)

    def _compile(self):
        """All headers in one C file that is compiled, never linked or run.

        Each constant becomes two enumerators, since GCC 12 leaves out of BTF what does not fit an int.
        """
        source = [f'#include "{header}"' for header in self._headers()]
        for name in self.macros:
            source += [f"#ifdef {name}", f"enum {{ low_{name} = ({name}) & 0xffff, high_{name} = ({name}) >> 16 }};", "#endif"]
        (self.root / "all.c").write_text("\n".join(source))
        subprocess.run(["gcc", "-c", "-w", "-gbtf", "-fno-eliminate-unused-debug-types", "-o", "all.o", "all.c",
                        *(f"-I{path}" for path in INCLUDES)], check=True, cwd=self.root)
        return Btf((self.root / "all.o").read_bytes())

    def _value(self, name):
        low, high = (self.constants.get(f"{half}_{name}") for half in ("low", "high"))
        return None if low is None else high << 16 | low

    # Layouts

    def _fields(self, struct, index, path="", offset=0, dimensions=()):
        """The leaves of a type, as (path, dimensions, offset, type)."""
        t = self.btf.strip(index)
        if t.kind == ARRAY:
            element = self.btf.strip(t.target)
            stride = 0 if element.kind in (INT, ENUM) else self.btf.size(t.target)
            yield from self._fields(struct, t.target, path, offset, (*dimensions, (t.count, stride)))
        elif t.kind in (STRUCT, UNION):
            for m in t.members:
                inner = f"{path}.{m.name}" if path and m.name else path or m.name
                if m.bits:
                    at, bit = m.bit_offset // 32 * 4, m.bit_offset % 32
                    yield inner, dimensions, offset + at, f"bits{bit}:{m.bits}"
                else:
                    yield from self._fields(struct, m.type, inner, offset + m.bit_offset // 8, dimensions)
        else:
            yield path or "value", dimensions, offset, self._leaf(struct, path, index, t)

    def _leaf(self, struct, path, index, t):
        names = list(self.btf.typedef_names(index))
        if t.kind in (INT, ENUM) and t.size >= 4 and re.search(known.DESCRIPTOR_NAME, path) \
                or (struct, path) in known.FILE_DESCRIPTORS:
            return "fd" if t.kind != PTR and t.size == 4 else "fd64"
        if t.kind == PTR or "NvP64" in names or (struct, path) in self.pointers:
            return "ptr" + self._pointee(struct, path)
        for typedef, leaf in (("NvHandle", "handle"), ("NvBool", "bool"), ("NV_STATUS", "status")):
            if typedef in names:
                return leaf
        if (struct, path) in self.outer_statuses:
            return "status"
        if t.name == "char":
            return "char"
        return ("i" if t.signed else "u") + str(8 * t.size)

    def _outer_statuses(self):
        """(struct, field) with the answer of an escape: most of those structs have plain numbers there."""
        structs = [*known.ESCAPES.values(), *known.SECOND_FORMS.values()]
        return {(struct, path) for struct in structs if struct not in known.OTHER_STATUS
                for path in ("status", "Status", "params.status")}

    def _pointee(self, struct, path):
        if not self.pointers.get((struct, path)):
            return ""
        count, element, direction = self.pointers[struct, path]
        if isinstance(element, str):
            element = self.btf.size(self.btf.named[element])
        return f">{count}*{element}:{direction}"

    def _row(self, kind, number, name, struct, *columns, described=True, most=MOST_FIELDS):
        """The row of a number whose argument is `struct`, or None where this release does not have that struct."""
        size, fields = 0, []
        if struct:
            index = self.btf.named.get(struct)
            if index is None:
                return None
            size, fields = self.btf.size(index), list(self._fields(struct, index))
        if not described or len(fields) > most:
            fields = [f for f in fields if f[3].startswith(("ptr", "fd"))]
        texts = [f"{path}{_shape(dimensions)}@{offset}:{kind}" for path, dimensions, offset, kind in fields]
        return Row(kind, number, " ".join([name, str(size), *columns, *texts]))

    # Kinds of rows

    def _escapes(self):
        nodes = self._nodes()
        for name, struct in known.ESCAPES.items():
            if (number := self._value(name)) is not None:
                form = "many" if struct.endswith("[]") else "one"
                yield self._row("escape", number, name, struct.removesuffix("[]"), form, nodes.get(name, "any"))
        for name, struct in known.SECOND_FORMS.items():
            yield self._row("form", self._value(name), name, struct, "one", nodes.get(name, "any"))

    def _nodes(self):
        """Escape -> the only node that takes it, from the module's dispatchers: a check at the start of its case."""
        nodes = {}
        for path in DISPATCHERS:
            for name, body in re.findall(r"case (NV_ESC_\w+):(.*?)(?=case NV_ESC_|\Z)", self._read(path), re.S):
                # Deeper ones are for some arguments only: events are allocated on both nodes, other objects are not.
                if only := re.search(r"^ {12}NV_(CTL|ACTUAL)_DEVICE_ONLY\(nv\);", body, re.M):
                    nodes[name] = "control" if only[1] == "CTL" else "gpu"
        return nodes

    def _uvm_names(self):
        for path in ("uvm_ioctl.h", "uvm_linux_ioctl.h"):
            text = self._read(f"{UVM}/{path}")
            yield from re.findall(r"^#define (UVM_\w+)\s+(?:UVM_IOCTL_BASE\(\d+\)|0x3000000\d)", text, re.M)

    def _uvm(self):
        for name in dict.fromkeys(self._uvm_names()):
            struct = None if name in known.UVM_WITHOUT_PARAMETERS else f"{name}_PARAMS"
            yield self._row("uvm", self._value(name), name, struct)

    def _class_entries(self):
        """External class -> (parameter struct or None, columns), from RM's own table.

        The columns: whether the parameters may be left out, who may, RM's own name and those of possible parents.
        """
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", self._read(f"{RMAPI}/resource_list.h"), flags=re.S)
        entries = {}
        for body in re.findall(r"RS_ENTRY\((.*?)^\)", text, re.M | re.S):
            parts = _split(body)
            struct = re.match(r"RS_(REQUIRED|OPTIONAL)\((\w+)\)", parts[4])
            parents = "any" if "RS_ANY_PARENT" in parts[3] else ",".join(re.findall(r"classId\((\w+)\)", parts[3]))
            need = struct[1].lower() if struct else "optional"
            entries[parts[0]] = struct and struct[2], (need, _class_access(parts[6]), parts[1], parents)
        return entries

    def _classes(self):
        for name, (struct, (need, access, internal, parents)) in self._class_entries().items():
            if self._value(name) is not None and access != "kernel":
                place = ":".join([internal, *self.handlers.kinds_of(internal)]) + f"<{parents}"
                yield self._row("class", self._value(name), name, struct, need, access, place)

    def _control_names(self):
        """Control -> the struct that its comment names, or None."""
        controls = {}
        for path in sorted((self.root / SDK / "ctrl").rglob("*.h")):
            for name, origin in re.findall(r'^#define (\w+_CTRL_\w+)[^\n]*finn: Evaluated from "(\(FINN_[^"]*)"',
                                           path.read_text(errors="replace"), re.M):
                message = re.search(r"(\w+)_MESSAGE_ID", origin)
                controls[name] = message and message.group(1)
        return controls

    def _controls(self):
        unnamed = dict(self.handlers.by_number)
        for name, struct in self._control_names().items():
            number = self._value(name)
            if handler := unnamed.pop(number, None):
                struct = handler.struct
            elif struct is None:
                struct = name.replace("_CTRL_CMD_", "_CTRL_") + "_PARAMS"
            yield self._control(number, name, struct)
        # The headers do not name a few that are served: the function's name is the only one.
        for number, handler in unnamed.items():
            yield self._control(number, handler.function, handler.struct)

    def _control(self, number, name, struct):
        access = self.handlers.access(number)
        if access != "kernel":
            described = _is_described(number, access)
            return self._row("control", number, name, struct, access, self.handlers.objects(number), described=described)

    @cached_property
    def _defines(self):
        """Every macro with a value of the SDK's headers, as text."""
        defines = {}
        for folder in ("class", "ctrl"):
            for path in sorted((self.root / SDK / folder).rglob("*.h")):
                for line in path.read_text(errors="replace").splitlines():
                    if found := re.match(r"#define (\w+)\s+(.+)", line):
                        defines.setdefault(found[1], re.split(r"//|/\*", found[2])[0].strip())
        return defines

    def _index_names(self, prefix):
        """Macros of that prefix, without bit ranges, those that name values behind an index, and references to nothing."""
        names = [name for name, value in self._defines.items()
                 if name.startswith(prefix) and ":" not in value and not re.match(known.NO_INDEX, name)
                 and (value in self._defines or not re.fullmatch(r"[A-Za-z_]\w*", value))]
        if f"{prefix}MAX" in names:
            return names[:names.index(f"{prefix}MAX")]
        return [name for name in names if not any(name.startswith(f"{other}_") for other in names)]

    def _indices(self):
        for (control, field), prefix in known.INDICES.items():
            if (number := self._value(control)) is not None:
                names = [f"{name.removeprefix(prefix)}={self._value(name)}" for name in self._index_names(prefix)]
                yield Row("index", number, " ".join([prefix, field, *names]))

    def _pages(self):
        for name, struct in known.PAGES.items():
            yield self._row("page", self._value(name), struct, struct, most=1 << 16)

    def _statuses(self):
        for name, value in re.findall(r"^NV_STATUS_CODE\((\w+),\s+0x(\w+)", self._read(f"{SDK}/nvstatuscodes.h"), re.M):
            yield Row("status", int(value, 16), name)

    def _embedded_pointers(self):
        """(struct, field) -> pointee, from the switch by which RM copies what parameters point at."""
        text = self._read(f"{RMAPI}/embedded_param_copy.c")
        text = text[:text.index("embeddedParamCopyOut(")]
        pattern = r"RMAPI_PARAM_COPY_INIT\(([^;]*)\);((?:\s*paramCopies\[\d\]\.flags \|= \w+;)*)"
        pointers = {}
        for arguments, flags in re.findall(pattern, text):
            field = re.search(r"\(\((\w+)\*\)pParams\)->([\w.]+)", arguments)
            count, element = (part.strip() for part in _split(arguments)[3:5])
            if not field or not (count := re.sub(r"^\(\(\w+\*\)pParams\)->", "", count)):
                continue
            direction = "out" if "SKIP_COPYIN" in flags else "in" if "SKIP_COPYOUT" in flags else "inout"
            element = re.sub(r"/\*.*?\*/", "", element)
            element = element[7:-1] if element.startswith("sizeof(") else int(element, 0)
            if count != "numEntries":
                pointers[field.groups()] = count, element, direction
        return pointers


def _shape(dimensions):
    """`[count*stride]` per dimension; the stride is left out where it is the element's own size."""
    return "".join(f"[{count}*{stride}]" if stride else f"[{count}]" for count, stride in dimensions)


def _split(text):
    """What commas outside parentheses separate."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [" ".join(part.split()) for part in [*parts, text[start:]]]


def _is_described(number, access):
    """Whether a control's row names all fields: not those that nobody serves, and not those of displays."""
    return access != "none" and number >> 16 not in known.DISPLAY_CLASSES or number in known.CONVERTED


def _class_access(flags):
    if "RS_FLAGS_ALLOC_KERNEL_PRIVILEGED" in flags:
        return "kernel"
    return "admin" if "RS_FLAGS_ALLOC_PRIVILEGED" in flags else "user"
