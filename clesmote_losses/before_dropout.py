"""Find where the embedding can be read before dropout: what enters the classifier in training would be noise."""

import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from clesmote_losses.listener import Listener, Source, only_tensor

_DROPOUT = nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d | nn.AlphaDropout | nn.FeatureAlphaDropout
_FUNCTIONS = (
    F.dropout,
    F.dropout1d,
    F.dropout2d,
    F.dropout3d,
    F.alpha_dropout,
    F.feature_alpha_dropout,
    torch.dropout,
)


def has_dropout(model: nn.Module) -> bool:
    """Return whether any module of a model drops something, as far as its modules and timm's ``drop_rate`` tell."""
    return any(
        (isinstance(part, _DROPOUT) and part.p > 0) or bool(getattr(part, "drop_rate", None))
        for part in model.modules()
    )


def dropout_in_sequence(model: nn.Module, layer: nn.Module) -> Source | None:
    """Return the first dropout of those directly before a layer in an ``nn.Sequential``: torchvision's classifiers."""
    for sequence in model.modules():
        if isinstance(sequence, nn.Sequential):
            parts = list(_in_order(sequence))
            first = start = next((i for i, part in enumerate(parts) if part is layer), 0)
            while first and isinstance(parts[first - 1], _DROPOUT):
                first -= 1
            if first < start:
                return Source(parts[first], is_input=True)
    return None


def _in_order(part: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules of nested ``nn.Sequential``; only these run their parts in the order in which they hold them."""
    if isinstance(part, nn.Sequential):
        for child in part:
            yield from _in_order(child)
    else:
        yield part


class _Event(NamedTuple):
    """A tensor that passed by: through a module, or out of a dropout of some rate."""

    source: Source | None
    tensor: Tensor
    version: int
    rate: float = 0.0


@contextmanager
def finding_sources(model: nn.Module, listeners: Sequence[Listener]) -> Iterator[None]:
    """Let listeners read their input before dropout, from what one forward pass in evaluation mode shows.

    In evaluation mode, dropout returns its input tensor. So the tensor that enters the layer is also the input or output of
    a module before the dropout. The listener reads it there, and in training it is the embedding without dropout.

    Warns:
        UserWarning: If dropout of a rate above 0 is in between and no module is before it.
    """
    events: deque[_Event] = deque(maxlen=32)  # the last ones suffice, and the maps of all layers would fill the memory

    def record(source: Source | None, tensor: Any, rate: float = 0.0) -> None:
        if isinstance(tensor, Tensor) and tensor.ndim > 1 and tensor.numel() <= 2**15 * len(tensor):
            events.append(_Event(source, tensor, _version(tensor), rate))

    def choose(listener: Listener) -> Callable[..., None]:
        def hook(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            entering = only_tensor(args, kwargs)
            if entering is not None:
                _choose_source(listener, entering, list(events))

        return hook

    with ExitStack() as stack:
        for listener in listeners:  # first, so that a layer's own input is no event yet
            stack.callback(listener.layer.register_forward_pre_hook(choose(listener), with_kwargs=True).remove)
        for part in model.modules():
            before = Source(part, is_input=True)
            after = Source(part, is_input=False)
            enter = lambda _, args, kwargs, source=before: record(source, only_tensor(args, kwargs))  # noqa: E731
            leave = lambda _, args, output, source=after: record(source, output)  # noqa: E731
            stack.callback(part.register_forward_pre_hook(enter, with_kwargs=True).remove)
            stack.callback(part.register_forward_hook(leave).remove)
        stack.enter_context(_DropoutCalls(record))
        if "torch._dynamo" in sys.modules:  # temporary hooks: run eagerly
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


class _DropoutCalls(TorchFunctionMode):
    """Record what each dropout returns, of modules and of functions."""

    def __init__(self, record: Callable[[None, Any, float], None]) -> None:
        super().__init__()
        self.record = record

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if func in _FUNCTIONS:
            self.record(None, output, float(args[1] if len(args) > 1 else kwargs.get("p", 0.5)))
        return output


def _choose_source(listener: Listener, entering: Tensor, events: list[_Event]) -> None:
    same = [event for event in events if _is_same(event, entering)]
    last = {event.source: event for event in events}  # a module that ran again since would be heard in its last run
    dropouts = [i for i, event in enumerate(same) if event.source is None]
    for event in same[: dropouts[0] if dropouts else None]:
        if event.source is not None and last[event.source] is event:
            listener.listen_at(event.source)
            return
    rate = max((event.rate for event in same), default=0.0)
    if rate > 0:
        warnings.warn(
            f"dropout with p={rate:g} is right before the classifier and no module is before it, so the embeddings of training are noisy "
            "and caps are too low. Use nn.Dropout in place of a function, or put dropout elsewhere.",
            UserWarning,
            stacklevel=2,
        )


def _is_same(event: _Event, entering: Tensor) -> bool:
    """Return whether a tensor has the memory of another, in the same order, and was not written since."""
    tensor = event.tensor
    if tensor.numel() != entering.numel() or event.version != _version(entering):
        return False
    return tensor.reshape(entering.shape).is_set_to(entering)


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version
