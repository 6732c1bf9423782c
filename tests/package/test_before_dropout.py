"""The embedding of training is that of evaluation, whatever the rate of dropout before the classifier."""

import warnings
from collections.abc import Callable

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from clesmote_losses.before_dropout import has_dropout
from clesmote_losses.embeddings import EmbeddingHook

IMAGES = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """A body of 24 features, and the steps from there to the classifier."""

    def __init__(self, steps: Callable[["Network", Tensor], Tensor]) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 24))
        self.drop, self.relu, self.same = nn.Dropout(0.5), nn.ReLU(inplace=True), nn.Identity()
        self.steps = steps
        self.fc = nn.Linear(24, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.steps(self, self.body(images)))


def dropped(net: Network, x: Tensor) -> Tensor:
    return F.dropout(x, 0.5, net.training)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "timm's function": lambda: timm.create_model("test_resnet", num_classes=2, drop_rate=0.5),
    "timm's head_drop": lambda: timm.create_model("test_vit", num_classes=2, drop_rate=0.5, img_size=32),
    "timm's ClassifierHead": lambda: timm.create_model("test_convnext", num_classes=2, drop_rate=0.5),
    "a 1x1 convolution": lambda: timm.create_model("dla46_c", num_classes=2, drop_rate=0.5),
    "a module": lambda: Network(lambda net, x: net.drop(x)),
    "a function": lambda: Network(dropped),
    "a function in place": lambda: Network(lambda net, x: F.dropout(x, 0.5, net.training, True)),
    "after an activation in place": lambda: Network(lambda net, x: net.drop(net.relu(x))),
    "a module used twice": lambda: Network(lambda net, x: net.drop(net.relu(net.drop(x).sigmoid()))),
    "between views": lambda: Network(lambda net, x: net.drop(x[:, :, None, None]).flatten(1)),
    "a module that gets a new tensor": lambda: Network(lambda net, x: net.drop(x[:, torch.arange(24)])),
    "two in a row": lambda: Network(lambda net, x: dropped(net, net.drop(net.same(x)))),
}


def is_steady(model: nn.Module, hook: EmbeddingHook) -> bool:
    """Return whether two passes in training mode, with batch norm in evaluation mode, give the embedding of evaluation."""
    with torch.no_grad():
        model.eval()(IMAGES)
        expected = hook.embeddings.clone()
        for part in model.modules():
            part.training = not isinstance(part, nn.BatchNorm2d)
        for part in [*model.modules()]:
            if (
                isinstance(part, nn.Dropout)
                and part is not getattr(model, "drop", None)
                and "blocks" in str(type(part))
            ):
                part.eval()
        given = [(model(IMAGES), hook.embeddings.clone())[1] for _ in range(2)]
    return all(torch.allclose(embeddings, expected, atol=1e-5) for embeddings in given)


@pytest.mark.parametrize("name", [name for name in NETWORKS if "twice" not in name])
def test_dropout_is_left_out_after_one_pass_in_evaluation_mode(name: str) -> None:
    torch.manual_seed(0)
    model = NETWORKS[name]()
    with EmbeddingHook(model) as hook, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not is_steady(model, hook)
        hook.find_dropout(IMAGES)
        assert is_steady(model, hook)


def test_a_module_that_drops_twice_is_heard_the_second_time() -> None:
    model = NETWORKS["a module used twice"]()
    with EmbeddingHook(model) as hook:
        hook.find_dropout(IMAGES)
        entered: list[Tensor] = []
        model.relu.register_forward_hook(lambda _, args, output: entered.append(output.clone()))
        model.train()(IMAGES)
        assert torch.equal(hook.embeddings, entered[0])


def test_the_gradient_goes_through_the_embedding_before_dropout() -> None:
    model = NETWORKS["timm's function"]().train()
    with EmbeddingHook(model) as hook:
        hook.find_dropout(IMAGES[:1])
        assert all(part.training for part in model.modules())
        model(IMAGES)
        hook.embeddings.square().sum().backward()
        assert model.layer4[0].bn2.weight.grad.abs().sum() > 0
        assert model.fc.weight.grad is None


def test_a_rate_that_is_raised_later_makes_no_difference() -> None:
    model = timm.create_model("test_resnet", num_classes=2)
    with EmbeddingHook(model) as hook:
        hook.find_dropout(IMAGES)
        model.drop_rate = 0.5
        assert is_steady(model, hook)


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "squeezenet1_1"])
def test_dropout_in_a_sequence_is_left_out_at_once(name: str) -> None:
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, num_classes=2, dropout=0.9).eval()
    with EmbeddingHook(model) as hook, torch.no_grad():
        model(IMAGES)
        expected = hook.embeddings.clone()
        model.classifier.train()
        model(IMAGES)
        torch.testing.assert_close(hook.embeddings, expected)


@pytest.mark.parametrize("given", ["1", "module"])
def test_dropout_in_a_sequence_is_left_out_before_a_layer_that_is_named(given: str) -> None:
    model = nn.Sequential(nn.Dropout(0.9), nn.Linear(8, 2)).train()
    images = torch.randn(5, 8)
    with EmbeddingHook(model, given if given == "1" else model[1]) as hook:
        model(images)
        assert torch.equal(hook.embeddings, images)


def test_dropout_that_no_module_precedes_is_told_unless_its_rate_is_0() -> None:
    def network(rate: float) -> Network:
        return Network(lambda net, x: F.dropout(x[:, torch.arange(24)], rate, net.training))

    with EmbeddingHook(network(0.3)) as hook, pytest.warns(UserWarning, match=r"dropout with p=0.3 is right before"):
        hook.find_dropout(IMAGES)
    with EmbeddingHook(network(0.0)) as hook, warnings.catch_warnings():
        warnings.simplefilter("error")
        hook.find_dropout(IMAGES)


def test_dropout_before_another_step_is_part_of_the_embedding() -> None:
    for steps in (
        lambda net, x: net.relu(net.drop(x)),
        lambda net, x: net.drop(x).relu_(),
        lambda net, x: net.drop(x).cos(),
    ):
        model = Network(steps)
        with EmbeddingHook(model) as hook:
            entered: list[Tensor] = []
            model.fc.register_forward_pre_hook(lambda _, args, entered=entered: entered.append(args[0].clone()))
            hook.find_dropout(IMAGES)
            entered.clear()
            model.train()(IMAGES)
            assert torch.equal(hook.embeddings, entered[0])


def test_after_looking_the_model_has_only_the_hooks_that_are_needed() -> None:
    model = timm.create_model("test_resnet", num_classes=2, drop_rate=0.5)
    hook = EmbeddingHook(model)
    hook.find_dropout(IMAGES)
    hooked = [name for name, part in model.named_modules() if part._forward_hooks or part._forward_pre_hooks]
    assert hooked[1:] == ["fc"]
    assert hooked[0].startswith("global_pool")
    hook.detach()
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


def test_whether_a_model_has_dropout_is_known_by_modules_and_timms_rate() -> None:
    assert has_dropout(nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout2d(0.1))))
    assert has_dropout(nn.Sequential(timm.create_model("test_resnet", drop_rate=0.1)))
    assert not has_dropout(nn.Sequential(nn.Dropout(0.0), timm.create_model("test_vit", img_size=32)))


def test_a_network_of_monai_is_steady() -> None:
    nets = pytest.importorskip("monai.networks.nets")
    torch.manual_seed(0)
    model = nets.EfficientNetBN(
        "efficientnet-b0", spatial_dims=2, in_channels=3, num_classes=2, pretrained=False
    ).eval()
    with EmbeddingHook(model) as hook, torch.no_grad():
        hook.find_dropout(IMAGES)
        model(IMAGES)
        expected = hook.embeddings.clone()
        model._dropout.train()
        model(IMAGES)
        torch.testing.assert_close(hook.embeddings, expected)


class DropsInside(nn.Module):
    """It holds its dropout last and calls it before its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.drop = nn.Linear(48, 24), nn.Linear(24, 24), nn.Dropout(0.5)

    def forward(self, rows: Tensor) -> Tensor:
        return self.second(self.drop(self.first(rows)))


def test_dropout_inside_a_block_of_a_sequence_is_not_taken_for_one_before_the_next_layer() -> None:
    block = DropsInside()
    model = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), block, nn.Linear(24, 2))
    outputs: list[Tensor] = []
    block.register_forward_hook(lambda module, args, output: outputs.append(output))
    with EmbeddingHook(model, "3") as hook:
        model(IMAGES)
        assert torch.equal(hook.embeddings, outputs[0])


def test_a_pass_that_fails_is_tried_again() -> None:
    model = Network(lambda network, rows: network.drop(rows))
    with EmbeddingHook(model) as hook:
        with pytest.raises(RuntimeError):
            hook.find_dropout(torch.zeros(1, 1, 1))
        hook.find_dropout(IMAGES)
        model(IMAGES)
        assert torch.equal(hook.embeddings, model.body(IMAGES))
