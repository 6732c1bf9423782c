"""One cell of the study: wrong labels are planted, a network is trained on them, and each candidate ranks the images."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from benchmarks.data.cifar10 import load_cifar10
from benchmarks.data.experiments import of_classes
from benchmarks.data.image_folder import kermany_patient, load_image_folder
from benchmarks.data.source import Source
from benchmarks.methods.networks import CONVNET, embedding_layer
from benchmarks.methods.pretrained import Weights
from benchmarks.methods.registry import METHODS
from benchmarks.suspects.candidates import all_scores, precision
from benchmarks.training.controlled import Settings, features_name
from benchmarks.training.evaluation import to_input
from benchmarks.training.frozen import FrozenFeatures
from benchmarks.training.run import Record, Run
from benchmarks.training.training_images import TrainingData
from clesmote_losses import ClassCentroidTracker, inspect_synthetic

# data, the frequent class, and the rare one, whose label some images of the frequent class get
PAIRS = {
    "automobile": ("cifar10", "airplane", "automobile"),
    "cat": ("cifar10", "dog", "cat"),
    "virus": ("x-rays", "normal", "virus"),
}
FREQUENT, RARE = 500, 100  # images
_METHOD = METHODS["class-cosine-cap"]
_FROZEN = "tf_efficientnet_lite0"


@dataclass(frozen=True)
class Network:
    """A network of the study.

    Attributes:
        settings: How it is trained.
        sizes: Height and width of the images of each data set, in pixels.
    """

    settings: Settings
    sizes: dict[str, int]


def networks(weights: Path | None) -> dict[str, Network]:
    """Return the networks by name; the frozen one needs pretrained weights."""
    convnet = Settings(model=CONVNET, steps=300, epochs=1, validate=False)
    found = {"convnet": Network(convnet, {"cifar10": 32, "x-rays": 64})}
    if weights is not None:
        frozen = replace(convnet, model=_FROZEN, weights=Weights.read(weights), frozen=True)
        found["frozen"] = Network(frozen, {"cifar10": 96, "x-rays": 96})
    return found


@lru_cache(maxsize=1)
def _source(data: str, folder: Path, classes: tuple[str, ...], size: int) -> Source:
    if data == "cifar10":
        source = load_cifar10(folder, classes, image_size=size)
    else:
        source = load_image_folder(folder, classes, image_size=size, mode="L", patient_of=kermany_patient)
    return replace(source, tests={})  # nothing is tested


def make_run(pair: str, network: Network, folder: Path, share: float, seed: int) -> Run:
    """Lay out a run.

    Args:
        pair: A name of :data:`PAIRS`.
        network: What is trained.
        folder: Of the data of the pair.
        share: Of the rare class's images whose label is wrong.
        seed: Of images, weights and batches.
    """
    data, *classes = PAIRS[pair]
    source = _source(data, folder, tuple(classes), network.sizes[data])
    experiment = of_classes(pair, dict(zip(classes, (FREQUENT, RARE), strict=True)))
    return Run("suspects", source, replace(experiment, label_noise=share), _METHOD, network.settings, seed)


def make_record(run: Run) -> Record:
    """Train, inspect, and score the candidates."""
    trial = run.draw()
    names = list(run.experiment.counts)
    places = np.array([run.source.strata.index(name) for name in names])
    truth = run.source.stratum[trial.train.indices]
    is_wrong = (truth != places[trial.train.strata])[trial.train.labels == 1]
    scores: dict[str, NDArray[np.float64]] = {}
    settings = run.settings
    assert isinstance(settings, Settings)

    def look(model: nn.Module, data: TrainingData) -> dict[str, NDArray[Any]]:
        assert data.dataset is not None
        model = _Remembering(model, settings) if settings.frozen else model
        with ClassCentroidTracker(model, len(names), classifier=embedding_layer(settings.model)) as tracker:
            inspection = inspect_synthetic(model, data.dataset, tracker=tracker, beta=_METHOD.beta, transform=_as_input)
        scores.update(all_scores(inspection))
        scores["suspects()"] = inspection.real["suspicion"][inspection.real["oversampled"]].to_numpy()
        return {}

    line, _ = run.make(torch.device("cpu"), look=look)
    return {
        **{key: line[key] for key in ("id", "config", "share_capped", "environment")},
        "wrong": int(is_wrong.sum()),
        "images": len(is_wrong),
        "precision": {name: round(precision(values, is_wrong), 4) for name, values in scores.items()},
        "auroc": {name: round(float(roc_auc_score(is_wrong, values)), 4) for name, values in scores.items()},
    }


class _Remembering(nn.Module):
    """A frozen network that computes no image again whose features the training has computed."""

    def __init__(self, network: nn.Module, settings: Settings) -> None:
        super().__init__()
        device = next(network.parameters()).device
        self.features = FrozenFeatures(network, features_name(settings, device))
        self.fc = self.features.head.fc

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images that :func:`to_input` has made."""
        values = ((images + 1) * 127.5).round().to(torch.uint8)
        logits: Tensor = self.fc(self.features(values.permute(0, 2, 3, 1).contiguous().cpu().numpy()))
        return logits


def _as_input(image: NDArray[np.uint8]) -> Tensor:
    return to_input(torch.from_numpy(image).permute(2, 0, 1))
