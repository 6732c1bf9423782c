"""The input of a layer: in any call, in each forward pass, and without a trace in copies."""

import copy
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from clesmote_losses.listener import Listener, Source

IMAGES = torch.randn(5, 4)


class Network(nn.Module):
    """A body and a classifier; ``call`` is how the classifier is called."""

    def __init__(self, call: Callable[[nn.Module, Tensor], Any] | None = None) -> None:
        super().__init__()
        self.body = nn.Linear(4, 6)
        self.fc = nn.Linear(6, 2)
        self.call = call

    def forward(self, images: Tensor) -> Any:
        embeddings = self.body(images)
        return self.fc(embeddings) if self.call is None else self.call(self.fc, embeddings)


def through_pickle(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


def through_torch_save(thing: Any) -> Any:
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = [copy.deepcopy, through_pickle, through_torch_save]


def test_a_layer_may_be_called_by_keyword() -> None:
    model = Network(lambda fc, embeddings: fc(input=embeddings))
    listener = Listener(model.fc)
    model(IMAGES)
    assert torch.equal(listener.input, model.body(IMAGES))  # type: ignore[arg-type]


class Head(nn.Module):
    def forward(self, features: Any = None, scale: Any = 1, other: Any = None) -> Any:
        return features


@pytest.mark.parametrize(
    ("call", "heard"),
    [
        (lambda head, x: head(scale=2, features=x), True),
        (lambda head, x: head(x, other=x + 1), True),
        (lambda head, x: head(features=x, other=x), False),
        (lambda head, x: head([x]), False),
        (lambda head, x: head(), False),
    ],
)
def test_the_input_is_the_first_argument_or_the_only_tensor_by_keyword(call: Any, heard: bool) -> None:
    head = Head()
    listener = Listener(head)
    if not heard:
        with pytest.raises(TypeError, match=r"first argument or the only tensor among its keywords.*classifier="):
            call(head, IMAGES)
    else:
        call(head, IMAGES)
        assert listener.input is IMAGES


@pytest.mark.parametrize("source", [None, "input", "output"])
@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_of_the_model_holds_no_hook_of_ours(copied: Callable[[Any], Any], source: str | None) -> None:
    model = Network()
    model.fc.register_forward_hook(users_hook)
    listener = Listener(model.fc, None if source is None else Source(model.body, source == "input"))
    model(IMAGES)
    before = listener.input
    other = copied(model)
    for part in other.modules():
        assert "__getstate__" not in vars(part)
        assert not part._forward_pre_hooks
        assert not part._forward_pre_hooks_with_kwargs
        assert list(part._forward_hooks.values()) == ([users_hook] if part is other.fc else [])
    other(IMAGES + 1)
    assert listener.input is before
    model(IMAGES + 1)
    assert listener.input is not before


def users_hook(*_: Any) -> None:
    """Do nothing: a hook of the user's own, which copies keep."""


def test_a_copy_can_be_scripted_and_exported() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))
    Listener(model[1], Source(model[0], is_input=False))
    other = copy.deepcopy(model)
    expected = other(IMAGES)
    assert torch.equal(torch.jit.script(other)(IMAGES), expected)
    assert torch.equal(torch.export.export(other, (IMAGES,)).module()(IMAGES), expected)


def test_a_saved_model_loads_where_the_library_is_not_installed(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))
    Listener(model[1], Source(model[0], is_input=False))
    torch.save(model, tmp_path / "model.pt")
    load = f"""
import sys
sys.modules["clesmote_losses"] = None  # importing it fails
import torch
torch.load({str(tmp_path / "model.pt")!r}, weights_only=False)(torch.zeros(1, 4))
"""
    subprocess.run([sys.executable, "-c", load], check=True)


class WithState(nn.Linear):
    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "saved": True}


def test_a_layer_with_a_way_of_its_own_to_be_saved_keeps_it() -> None:
    layer = WithState(2, 2)
    Listener(layer)
    other = through_pickle(layer)
    assert other.saved
    assert not other._forward_pre_hooks
    assert "__getstate__" not in vars(other)


@pytest.mark.parametrize("copied", COPIES)
def test_a_listener_copied_with_its_model_hears_the_copy(copied: Callable[[Any], Any]) -> None:
    model = Network()
    listener = Listener(model.fc, Source(model.body, is_input=False))
    model(IMAGES)
    other, other_listener = copied((model, listener))
    assert other_listener.input is None
    other(IMAGES + 1)
    assert torch.equal(other_listener.input, other.body(IMAGES + 1))
    assert torch.equal(listener.input, model.body(IMAGES))  # type: ignore[arg-type]
    listener.detach()
    other, other_listener = copied((model, listener))
    other(IMAGES)
    assert other_listener.input is None


def test_after_detach_the_layer_is_as_before() -> None:
    model = Network()
    before = [set(vars(part)) for part in model.modules()]
    first, second = (Listener(model.fc, Source(model.body, is_input=True)) for _ in range(2))
    first.detach()
    assert not copy.deepcopy(model).fc._forward_pre_hooks  # the second is left out all the same
    second.detach()
    assert [set(vars(part)) for part in model.modules()] == before
    assert not any(part._forward_pre_hooks or part._forward_hooks for part in model.modules())


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("part", ["whole", "head"])
def test_a_forward_pass_that_is_repeated_in_backward_is_not_heard(part: str, reentrant: bool) -> None:
    model = Network((lambda fc, x: checkpoint(fc, x, use_reentrant=reentrant)) if part == "head" else None)
    runs = []
    model.fc.register_forward_pre_hook(lambda *_: runs.append(1))
    listener = Listener(model.fc)
    images = IMAGES.clone().requires_grad_()
    logits = model(images) if part == "head" else checkpoint(model, images, use_reentrant=reentrant)
    before, listener.is_fresh = listener.input, False
    logits.sum().backward()  # type: ignore[union-attr]
    assert len(runs) == 2
    assert listener.input is before
    assert not listener.is_fresh


def test_a_source_is_heard_before_dropout_that_works_in_place() -> None:
    torch.manual_seed(0)
    model = Network(lambda fc, x: fc(nn.functional.dropout(x, 0.5, inplace=True)))
    plain, listener = Listener(model.fc), Listener(model.fc, Source(model.body, is_input=False))
    model(IMAGES)
    assert torch.equal(listener.input, model.body(IMAGES))  # type: ignore[arg-type]
    assert (plain.input == 0).any()  # type: ignore[union-attr]
    assert listener.input.requires_grad  # type: ignore[union-attr]


def test_a_source_without_a_graph_or_of_another_size_is_not_taken() -> None:
    model = Network()
    model.forward = lambda x: model.fc(checkpoint(model.body, x, use_reentrant=True))  # type: ignore[method-assign]
    listener = Listener(model.fc, Source(model.body, is_input=False))
    model(IMAGES.clone().requires_grad_())
    assert listener.input.requires_grad  # type: ignore[union-attr]
    listener.listen_at(Source(model.body, is_input=True))  # 4 numbers where the layer takes 6
    model(IMAGES)
    assert listener.input.shape == (5, 6)  # type: ignore[union-attr]


# --- which forward pass logits are of

TRANSFORMED: dict[str, Callable[[Tensor], Tensor]] = {
    "as they are": lambda logits: logits,
    "in half precision": lambda logits: logits.half(),
    "scaled, in place": lambda logits: logits.mul_(2),
    "a view": lambda logits: logits.view(-1, 2)[:, :1],
    "mixed with others": lambda logits: (logits + torch.randn(5, 2, requires_grad=True).exp()) / 2,
}


@pytest.mark.parametrize("how", TRANSFORMED)
@pytest.mark.parametrize("frozen", [False, True])
def test_the_graph_shows_which_forward_pass_logits_are_of(how: str, frozen: bool) -> None:
    model = Network()
    model.body.requires_grad_(not frozen)
    listener = Listener(model.fc)
    first = TRANSFORMED[how](model(IMAGES))
    assert listener.passes_in(first) == {True}
    second = TRANSFORMED[how](model(IMAGES + 1))
    assert listener.passes_in(second) == {True}
    assert listener.passes_in(first) == {False}
    assert listener.passes_in(first + second) == {True, False}
    with torch.no_grad():
        model(IMAGES)
    assert listener.passes_in(second) == {False}


def test_where_the_graph_shows_nothing_nothing_is_said() -> None:
    model = Network()
    listener = Listener(model.fc)
    images = IMAGES.clone().requires_grad_()
    logits = model(images)
    checkpointed = checkpoint(model, images, use_reentrant=True)
    for given in (logits.detach(), torch.randn(5, 2), Network()(images), checkpointed):
        assert listener.passes_in(given) == set()
    long = model(images)
    for _ in range(2000):
        long = long + torch.zeros(1, requires_grad=True)
    assert listener.passes_in(long) == set()


def test_a_head_that_runs_several_times_in_a_forward_pass_is_of_that_pass() -> None:
    model = Network(lambda fc, x: torch.stack([fc(nn.functional.dropout(x)) for _ in range(5)]).mean(0))
    listener = Listener(model.fc)
    first = model(IMAGES)
    assert True in listener.passes_in(first)
    model(IMAGES)
    assert listener.passes_in(first) == {False}
