"""What :func:`inspect_synthetic` found: tables, embeddings, and the pages that are made of them."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clesmote_losses.inspection.suspicion import DoubtAccuracy
from clesmote_losses.smote.dataset import SMOTEDataset
from clesmote_losses.smote.transform_probe import Transform

if TYPE_CHECKING:
    from pandas import DataFrame

    from clesmote_losses.inspection.embedding_map import Method

Path = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Inspection:
    """What a network makes of each synthetic sample and of its parents, as tables.

    Losses and caps are in nats, with the criterion's class weights and smoothing: a synthetic sample is capped where its
    ``loss`` is above its ``cap``.

    Attributes:
        table: One row for each synthetic sample. ``index`` in the training set, ``class``, ``base`` and ``neighbor`` (its
            parents, indices of real images), ``lam`` (weight of the neighbour), ``loss``, ``cap``, ``capped``, ``distance`` to
            the centroid of its class, ``nearest_class`` (the *other* class whose centroid is nearest, -1 for none), and
            ``base_loss``, ``neighbor_loss``, ``base_cap`` and ``neighbor_cap`` of its parents.
        real: One row for each real image that was run. ``index``, ``file`` (``None`` where the data set knows none), ``class``,
            ``loss``, ``cap`` (what it would be), ``distance``, ``nearest_class``, ``oversampled`` (its class is over-sampled),
            ``capped_blends`` (share of the synthetic samples made with it that are capped, NaN if there are none),
            ``suspicion`` and ``likely_class`` (see :meth:`suspects`; NaN and -1 where the class is not over-sampled).
        real_embeddings: Rows of ``real``, float32, shape ``(R, D)``.
        synthetic_embeddings: Rows of ``table``, float32, shape ``(S, D)``.
        centroids: Mean embedding of each class, float32, shape ``(C, D)``; NaN where no image was run.
        doubt_accuracy: How well the classifier behind ``suspicion`` finds the labels of all classes; ``None`` if nothing is
            checked.
        class_names: Name of each class.
        beta: Noise tolerance of the caps.
        distance: Distance that gives the cap; ``None`` for a constant one.
        loss_options: ``gradient``, ``capped``, ``warmup_epochs`` and ``label_smoothing`` of the criterion, and whether it has
            a ``weight`` and a ``logit_adjustment``; empty without a criterion.
        network: Name of the network and its number of parameters.
        train_set: The training set.
        transform: What replaced its transform; ``None`` if nothing did.
        history: ``criterion.history``, or ``None``.
    """

    table: "DataFrame"
    real: "DataFrame"
    real_embeddings: NDArray[np.float32]
    synthetic_embeddings: NDArray[np.float32]
    centroids: NDArray[np.float32]
    doubt_accuracy: DoubtAccuracy | None
    class_names: Sequence[str]
    beta: float
    distance: str | None
    loss_options: Mapping[str, Any]
    network: str
    train_set: SMOTEDataset
    transform: Transform | None
    history: Any

    @property
    def known(self) -> NDArray[np.bool_]:
        """Return which classes have a centroid, bool, shape ``(C,)``."""
        return np.asarray(~np.isnan(self.centroids).any(axis=1))

    def suspects(self) -> "DataFrame":
        """Return the real images of the over-sampled classes, those with the most doubtful label first.

        The score is one less the probability of the label, by a balanced logistic regression on the embeddings of the other
        images (five folds; a patient of ``groups=`` is in one). A label is doubtful where ``likely_class``, the most probable
        class, is another; a score alone does not say so with more than two classes, and it is no calibrated probability. With
        many classes the regression sees some images of each; with more (about 300 of width 2048) there is no score. Look at the
        images before you change a label: rare kinds of a class come early too.

        **How well it finds wrong labels.** 100 images of a rare class, 10 or 30 of them mislabelled, and 500 of another; three
        pairs of classes of photographs and X-rays. Precision at n (n = number of wrong labels) with frozen features of
        EfficientNet-Lite0: 0.74 (chance 0.20, loss 0.52, capped blends 0.43). It fails where classes look alike to the network:
        of 10 dogs labelled as cats it found four. With a small network trained from scratch (one seed) it was no better than
        the loss (0.51 and 0.50). The score was chosen on these data, and wrong labels came from *one* class.
        Classes with sub-conditions were not tried. See ``benchmarks/FINDINGS.md``.

        Returns:
            ``index``, ``file``, ``class``, ``class_name``, ``score`` (the doubt, in ``[0, 1]``), ``likely_class`` with
            ``likely_class_name`` (the most probable class, -1 where there is no score), and what may explain it:
            ``nearest_class`` with ``nearest_class_name``, ``loss``, ``distance`` and ``capped_blends`` as in :attr:`real`.
        """
        found = self.real[self.real["oversampled"]].rename(columns={"suspicion": "score"})
        found = found.sort_values(["score", "loss"], ascending=False, ignore_index=True)
        names = [*map(str, self.class_names), ""]  # the last for -1
        for column in ("class", "likely_class", "nearest_class"):
            found[f"{column}_name"] = [names[label] for label in found[column]]
        explained = ["nearest_class", "nearest_class_name", "loss", "distance", "capped_blends"]
        return found[["index", "file", "class", "class_name", "score", "likely_class", "likely_class_name", *explained]]

    def gallery(self, path: Path) -> None:
        """Draw capped and trusted blends beside their parents; see :func:`~clesmote_losses.inspection.gallery.draw_gallery`."""
        from clesmote_losses.inspection.gallery import draw_gallery

        draw_gallery(self, path)

    def embedding_map(self, path: Path, *, method: "Method" = "pca") -> None:
        """Draw all embeddings in a plane; see :func:`~clesmote_losses.inspection.embedding_map.draw_embedding_map`."""
        from clesmote_losses.inspection.embedding_map import draw_embedding_map

        draw_embedding_map(self, path, method=method)

    def report(self, path: Path) -> None:
        """Write one HTML file; see :func:`~clesmote_losses.inspection.report.write_report`."""
        from clesmote_losses.inspection.report import write_report

        write_report(self, path)
