#!/usr/bin/env python3
"""Writes fat binaries to begin with into a directory: one entry of PTX, plain, as LZ4 and as zstd of literals alone, and all three."""
import pathlib
import struct
import sys

TEXT = b".version 7.0\n.target sm_52\n.address_size 64\n.visible .entry empty() { ret; }\n\0"
LZ4, ZSTD = 0x2000, 0x8000


def entry(stored: bytes, uncompressed: int, flags: int, architecture: int) -> bytes:
    compressed = len(stored) if uncompressed else 0
    padded = stored + bytes(-len(stored) % 8)
    head = struct.pack("<HHIQIIHHI", 1, 0x101, 64, len(padded), compressed, 0, 0, 7, architecture)
    return head + struct.pack("<IIQQQ", 0, 0, flags, 0, uncompressed) + padded


def container(*entries: bytes) -> bytes:
    body = b"".join(entries)
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def lz4(data: bytes) -> bytes:
    return bytes([0xF0, len(data) - 15]) + data


def zstd(data: bytes) -> bytes:
    # One segment whose size is given in a byte; one last block, raw.
    return struct.pack("<IBB", 0xFD2FB528, 0x20, len(data)) + (1 | len(data) << 3).to_bytes(3, "little") + data


plain = entry(TEXT, 0, 0, 61)
by_lz4 = entry(lz4(TEXT), len(TEXT), LZ4, 75)
by_zstd = entry(zstd(TEXT), len(TEXT), ZSTD, 90)
target = pathlib.Path(sys.argv[1])
for name, bytes_ in [("plain", container(plain)), ("lz4", container(by_lz4)), ("zstd", container(by_zstd)), ("all", container(plain, by_lz4, by_zstd))]:
    (target / name).write_bytes(bytes_)
