"""Suites are found, and a new one is one new file."""

import sys

import pytest

from benchmarks.__main__ import main
from benchmarks.sweep import suites
from benchmarks.sweep.registry import SUITES, find_suites, suite_options
from tests.support.tiny_runs import lines

NEW_SUITE = """
from dataclasses import dataclass, field

from benchmarks.command_line import PositiveInt, option
from benchmarks.data.experiments import of_classes
from benchmarks.methods.registry import MAIN_METHODS
from benchmarks.sweep.declaration import Suite
from benchmarks.training.controlled import Settings
from tests.support.benchmark_images import small_source

@dataclass(frozen=True)
class Options:
    {name}: PositiveInt = field(default={default}, metadata=option("images of each wave"))

def load(folder, *, image_size, {name}):
    return small_source(count={name}, size=image_size)

SUITE = Suite(
    "{suite}", "Waves of unequal number", "nothing", "a, b", load,
    lambda source, validate: [of_classes("waves", {{"a": 20, "b": 5}})], MAIN_METHODS, Settings(steps=4, epochs=2), 16, Options,
)
"""


@pytest.fixture
def new_suite(tmp_path, monkeypatch):
    """Write the file of a new suite, and find it."""

    def write(suite="waves", name="wave_count", default=40):
        (tmp_path / f"suite_{suite}.py").write_text(NEW_SUITE.format(suite=suite, name=name, default=default))
        monkeypatch.setattr(suites, "__path__", [*suites.__path__, str(tmp_path)])
        monkeypatch.setitem(SUITES, suite, find_suites()[suite])

    yield write
    for name in [name for name in sys.modules if name.startswith(f"{suites.__name__}.suite_")]:
        del sys.modules[name]


def test_suites_are_listed_in_their_order():
    names = ["cifar10-ablation", "cifar10-pairs", "cifar10-17", "chexpert", "kermany", "medmnist", "folder"]
    assert list(SUITES) == names
    assert list(find_suites()) == list(SUITES)


def test_a_new_file_is_a_suite_in_list_and_run_with_an_option_of_its_own(new_suite, tmp_path, capsys):
    new_suite()
    main(["list"])
    assert "waves: Waves of unequal number" in capsys.readouterr().out
    main(["list", "waves", "--data-dir", "x", "--wave-count", "20"])
    # 20 are too few to hold out a tenth beside the 20 wanted
    assert "waves a 18, b 5 (20 a less those for validation)" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "waves: images of each wave" in text
    assert "folder, waves" in text
    out = ["--out", str(tmp_path / "out"), "--batch-size", "8", "--trials", "1", "--no-tuning", "--methods", "none"]
    main(["run", "waves", "--data-dir", "x", "--wave-count", "30", *out])
    (record,) = lines(tmp_path / "out")
    assert record["config"]["suite"] == "waves"
    assert record["config"]["experiment"]["counts"] == {"a": 20, "b": 5}
    assert record["config"]["experiment"]["validation_counts"] == {
        "a": 3,
        "b": 3,
    }  # a tenth of the 30 that were asked for


def test_an_option_of_another_suite_is_refused_and_its_owners_are_named(new_suite, tmp_path, capsys):
    new_suite()
    for arguments, message in (
        (
            ["run", "waves", "--normal", "a"],
            "--normal belongs to folder and medmnist, and waves does not have it: leave it out.",
        ),
        (
            ["run", "folder", "--wave-count", "3"],
            "--wave-count belongs to waves, and folder does not have it: leave it out.",
        ),
        (
            ["list", "folder", "--wave-count", "3"],
            "--wave-count belongs to waves, and folder does not have it: leave it out.",
        ),
    ):
        with pytest.raises(SystemExit) as end:
            main(
                [*arguments, "--data-dir", str(tmp_path), *(["--out", str(tmp_path)] if arguments[0] == "run" else [])]
            )
        assert end.value.code == 2
        assert capsys.readouterr().err == f"python -m benchmarks: error: {message}\n"


def test_an_option_that_two_suites_share_is_one_option_and_must_be_declared_alike(new_suite):
    shared = {declared.name: declared.metadata["help"] for declared in suite_options()}
    assert shared["normal"] == "folder, medmnist: the normal class, which all others are compared with"
    assert shared["external"].startswith("chexpert: ")
    new_suite("waves", "normal")
    with pytest.raises(TypeError, match="waves declares --normal in another way than medmnist"):
        suite_options()


def test_an_unknown_suite_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="no suite 'foldr'; there are cifar10-ablation, "):
        SUITES["foldr"]
