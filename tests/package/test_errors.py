"""Errors that name the argument to change."""

import pickle

import pytest

from clesmote_losses.errors import Argument, ArgumentError, check_choice

ERROR = ArgumentError(
    "k_neighbors", "few images: pass ", Argument("k_neighbors", "3"), " or fewer ", Argument("features"), "."
)


def test_the_message_reads_as_python_by_default_and_as_flags_for_a_host() -> None:
    assert str(ERROR) == "few images: pass k_neighbors=3 or fewer features."
    written = ERROR.message(lambda argument: " ".join(["--" + argument.name, argument.value]).strip())
    assert written == "few images: pass --k_neighbors 3 or fewer --features."


def test_it_is_a_value_error_that_knows_the_argument_also_after_pickling() -> None:
    assert isinstance(ERROR, ValueError)
    copied = pickle.loads(pickle.dumps(ERROR))
    assert (type(copied), copied.argument, copied.parts, str(copied)) == (
        ArgumentError,
        "k_neighbors",
        ERROR.parts,
        str(ERROR),
    )


def test_an_unknown_choice_raises_with_the_argument_and_the_known_ones() -> None:
    check_choice("mode", "epoch", ["epoch", "batch"])
    check_choice("distance", None, ["cosine", None])
    with pytest.raises(ArgumentError, match=r"^mode must be one of \('epoch', 'batch'\); got 'step'\.$") as error:
        check_choice("mode", "step", ["epoch", "batch"])
    assert error.value.argument == "mode"
    assert error.value.message(lambda argument: f"--{argument.name}").startswith("--mode must be one of")
