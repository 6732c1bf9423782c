"""What a result may depend on besides its configuration."""

from importlib.metadata import version

import torch

from benchmarks.training.environment import environment


def test_it_names_versions_device_and_threads():
    found = environment(torch.device("cpu"), "scipy", "no-such-package")
    assert found["torch"] == version("torch")
    assert found["scipy"] == version("scipy")
    assert found["no-such-package"] == "not installed"
    assert found["device"] == "cpu"
    assert found["threads"] == torch.get_num_threads()
    assert found["cpus"] > 0
