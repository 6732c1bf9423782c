"""Fit the classifier of a trained network again, on the embeddings of the real images, with all classes of equal weight."""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from clesmote_losses.batches import batches_of
from clesmote_losses.classifier import Classifier, classifier_layers, unwrap
from clesmote_losses.distributed import from_rank_0, is_sharded
from clesmote_losses.embedded_images import EmbeddedImages, embed_images, gather_images
from clesmote_losses.embeddings import EmbeddingHook
from clesmote_losses.errors import Argument, ArgumentError, check_choice
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.smote.transform_probe import Transform

Kind = Literal["logistic", "lda"]
_LINEAR = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


class HeadScores(NamedTuple):
    """Balanced accuracy (mean recall of the classes) with the classifier as it was, and with the new one."""

    before: float
    after: float


def rebalanced_head(
    model: nn.Module,
    train_set: Dataset[Any] | Iterable[Any],
    kind: Kind = "logistic",
    *,
    C: float = 1e-3,
    classifier: Classifier | None = None,
    validation_set: Dataset[Any] | Iterable[Any] | None = None,
    transform: Transform | None = None,
    batch_size: int = 64,
    num_workers: int = 0,
) -> HeadScores:
    """Fit the model's classifier again after training, balanced, and write it into the model in place.

    The network stays as it is, and so do its checkpoints and exports: only the numbers in ``weight`` and ``bias`` of the
    classifier change. Afterwards the softmax of the logits (the sigmoid of a single one) is the probability *for classes of
    equal frequency*, not for those of the training set.

    This is classifier re-training (cRT, Kang et al. 2020, https://arxiv.org/abs/1910.09217), with scikit-learn in place of
    epochs. All embeddings are held in memory, in float64. Under ``torch.distributed`` every rank calls it: each embeds its
    share (a loader should yield the rank's own), rank 0 fits, and all get the same classifier. Training mode and random
    number generators are left as they were.

    Args:
        model: Trained network, which may be wrapped by DDP or ``torch.compile``. Its classifier is an ``nn.Linear`` or a
            convolution of size 1, and its output is that of the classifier: one logit for each class, or a single one for two.
        train_set: The images to learn from. All real images of a :class:`SMOTEDataset`; or a data set or loader of batches as
            :meth:`ClassCentroidTracker.refresh` takes it. Synthetic and ignored samples are left out.
        kind: ``"logistic"``: ``LogisticRegression(class_weight="balanced")``. ``"lda"``: ``LinearDiscriminantAnalysis`` with
            shrinkage by Ledoit and Wolf, and equal priors. Both on standardised embeddings.
        C: Inverse strength of the penalty of ``"logistic"``, as in scikit-learn, whose own 1.0 fits the few images of a rare
            class so closely that a test finds fewer of its images. It is not chosen by cross-validation, since the network
            has seen all training images.
        classifier: The layer, or its name; by default found as by :class:`ClassCentroidTracker`.
        validation_set: Images to measure the scores on, of the same kinds; by default those that were fitted, which flatters.
        transform: Replaces the transform of the data sets. Pass the evaluation transform, without augmentation.
        batch_size, num_workers: Options for a data set; a loader has its own.

    Returns:
        Balanced accuracy before and after.

    Raises:
        TypeError, ValueError: If the classifier is not linear in its input, its output is not that of the model, a class has no
            image, an embedding is not finite, or the data are of another kind. The model is unchanged then.

    Example:
        >>> model = timm.create_model("test_resnet", num_classes=2)
        >>> train_set = TensorDataset(torch.rand(24, 3, 32, 32), torch.tensor([0] * 20 + [1] * 4))
        >>> scores = rebalanced_head(model, train_set)
        >>> bool(scores.after >= 0.5)
        True
    """
    check_choice("kind", kind, get_args(Kind))
    if not C > 0:
        raise ValueError(f"C must be positive; got {C}.")
    model = unwrap(model)
    layer = writable_classifier(model, kind, classifier)

    with EmbeddingHook(model, layer) as hook:

        def embed(data: Any) -> EmbeddedImages:
            own = transform
            if isinstance(data, SMOTEDataset):
                data, own = data.real_subset(transform=transform), None
            batches = batches_of(data, own, batch_size=batch_size, num_workers=num_workers)
            return gather_images(embed_images(hook, batches, len(layer.weight)))

        images = embed(train_set)
        measured = images if validation_set is None else embed(validation_set)

    def fit() -> tuple[Tensor, Tensor, HeadScores]:
        _check_linear(images, layer)
        known, held = (_labelled(part, layer) for part in (images, measured))
        if missing := sorted(set(range(_num_classes(layer))) - set(known.labels.tolist())):
            raise ValueError(
                f"the classifier has {_num_classes(layer)} classes, and the training set no real image of {missing}: their logits "
                "cannot be fitted. Pass a training set with images of every class, or make the model for the classes that there are."
            )
        weight, bias = (torch.from_numpy(part).to(layer.weight.dtype) for part in _fit(known, layer, kind, C))
        if not (weight.isfinite().all() and bias.isfinite().all()):
            raise ValueError(
                f"the new weights do not fit into {weight.dtype}: some embeddings hardly vary. Call model.float() first."
            )
        after = held.embeddings.astype(np.float64) @ weight.double().numpy().T + bias.double().numpy()
        scores = HeadScores(_balanced_accuracy(held.logits, held.labels), _balanced_accuracy(after, held.labels))
        return weight, bias, scores

    weight, bias, scores = from_rank_0(fit)
    with torch.no_grad():
        layer.weight.copy_(weight.view_as(layer.weight))
        if layer.bias is not None:
            layer.bias.copy_(bias)
    return scores


def writable_classifier(model: nn.Module, kind: Kind, classifier: Classifier | None = None) -> Any:
    """Return the classifier, if new numbers in its ``weight`` and ``bias`` make it another linear classifier.

    Raises:
        ValueError: If they do not.
    """
    layers = classifier_layers(model, classifier)
    if len(layers) > 1:
        raise ValueError(
            f"{type(model).__name__} has {len(layers)} classifiers whose logits are combined ({layers}); one balanced classifier "
            "cannot be written into several."
        )
    layer: Any = layers[0]
    if (
        not isinstance(layer, _LINEAR)
        or layer.weight[0].numel() != layer.weight.shape[1]
        or getattr(layer, "groups", 1) > 1
    ):
        raise ValueError(
            f"the classifier must be an nn.Linear or a convolution of size 1; got {layer}. Pass classifier=, the layer that makes logits."
        )
    if not all(isinstance(layer._parameters.get(name, 0), nn.Parameter | None) for name in ("weight", "bias")):
        raise ValueError(
            f"the weight of {layer} is computed from other parameters (parametrisation, weight norm or pruning), so it cannot be written. "
            "Remove that first, such as by torch.nn.utils.parametrize.remove_parametrizations."
        )
    if kind == "lda" and layer.bias is None:
        raise ArgumentError(
            "kind", Argument("kind", '"lda"'), f" needs a classifier with a bias, and {layer} has none."
        )
    if is_sharded(model):
        raise ValueError(
            "the weights are spread over the ranks by FSDP. Load them into an unwrapped model, and pass that."
        )
    return layer


def _num_classes(layer: Any) -> int:
    return max(2, len(layer.weight))


def _check_linear(images: EmbeddedImages, layer: Any) -> None:
    """Check that the model's logits are ``weight @ embedding + bias``, or a new weight would mean something else."""
    weight = layer.weight.detach().double().flatten(1).cpu().numpy()
    bias = 0 if layer.bias is None else layer.bias.detach().double().cpu().numpy()
    rows = images.embeddings.astype(np.float64)
    if bad := np.flatnonzero(~np.isfinite(rows).all(1)).tolist():
        raise ValueError(
            f"the embeddings of {len(bad)} of {len(rows)} images hold NaN or infinity; the first is image {bad[0]}, in the order of reading. "
            "Look at this image after its transform, and at the weights of the model."
        )
    what = f"no logits of shape (N, {len(weight)})"
    if images.logits.shape[1]:
        expected = rows @ weight.T + bias
        difference, size = np.abs(images.logits - expected).max(), np.abs(expected).max()
        if difference <= 0.02 * size:  # half precision and TF32 round
            return
        what = f"logits that differ from them by up to {difference:.3g}"
    raise ValueError(
        f"the model must return the output of its classifier {layer}; it returns {what}. If something comes after the "
        "classifier (softmax, scale, another layer), take it off, or pass classifier=, the layer that makes logits."
    )


def _labelled(images: EmbeddedImages, layer: Any) -> EmbeddedImages:
    """Leave out ignored and synthetic images."""
    kept = EmbeddedImages(*(part[images.labels >= 0] for part in images))
    if (largest := max(kept.labels, default=-1)) >= _num_classes(layer):
        raise ValueError(
            f"label {largest} is out of range for the {_num_classes(layer)} classes of the classifier. Labels are counted from 0."
        )
    return kept


def _fit(images: EmbeddedImages, layer: Any, kind: Kind, strength: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return weight ``(outputs, D)`` and bias ``(outputs,)`` of a balanced classifier, float64."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    classes, has_bias = _num_classes(layer), layer.bias is not None
    scaler = StandardScaler(with_mean=has_bias)
    rows = scaler.fit_transform(images.embeddings.astype(np.float64))
    if kind == "logistic":
        estimator: Any = LogisticRegression(C=strength, class_weight="balanced", fit_intercept=has_bias, max_iter=2000)
    else:
        estimator = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=np.full(classes, 1 / classes))
    estimator.fit(rows, images.labels)
    weight = estimator.coef_ / scaler.scale_
    bias = np.zeros(len(weight))
    if has_bias:
        bias = estimator.intercept_ - weight @ scaler.mean_
    if len(weight) == 1 and len(layer.weight) == 2:  # scikit-learn has one function for two classes
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias


def _balanced_accuracy(logits: NDArray[Any], labels: NDArray[np.int64]) -> float:
    predicted = logits.argmax(1) if logits.shape[1] > 1 else logits[:, 0] > 0
    return float(np.mean([(predicted[labels == label] == label).mean() for label in np.unique(labels)]))
