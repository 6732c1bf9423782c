"""Options that a dataclass declares, and argparse reads."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest

from benchmarks.command_line import (
    AboveZero,
    ClassCount,
    Command,
    Option,
    Parser,
    PositiveInt,
    Seed,
    add_options,
    further_options,
    option,
    options_of,
    read_options,
)

NAMES = {"one": 1}


@dataclass(frozen=True)
class Further:
    dye: str | None = field(default=None, metadata=option("the dye"))


@dataclass(frozen=True, kw_only=True)
class Paint(Command):
    summary = "paint a wall"

    wall: str = field(metadata=option("one of %(choices)s", is_positional=True, choices=NAMES, metavar="WALL"))
    colour: Literal["red", "blue"] = field(default="red", metadata=option("the colour (%(default)s)"))
    out_dir: Path = field(metadata=option("where to", metavar="DIR"))
    coats: PositiveInt | None = field(default=None, metadata=option("coats"))
    speed: AboveZero = field(default=1.5, metadata=option("square metres a minute"))
    seeds: tuple[Seed, ...] = field(default=(0,), metadata=option("seeds"))
    counts: tuple[ClassCount, ...] | None = field(default=None, metadata=option("counts"))
    dry: bool = field(default=True, metadata=option("leave it wet", flag="--no-drying"))
    gloss: bool = field(default=False, metadata=option("glossy"))
    brush: bool = field(default=True, metadata=option("by brush"))
    further: dict = field(default_factory=dict, metadata=further_options(lambda: options_of(Further)))

    def prepare(self, console):
        return lambda: None


def parsed(*arguments):
    parser = Parser(prog="paint")
    add_options(parser, Paint)
    return read_options(Paint, parser.parse_args(arguments))


def test_defaults_are_those_of_the_dataclass():
    assert parsed("one", "--out-dir", "x") == Paint(wall="one", out_dir=Path("x"))


def test_each_kind_of_option_is_read_as_its_annotation_says():
    found = parsed(
        "one", "--out-dir", "x", "--colour", "blue", "--coats", "3", "--speed", "2e-1", "--seeds", "4", "5",
        "--counts", "a=b=1", "c=2", "--no-drying", "--gloss", "--no-brush", "--dye", "indigo",
    )  # fmt: skip
    assert found == Paint(
        wall="one", out_dir=Path("x"), colour="blue", coats=3, speed=0.2, seeds=(4, 5), counts=(("a=b", 1), ("c", 2)),
        dry=False, gloss=True, brush=False, further={"dye": "indigo"},
    )  # fmt: skip


def test_choices_are_read_when_a_command_is_parsed(monkeypatch):
    monkeypatch.setitem(NAMES, "two", 2)
    assert parsed("two", "--out-dir", "x").wall == "two"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one"], "the following arguments are required: --out-dir"),
        (["three", "--out-dir", "x"], "invalid choice: 'three'"),
        (["one", "--out-dir", "x", "--colour", "green"], "invalid choice: 'green'"),
        (["one", "--out-dir", "x", "--coats", "0"], "wanted a number of 1 or more, got '0'"),
        (["one", "--out-dir", "x", "--coats", "1.5"], "wanted a number of 1 or more, got '1.5'"),
        *(
            (["one", "--out-dir", "x", f"--speed={text}"], f"wanted a finite number above 0, got '{text}'")
            for text in ("0", "-1", "nan", "inf", "fast")
        ),
        (["one", "--out-dir", "x", "--seeds", str(2**32)], "wanted a number from 0 to 2**32 - 1, got '4294967296'"),
        (["one", "--out-dir", "x", "--seeds=-1"], "wanted a number from 0 to 2**32 - 1, got '-1'"),
        *(
            (["one", "--out-dir", "x", f"--counts={text}"], f"wanted NAME=COUNT, such as automobile=50, got '{text}'")
            for text in ("a", "a=", "=1", "a=-1")
        ),
    ],
)
def test_a_mistake_ends_in_one_line_and_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        parsed(*arguments)
    printed = capsys.readouterr().err
    assert end.value.code == 2
    assert printed.startswith("paint: error: ")
    assert message in printed
    assert printed.count("\n") == 1


def test_the_help_says_what_the_dataclass_declares(capsys):
    with pytest.raises(SystemExit):
        parsed("--help")
    text = " ".join(capsys.readouterr().out.split())
    for part in ("WALL one of one", "--colour {red,blue} the colour (red)", "--out-dir DIR where to", "--no-drying",
                 "--brush, --no-brush", "--dye DYE the dye"):  # fmt: skip
        assert part in text


def test_the_help_breaks_no_name_at_its_hyphen(capsys):
    for shift in range(60):
        parser = Parser(prog="paint")
        parser.add_argument("--method", help=f"{'x' * shift} cle-smote")
        parser.print_help()
        assert "cle-smote" in capsys.readouterr().out


def test_fields_without_help_are_no_options():
    @dataclass
    class Mixed:
        shown: int = field(default=1, metadata=option("shown"))
        hidden: int = 2

    assert options_of(Mixed) == [Option("shown", int, 1, option("shown"))]


def test_an_annotation_may_bring_its_own_reader():
    @dataclass(frozen=True, kw_only=True)
    class Loud(Paint):
        shout: Annotated[str, str.upper] = field(default="", metadata=option("text"))

    parser = Parser(prog="paint")
    add_options(parser, Loud)
    assert read_options(Loud, parser.parse_args(["one", "--out-dir", "x", "--shout", "hey"])).shout == "HEY"
