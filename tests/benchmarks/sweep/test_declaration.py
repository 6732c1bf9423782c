"""What a suite declares."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from benchmarks.command_line import option
from benchmarks.methods.registry import MAIN_METHODS
from benchmarks.sweep.declaration import Suite, imbalances_with_first, outline_17
from tests.support.benchmark_images import small_source


@dataclass(frozen=True)
class Tint:
    tint: int = field(default=3, metadata=option("the tint"))


@pytest.fixture
def suite():
    def load(folder, **options):
        return folder, options

    return Suite("tinted", "Tinted", "nothing", "none", load, imbalances_with_first, MAIN_METHODS, options=Tint)


def test_the_loader_is_given_the_folder_the_size_and_all_own_options(suite):
    assert suite.read(Path("x"), None, {}) == (Path("x"), {"image_size": 32, "tint": 3})
    assert suite.read(Path("x"), 24, {"tint": 5}) == (Path("x"), {"image_size": 24, "tint": 5})
    assert replace(suite, image_size=None).read(Path("x"), None, {}) == (Path("x"), {"image_size": None, "tint": 3})
    assert suite.option_names == {"tint"}


def test_imbalances_are_planned_with_the_images_that_validation_leaves():
    source = small_source(count=60)
    assert imbalances_with_first(source, False)[0].counts["a"] == 60
    assert imbalances_with_first(source, True)[0].counts["a"] == 54
    majorities = {e.name.rpartition("-")[2] for e in imbalances_with_first(source, True, never_majority="b")[1:]}
    assert majorities == {"c"}


def test_the_outline_names_the_sub_conditions():
    assert outline_17("A|B", "C is rare") == "interclass, (intraclass|both)-(single|multiple)-(A|B); C is rare"
