"""The task for loops built on ``timm.task``, with timm's own checkpoints, DDP, compile and moving average."""

import pytest
import timm
import torch
from imblearn.over_sampling import SMOTE
from torch.utils.data import DataLoader, TensorDataset

from clesmote_losses import CappedSMOTELoss, ClassCentroidTracker, SMOTEDataset
from tests.support.gloo import in_two_processes

timm_task = pytest.importorskip("timm.task", reason="this timm has no tasks")
if not hasattr(timm_task.ClassificationTask, "get_task_state"):
    pytest.skip("the tasks of this timm hold no state", allow_module_level=True)
from clesmote_losses.hosts.timm.task import CLESMOTETask  # noqa: E402


def training_set():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(30, 3, 32, 32, generator=generator)
    return SMOTEDataset(TensorDataset(images, torch.tensor([0] * 20 + [1] * 10)), sampler=SMOTE(random_state=0))


def task(mode="epoch", **options):
    torch.manual_seed(0)
    model = timm.create_model("test_vit", img_size=32, num_classes=2)
    criterion = CappedSMOTELoss(beta=0.01, tracker=ClassCentroidTracker(model, 2, mode=mode))
    return CLESMOTETask(model, criterion, training_set(), verbose=False, **options)


def train(task, epochs, start=0, indices=None):
    optimizer = torch.optim.SGD(task.parameters(), lr=0.01)
    stats = []
    for epoch in range(start, epochs):
        task.begin_epoch(epoch)
        order = torch.randperm(40, generator=torch.Generator().manual_seed(epoch)).tolist()
        order = order if indices is None else [order[i] for i in indices]
        for images, target in DataLoader(task.train_set, batch_size=10, sampler=order):
            optimizer.zero_grad()
            task(images, target)["loss"].backward()
            optimizer.step()
            task.update_ema()
        stats.append(task.end_epoch())
    return stats


def test_an_epoch_counts_what_was_capped():
    for stats in train(task(), 2):
        assert stats["synthetic"] == 10
        assert 0 < stats["capped"] <= 10
        assert stats["share_capped"] == pytest.approx(stats["capped"] / 10)


@pytest.mark.parametrize("mode", ["epoch", "online"])
def test_timms_checkpoint_carries_the_centroids_beside_the_weights(mode, tmp_path):
    whole = task(mode)
    train(whole, 2)
    optimizer = torch.optim.SGD(whole.parameters(), lr=0.01)
    saver = timm.utils.CheckpointSaver(whole.get_trainable_module(), optimizer, checkpoint_dir=tmp_path, task=whole)
    saver.save_checkpoint(1, metric=1.0)
    expected = train(whole, 3, start=2)

    resumed = task(mode)
    assert timm_task.resume_task_checkpoint(resumed, str(tmp_path / "last.pth.tar"), log_info=False) == 2
    assert train(resumed, 3, start=2) == expected
    assert resumed.criterion.history.epochs == whole.criterion.history.epochs
    assert [row["epoch"] for row in resumed.criterion.history.epochs] == [0, 1, 2]
    assert expected[0]["capped"] > 0
    plain = timm.create_model("test_vit", img_size=32, num_classes=2, checkpoint_path=str(tmp_path / "last.pth.tar"))
    assert plain.state_dict().keys() == whole.trainable_module.state_dict().keys()


def test_a_checkpoint_of_plain_timm_leaves_the_centroids_unknown():
    resumed = task("online")
    resumed.load_checkpoint_state(resumed.get_checkpoint_state()["state_dict"], task_state=None)
    assert train(resumed, 1)[0]["without_centroid"] == 10
    earlier = {name: tensor for name, tensor in resumed.get_task_state().items() if name != "history"}
    other = task("online")
    other.load_task_state(earlier)
    assert other.criterion.history.epochs == []
    assert train(other, 2, start=1)[0]["without_centroid"] == 0


@pytest.mark.slow
def test_the_moving_average_and_the_compiled_model_train_alike():
    plain, wrapped = task(), task()
    wrapped.setup_ema(decay=0.5)
    wrapped.compile(backend="aot_eager")
    for first, second in zip(train(plain, 2), train(wrapped, 2), strict=True):
        assert second == pytest.approx(first, rel=1e-2)
    assert "task_state_ema" not in wrapped.get_checkpoint_state(ema=True)
    average = wrapped.get_checkpoint_state(ema=True)["state_dict_ema"]
    assert average.keys() == plain.trainable_module.state_dict().keys()


def train_distributed(rank):
    wrapped = task("online").prepare_distributed()
    stats = train(wrapped, 3, indices=[i for i in range(40) if i // 5 % 2 == rank])
    return stats, wrapped.get_task_state()


@pytest.mark.slow
def test_ranks_agree_on_counts_and_state(tmp_path):
    (stats, state), (others, other_state) = in_two_processes(train_distributed, tmp_path)
    for own, other in zip(stats, others, strict=True):
        assert own == pytest.approx(other, rel=0, nan_ok=True)  # the first epoch has no cap to average
    assert stats[2]["synthetic"] == 10
    assert stats[2]["without_centroid"] == 0
    for name, tensor in state.items():
        assert torch.equal(tensor.nan_to_num(), other_state[name].nan_to_num())
    assert state["counts"].tolist() == [20, 10]


def test_wrong_parts_are_refused():
    model = timm.create_model("test_resnet", num_classes=2)
    with pytest.raises(TypeError, match="criterion must be a CappedSMOTELoss; got CrossEntropyLoss"):
        CLESMOTETask(model, torch.nn.CrossEntropyLoss(), training_set())
    with pytest.raises(TypeError, match="train_set must be a SMOTEDataset; got list"):
        CLESMOTETask(model, CappedSMOTELoss(distance=None), [])
