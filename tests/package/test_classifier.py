"""The classifier of any network: by timm's word, by its name, or by its number of outputs."""

from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn

from clesmote_losses import ClassCentroidTracker, TripletPretrainer
from clesmote_losses.classifier import classifier_layers, find_classifier, unwrap


class Network(nn.Module):
    """A network of layers that run in the order in which they are given."""

    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        for layer in self.children():
            images = layer(images)
        return images


def linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs)


def names_of(model: nn.Module, num_classes: int | None) -> list[str]:
    """Return the names of the layers that are found."""
    layers = find_classifier(model, num_classes)
    return [name for name, part in model.named_modules() if any(part is layer for layer in layers)]


def test_timms_word_comes_first() -> None:
    model = timm.create_model("test_vit", num_classes=3)
    assert names_of(model, 3) == names_of(model, None) == ["head"]


@pytest.mark.parametrize("hidden", ["fc", "classifier", "head"])
def test_a_hidden_layer_with_a_usual_name_is_not_taken(hidden: str) -> None:
    model = Network(**{"body": linear(8, 8), hidden: linear(8, 5), "out": linear(5, 2)})
    assert names_of(model, 2) == ["out"]
    assert ClassCentroidTracker(model, 2)._hook.layers == [model.out]


def test_without_a_number_of_classes_a_layer_after_a_usual_name_is_a_reason_to_ask() -> None:
    model = Network(fc=linear(8, 5), out=linear(5, 2))
    with pytest.raises(ValueError, match=r"the last may be the classifier.*\['fc', 'out'\]"):
        TripletPretrainer(model)
    assert TripletPretrainer(model, classifier="out")._classifier == [model.out]


@pytest.mark.parametrize(
    ("outputs", "num_classes", "fits"), [(2, 2, True), (1, 2, True), (1, 3, False), (5, 3, False), (3, 3, True)]
)
def test_as_many_outputs_as_classes_are_wanted_or_one_for_two(outputs: int, num_classes: int, fits: bool) -> None:
    model = Network(body=linear(8, 7), last=linear(7, outputs))
    if fits:
        assert names_of(model, num_classes) == ["last"]
    else:
        with pytest.raises(ValueError, match=f"linear layer with {num_classes} outputs"):
            find_classifier(model, num_classes)


@pytest.mark.parametrize(
    "layers",
    [
        {"fc": linear(8, 2), "calibrated": linear(2, 2)},
        {"disease": linear(8, 2), "sex": linear(8, 2)},
        {"classifier": linear(8, 2), "output": linear(8, 2)},  # an auxiliary head, say
    ],
)
def test_two_layers_that_fit_are_named_and_none_is_taken(layers: dict[str, nn.Module]) -> None:
    with pytest.raises(ValueError, match="more than one linear layer with 2 outputs: .'{}', '{}'".format(*layers)):
        find_classifier(Network(**layers), 2)


def test_an_auxiliary_head_before_the_classifier_does_not_matter() -> None:
    with torch.device("meta"):
        for name in ("googlenet", "inception_v3"):
            model = torchvision.models.get_model(name, num_classes=2, init_weights=False, aux_logits=True)
            assert names_of(model, 2) == names_of(model, None) == ["fc"]


def test_of_several_heads_those_that_fit_are_taken() -> None:
    several = {"age": linear(8, 9), "left": linear(8, 2), "right": linear(8, 2)}
    for heads in (nn.ModuleDict(several), nn.ModuleList(several.values())):
        assert find_classifier(Network(body=linear(8, 8), heads=heads), 2) == [several["left"], several["right"]]


def test_in_a_classifier_of_several_layers_the_last_one_is_it() -> None:
    head = nn.Sequential(linear(8, 4), nn.ReLU(), nn.Dropout(), linear(4, 2))
    assert find_classifier(Network(body=linear(8, 8), head=head), 2) == [head[3]]


def test_an_encoder_of_timm_is_its_own_classifier() -> None:
    model = timm.create_model("test_resnet", num_classes=0)
    assert find_classifier(model, 2) == find_classifier(model) == [model.fc]


class Doubled(nn.Module):
    """A network around one of timm, as a Lightning module or a wrapper that normalises."""

    def __init__(self) -> None:
        super().__init__()
        self.network = timm.create_model("test_resnet", num_classes=3)
        self.criterion = nn.CrossEntropyLoss()


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (Doubled, "network.fc"),
        (lambda: nn.Sequential(nn.Identity(), nn.DataParallel(timm.create_model("test_vit", num_classes=3))), "head"),
        (lambda: nn.Sequential(timm.create_model("test_vit", num_classes=7), linear(7, 3)), "1"),
        (lambda: Network(backbone=timm.create_model("test_resnet", num_classes=0), fc=linear(96, 3)), "fc"),
    ],
)
def test_a_network_in_a_network_is_found(model: Any, name: str) -> None:
    for num_classes in (3, None):
        if name != "1" or num_classes:
            assert [found.split("module.")[-1] for found in names_of(model(), num_classes)] == [name]


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v3_small", "vgg11", "squeezenet1_1", "convnext_tiny", "swin_t"]
)
def test_torchvisions_layers_with_weights_are_found(name: str) -> None:
    with torch.device("meta"):
        model = torchvision.models.get_model(name, num_classes=3)
    for num_classes in (3, None):
        [layer] = find_classifier(model, num_classes)
        assert getattr(layer, "out_features", getattr(layer, "out_channels", None)) == 3


MONAI = {
    "DenseNet121": ({"out_channels": 3, "in_channels": 1}, "class_layers.out"),
    "EfficientNetBN": ({"model_name": "efficientnet-b0", "pretrained": False, "num_classes": 3}, "_fc"),
    "SEResNet50": ({"in_channels": 1, "num_classes": 3}, "last_linear"),
    "resnet10": ({"n_input_channels": 1, "num_classes": 3}, "fc"),
}


@pytest.mark.parametrize("name", MONAI)
def test_monais_classifiers_are_found(name: str) -> None:
    nets = pytest.importorskip("monai.networks.nets")
    options, layer = MONAI[name]
    with torch.device("meta"):
        model = getattr(nets, name)(spatial_dims=2, **options)
    assert names_of(model, 3) == names_of(model, None) == [layer]


def transformer(name: str, **options: Any) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, f"{name}Config")(num_labels=3, **options)
    model: nn.Module = getattr(transformers, f"{name}ForImageClassification")(config)
    return model


VIT = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "intermediate_size": 8}
CONVOLUTIONS = {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2}
SWIN = {"image_size": 32, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4}
TRANSFORMERS: dict[str, tuple[dict[str, Any], str]] = {
    "ViT": (VIT, "classifier"),
    "DeiT": (VIT, "classifier"),
    "Swin": (SWIN, "classifier"),
    "ConvNextV2": (CONVOLUTIONS, "classifier"),
    "ResNet": ({"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}, "classifier.1"),
    "TimmWrapper": ({"architecture": "test_resnet"}, "timm_model.fc"),
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_classifiers_of_transformers_are_found_and_heard(name: str) -> None:
    options, layer = TRANSFORMERS[name]
    model = transformer(name, **options)
    assert names_of(model, 3) == names_of(model, None) == [layer]
    with ClassCentroidTracker(model, 3) as tracker:
        logits = model(torch.rand(2, 3, 32, 32)).logits
        torch.testing.assert_close(dict(model.named_modules())[layer](tracker.embeddings), logits)


def test_the_two_classifiers_of_a_distilled_transformer_are_named() -> None:
    transformers = pytest.importorskip("transformers")
    model = transformers.DeiTForImageClassificationWithTeacher(transformers.DeiTConfig(num_labels=3, **VIT))
    with pytest.raises(ValueError, match=r"'cls_classifier', 'distillation_classifier'.*list of layers"):
        find_classifier(model, 3)
    assert len(classifier_layers(model, [model.cls_classifier, model.distillation_classifier])) == 2


def test_a_custom_network_is_told_which_layers_could_be_meant() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 2))
    with pytest.raises(ValueError, match=r"Sequential has no get_classifier.*classifier=.*\['0', '2'\]"):
        find_classifier(model)


def test_wrapped_models_are_unwrapped() -> None:
    model = nn.Linear(2, 2)
    assert unwrap(torch.compile(nn.DataParallel(model))) is model
