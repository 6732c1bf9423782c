"""CIFAR-10, as torchvision unpacks it and as image files."""

import pickle

import numpy as np
import pytest

from benchmarks.data.cifar10 import load_cifar10
from tests.support.benchmark_images import pictures, write_folder


def write_cifar10(folder):
    """``cifar-10-batches-py`` as torchvision unpacks it, of 20 images a batch; the checksums are those of these files."""
    from torchvision.datasets import CIFAR10

    folder.mkdir()
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    images = {}
    for name, _ in (*CIFAR10.train_list, *CIFAR10.test_list):
        labels = [i % 10 for i in range(20)]
        data = pictures(labels, 32, seed=len(images))
        images[name] = data
        rows = data.transpose(0, 3, 1, 2).reshape(20, -1)
        (folder / name).write_bytes(pickle.dumps({"data": rows, "labels": labels}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    return images


def test_cifar10_of_torchvision_and_of_files_is_the_same(tmp_path, monkeypatch):
    images = write_cifar10(tmp_path / "cifar-10-batches-py")
    monkeypatch.setattr("torchvision.datasets.CIFAR10._check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *given: True)
    source = load_cifar10(tmp_path, ("airplane", "cat"))
    assert source.available == {"airplane": 10, "cat": 10}
    assert np.array_equal(source.images[0], images["data_batch_1"][0])
    assert np.array_equal(source.images[10], images["data_batch_1"][3])
    assert source.tests["test"].members.tolist() == [[True, False]] * 2 + [[False, True]] * 2
    assert load_cifar10(tmp_path, ("cat", "dog"), image_size=16).images.shape == (20, 16, 16, 3)
    with pytest.raises(ValueError, match="CIFAR-10 has no class 'tiger'"):
        load_cifar10(tmp_path, ("cat", "tiger"))
    with pytest.raises(ValueError, match="holds neither cifar-10-batches-py/"):
        load_cifar10(tmp_path / "nowhere", ("cat", "dog"))
    files = load_cifar10(write_folder(tmp_path / "files", {"cat": 5, "dog": 4}), ("dog", "cat"))
    assert files.available == {"dog": 4, "cat": 5}
