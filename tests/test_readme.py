"""The README's example runs, word for word."""

import re
from pathlib import Path

import pytest
import timm
import torch
from torch.utils.data import DataLoader, TensorDataset

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_example_trains(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=2)
    before = model.fc.weight.clone()
    names = {
        "base": TensorDataset(torch.rand(30, 3, 32, 32), torch.tensor([0] * 20 + [1] * 10)),
        "model": model,
        "num_classes": 2,
        "epochs": 2,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "DataLoader": DataLoader,
    }
    exec(example.replace("epochs=10", "epochs=1"), names)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2
    assert "'synthetic': 10.0" in printed[0]
    assert not torch.equal(model.fc.weight, before)
