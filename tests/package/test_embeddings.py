"""Embeddings by a hook, on any backbone."""

import copy
import pickle
import warnings

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from clesmote_losses.classifier import find_classifier
from clesmote_losses.embeddings import EmbeddingHook

SMALL = ["test_resnet", "test_vit", "test_convnext", "test_efficientnet", "test_byobnet", "test_nfnet"]
# one model of each kind of head that timm has, found by a sweep over all of its models
SPECIAL_HEADS = {
    "dla46_c": (256, "1x1 convolution"),
    "mobilenetv3_small_050": (1024, "Linear after a head convolution"),
    "deit_tiny_distilled_patch16_224": (2 * 192, "a tuple of two"),
    "crossvit_tiny_240": (96 + 192, "a ModuleList of two"),
    "efficientvim_m1": (128 + 192 + 320 + 320, "a ModuleList of four"),
    "efficientvim_m1_dist": (2 * (128 + 192 + 320 + 320), "a tuple of two ModuleLists"),
    "caformer_s18": (512, "an MLP"),
    "repvit_m0_9": (384, "a module with two heads"),
    "levit_128s": (2 * 384, "a tuple of two modules with batch norm and Linear"),
    "levit_256d": (512, "a module with batch norm and Linear"),
    "samvit_base_patch16_224": (768, "timm's ClassifierHead"),
    "resnet50_clip": (2048, "attention pooling and projection, over a sequence"),
    "convnext_atto": (320, "Linear inside a normalising head"),
    "vgg11": (4096, "Linear after a head of convolutions"),
}


def embeddings_of(model: nn.Module, images: Tensor) -> Tensor:
    with EmbeddingHook(model) as hook, torch.no_grad():
        model(images)
        return hook.embeddings


@pytest.mark.parametrize("name", SMALL)
def test_the_embedding_is_timms_pre_logits(name: str) -> None:
    model = timm.create_model(name, num_classes=3).eval()
    images = torch.randn(2, *model.default_cfg["input_size"])
    expected = model.forward_head(model.forward_features(images), pre_logits=True)
    torch.testing.assert_close(embeddings_of(model, images), expected.flatten(1))


@pytest.mark.parametrize("name", SPECIAL_HEADS)
def test_special_heads_give_one_row_for_each_image(name: str) -> None:
    if not timm.is_model(name):
        pytest.skip(f"timm {timm.__version__} has no {name}")
    # without arithmetic; made elsewhere, since some models of timm 1.0.15 read values when they are made
    model = timm.create_model(name, num_classes=3).eval().to("meta")
    images = torch.zeros(2, *model.default_cfg["input_size"], device="meta")
    assert embeddings_of(model, images).shape == (2, SPECIAL_HEADS[name][0])


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("resnet18", 512),
        ("mobilenet_v3_small", 1024),
        ("vgg11", 4096),
        ("squeezenet1_1", 512),
        ("convnext_tiny", 768),
        ("vit_b_32", 768),
        ("swin_t", 768),
        ("densenet121", 1024),
        ("maxvit_t", 512),
    ],
)
def test_torchvisions_models_are_found_right(name: str, width: int) -> None:
    with torch.device("meta"):
        model = torchvision.models.get_model(name, num_classes=3).train()
    assert embeddings_of(model, torch.zeros(2, 3, 224, 224, device="meta")).shape == (2, width)


def test_dropout_before_torchvisions_classifier_does_not_touch_the_embedding() -> None:
    model = torchvision.models.mobilenet_v2(num_classes=2, dropout=0.9, width_mult=0.25).train()
    model.features.eval()
    images = torch.randn(4, 3, 32, 32)
    assert torch.equal(embeddings_of(model, images), embeddings_of(model, images))


def test_a_feature_map_is_averaged_over_its_places() -> None:
    first, last = torch.randn(2, 7, 3, 4), torch.randn(2, 3, 4, 7)
    convolution, linear = nn.Conv2d(7, 2, 1), nn.Linear(7, 2)
    for layer, images, expected in [(convolution, first, first.mean((2, 3))), (linear, last, last.mean((1, 2)))]:
        with EmbeddingHook(layer, layer) as hook:
            layer(images)
            torch.testing.assert_close(hook.embeddings, expected)


@pytest.mark.parametrize("classifier", ["1", "module", "sequence"])
def test_the_classifier_can_be_named(classifier: str) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))
    given = {"1": "1", "module": model[1], "sequence": [model[1]]}[classifier]
    images = torch.randn(3, 4)
    with EmbeddingHook(model, given) as hook:
        model(images)
        assert torch.equal(hook.embeddings, model[0](images))
        assert hook.embeddings.requires_grad  # for gradient="flow"


def test_after_detach_the_model_is_as_before() -> None:
    model = timm.create_model("test_resnet", num_classes=2)
    keys = list(model.state_dict())
    hook = EmbeddingHook(model)
    assert list(model.state_dict()) == keys
    hook.detach()
    assert not any(module._forward_pre_hooks for module in model.modules())
    with pytest.raises(RuntimeError, match="no embeddings yet"):
        hook.embeddings  # noqa: B018


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_of_the_model_is_not_listened_to(copied: object) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))
    with EmbeddingHook(model, "1") as hook:
        model(torch.randn(3, 4))
        before = hook.embeddings
        copied(model)(torch.randn(5, 4))  # type: ignore[operator]
        assert hook.embeddings is before


@pytest.mark.slow
def test_beside_a_compiled_model_of_its_kind_it_says_what_to_set_and_then_hears_its_own() -> None:
    def embeddings_beside_another() -> torch.Tensor:
        torch.compiler.reset()
        plain, heard = (timm.create_model("test_resnet", num_classes=2) for _ in range(2))
        images = torch.rand(2, 3, 32, 32)
        with EmbeddingHook(heard) as hook:
            for model in (plain, heard):
                torch.compile(model, backend="eager")(images)
            return hook.take()

    with pytest.raises(RuntimeError, match="skip_nnmodule_hook_guards = False"):
        embeddings_beside_another()
    with torch._dynamo.config.patch(skip_nnmodule_hook_guards=False):
        assert embeddings_beside_another().shape == (2, 96)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_a_compiled_model_has_no_extra_graph_break(name: str) -> None:
    model = timm.create_model(name, num_classes=2)
    images = torch.randn(2, *model.default_cfg["input_size"])
    torch._dynamo.reset()
    plain = torch._dynamo.explain(model)(images)
    with EmbeddingHook(model) as hook:
        torch._dynamo.reset()
        hooked = torch._dynamo.explain(model)(images)
        assert (hooked.graph_break_count, hooked.graph_count) == (plain.graph_break_count, plain.graph_count) == (0, 1)
        torch._dynamo.reset()
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        compiled(images)
        first = hook.embeddings
        compiled(images + 1)
        assert first.requires_grad
        assert not torch.equal(hook.embeddings, first)  # not frozen into the graph


_STEP = 3  # neighbours in the list are sizes of one network; 1 looks at every model, in a quarter of an hour


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_the_models_of_the_installed_timm_are_found_right(part: int) -> None:
    without_classifier, wrong = [], {}
    for name in timm.list_models()[::_STEP][part::8]:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = timm.create_model(name).eval()
        if not hasattr(model, "get_classifier"):
            with pytest.raises(ValueError, match="An encoder without a classifier needs one"):
                find_classifier(model)
            without_classifier.append(name)
            continue
        images = torch.zeros(2, *model.default_cfg["input_size"], device="meta")
        embeddings = embeddings_of(model, images)
        classifier = model.get_classifier()
        known = [getattr(classifier, width, None) for width in ("in_features", "in_channels")]
        expected = next((width for width in known if width), embeddings.shape[-1])
        if embeddings.shape != (2, expected) or expected < 16:
            wrong[name] = tuple(embeddings.shape)
    assert not wrong
    assert len(without_classifier) <= 7  # encoders
