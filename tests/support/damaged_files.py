"""Random damage to a file, and what comes of reading it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np


def damages(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield ``count`` damaged versions of a file, each different from the original."""
    rng = np.random.default_rng(seed)

    def place(length: int = 1) -> int:
        # half of the damage goes to the first part, which holds the names, types and metadata
        end = len(content) - length + 1
        return int(rng.integers(0, max(1, min(end, 2000) if rng.random() < 0.5 else end)))

    def flip_bits() -> bytes:
        changed = bytearray(content)
        for _ in range(rng.integers(1, 4)):
            changed[place()] ^= 1 << int(rng.integers(8))
        return bytes(changed)

    def overwrite_bytes() -> bytes:
        start, new = place(4), rng.bytes(int(rng.integers(1, 5)))
        return content[:start] + new + content[start + len(new) :]

    def change_digit() -> bytes:
        digits = [i for i, value in enumerate(content[:4000]) if chr(value).isdigit()]
        start = digits[int(rng.integers(len(digits)))]
        return content[:start] + str(rng.integers(10)).encode() + content[start + 1 :]

    def truncate() -> bytes:
        return content[: place()]

    def insert() -> bytes:
        start = place()
        return content[:start] + rng.bytes(int(rng.integers(1, 20))) + content[start:]

    def delete() -> bytes:
        start = place()
        return content[:start] + content[start + int(rng.integers(1, 20)) :]

    def zero_range() -> bytes:
        start, length = place(), int(rng.integers(1, 64))
        return (content[:start] + bytes(length) + content[start + length :])[: len(content)]

    def swap_blocks() -> bytes:
        size = int(rng.choice([1, 4, 8, 32]))
        one, other = sorted((place(size), place(size)))
        if other < one + size:
            return content
        middle = content[one + size : other]
        return (
            content[:one] + content[other : other + size] + middle + content[one : one + size] + content[other + size :]
        )

    kinds = (flip_bits, overwrite_bytes, change_digit, truncate, insert, delete, zero_range, swap_blocks)
    for i in range(count):
        damaged = content
        while damaged == content:
            damaged = kinds[i % len(kinds)]()
        yield damaged


def refused_damages(
    path: Path, read: Callable[[], Any], is_original: Callable[[Any], bool], *, count: int = 2000, seed: int = 0
) -> int:
    """Damage a file, read it, and count how often it is refused.

    Args:
        path: The file; it is put back at the end.
        read: Reads it.
        is_original: Tells whether what was read is what was written.
        count: Number of damages.
        seed: Of the damages.

    Raises:
        AssertionError: If other data are accepted, or an error is not a ``ValueError`` that names the file.
    """
    content, refused = path.read_bytes(), 0
    for i, damaged in enumerate(damages(content, count, seed)):
        path.write_bytes(damaged)
        try:
            found, error = read(), None
        except BaseException as raised:  # Rust's panics are no Exception
            found, error = None, raised
        if error is None:
            assert is_original(found), f"damage {i} was accepted with other data"
        else:
            assert type(error) is ValueError, f"damage {i}: {error!r}"  # not UnicodeDecodeError, say
            assert str(path) in str(error), f"damage {i}: {error!r}"
            refused += 1
    path.write_bytes(content)
    return refused
