"""Pre-head embeddings of any classification network, from a hook on its classifier: no second forward pass."""

import sys
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from clesmote_losses.before_dropout import dropout_in_sequence, finding_sources
from clesmote_losses.classifier import Classifier, classifier_layers, unwrap
from clesmote_losses.classifier import find_classifier as find_classifier  # earlier import path
from clesmote_losses.listener import Listener
from clesmote_losses.restore import preserved_modes, preserved_rng


def _hint_at_compilation() -> str:
    """Return another possible cause of missing embeddings, if anything was compiled in this process."""
    if "torch._dynamo" not in sys.modules:
        return ""
    return (
        " Was a model of the same kind compiled in this process without a tracker? torch does not check hooks and runs that code here "
        "too. Set torch._dynamo.config.skip_nnmodule_hook_guards = False before compiling either model."
    )


class EmbeddingHook:
    """Keep the embeddings of the model's last forward pass until :meth:`detach`; a context manager.

    The embedding is the input of the classifier, shape ``(N, D)``. A feature map (for a classifier that is a 1x1
    convolution) is averaged over its positions. The embeddings of several heads are concatenated.

    Dropout right before the classifier is left out: in an ``nn.Sequential`` at once, elsewhere (timm's ``drop_rate``) after
    one forward pass inside :meth:`looking_for_dropout`.

    Copies of the model hold no hook. A copy of the hook listens to the copy of the model that is made with it. Detach it
    before exporting or scripting the model itself.

    Args:
        model: Network. It may be wrapped by DDP, or by ``torch.compile`` if it has not run yet.
        classifier: The layer or layers whose input is the embedding, or the name of one; by default those that
            :func:`find_classifier` finds.
        num_classes: Number of classes, for :func:`find_classifier`.

    Raises:
        ValueError: If no classifier is found, or the model has no layer of that name.
    """

    def __init__(
        self, model: nn.Module, classifier: Classifier | None = None, *, num_classes: int | None = None
    ) -> None:
        self.model = unwrap(model)
        layers = classifier_layers(self.model, classifier, num_classes)
        self._has_looked = False  # for dropout, by find_dropout
        self._listeners = [Listener(layer, dropout_in_sequence(self.model, layer)) for layer in layers]

    @property
    def layers(self) -> list[nn.Module]:
        """The layers whose input is the embedding."""
        return [listener.layer for listener in self._listeners]

    def looking_for_dropout(self) -> AbstractContextManager[None]:
        """Run one forward pass in evaluation mode in the body: afterwards embeddings are read before dropout.

        Warns:
            UserWarning: If there is dropout right before the classifier, and no module before it to read the embedding from.
        """
        return finding_sources(self.model, self._listeners)

    @torch.no_grad()
    def find_dropout(self, images: Tensor) -> None:
        """Embed images in evaluation mode inside :meth:`looking_for_dropout`, the first time; states stay as they were."""
        if self._has_looked:
            return
        with preserved_rng(), preserved_modes(self.model), self.looking_for_dropout():
            self.model.eval()(images)
        self._has_looked = True
        self.clear()

    @property
    def embeddings(self) -> Tensor:
        """Embeddings of the last forward pass, float, shape ``(N, D)``, with their autograd graph.

        Raises:
            RuntimeError: If there was no forward pass since the hook was set or cleared.
        """
        parts = [_flatten(heard.layer, heard.input) for heard in self._listeners if heard.input is not None]
        if not parts:
            raise RuntimeError(
                "no embeddings yet: the hooked classifier has not run. Run the model first. If it did run, create the tracker before the "
                "first call of a compiled model, and create it again if the classifier was replaced since (reset_classifier). A copy of a "
                "tracker or loss listens to the copy of the model that was made with it."
                f"{_hint_at_compilation()}"
            )
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def take(self) -> Tensor:
        """Return :attr:`embeddings`, at most once per forward pass.

        Raises:
            RuntimeError: If they were taken already, or there are none.
        """
        embeddings = self.embeddings
        if not any(listener.is_fresh for listener in self._listeners):
            raise RuntimeError(
                "the embeddings of the model's last forward pass were used already. Call `criterion` once after each forward pass. "
                "Evaluate another model (such as an EMA copy) with criterion.eval() or nn.CrossEntropyLoss. For a second loss on the "
                f"same forward pass, pass embeddings=tracker.embeddings.{_hint_at_compilation()}"
            )
        for listener in self._listeners:
            listener.is_fresh = False
        return embeddings

    def check_logits(self, logits: Tensor) -> None:
        """Check that logits are not those of an earlier forward pass, where their autograd graph shows it.

        Raises:
            RuntimeError: If they are.
        """
        if torch.compiler.is_compiling():
            return
        shown = set[bool]().union(*(listener.passes_in(logits) for listener in self._listeners))
        if shown == {False}:
            raise RuntimeError(
                "the logits are those of an earlier forward pass, and the embeddings those of the last one. Call `criterion` once after "
                "each forward pass, before the model runs again; or keep embeddings=tracker.embeddings of that pass and pass them too."
            )

    def clear(self) -> None:
        """Forget the embeddings of the last forward pass."""
        for listener in self._listeners:
            listener.forget()

    def detach(self) -> None:
        """Remove the hook from the model."""
        for listener in self._listeners:
            listener.detach()

    def __enter__(self) -> "EmbeddingHook":
        return self

    def __exit__(self, *error: object) -> None:
        self.detach()


def _flatten(layer: nn.Module, embeddings: Tensor) -> Tensor:
    """Return the input of a layer as ``(N, D)``: its mean over positions, if it has any."""
    embeddings = as_plain(embeddings)
    if embeddings.ndim == 2:
        return embeddings
    if embeddings.ndim < 2:
        raise ValueError(
            f"an embedding must have shape (N, D); the input of {layer} has shape {tuple(embeddings.shape)}."
        )
    channels_last = isinstance(layer, nn.Linear) or (embeddings.ndim == 3 and not isinstance(layer, nn.Conv1d))
    return embeddings.flatten(1, -2).mean(1) if channels_last else embeddings.flatten(2).mean(2)


def as_plain(tensor: Tensor) -> Tensor:
    """Return a subclass of ``Tensor`` as a plain one: centroids made of MONAI's ``MetaTensor`` could not be loaded again."""
    return tensor if type(tensor) is Tensor else tensor.as_subclass(Tensor)


def model_input(images: Any, model: nn.Module) -> Tensor:
    """Return a batch of images on the device and in the dtype of the model's weights.

    Raises:
        TypeError: If it is not a float tensor. uint8 images are not normalised yet.
    """
    if not isinstance(images, Tensor) or not images.is_floating_point():
        raise TypeError(
            "the model needs batches of float images; got "
            f"{images.dtype if isinstance(images, Tensor) else type(images).__name__}. The data set's transform must return what the "
            "model is trained on (timm's prefetching loader normalises after it). Pass transform=, or a loader, to refresh; set "
            "dataset.transform for pretraining. Do not call .float() on the int16 that torchvision's ToTensor makes of 16 bits: it wraps values "
            "above 32767. Scale the image to [0, 1] as an array first."
        )
    parameter = next(model.parameters())
    return as_plain(images).to(parameter.device, parameter.dtype, non_blocking=True)
