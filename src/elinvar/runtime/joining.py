"""Code and its constants in one section, so that a loader cannot put them far from each other.

LLVM's loader asks the system for the memory of code, of constants and of the table of called
functions apart. Code reaches each by offsets of 32 bits, and where other libraries have taken the
addresses in between, they can lie further apart than that: LLVM then ends the process. Here an ELF
object for x86-64 is rewritten before it is loaded: constants follow the code, then a jump to each
function of others, which holds its whole address; the offsets between them are filled in.

    object → sections, symbols, relocations → one block → the object with that block as its code

Other objects stay as they are, and so does data that is written to.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_PROGBITS, _SYMTAB, _RELA = 1, 2, 4
_WRITTEN, _LOADED, _CODE = 1, 2, 4
_X86_64 = 62
_ABSOLUTE, _RELATIVE, _CALL = 1, 2, 4  # R_X86_64_64, _PC32, _PLT32
_JUMP = b"\x49\xbb" + bytes(8) + b"\x41\xff\xe3"  # movabs r11, 0; jmp r11
_JUMP_BYTES = 16


@dataclass
class _Section:
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    nbytes: int
    link: int
    info: int
    alignment: int
    entry: int


def joined(code: bytes) -> bytes:
    """The object with its constants behind its code; the object itself where none are apart."""
    if code[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<H", code, 0x12)[0] != _X86_64:
        return code
    (table,) = struct.unpack_from("<Q", code, 0x28)
    size, count = struct.unpack_from("<HH", code, 0x3A)
    sections = [_Section(*_SECTION.unpack_from(code, table + size * i)) for i in range(count)]
    loaded = {i: s for i, s in enumerate(sections) if s.flags & _LOADED and s.nbytes}
    texts = [i for i, s in loaded.items() if s.flags & _CODE]
    if len(texts) != 1:
        return code
    fixed = {i: s for i, s in loaded.items() if s.kind == _PROGBITS and not s.flags & _WRITTEN}
    block, starts = _block(code, fixed, texts[0])
    left = _relocate(code, sections, starts, block)
    if len(block) == sections[texts[0]].nbytes:
        return code
    changed = bytearray(code)
    _move_symbols(changed, sections, starts, texts[0])
    return _written(changed, table, size, sections, texts[0], set(starts), block, left)


def _block(
    code: bytes, loaded: dict[int, _Section], text: int
) -> tuple[bytearray, dict[int, int]]:
    """The bytes of all sections, the code first, and where in them each begins."""
    block, starts = bytearray(), {}
    for number in (text, *(i for i in loaded if i != text)):
        section = loaded[number]
        block += bytes(-len(block) % max(section.alignment, 1))
        starts[number] = len(block)
        block += code[section.offset : section.offset + section.nbytes]
    alignment = max(section.alignment for section in loaded.values())
    loaded[text].alignment = alignment
    return block, starts


def _move_symbols(
    changed: bytearray, sections: list[_Section], starts: dict[int, int], text: int
) -> None:
    """Let symbols of constants lie in the code's section."""
    for section in sections:
        if section.kind != _SYMTAB:
            continue
        for at in range(section.offset, section.offset + section.nbytes, section.entry):
            name, info, other, place, value, nbytes = _SYMBOL.unpack_from(changed, at)
            if place in starts and place != text:
                moved = (name, info, other, text, value + starts[place], nbytes)
                _SYMBOL.pack_into(changed, at, *moved)


def _relocate(
    code: bytes, sections: list[_Section], starts: dict[int, int], block: bytearray
) -> list[bytes]:
    """Fill in what lies in the block; gives the relocations that are left, moved into it.

    Calls of others go to jumps, which are added to the block.
    """
    left, jumps = [], {}
    for section in sections:
        if section.kind != _RELA or section.info not in starts:
            continue
        symbols, base = sections[section.link], starts[section.info]
        for at in range(section.offset, section.offset + section.nbytes, section.entry):
            offset, info, addend = _RELOCATION.unpack_from(code, at)
            place = symbols.offset + symbols.entry * (info >> 32)
            _, kind, _, target, value, _ = _SYMBOL.unpack_from(code, place)
            offset += base
            relation = info & 0xFFFFFFFF
            if target in starts and relation in (_RELATIVE, _CALL):
                distance = starts[target] + value + addend - offset
                struct.pack_into("<i", block, offset, distance)
                continue
            if target == 0 and relation == _CALL:
                symbol = info >> 32
                if symbol not in jumps:
                    block += bytes(-len(block) % _JUMP_BYTES)
                    jumps[symbol] = len(block)
                    left.append(_RELOCATION.pack(len(block) + 2, symbol << 32 | _ABSOLUTE, 0))
                    block += _JUMP
                struct.pack_into("<i", block, offset, jumps[symbol] + addend - offset)
                continue
            if target in starts and kind & 15 == 3:  # a section's own symbol: the addend is a place
                addend += starts[target]
            left.append(_RELOCATION.pack(offset, info, addend))
    return left


def _written(
    changed: bytearray,
    table: int,
    size: int,
    sections: list[_Section],
    text: int,
    merged: set[int],
    block: bytearray,
    left: list[bytes],
) -> bytes:
    """The object with the block and the relocations at its end, and headers that say so."""
    changed += bytes(-len(changed) % sections[text].alignment)
    sections[text].offset, sections[text].nbytes = len(changed), len(block)
    changed += block + bytes(-len(block) % 8)
    for number, section in enumerate(sections):
        if number in merged and number != text:
            section.flags, section.nbytes = 0, 0
        if section.kind == _RELA and section.info in merged:
            own = section.info == text
            section.offset, section.nbytes = len(changed), len(b"".join(left)) if own else 0
        fields = (section.name, section.kind, section.flags, section.address, section.offset)
        more = (section.nbytes, section.link, section.info, section.alignment, section.entry)
        _SECTION.pack_into(changed, table + size * number, *fields, *more)
    changed += b"".join(left)
    return bytes(changed)
