"""Object files: which names they take from elsewhere.

    ELF       Linux, 64 bit little endian
    Mach-O    macOS, 64 bit
    WebAssembly
"""

from __future__ import annotations

import struct


def undefined_symbols(code: bytes) -> set[str]:
    """The names that an object file takes from elsewhere, as C would write them.

    Object files of other formats give the empty set.
    """
    if code[:6] == b"\x7fELF\x02\x01":
        return _of_elf(code)
    if code[:4] == b"\xcf\xfa\xed\xfe":
        return _of_mach_o(code)
    if code[:4] == b"\0asm":
        return _of_wasm(code)
    return set()


def _name(code: bytes, start: int) -> str:
    return code[start : code.index(b"\0", start)].decode()


def _of_elf(code: bytes) -> set[str]:
    (table,) = struct.unpack_from("<Q", code, 0x28)
    size, count = struct.unpack_from("<HH", code, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", code, table + size * i) for i in range(count)]
    names = set()
    for _, kind, _, _, offset, nbytes, link, _, _, entry in sections:
        if kind != 2:  # SHT_SYMTAB
            continue
        strings = sections[link][4]
        for at in range(offset, offset + nbytes, entry):
            name, _, _, section = struct.unpack_from("<IBBH", code, at)
            if section == 0:
                names.add(_name(code, strings + name))
    return names - {""}


def _of_mach_o(code: bytes) -> set[str]:
    (commands,) = struct.unpack_from("<I", code, 16)
    names = set()
    at = 32
    for _ in range(commands):
        command, size = struct.unpack_from("<II", code, at)
        if command == 2:  # LC_SYMTAB
            symbols, count, strings = struct.unpack_from("<III", code, at + 8)
            for number in range(count):
                name, kind, section = struct.unpack_from("<IBB", code, symbols + 16 * number)
                if kind & 0x0E == 0 and section == 0:  # N_UNDF
                    names.add(_name(code, strings + name).removeprefix("_"))
        at += size
    return names - {""}


def _of_wasm(code: bytes) -> set[str]:
    at, names = 8, set()
    while at < len(code):
        section, at = code[at], at + 1
        size, at = _number(code, at)
        if section == 2:  # imports
            names |= _imported(code, at)
        at += size
    return names


def _imported(code: bytes, at: int) -> set[str]:
    """The functions among the imports."""
    names = set()
    count, at = _number(code, at)
    for _ in range(count):
        size, at = _number(code, at)
        at += size  # the module's name
        size, at = _number(code, at)
        name, at = code[at : at + size].decode(), at + size
        kind, at = code[at], at + 1
        if kind == 0:
            names.add(name)
            _, at = _number(code, at)
        elif kind == 3:  # a global: its type, and whether it changes
            at += 2
        else:  # a table (with its type before the limits) or a memory
            at += kind == 1
            flags, at = _number(code, at)
            for _ in range(1 + (flags & 1)):
                _, at = _number(code, at)
    return names


def _number(code: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number and the place after it."""
    value = shift = 0
    while True:
        byte = code[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
