import torch
from torch.utils.data import TensorDataset

from clesmote_losses import SMOTEDataset
from clesmote_losses.doctor.costs import describe_costs
from clesmote_losses.doctor.image_facts import ImageFacts
from clesmote_losses.doctor.part import Part, look_at_part

BASE = TensorDataset(torch.rand(30, 3, 32, 32), torch.tensor([0] * 20 + [1] * 10))


def test_steps_and_samples_are_those_of_the_smote_dataset() -> None:
    train_set = SMOTEDataset(BASE)
    finding = describe_costs(look_at_part("training", BASE), {1: 10}, 5, batch_size=8)
    assert "30 real + 10 synthetic samples: 5 steps an epoch at batch size 8, 4 without SMOTE" in finding.message
    assert len(train_set) == 40


def test_one_step_is_no_steps() -> None:
    finding = describe_costs(look_at_part("training", BASE), {1: 10}, 5, batch_size=64)
    assert "1 step an epoch at batch size 64, 1 without SMOTE" in finding.message


def test_the_bytes_of_the_cache_are_those_of_the_decoded_images() -> None:
    finding = describe_costs(look_at_part("training", BASE), {1: 10}, 5, batch_size=8)
    megabytes = 10 * (3 * 32 * 32 * 4 + 2048) / 2**20
    assert f"the 10 images that are blended take {megabytes:.1f} MB" in finding.evidence[-1]
    assert "keeps 100% of them" in finding.evidence[-1]


def test_the_plan_of_a_smote_dataset_is_measured_and_that_of_another_estimated_alike() -> None:
    labels = torch.tensor([0] * 4000 + [1] * 500)
    base = TensorDataset(torch.rand(4500, 1, 4, 4), labels)
    sizes = []
    for data in (SMOTEDataset(base), base):
        part = Part("training", data, labels=labels.numpy(), facts=[ImageFacts()] * 4500)
        sizes.append(float(describe_costs(part, {1: 3500}, 5, 8).evidence[0].split()[1]))
    assert sizes[0] == sizes[1] > 0


def test_balanced_classes_cost_nothing() -> None:
    finding = describe_costs(look_at_part("training", BASE), {}, 5, batch_size=8)
    assert "SMOTE adds nothing. 4 steps" in finding.message
