"""Find the layers of a network whose input is its embedding."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from torch import nn

Classifier = nn.Module | Sequence[nn.Module] | str
# torchvision's names, and most people's; then MONAI's
_NAMES = ("fc", "classifier", "heads", "head", "_fc", "last_linear", "class_layers", "classification_head")


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside ``DistributedDataParallel``, ``DataParallel`` and ``torch.compile``, in any order."""
    while True:
        if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
            model = model.module
        elif isinstance(original := getattr(model, "_orig_mod", None), nn.Module):
            model = original
        else:
            return model


def find_classifier(model: nn.Module, num_classes: int | None = None) -> list[nn.Module]:
    """Return the layers whose input is the embedding: one for each head of the model.

    timm's ``get_classifier()`` comes first, then attributes with the usual names (``fc``, ``classifier``, ``head``, ...), if
    they have ``num_classes`` outputs (1 output will do for 2 classes), then the only linear layer with as many outputs. In
    a classifier of several layers the embedding is the input of the last one.

    Args:
        model: Classification network, or a module around one.
        num_classes: Number of classes; ``None`` if it is not known.

    Raises:
        ValueError: If there is none, or it is not clear which one it is. The message names the candidates.

    Example:
        >>> find_classifier(timm.create_model("test_resnet", num_classes=3))
        [Linear(in_features=96, out_features=3, bias=True)]
    """
    model = unwrap(model)
    declared, is_certain = _declared(model)
    if declared is not None:
        layers = list(_as_layers(declared))
        fitting = [layer for layer in layers if _fits(layer, num_classes)]
        if is_certain and (fitting or num_classes is None):
            return [_last_layer(layer) for layer in fitting or layers]
        others = _linear_layers(model, num_classes, after=layers)
        if fitting and not others:
            return [_last_layer(layer) for layer in fitting]
        if is_certain and not others:  # the loss compares logits and num_classes
            return [_last_layer(layer) for layer in layers]
        found = {name: part for name, part in model.named_modules() if any(part is layer for layer in fitting)}
        candidates = {**found, **_linear_layers(model, num_classes)}
    else:
        candidates = _linear_layers(model, num_classes)
    if num_classes is not None and len(candidates) == 1:
        return list(candidates.values())
    raise ValueError(_describe_candidates(model, num_classes, list(candidates)))


def classifier_layers(
    model: nn.Module, classifier: Classifier | None = None, num_classes: int | None = None
) -> list[nn.Module]:
    """Return the layers that a user names, or those that :func:`find_classifier` finds.

    Raises:
        ValueError: If the model has no such layer.
        TypeError: If ``classifier`` is of another kind.
    """
    if classifier is None:
        return find_classifier(model, num_classes)
    model = unwrap(model)
    if isinstance(classifier, str):
        named = dict(model.named_modules())
        if classifier not in named:
            raise ValueError(
                f"{type(model).__name__} has no layer {classifier!r}. Its layers: {', '.join(filter(None, named))}."
            )
        return list(_as_layers(named[classifier]))
    layers = list(_as_layers(classifier))
    strangers = [layer for layer in layers if all(layer is not own for own in model.modules())]
    if strangers or not layers:
        raise ValueError(
            f"classifier= must be part of the model, since a hook must see its input; got {strangers or layers}."
        )
    return layers


def _as_layers(classifier: Any) -> Iterator[nn.Module]:
    if isinstance(classifier, nn.ModuleDict):
        classifier = list(classifier.values())
    if isinstance(classifier, nn.Module) and not isinstance(classifier, nn.ModuleList):
        yield classifier
    elif isinstance(classifier, tuple | list | nn.ModuleList):  # distilled models; crossvit, efficientvim
        for part in classifier:
            yield from _as_layers(part)
    else:
        raise TypeError(
            f"a classifier must be a module, its name or a sequence of modules; got {type(classifier).__name__}."
        )


def _declared(model: nn.Module) -> tuple[Any, bool]:
    """Return what the model, or the only part of it with weights, calls its classifier, and whether it is sure to be."""
    if callable(get_classifier := getattr(model, "get_classifier", None)):
        with suppress(AttributeError):  # timm 1.0.15 looks for an attribute that its CLIP resnets do not have
            if (found := get_classifier()) is not None:
                return found, not isinstance(found, nn.Identity)
    for name in _NAMES:
        if isinstance(layer := getattr(model, name, None), nn.Module):
            return layer, False
    parts = [part for part in model.children() if next(part.parameters(), None) is not None]
    return _declared(parts[0]) if len(parts) == 1 else (None, False)


def _fits(layer: nn.Module, num_classes: int | None) -> bool:
    """Return whether a classifier may have that many outputs; one of a class without ``out_features`` may have any."""
    return num_classes is None or num_outputs(layer) in (None, num_classes, 1 if num_classes == 2 else num_classes)


def num_outputs(layer: nn.Module) -> int | None:
    """Return how many outputs a classifier has; ``None`` if its class does not say."""
    widths = [getattr(part, "out_features", getattr(part, "out_channels", None)) for part in layer.modules()]
    return next((width for width in reversed(widths) if isinstance(width, int)), None)


def _linear_layers(model: nn.Module, num_classes: int | None, after: Sequence[nn.Module] = ()) -> dict[str, nn.Module]:
    """Return the linear layers that fit, by name: of those registered after some modules, if any are given."""
    named = list(model.named_modules())
    inner = {part for layer in after for part in layer.modules()}
    start = max((i + 1 for i, (_, part) in enumerate(named) if part in inner), default=0)
    return {name: part for name, part in named[start:] if isinstance(part, nn.Linear) and _fits(part, num_classes)}


def _last_layer(classifier: nn.Module) -> nn.Module:
    """Return the layer that the embedding enters, inside a classifier that does more than classify."""
    if isinstance(fc := getattr(classifier, "fc", None), nn.Module):
        return fc  # timm's ClassifierHead pools, and may normalise, before its fc
    if isinstance(classifier, nn.Sequential):
        layers = [layer for layer in classifier.modules() if not isinstance(layer, nn.Sequential)]
        weighted = [layer for layer in layers if isinstance(layer, nn.Linear | nn.Conv2d)]
        return (weighted or layers or [classifier])[-1 if weighted else 0]
    return classifier


def _only_candidate(model: nn.Module) -> tuple[str, int] | None:
    """Return name and number of outputs of the only layer that can be the classifier, whatever its outputs."""
    declared, _ = _declared(model)
    linear = _linear_layers(model, None)
    layers = list(linear.values()) if declared is None else list(_as_layers(declared))
    if len(layers) != 1 or (outputs := num_outputs(layers[0])) is None or _linear_layers(model, None, after=layers):
        return None
    return next(name for name, part in model.named_modules() if part is layers[0]), outputs


def _describe_candidates(model: nn.Module, num_classes: int | None, candidates: Sequence[str]) -> str:
    layers = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    outputs = "" if num_classes is None else f" with {num_classes} outputs"
    alone = None if num_classes is None or candidates else _only_candidate(model)
    if alone is not None:
        return (
            f"{type(model).__name__}: num_classes={num_classes}, but {alone[0]} has {alone[1]} outputs. Pass the number of its outputs (2 for "
            "a single logit), or classifier=..., a layer or its name, if another layer makes the logits."
        )
    if len(candidates) > 1 and num_classes is not None:
        what = f"has more than one linear layer{outputs}: {list(candidates)}"
    elif num_classes is not None:
        what = f"has no get_classifier(), attribute of {_NAMES} or linear layer{outputs}"
    elif candidates and _declared(model)[0] is not None:
        what = f"has linear layers after the one of {_NAMES} that it has, so the last may be the classifier"
    else:
        what = f"has no get_classifier() and none of the attributes {_NAMES}"
    return (
        f"{type(model).__name__} {what}. Pass classifier=..., a layer or its name (or a list of layers, if each makes logits). Its last "
        f"linear and convolution layers are {layers[-5:]}. An encoder without a classifier needs one: add nn.Linear(features, num_classes)."
    )
