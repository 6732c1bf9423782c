"""Pre-head embeddings of any classification network, from a hook on its classifier: no second forward pass."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

Classifier = nn.Module | Sequence[nn.Module] | str
_NAMES = ("fc", "classifier", "heads", "head")  # torchvision's names, and most people's


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside ``DistributedDataParallel``, ``DataParallel`` and ``torch.compile``, in any order."""
    while True:
        if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
            model = model.module
        elif isinstance(original := getattr(model, "_orig_mod", None), nn.Module):
            model = original
        else:
            return model


def find_classifier(model: nn.Module) -> list[nn.Module]:
    """Return the layers whose input is the embedding: one for each head of the model.

    timm's ``get_classifier()`` comes first, then the attributes that torchvision's models use.

    Raises:
        ValueError: If there is none. The message names the candidates.

    Example:
        >>> find_classifier(timm.create_model("test_resnet", num_classes=3))
        [Linear(in_features=96, out_features=3, bias=True)]
    """
    model = unwrap(model)
    found: Any = None
    if callable(get_classifier := getattr(model, "get_classifier", None)):
        with suppress(AttributeError):  # timm 1.0.15 looks for an attribute that its CLIP resnets do not have
            found = get_classifier()
    if found is None:
        found = next((layer for name in _NAMES if isinstance(layer := getattr(model, name, None), nn.Module)), None)
    if found is None:
        layers = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
        raise ValueError(
            f"{type(model).__name__} has no get_classifier() and none of the attributes {_NAMES}. Pass classifier=..., a layer or its "
            f"name. Its last linear and convolution layers are {layers[-5:]}. An encoder without a classifier needs one: add "
            "nn.Linear(features, num_classes)."
        )
    return [_head(layer) for layer in _layers(found)]


def _layers(classifier: Any) -> Iterator[nn.Module]:
    if isinstance(classifier, nn.Module) and not isinstance(classifier, nn.ModuleList):
        yield classifier
    elif isinstance(classifier, tuple | list | nn.ModuleList):  # distilled models; crossvit, efficientvim
        for part in classifier:
            yield from _layers(part)
    else:
        raise TypeError(
            f"a classifier must be a module, its name or a sequence of modules; got {type(classifier).__name__}."
        )


def _head(classifier: nn.Module) -> nn.Module:
    """Return the layer that the embedding enters, inside a classifier that does more than classify."""
    if isinstance(fc := getattr(classifier, "fc", None), nn.Module):
        return fc  # timm's ClassifierHead pools, and may normalise, before its fc
    if isinstance(classifier, nn.Sequential):
        layers = [layer for layer in classifier.modules() if not isinstance(layer, nn.Sequential)]
        last = max((i for i, layer in enumerate(layers) if isinstance(layer, nn.Linear | nn.Conv2d)), default=0)
        while last and isinstance(layers[last - 1], nn.Dropout):
            last -= 1  # torchvision has dropout inside its classifier; the embedding comes before it
        return layers[last] if layers else classifier
    return classifier


def _hint_at_compilation() -> str:
    """Return another possible cause of missing embeddings, if anything was compiled in this process."""
    if "torch._dynamo" not in sys.modules:
        return ""
    return (
        " Was a model of the same kind compiled in this process without a tracker? torch does not check hooks and runs that code here "
        "too. Set torch._dynamo.config.skip_nnmodule_hook_guards = False before compiling either model."
    )


class _Inert:
    input, is_fresh = None, False

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Do nothing: a copy of the model (EMA, another process) is not tracked."""


class _Listener:
    """Keep the last input of a layer, as its forward pre-hook."""

    def __init__(self) -> None:
        self.input: Tensor | None = None
        self.is_fresh = False

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self.input, self.is_fresh = args[0], True

    def __reduce__(self) -> tuple[type[_Inert], tuple[()]]:
        return _Inert, ()  # copy.deepcopy(model) and pickle replace this hook by it


class EmbeddingHook:
    """Keep the embeddings of the model's last forward pass until :meth:`detach`; a context manager.

    The embedding is the input of the classifier, shape ``(N, D)``. A feature map (for a classifier that is a 1x1
    convolution) is averaged over its positions. The embeddings of several heads are concatenated. If the network has
    dropout right before its classifier (timm's ``drop_rate``), the embeddings of a training forward pass include it.

    Detach it before exporting or scripting the model.

    Args:
        model: Network. It may be wrapped by DDP, or by ``torch.compile`` if it has not run yet.
        classifier: The layer or layers whose input is the embedding, or the name of one; by default those that
            :func:`find_classifier` finds.

    Raises:
        ValueError: If no classifier is found, or the model has no layer of that name.
    """

    def __init__(self, model: nn.Module, classifier: Classifier | None = None) -> None:
        model = unwrap(model)
        if classifier is None:
            layers = find_classifier(model)
        elif isinstance(classifier, str):
            named = dict(model.named_modules())
            if classifier not in named:
                raise ValueError(
                    f"{type(model).__name__} has no layer {classifier!r}. Its layers: {', '.join(filter(None, named))}."
                )
            layers = list(_layers(named[classifier]))
        else:
            layers = list(_layers(classifier))
            strangers = [layer for layer in layers if all(layer is not own for own in model.modules())]
            if strangers or not layers:
                raise ValueError(
                    f"classifier= must be part of the model, since a hook must see its input; got {strangers or layers}."
                )
        self.layers = layers
        self._listeners = [_Listener() for _ in layers]
        pairs = zip(layers, self._listeners, strict=True)
        self._handles = [layer.register_forward_pre_hook(listener) for layer, listener in pairs]

    @property
    def embeddings(self) -> Tensor:
        """Embeddings of the last forward pass, float, shape ``(N, D)``, with their autograd graph.

        Raises:
            RuntimeError: If there was no forward pass since the hook was set or cleared.
        """
        pairs = zip(self.layers, self._listeners, strict=True)
        parts = [_flatten(layer, listener.input) for layer, listener in pairs if listener.input is not None]
        if not parts:
            raise RuntimeError(
                "no embeddings yet: the hooked classifier has not run. Run the model first. If it did run, create the tracker before the "
                "first call of a compiled model, and create it again if the classifier was replaced since (reset_classifier)."
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

    def clear(self) -> None:
        """Forget the embeddings of the last forward pass."""
        for listener in self._listeners:
            listener.input, listener.is_fresh = None, False

    def detach(self) -> None:
        """Remove the hook from the model."""
        for handle in self._handles:
            handle.remove()
        self.clear()

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
            "dataset.transform for pretraining."
        )
    parameter = next(model.parameters())
    return as_plain(images).to(parameter.device, parameter.dtype, non_blocking=True)
