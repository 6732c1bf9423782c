"""Rows of embeddings and logits, image by image."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from clesmote_losses import encode_target
from clesmote_losses.batches import batches_of
from clesmote_losses.embedded_images import EmbeddedImages, embed_images, gather_images
from clesmote_losses.embeddings import EmbeddingHook
from tests.support.gloo import in_two_processes
from tests.support.three_classes import data, network


def test_rows_are_those_of_the_model_in_evaluation_mode_in_the_order_of_the_images() -> None:
    model, (images, labels) = network(), data().tensors
    hook = EmbeddingHook(model)
    flags = torch.arange(len(labels)) % 5 == 0
    found = embed_images(hook, DataLoader(TensorDataset(images, encode_target(labels, flags)), 16), 3)
    assert model.training
    with pytest.raises(RuntimeError, match="no embeddings yet"):  # these belong to no training batch
        hook.embeddings  # noqa: B018
    model.eval()
    with torch.no_grad():
        rows = model.forward_head(model.forward_features(images), pre_logits=True)
        np.testing.assert_allclose(found.embeddings, rows.numpy(), atol=1e-5)
        np.testing.assert_allclose(found.logits, model(images).numpy(), atol=1e-5)
    assert found.labels.tolist() == torch.where(flags, -1, labels).tolist()


def test_logits_are_found_in_a_dict_and_missing_ones_have_no_width() -> None:
    class Other(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(3 * 32 * 32, 3)

        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"features": images, "logits": self.fc(images.flatten(1))}

    model = Other()
    images = data().tensors[0]
    with EmbeddingHook(model, "fc") as hook:
        found = embed_images(hook, DataLoader(data(), 16), 3)
        np.testing.assert_allclose(found.logits, model.fc(images.flatten(1)).detach().numpy(), atol=1e-5)
        assert embed_images(hook, DataLoader(data(), 16), 7).logits.shape == (len(images), 0)


def shares(rank: int) -> EmbeddedImages:
    with EmbeddingHook(network()) as hook:
        return gather_images(embed_images(hook, batches_of(data(), batch_size=16), 3))


def test_the_shares_of_two_ranks_are_put_together_in_the_order_of_the_data_set(tmp_path: Path) -> None:
    expected = shares(0)
    assert len(expected.labels) % 2  # unequal shares
    for found in in_two_processes(shares, tmp_path):
        assert found.labels.tolist() == expected.labels.tolist() == data().tensors[1].tolist()
        np.testing.assert_allclose(found.embeddings, expected.embeddings, atol=1e-5)
