"""Hear the input of one layer in each forward pass, without leaving a trace in copies of the model."""

from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


class Source(NamedTuple):
    """Where the embedding can be read before dropout: the input or the output of a module that runs earlier."""

    module: nn.Module
    is_input: bool


class Listener:
    """Keep the last input of a layer, before any dropout if ``source`` is set.

    Copies of the layer (:func:`copy.deepcopy`, pickle) do not hold its hooks. A forward pass that is repeated in a backward
    pass (activation checkpointing) is not heard.

    Args:
        layer: The layer; it may be called with its input as a keyword.
        source: Where the same values are without dropout.

    Attributes:
        input: Input of the layer in its last forward pass, or ``None``.
        is_fresh: Whether that input was not used yet.
    """

    def __init__(self, layer: nn.Module, source: Source | None = None) -> None:
        self.layer = layer
        self.source: Source | None = None
        self._before: Tensor | None = None  # what the source gave, until the layer runs
        self._passes = 0
        self._source_handle: RemovableHandle | None = None
        self.forget()
        self._handles = [
            layer.register_forward_pre_hook(self._hear, with_kwargs=True),
            layer.register_forward_hook(self._mark),
        ]
        _leave_out_of_copies(layer)
        if source is not None:
            self.listen_at(source)

    def listen_at(self, source: Source) -> None:
        """Read the input at a source from now on."""
        if source == self.source:
            return
        if self.source is not None and self._source_handle is not None:
            self._source_handle.remove()
            _restore_copies(self.source.module)
        self.source = source
        if source.is_input:
            self._source_handle = source.module.register_forward_pre_hook(self._hear_source_input, with_kwargs=True)
        else:
            self._source_handle = source.module.register_forward_hook(self._hear_source_output)
        _leave_out_of_copies(source.module)

    def forget(self) -> None:
        """Forget the last input."""
        self.input: Tensor | None = None
        self.is_fresh = False

    def detach(self) -> None:
        """Remove the hooks."""
        for handle in [*self._handles, *filter(None, [self._source_handle])]:
            handle.remove()
        self._handles, self._source_handle = [], None
        for module in [self.layer, *([self.source.module] if self.source else [])]:
            _restore_copies(module)
        self.forget()

    @property
    def is_attached(self) -> bool:
        """Whether the hooks are set."""
        return bool(self._handles)

    def _hear(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if _is_repeated():
            return
        heard, before = only_tensor(args, kwargs), self._before
        self._before = None
        if heard is None:
            raise TypeError(
                f"the input of {type(module).__name__} must be its first argument or the only tensor among its keywords; got "
                f"{[type(value).__name__ for value in args]} and keywords {list(kwargs)}. Pass another layer as classifier=."
            )
        if before is None or before.numel() != heard.numel() or before.requires_grad < heard.requires_grad:
            self.input = heard  # such as after a checkpoint, which keeps no graph
        else:
            self.input = before.reshape(heard.shape)
        self.is_fresh = True
        if not torch.compiler.is_compiling():
            self._passes += 1

    def _hear_source_input(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._keep(only_tensor(args, kwargs))

    def _hear_source_output(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self._keep(output)

    def _keep(self, value: Any) -> None:
        if isinstance(value, Tensor) and not _is_repeated():
            self._before = value.clone()  # dropout may work in place

    def _mark(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Write the number of the forward pass into the graph of the output, where :meth:`belongs` finds it."""
        if not torch.compiler.is_compiling() and isinstance(output, Tensor) and output.grad_fn is not None:
            _metadata(output.grad_fn)[self._key] = self._passes

    def passes_in(self, logits: Tensor) -> set[bool]:
        """Return what the graph of logits shows: ``True`` if it holds the last forward pass, ``False`` if an earlier one.

        It is empty where nothing is shown: without a graph, or in a compiled model.
        """
        seen, found = {logits.grad_fn}, set[bool]()
        queue = [logits.grad_fn]
        while queue and len(seen) < 1000:
            node = queue.pop()
            if node is None:
                continue
            if (number := _metadata(node).get(self._key)) is not None:
                found.add(number == self._passes)
                continue
            new = {parent for parent, _ in node.next_functions} - seen
            seen |= new
            queue.extend(new)
        return found if not queue else set()

    @property
    def _key(self) -> str:
        return f"clesmote_losses.listener.{id(self)}"

    def __getstate__(self) -> dict[str, Any]:
        return {"layer": self.layer, "source": self.source, "is_attached": self.is_attached}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["layer"], state["source"])  # type: ignore[misc]
        if not state["is_attached"]:
            self.detach()


def only_tensor(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    """Return the first positional argument, or the only tensor among the keywords; ``None`` if that is not one tensor."""
    given = args[:1] or [value for value in kwargs.values() if isinstance(value, Tensor)]
    return given[0] if len(given) == 1 and isinstance(given[0], Tensor) else None


def _metadata(node: Any) -> dict[str, int]:
    metadata: dict[str, int] = node.metadata
    return metadata


def _is_repeated() -> bool:
    """Return whether this forward pass runs inside a backward pass, as activation checkpointing repeats it."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1


def _leave_out_of_copies(module: nn.Module) -> None:
    """Let copies of a module hold no listener: nothing to script, export or import where they are loaded."""
    module.__dict__.setdefault("__getstate__", partial(_state_without_listeners, module))


def _state_without_listeners(module: nn.Module) -> Any:
    state = getattr(type(module), "__getstate__", vars)(module)  # Python 3.10 has no object.__getstate__
    if not isinstance(state, dict):  # in a way of its own
        return state
    state = {name: value for name, value in state.items() if name != "__getstate__"}
    for name in _HOOKS:
        own = {key for key, hook in module.__dict__[name].items() if _is_listening(hook)}
        for hooks in (name, f"{name}_with_kwargs"):
            if hooks in state:
                state[hooks] = OrderedDict((key, hook) for key, hook in state[hooks].items() if key not in own)
    return state


def _is_listening(hook: Any) -> bool:
    return isinstance(getattr(hook, "__self__", None), Listener)


def _restore_copies(module: nn.Module) -> None:
    if not any(_is_listening(hook) for name in _HOOKS for hook in module.__dict__[name].values()):
        module.__dict__.pop("__getstate__", None)
