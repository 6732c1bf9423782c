"""The synthetic flag in the target."""

from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import torchmetrics
from sklearn.metrics import accuracy_score, f1_score
from timm.data.loader import fast_collate
from torch.utils.data import default_collate
from torchvision.ops import sigmoid_focal_loss

from clesmote_losses import decode_target, encode_target

LABELS = [0, 1, 99, 2**30 - 1]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("flag", [False, True])
def test_decoding_undoes_encoding_of_an_int(label: int, flag: bool) -> None:
    target = encode_target(label, flag)
    assert type(target) is int
    assert decode_target(target) == (label, flag)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_decoding_undoes_encoding_of_a_tensor(dtype: torch.dtype) -> None:
    labels = torch.tensor([[0, 1, 99], [7, 0, 255]]).to(dtype)
    flags = torch.tensor([[False, True, True], [False, True, True]])
    target = encode_target(labels, flags)
    assert target.dtype == torch.int64
    decoded, is_synthetic = decode_target(target)
    assert torch.equal(decoded, labels.long())
    assert torch.equal(is_synthetic, flags)


def test_decoding_undoes_encoding_of_an_array() -> None:
    labels, flags = np.array([0, 5, 5], dtype=np.int32), np.array([True, False, True])
    decoded, is_synthetic = decode_target(encode_target(labels, flags))
    np.testing.assert_array_equal(decoded, labels)
    np.testing.assert_array_equal(is_synthetic, flags)
    assert encode_target(labels, flags).dtype == np.int64


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_plain_labels_of_narrow_dtypes_decode_to_themselves(dtype: torch.dtype) -> None:
    labels = torch.tensor([0, 1, 100], dtype=dtype)
    for given in (labels, labels.numpy()):
        decoded, is_synthetic = decode_target(given)
        assert decoded.tolist() == [0, 1, 100]
        assert not is_synthetic.any()


def test_one_flag_serves_a_whole_tensor() -> None:
    assert decode_target(encode_target(torch.arange(3), True))[1].all()


def test_a_real_target_is_the_label_itself_and_an_ignored_one_stays_ignored() -> None:
    labels = torch.tensor([3, -100, -1])
    target = encode_target(labels, False)
    assert torch.equal(target, labels)
    decoded, is_synthetic = decode_target(target)
    assert torch.equal(decoded, labels)
    assert not is_synthetic.any()


@pytest.mark.parametrize("label", [0, np.array([1, 0]), torch.tensor([1, 0])], ids=["int", "array", "tensor"])
@pytest.mark.parametrize("flag", [False, True])
def test_a_synthetic_target_of_class_0_cannot_be_encoded_again(label: Any, flag: bool) -> None:
    target = encode_target(label, True)
    assert target == 2**30 if isinstance(label, int) else target[1] == 2**30
    with pytest.raises(ValueError, match=r"label must be in \[0, 2\*\*30\).*encoded already"):
        encode_target(target, flag)


@pytest.mark.parametrize("collate", [default_collate, fast_collate])
def test_the_flag_survives_the_collate_functions_of_torch_and_timm(collate: object) -> None:
    batch = [(np.zeros((3, 4, 4), np.uint8), encode_target(label, label % 2 == 1)) for label in range(4)]
    _, target = collate(batch)  # type: ignore[operator]
    label, is_synthetic = decode_target(target)
    assert label.tolist() == [0, 1, 2, 3]
    assert is_synthetic.tolist() == [False, True, False, True]


SCORES = torch.tensor([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 1.0]])
TRUTH = torch.tensor([0, 1, 1, 1])
TARGET = encode_target(TRUTH, torch.tensor([False, True, False, True]))
LOUD = {
    "cross-entropy": lambda y: F.cross_entropy(SCORES, y),
    "cross-entropy with smoothing": lambda y: F.cross_entropy(SCORES, y, label_smoothing=0.1),
    "NLL": lambda y: F.nll_loss(SCORES, y),
    "one-hot": lambda y: F.one_hot(y, 2),
    "an index": lambda y: SCORES.gather(1, y[:, None]),
    "timm's label smoothing": lambda y: timm.loss.LabelSmoothingCrossEntropy()(SCORES, y),
    "timm's BCE": lambda y: timm.loss.BinaryCrossEntropy()(SCORES, y),
}
SILENT = {
    "BCE with logits": lambda y: F.binary_cross_entropy_with_logits(SCORES[:, 1], y.float()),
    "MSE": lambda y: F.mse_loss(SCORES[:, 1], y.float()),
    "sigmoid focal loss": lambda y: sigmoid_focal_loss(SCORES[:, 1], y.float(), reduction="mean"),
    "accuracy": lambda y: (SCORES.argmax(1) == y).float().mean(),
    "timm's accuracy": lambda y: timm.utils.accuracy(SCORES, y)[0],
    "torchmetrics' accuracy": lambda y: torchmetrics.functional.accuracy(SCORES, y, "multiclass", num_classes=2),
    "torchmetrics' AUROC": lambda y: torchmetrics.functional.auroc(
        F.pad(SCORES, (0, 1)), y, "multiclass", num_classes=3
    ),
    "scikit-learn's accuracy": lambda y: accuracy_score(y, SCORES.argmax(1)),
    "scikit-learn's F1": lambda y: f1_score(y, SCORES.argmax(1), average="macro"),
}


_IMPORTS_LONG = "torchmetrics' AUROC"


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name == _IMPORTS_LONG)) for name in (*LOUD, *SILENT)],
)
def test_what_does_not_decode_is_loud_or_silent_as_the_module_says_and_right_after_decoding(name: str) -> None:
    consume: Any = {**LOUD, **SILENT}[name]
    label, _ = decode_target(TARGET)
    assert torch.equal(torch.as_tensor(consume(label)), torch.as_tensor(consume(TRUTH)))
    if name in LOUD:
        with pytest.raises((IndexError, RuntimeError)):
            consume(TARGET)
    else:
        assert abs(consume(TARGET) - consume(TRUTH)) > 0.05


def test_decoding_compiles_without_a_graph_break() -> None:
    target = encode_target(torch.tensor([0, 4, -100]), torch.tensor([True, False, False]))
    compiled = torch.compile(decode_target, fullgraph=True, backend="eager")
    for ours, plain in zip(compiled(target), decode_target(target), strict=True):
        assert torch.equal(ours, plain)
