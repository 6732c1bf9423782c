"""Software and hardware that a result may depend on."""

import os
from importlib.metadata import PackageNotFoundError, version

import torch


def environment(device: torch.device, *others: str) -> dict[str, str | int]:
    """Return the versions of packages, of ``others`` too, the device and the number of threads."""
    found: dict[str, str | int] = {}
    for name in ("clesmote-losses", "torch", "timm", "imbalanced-learn", "scikit-learn", "numpy", *others):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a checkout that is not installed
            found[name] = "not installed"
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {**found, "device": kind, "threads": torch.get_num_threads(), "cpus": os.cpu_count() or 0}
