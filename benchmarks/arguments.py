"""Kinds of values on the command line."""

import argparse


def positive(text: str) -> int:
    """A number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"wanted a number of 1 or more, got {text!r}")
    return int(text)


def above_zero(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"wanted a finite number above 0, got {text!r}")
    return value


def seed(text: str) -> int:
    """What numpy and torch take as a seed."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"wanted a number from 0 to 2**32 - 1, got {text!r}")
    return int(text)


def class_count(text: str) -> tuple[str, int]:
    """``NAME=COUNT``."""
    name, equals, count = text.rpartition("=")
    if not equals or not name or not count.isdecimal():
        raise argparse.ArgumentTypeError(f"wanted NAME=COUNT, such as automobile=50, got {text!r}")
    return name, int(count)
