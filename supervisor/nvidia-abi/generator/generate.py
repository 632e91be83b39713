#!/usr/bin/env python3
"""Writes the tables of the crate `nvidia-abi` from NVIDIA's open kernel-module headers.

    generate.py CHECKOUT [TABLES]

CHECKOUT is a clone (a bare one will do) of https://github.com/NVIDIA/open-gpu-kernel-modules with its tags. The
headers are read and compiled, never linked, run or copied. Needs git and GCC 12 or newer. The table of a release
says what differs from its parent, the release before it or whichever older one it differs from least.
"""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import known
from release import Release

HEAD = "# Written by generator/generate.py from open-gpu-kernel-modules; lib.rs says how to read it.\n"


def main():
    checkout = sys.argv[1]
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parent.parent / "tables")
    tags = subprocess.run(["git", "-C", checkout, "tag"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    tags = sorted((tag for tag in tags if _is_wanted(tag)), key=order)
    with ThreadPoolExecutor(2) as pool:
        tables = dict(zip(tags, pool.map(lambda tag: _table(checkout, tag), tags)))
    branches = {}
    for tag in tags:
        parent = _parent(tag, tags, tables)
        branches.setdefault(tag.split(".")[0], []).append(_node(tag, parent, tables))
    folder.mkdir(exist_ok=True)
    for branch, nodes in branches.items():
        (folder / f"{branch}.txt").write_text(HEAD + "".join(nodes))


def order(version):
    return [int(part) for part in version.split(".")]


def _is_wanted(tag):
    return re.fullmatch(r"\d+(\.\d+)+", tag) and order(tag) >= order(known.OLDEST) \
        and not any(re.match(pattern, tag) for pattern in known.UNWANTED)


def _table(checkout, tag):
    table = {}
    for row in Release(checkout, tag).rows:
        if (row.kind, row.number) in table:
            raise SystemExit(f"{tag}: two rows for {row.kind} {row.number:#x}: {row.text}")
        table[row.kind, row.number] = row.text
    print(f"{tag}: {len(table)} rows", file=sys.stderr)
    return table


def _parent(tag, tags, tables):
    older = tags[:tags.index(tag)]
    same_branch = [t for t in older if t.split(".")[0] == tag.split(".")[0]]
    if same_branch:
        return same_branch[-1]
    return min(reversed(older), key=lambda t: len(_difference(tables[t], tables[tag])), default=None)


def _difference(old, new):
    changed = [(key, text) for key, text in sorted(new.items()) if old.get(key) != text]
    return changed + [(key, None) for key in sorted(old.keys() - new.keys())]


def _node(tag, parent, tables):
    lines = [f"version {tag} {parent or ''}".strip()]
    for (kind, number), text in _difference(tables.get(parent, {}), tables[tag]):
        lines.append(f"{kind} {number:#x} {text}" if text else f"no {kind} {number:#x}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
