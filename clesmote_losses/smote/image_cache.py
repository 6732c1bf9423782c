"""Decoded images within a budget of memory."""

from collections.abc import Callable
from typing import Any

from clesmote_losses.smote.blending import to_tensor


class ImageCache:
    """Keeps the first images that it is asked for, until they fill the budget; none is ever thrown out.

    A copy of it (in a worker, by pickle) starts empty.

    Args:
        megabytes: Budget, of 2**20 bytes each; 0 keeps nothing.

    Raises:
        ValueError: If it is negative.
    """

    def __init__(self, megabytes: float) -> None:
        if not megabytes >= 0:
            raise ValueError(f"cache_mb must be 0 or more; got {megabytes}.")
        self.megabytes = megabytes
        self.clear()

    def clear(self) -> None:
        """Forget every image."""
        self._images: dict[int, Any] = {}
        self._room = self.megabytes * 2**20

    def get(self, index: int, read: Callable[[int], Any]) -> Any:
        """Image ``index``, by ``read(index)`` the first time. It is not to be written to."""
        if index in self._images:
            return self._images[index]
        image = read(index)
        if self._room > 0:
            self._room -= to_tensor(image).nbytes
            if self._room >= 0:
                self._images[index] = image
        return image

    def __getstate__(self) -> dict[str, Any]:
        return {"megabytes": self.megabytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.megabytes = state["megabytes"]
        self.clear()
