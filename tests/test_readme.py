"""The README's example runs, word for word, and the links of the documents lead somewhere."""

import re
from pathlib import Path

import pytest
import timm
import torch
from torch.utils.data import DataLoader, TensorDataset

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "benchmarks/README.md",
    "benchmarks/FINDINGS.md",
    "benchmarks/SPEED.md",
    "integrations/README.md",
]


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
    exec(example, names)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2
    assert "'synthetic': 10.0" in printed[0]
    assert not torch.equal(model.fc.weight, before)


def test_code_comes_before_explanations() -> None:
    assert README.splitlines().index("```python") < 40


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_and_headings(document: str) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / document).parent / name if name else ROOT / document
        assert path.exists(), f"{document} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), flags=re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{document} links to {target}"
