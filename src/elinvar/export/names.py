"""Names for C: of the fields of structures, of offsets, of the functions themselves."""

from __future__ import annotations

import re
import unicodedata

# keywords of C and C++, and macros that compilers and the commonest headers define
_RESERVED = frozenset(
    """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t
    char32_t class co_await co_return co_yield compl complex concept const const_cast consteval
    constexpr constinit continue decltype default delete do double dynamic_cast else enum errno
    explicit export extern false float for friend goto if imaginary inline int linux long mutable
    namespace new noexcept not not_eq nullptr operator or or_eq private protected public register
    reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast
    stderr stdin stdout struct switch template this thread_local throw true try typedef typeid
    typename typeof typeof_unqual union unix unsigned using virtual void volatile wchar_t while xor
    xor_eq EOF I NAN NULL INFINITY int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t
    """.split()
)


def plain(word: str) -> str:
    """Letters, digits and underscores of ASCII: `é` is e, `π` is pi, all others are `_`."""
    letters = [
        letter if letter.isascii() else _spelled(letter)
        for letter in unicodedata.normalize("NFKD", word)
        if not unicodedata.combining(letter)
    ]
    return re.sub(r"\W+", "_", "".join(letters), flags=re.ASCII)


def _spelled(letter: str) -> str:
    """The last word of a letter's name, where it is a letter."""
    name = unicodedata.name(letter, "") if letter.isalpha() else ""
    return name.rsplit(" ", 1)[-1].lower() or "_"


def unique(word: str, taken: set[str], *, upper: bool = False) -> str:
    """An identifier of C and C++ that is not in use yet; with `upper` not in capitals either."""
    start = plain(word).strip("_") or "tensor"
    start = f"_{start}" if start[0].isdigit() else start
    start = f"{start}_" if start in _RESERVED and not upper else start
    found, number = start, 2
    while (found.upper() if upper else found) in taken:
        found, number = f"{start.rstrip('_')}_{number}", number + 1
    taken.add(found.upper() if upper else found)
    return found
