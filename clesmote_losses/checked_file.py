"""Files of named arrays and metadata that are read back exactly as they were written, or refused."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clesmote_losses.atomic_write import atomic_write

_DIGEST = "sha256"


@dataclasses.dataclass(frozen=True)
class CheckedFile:
    """A kind of ``.safetensors`` file with a digest over all that it holds.

    Attributes:
        format: Written into the file; a file of another format is refused.
        content: What such a file holds, for messages.
        remedy: What to do about a file that is refused, a whole sentence.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     distances = CheckedFile("example.distances.1", "distances", "Measure them again.")
        ...     distances.write(f"{folder}/file.safetensors", {"km": np.array([1.5, 2.0])}, {"from": "home"})
        ...     distances.read(f"{folder}/file.safetensors")
        ({'km': array([1.5, 2. ])}, {'from': 'home'})
    """

    format: str
    content: str
    remedy: str

    def write(
        self, path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]
    ) -> None:
        """Write arrays and JSON metadata; the file appears in one piece.

        Raises:
            OSError: If it cannot be written.
            TypeError: If the metadata hold what JSON cannot.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        text = {"format": self.format, "metadata": json.dumps(metadata)}
        text[_DIGEST] = _digest(whole, text)
        try:
            with atomic_write(path) as unfinished:
                save_file(whole, unfinished, text)
        except SafetensorError as error:
            raise OSError(f"cannot write {os.fspath(path)}: {error}.") from error

    def read(self, path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Read arrays and metadata as they were written.

        Raises:
            OSError: If there is no such file, or the system cannot read it.
            ValueError: If the file is of another kind, or was damaged or changed.
        """
        from safetensors import safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                text = dict(file.metadata() or {})
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        except OSError:
            raise
        except Exception as error:  # a damaged header can make safetensors raise almost anything
            raise ValueError(
                f"{os.fspath(path)} is not a .safetensors file, or is damaged: {error}. {self.remedy}"
            ) from error
        if text.get("format") != self.format:
            raise ValueError(
                f"{os.fspath(path)} holds no {self.content} of this version (format {text.get('format')!r}, wanted "
                f"{self.format!r}). {self.remedy}"
            )
        written = text.pop(_DIGEST, None)
        if written != _digest(arrays, text):
            raise ValueError(f"{os.fspath(path)} was damaged or changed: its digest does not fit. {self.remedy}")
        with self.checking(path):
            return arrays, _metadata(text)

    @contextmanager
    def checking(self, path: str | os.PathLike[str]) -> Iterator[None]:
        """Name the file in every ``ValueError`` of the body."""
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)} holds no valid {self.content}: {error} {self.remedy}") from error


def _digest(arrays: Mapping[str, NDArray[Any]], text: Mapping[str, str]) -> str:
    """Compute a digest of the text and of name, dtype, shape and bytes of every array; the order of neither matters."""
    ordered = sorted(arrays.items())
    described = [sorted(text.items()), [[name, array.dtype.name, array.shape] for name, array in ordered]]
    digest = hashlib.sha256(json.dumps(described).encode())
    for _, array in ordered:
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _metadata(text: Mapping[str, str]) -> dict[str, Any]:
    try:
        metadata = json.loads(text.get("metadata", ""))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its metadata is not JSON ({error}).") from error
    if not isinstance(metadata, dict):
        raise ValueError(f"its metadata must be a dict; got {type(metadata).__name__}.")
    return metadata
