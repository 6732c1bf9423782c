"""Set-up of the tests, and names that the docstring examples use without importing them."""

import importlib.util

import numpy as np
import pytest
import torch

collect_ignore = ["tests/support/timm_scripts"]  # run as scripts
if importlib.util.find_spec("timm.task") is None:
    collect_ignore += [
        "clesmote_losses/hosts/timm/task.py",
        "clesmote_losses/hosts/timm_task.py",
    ]  # for timm 1.0.27 and newer


def pytest_configure() -> None:
    # Networks this small wait for their threads longer than they gain from them, the more so on a busy machine.
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _doctest_names(request: pytest.FixtureRequest) -> None:
    if not isinstance(request.node, pytest.DoctestItem):
        return
    import timm
    from imblearn.over_sampling import SMOTE
    from torch.utils.data import TensorDataset

    import clesmote_losses

    public = {name: getattr(clesmote_losses, name) for name in clesmote_losses.__all__}
    request.node.dtest.globs.update(public, np=np, torch=torch, timm=timm, SMOTE=SMOTE, TensorDataset=TensorDataset)
