"""The classifier that is fitted again: scikit-learn's own decision function is the oracle."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from imblearn.over_sampling import SMOTE
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from clesmote_losses import SMOTEDataset, rebalanced_head
from tests.support.gloo import in_two_processes
from tests.support.three_classes import data, network

COUNTS = {0: 60, 1: 20, 2: 9}


def colored(counts: dict[int, int] = COUNTS, seed: int = 0) -> TensorDataset:
    """Noise whose channel means tell the class, with overlap, in random order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.tensor(list(counts)), torch.tensor(list(counts.values())))
    labels = labels[torch.randperm(len(labels), generator=generator)]
    images = torch.randn(len(labels), 3, 32, 32, generator=generator)
    images += 0.5 * torch.randn(len(labels), 3, 1, 1, generator=generator)  # overlap
    images[torch.arange(len(labels)), labels % 3] += 0.5
    return TensorDataset(images, labels)


class Pooled(nn.Module):
    """A network of one's own whose embedding is easy to see: mean and deviation of each channel."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.dropout, self.head = nn.Dropout(0.5), head
        self.scale = nn.Parameter(torch.ones(6))

    def embed(self, images: Tensor) -> Tensor:
        return torch.cat([images.mean((2, 3)), images.std((2, 3))], dim=1) * self.scale

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.dropout(self.embed(images)))


def oracle(kind: str, classes: int, has_bias: bool = True) -> Any:
    if kind == "lda":
        classifier: Any = LinearDiscriminantAnalysis("lsqr", shrinkage="auto", priors=np.full(classes, 1 / classes))
    else:
        classifier = LogisticRegression(C=1e-3, class_weight="balanced", fit_intercept=has_bias, max_iter=2000)
    return make_pipeline(StandardScaler(with_mean=has_bias), classifier)


@torch.no_grad()
def embeddings_and_logits(model: Any, images: Tensor) -> tuple[np.ndarray, Tensor]:
    model = copy.deepcopy(model).eval()
    rows = model.forward_head(model.forward_features(images), pre_logits=True)
    return rows.flatten(1).double().numpy(), model(images)


@pytest.mark.parametrize("kind", ["logistic", "lda"])
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext"])
def test_logits_are_the_decision_function_of_scikit_learn(name: str, kind: Any) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=3, drop_rate=0.3, **({"img_size": 32} if "vit" in name else {}))
    images, labels = colored().tensors
    rows, before = embeddings_and_logits(model, images)
    scores = rebalanced_head(model.train(), TensorDataset(images, labels), kind)
    fitted = oracle(kind, 3).fit(rows, labels)
    _, logits = embeddings_and_logits(model, images)
    expected = torch.from_numpy(fitted.decision_function(rows))
    torch.testing.assert_close(logits.double(), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    recalls = [[(guess.argmax(1)[labels == c] == c).float().mean() for c in range(3)] for guess in (before, logits)]
    assert scores == pytest.approx([float(np.mean(recall)) for recall in recalls])
    assert scores.after > scores.before + 0.1


@pytest.mark.parametrize("kind", ["logistic", "lda"])
@pytest.mark.parametrize("head", [nn.Linear(6, 1), nn.Linear(6, 2)], ids=["one logit", "two logits"])
def test_two_classes_have_one_decision_function(head: nn.Linear, kind: Any) -> None:
    model, (images, labels) = Pooled(copy.deepcopy(head)), colored({0: 50, 1: 8}).tensors
    rebalanced_head(model, TensorDataset(images, labels), kind)
    rows = model.embed(images).detach().double().numpy()
    logits = model.eval()(images)
    found = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
    expected = oracle(kind, 2).fit(rows, labels).decision_function(rows)
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5)
    assert 0 < (expected > 0).mean() < 1


def test_without_a_bias_the_fit_goes_through_the_origin() -> None:
    model, (images, labels) = Pooled(nn.Linear(6, 3, bias=False)), colored().tensors
    rebalanced_head(model, TensorDataset(images, labels))
    rows = model.embed(images).detach().double().numpy()
    expected = oracle("logistic", 3, has_bias=False).fit(rows, labels).decision_function(rows)
    np.testing.assert_allclose(model.eval()(images).detach().numpy(), expected, atol=1e-5)


def test_a_convolution_before_the_pooling_is_written_in_its_own_shape() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=4), nn.ReLU(), nn.Conv2d(8, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    images, labels = colored().tensors
    rebalanced_head(model, TensorDataset(images, labels), classifier="2")
    assert model[2].weight.shape == (3, 8, 1, 1)
    rows = model[1](model[0](images)).mean((2, 3)).detach().double().numpy()
    expected = oracle("logistic", 3).fit(rows, labels).decision_function(rows)
    np.testing.assert_allclose(model(images).detach().numpy(), expected, atol=1e-5)


def test_only_the_classifier_changes_and_all_states_stay() -> None:
    model, train_set = network(), data()
    model.bn1.eval()
    model.fc.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = {name: part.training for name, part in model.named_modules()}
    state = torch.get_rng_state()
    weight = model.fc.weight
    rebalanced_head(model, train_set)
    assert torch.equal(torch.get_rng_state(), state)
    assert {name: part.training for name, part in model.named_modules()} == modes
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"fc.weight", "fc.bias"}
    assert model.fc.weight is weight
    assert [parameter.requires_grad for parameter in model.fc.parameters()] == [False, True]
    assert not model.fc._forward_pre_hooks


def test_a_checkpoint_of_the_new_head_is_one_of_timm(tmp_path: Path) -> None:
    model = network()
    rebalanced_head(model, data())
    torch.save(model.state_dict(), tmp_path / "head.pth")
    again = timm.create_model("test_resnet", num_classes=3, checkpoint_path=str(tmp_path / "head.pth"))
    images = data().tensors[0]
    assert torch.equal(again.eval()(images), model.eval()(images))


def test_all_real_images_of_a_smote_set_are_read_and_no_synthetic_one() -> None:
    model, base = network(), data()
    expected = copy.deepcopy(model)
    rebalanced_head(expected, base)
    train_set = SMOTEDataset(base, sampler=SMOTE(k_neighbors=3, random_state=0))
    assert train_set.is_synthetic.sum() > 40
    loader = DataLoader(train_set, batch_size=64)
    for given in (train_set, loader, SMOTEDataset(base, sampler=SMOTE(k_neighbors=3, random_state=0), flag="item")):
        own = copy.deepcopy(model)
        rebalanced_head(own, given)
        torch.testing.assert_close(own.fc.weight, expected.fc.weight, rtol=1e-3, atol=1e-4)


def test_the_transform_replaces_the_training_transform() -> None:
    images, labels = data().tensors
    model = network()
    expected = copy.deepcopy(model)
    rebalanced_head(expected, TensorDataset(images * 2, labels))
    train_set = SMOTEDataset(
        data(), sampler=SMOTE(k_neighbors=3, random_state=0), transform=lambda image: torch.randn_like(image)
    )
    rebalanced_head(model, train_set, transform=lambda image: image * 2)
    assert torch.equal(model.fc.weight, expected.fc.weight)


def test_scores_are_those_of_the_validation_set_if_there_is_one() -> None:
    model, held = Pooled(nn.Linear(6, 3)), colored(seed=1)
    own = rebalanced_head(copy.deepcopy(model), colored())
    scores = rebalanced_head(model, colored(), validation_set=held)
    predicted = model.eval()(held.tensors[0]).argmax(1)
    recall = [float((predicted[held.tensors[1] == c] == c).float().mean()) for c in range(3)]
    assert scores.after == pytest.approx(np.mean(recall)) != own.after


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_dtype_of_the_weights_is_kept(dtype: torch.dtype) -> None:
    model, exact = network().to(dtype), network()
    rebalanced_head(model, data())
    rebalanced_head(exact, data())
    assert model.fc.weight.dtype == model.fc.bias.dtype == dtype
    similarity = torch.cosine_similarity(model.fc.weight.float().flatten(), exact.fc.weight.flatten(), dim=0)
    assert similarity > 0.97


def test_wrapped_models_get_the_same_head() -> None:
    expected = network()
    rebalanced_head(expected, data())
    for wrap in (nn.DataParallel, lambda model: torch.compile(model, backend="eager")):
        model = network()
        wrapped = wrap(model)
        wrapped(data().tensors[0][:4])  # a compiled model that has run ignores new hooks
        model.load_state_dict(network().state_dict())  # the batch norm of that pass
        rebalanced_head(wrapped, data())
        assert torch.equal(model.fc.weight, expected.fc.weight)


def test_ignored_labels_are_left_out() -> None:
    images, labels = data().tensors
    expected, model = network(), network()
    rebalanced_head(expected, Subset(data(), range(5, len(labels))))
    labels[:5] = -100
    rebalanced_head(model, TensorDataset(images, labels))
    torch.testing.assert_close(model.fc.weight, expected.fc.weight, rtol=1e-3, atol=1e-4)


def two_ranks(rank: int) -> tuple[Tensor, Any]:
    model = network()
    scores = rebalanced_head(nn.parallel.DistributedDataParallel(model), data())
    return model.fc.weight.detach(), scores


def failing_rank(rank: int) -> str:
    with pytest.raises(ValueError, match=r"no real image of \[2\]") as error:
        rebalanced_head(network(), Subset(data(), np.flatnonzero(data().tensors[1] < 2).tolist()))
    return str(error.value)


def test_two_ranks_share_the_images_and_get_the_head_of_one_process(tmp_path: Path) -> None:
    model = network()
    scores = rebalanced_head(model, data())
    for weight, found in in_two_processes(two_ranks, tmp_path):
        torch.testing.assert_close(weight, model.fc.weight.detach(), rtol=1e-3, atol=1e-5)
        assert found == scores


def test_no_rank_waits_for_one_that_refuses(tmp_path: Path) -> None:
    assert all("no real image of [2]" in message for message in in_two_processes(failing_rank, tmp_path))


class Cosine(nn.Linear):
    def forward(self, rows: Tensor) -> Tensor:
        return nn.functional.linear(nn.functional.normalize(rows), nn.functional.normalize(self.weight), self.bias)


def with_nan(index: int) -> TensorDataset:
    images, labels = data().tensors
    images[index, 0, 0, 0] = torch.nan
    return TensorDataset(images, labels)


def squeezenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=4), nn.Conv2d(8, 3, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


@pytest.mark.parametrize(
    ("model", "train_set", "options", "message"),
    [
        (Pooled(Cosine(6, 3)), colored(), {}, r"must return the output of its classifier.*differ from them"),
        (nn.Sequential(Pooled(nn.Linear(6, 3)), nn.Softmax(1)), colored(), {"classifier": "0.head"}, "softmax, scale"),
        (squeezenet(), colored(), {"classifier": "1"}, "must return the output of its classifier"),
        (Pooled(nn.utils.parametrizations.weight_norm(nn.Linear(6, 3))), colored(), {}, "remove_parametrizations"),
        (Pooled(nn.utils.spectral_norm(nn.Linear(6, 3))), colored(), {}, "computed from other parameters"),
        (Pooled(nn.Bilinear(6, 6, 3)), colored(), {}, "must be an nn.Linear or a convolution of size 1"),
        (Pooled(nn.Linear(6, 3, bias=False)), colored(), {"kind": "lda"}, 'kind="lda" needs a classifier with a bias'),
        (Pooled(nn.Linear(6, 4)), colored(), {}, r"4 classes, and the training set no real image of \[3\]"),
        (Pooled(nn.Linear(6, 2)), colored(), {}, "label 2 is out of range for the 2 classes"),
        (network(), with_nan(7), {}, r"embeddings of 1 of 61 images hold NaN or infinity; the first is image 7"),
        (network(), TensorDataset(torch.empty(0, 3, 32, 32), torch.empty(0).long()), {}, "there is no image"),
        (network(), data(), {"kind": "svm"}, r"kind must be one of \('logistic', 'lda'\); got 'svm'"),
        (network(), data(), {"C": 0}, "C must be positive; got 0"),
        (
            timm.create_model("deit_tiny_distilled_patch16_224", num_classes=3, img_size=32, depth=1),
            data(),
            {},
            "2 classifiers whose logits are combined",
        ),
    ],
)
def test_what_cannot_be_written_is_refused_and_the_model_stays(
    model: nn.Module, train_set: Any, options: dict[str, Any], message: str
) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        rebalanced_head(model, train_set, **options)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_weights_that_overflow_in_half_precision_are_refused() -> None:
    model = Pooled(nn.Linear(6, 3))
    model.scale.data *= 1e-7
    with pytest.raises(ValueError, match=r"do not fit into torch.float16"):
        rebalanced_head(model.half().to(torch.float16), colored(), C=1e3)
