"""What RM's own code generator (NVOC) wrote into src/nvidia/generated: which functions serve which controls, for whom,
and which kinds of objects are kinds of which.
"""

import re
from dataclasses import dataclass, field

_EXPORT = re.compile(
    r"flags=\*/\s*0x(\w+?)u,.*?accessRight=\*/\s*0x(\w+?)u,.*?methodId=\*/\s*0x(\w+?)u,.*?"
    r"paramSize=\*/\s*(?:sizeof\((\w+)\)|0(?!\w)).*?class_def_(\w+)\.classInfo.*?func=\*/\s*\"(\w+)\"", re.S)
_RELATIVES = re.compile(r"^(?:static )?const struct NVOC_CASTINFO __nvoc_castinfo_+(\w+) = \{(.*?)^\};", re.M | re.S)
# The last word of `&__nvoc_rtti_VideoMemory_Memory,` (550) and of `….metadata__StandardMemory.metadata__Memory.rtti,`.
_RELATIVE = re.compile(r"(?:&__nvoc_rtti_\w+_|metadata__)(\w+?)(?:\.rtti)?,")

# In rs_access.h: the right to give oneself more of the card's time, which CAP_SYS_NICE gives.
_RIGHT_NICE = 2


@dataclass
class Handler:
    """A control's function."""
    flags: int
    right: int
    struct: str | None
    function: str
    # RM's names for the kinds of objects that have it; those that are kinds of them have it too.
    objects: list = field(default_factory=list)


class Handlers:
    def __init__(self, generated, flags):
        self.bits = {name: int(bits, 16) for name, bits in re.findall(r"#define RMCTRL_FLAGS_(\w+)\s+0x(\w+)", flags)}
        self.by_number, self.relatives = {}, {}
        for path in sorted(generated):
            text = path.read_text(errors="replace")
            for flags, right, number, struct, of, function in _EXPORT.findall(text):
                new = Handler(int(flags, 16), int(right, 16), struct or None, function)
                self.by_number.setdefault(int(number, 16), new).objects.append(of)
            for of, body in _RELATIVES.findall(text):
                self.relatives[of] = [name for name in _RELATIVE.findall(body) if name != of]

    def kinds_of(self, internal):
        """Of what an object of that name is a kind, as far as those serve controls."""
        serving = {of for handler in self.by_number.values() for of in handler.objects}
        return [name for name in self.relatives.get(internal, []) if name in serving]

    def access(self, number):
        """Who may: `user`, `nice`, `admin`, `kernel`; `none` without a handler."""
        handler = self.by_number.get(number)
        if handler is None:
            return "none"
        if handler.flags & self.bits["INTERNAL"]:
            return "kernel"
        if handler.right & _RIGHT_NICE:
            return "nice"
        if handler.flags & self.bits["NON_PRIVILEGED"]:
            return "user"
        return "admin" if handler.flags & self.bits["PRIVILEGED"] else "kernel"

    def objects(self, number):
        """What has the control, `-` if nothing, and behind a slash whether RM keeps an answer and gives it again
        (rmapi_cache.c): `kept` to whoever asks whatever, `by-input` to whoever asks the same.
        """
        handler = self.by_number.get(number)
        if handler is None:
            return "-"
        kept = handler.right == 0 and handler.flags & self.bits["CACHEABLE"]
        by_input = handler.right == 0 and handler.flags & self.bits.get("CACHEABLE_BY_INPUT", 0)
        return ",".join(handler.objects) + ("/kept" if kept else "/by-input" if by_input else "")
