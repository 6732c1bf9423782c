"""What a user has frozen stays as it is."""

import pytest
import timm
import torch
from torch import nn
from torch.utils.data import TensorDataset

from clesmote_losses import SMOTEDataset, TripletPretrainer
from clesmote_losses.frozen import check_trainable, train_unfrozen


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Sequential(nn.Linear(4, 4), nn.Dropout()), nn.Linear(4, 2)
    )


def modes(model: nn.Module) -> list[bool]:
    return [part.training for part in model.modules()]


def test_parts_in_evaluation_mode_stay_there_in_a_model_that_trains() -> None:
    model = network()
    model[1].eval()
    train_unfrozen(model)
    assert modes(model) == [True, True, False, True, True, True, True]


def test_parts_without_a_gradient_stay_frozen_with_the_dropout_inside() -> None:
    model = network().eval()
    model[2].requires_grad_(False)
    train_unfrozen(model)
    assert modes(model) == [True, True, True, False, False, False, True]


def test_a_model_that_was_just_evaluated_trains_as_a_whole() -> None:
    model = network().eval()
    train_unfrozen(model)
    assert all(modes(model))


def test_a_train_method_that_freezes_is_asked() -> None:
    class Frozen(nn.Sequential):
        def train(self, mode: bool = True) -> "Frozen":
            super().train(mode)
            self[1].eval()
            return self

    model = Frozen(*network()).eval()
    train_unfrozen(model)
    assert modes(model) == [True, True, False, True, True, True, True]


@pytest.mark.parametrize("frozen", ["everything", "all but the classifier"])
def test_a_model_with_nothing_to_train_is_refused(frozen: str) -> None:
    model = network()
    check_trainable(model, [model[3]])
    model.requires_grad_(False)
    if frozen == "all but the classifier":
        model[3].requires_grad_(True)
    with pytest.raises(ValueError, match="no parameter outside the classifier"):
        check_trainable(model, [model[3]])


def test_pretraining_changes_neither_frozen_statistics_nor_frozen_weights() -> None:
    torch.manual_seed(0)
    train_set = SMOTEDataset(TensorDataset(torch.rand(30, 3, 32, 32), torch.tensor([0] * 20 + [1] * 10)))
    model = timm.create_model("test_resnet", num_classes=2).train()
    model.layer1.requires_grad_(False)  # its batch norm is in training mode, and frozen all the same
    for part in model.layer2.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval().requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    was = modes(model)
    TripletPretrainer(model).fit(train_set, epochs=1, progress=False)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert "layer3.0.bn1.running_mean" in changed
    assert "layer2.0.conv1.weight" in changed
    assert not [
        name for name in changed if name.startswith("layer1.") or (name.startswith("layer2.") and "running" in name)
    ]
    assert modes(model) == was
    assert model.fc.weight.requires_grad
    assert not model.layer1[0].conv1.weight.requires_grad
