"""Files of arrays and metadata with a digest."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from clesmote_losses.checked_file import CheckedFile
from tests.support.damaged_files import refused_damages

DISTANCES = CheckedFile("example.distances.1", "list of distances", "Measure them again.")
ARRAYS: dict[str, np.ndarray] = {
    "float": np.array([[1.5, -0.0], [np.nan, np.inf]]),
    "int": np.arange(3, dtype=np.int32),
    "flag": np.array(True),
    "empty": np.zeros((0, 4), dtype=np.float16),
    "transposed": np.arange(6).reshape(2, 3).T,
}
METADATA = {"from": "home ü", "steps": [1, 2.5, None], "nested": {"a": True}}


def is_original(found: tuple[dict[str, np.ndarray], dict[str, Any]]) -> bool:
    arrays, metadata = found
    return (
        metadata == METADATA
        and arrays.keys() == ARRAYS.keys()
        and all(arrays[n].dtype == a.dtype and arrays[n].shape == a.shape for n, a in ARRAYS.items())
        and all(arrays[n].tobytes() == a.tobytes() for n, a in ARRAYS.items())
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    DISTANCES.write(tmp_path / "file.safetensors", ARRAYS, METADATA)
    return tmp_path / "file.safetensors"


def text_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="numpy") as file:
        return dict(file.metadata())


def test_what_was_written_comes_back_bit_by_bit_and_can_be_written_to(path: Path) -> None:
    arrays, metadata = DISTANCES.read(path)
    assert is_original((arrays, metadata))
    assert all(array.flags.writeable for array in arrays.values())
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_without_arrays_or_metadata_comes_back(tmp_path: Path) -> None:
    DISTANCES.write(tmp_path / "file", {}, {})
    assert DISTANCES.read(tmp_path / "file") == ({}, {})


def test_damage_is_refused_or_without_effect(path: Path) -> None:
    assert refused_damages(path, lambda: DISTANCES.read(path), is_original) > 1900


@pytest.mark.parametrize("change", ["value", "dtype", "shape", "name", "missing", "further", "metadata"])
def test_a_change_that_keeps_the_digest_is_refused(change: str, path: Path) -> None:
    arrays, text = dict(ARRAYS), text_of(path)
    if change == "value":
        arrays["int"] = arrays["int"] + 1
    elif change == "dtype":
        arrays["int"] = arrays["int"].view(np.float32)
    elif change == "shape":
        arrays["float"] = arrays["float"].reshape(4)
    elif change == "name":
        arrays["other"] = arrays.pop("int")
    elif change == "missing":
        del arrays["empty"]
    elif change == "further":
        arrays["further"] = np.zeros(0)
    else:
        text["metadata"] = text["metadata"].replace("2.5", "3.5")
    save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, path, text)
    with pytest.raises(ValueError, match=r"file.safetensors was damaged or changed.*Measure them again"):
        DISTANCES.read(path)


def test_the_order_in_which_arrays_and_metadata_lie_does_not_matter(path: Path) -> None:
    save_file(dict(reversed([(n, np.asarray(a, order="C")) for n, a in ARRAYS.items()])), path, text_of(path))
    assert is_original(DISTANCES.read(path))


def test_a_file_of_another_kind_or_without_a_digest_is_refused(path: Path) -> None:
    other = CheckedFile("example.distances.2", "list of distances", "Measure them again.")
    with pytest.raises(
        ValueError, match=r"no list of distances of this version \(format 'example.distances.1', wanted"
    ):
        other.read(path)
    text = text_of(path)
    del text["sha256"]
    save_file({}, path, text)
    with pytest.raises(ValueError, match="was damaged or changed"):
        DISTANCES.read(path)
    save_file({"weight": np.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"format None"):
        DISTANCES.read(path)


@pytest.mark.parametrize(
    ("text", "message"), [("[1]", "must be a dict; got list"), ("{", "is not JSON"), ("[" * 10**5, "is not JSON")]
)
def test_metadata_that_are_no_dict_are_refused_though_the_digest_fits(text: str, message: str, path: Path) -> None:
    original = json.dumps
    with pytest.MonkeyPatch.context() as patch:
        # the metadata are the first that are dumped
        given = iter([text])
        patch.setattr(json, "dumps", lambda value: next(given, None) or original(value))
        DISTANCES.write(path, {}, {})
    with pytest.raises(ValueError, match=f"file.safetensors holds no valid list of distances: .*{message}"):
        DISTANCES.read(path)


def test_a_missing_file_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        DISTANCES.read(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        DISTANCES.write(tmp_path / "absent" / "file", ARRAYS, METADATA)


def test_metadata_that_json_cannot_hold_are_refused_and_the_file_stays(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(TypeError, match="not JSON serializable"):
        DISTANCES.write(path, ARRAYS, {"array": np.zeros(2)})
    assert path.read_bytes() == before
