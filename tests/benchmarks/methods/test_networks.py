"""Networks by name."""

import pytest
import timm
import torch

from benchmarks.methods.networks import CONVNET, ConvNet, embedding_layer, make_network
from clesmote_losses.embeddings import EmbeddingHook


def test_the_network_of_the_ablation_has_about_sixteen_thousand_parameters():
    model = make_network(CONVNET, num_classes=1, image_size=32)
    assert isinstance(model, ConvNet)
    assert 15_500 < sum(parameter.numel() for parameter in model.parameters()) < 16_500
    assert model.embed.out_features == 50


@pytest.mark.parametrize(("size", "channels"), [(16, 1), (32, 3), (45, 3)])
def test_it_takes_grey_and_coloured_images_of_any_size_from_16(size, channels):
    model = make_network(CONVNET, num_classes=4, image_size=size, in_chans=channels)
    assert model(torch.rand(2, channels, size, size)).shape == (2, 4)
    with pytest.raises(ValueError, match="takes images of 16x16 and more; got 15x15"):
        make_network(CONVNET, num_classes=4, image_size=15)


def test_its_embedding_is_before_the_activation():
    model = ConvNet(2).eval()
    with EmbeddingHook(model, embedding_layer(CONVNET)) as hook:
        model(torch.randn(8, 3, 32, 32))
        assert hook.embeddings.shape == (8, 50)
        assert (hook.embeddings < 0).any()
    assert embedding_layer("test_resnet") is None  # the input of the classifier


def test_other_names_are_timms():
    model = make_network("test_resnet", num_classes=3, image_size=32, in_chans=1)
    assert type(model) is type(timm.create_model("test_resnet"))
    assert model.training
    with pytest.raises(
        ValueError, match=r"timm has no model 'test_resnt'; it has test_.*convnet is the paper's small one"
    ):
        make_network("test_resnt", num_classes=3, image_size=32)
    with pytest.raises(ValueError, match=r"test_vit does not take images of 20x20: .* --image-size or --model"):
        make_network("test_vit", num_classes=3, image_size=20)
