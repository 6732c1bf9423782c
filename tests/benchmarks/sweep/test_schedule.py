"""Which runs there are, and how hyperparameters are chosen."""

import pytest

from benchmarks.data.experiments import Experiment, imbalances, of_classes
from benchmarks.methods.registry import METHODS
from benchmarks.sweep.schedule import TUNING_SEED, Schedule
from benchmarks.training.controlled import Settings
from tests.support.benchmark_images import small_source

EXPERIMENT = of_classes("x", {"a": 40, "b": 10})


def schedule(methods, experiments=(EXPERIMENT,), **options):
    options = {"settings": Settings(steps=4, epochs=2), "seeds": range(2), "lrs": (1e-3, 1e-2), **options}
    return Schedule("test", small_source(), list(experiments), [METHODS[name] for name in methods], **options)


def record(run, validation, test=0.0):
    chosen = {"validation": {"auroc": validation}, "test": {"auroc": test}}
    return {"id": run.id, "config": run.config, "chosen": chosen}


def walk(plan, score):
    """Make all runs, as they become ready; gives them in that order."""
    records, made = {}, []
    while True:
        ready, waiting = plan.ready(records)
        missing = [run for run in ready if run.id not in records]
        totals.append(len(ready) + waiting)
        if not missing:
            assert waiting == 0
            return made
        records[missing[0].id] = record(missing[0], score(missing[0]), test=1 - score(missing[0]))
        made.append(missing[0])


totals = []


def test_values_are_chosen_one_after_the_other_by_validation():
    best = {"lr": 1e-2, "beta": 0.3}

    def score(run):
        return 0.5 + 0.2 * (run.settings.lr == best["lr"]) + 0.1 * (run.method.beta == best["beta"])

    totals.clear()
    made = walk(schedule(["class-cosine-cap"]), score)
    tuning = [(run.settings.lr, run.method.beta) for run in made if run.role == "tuning"]
    assert tuning == [(1e-3, 1.0), (1e-2, 1.0), (1e-2, 0.3), (1e-2, 0.1)]
    trials = [run for run in made if run.role == "trial"]
    assert [(run.settings.lr, run.method.beta, run.seed) for run in trials] == [(1e-2, 0.3, 0), (1e-2, 0.3, 1)]
    assert {run.seed for run in made if run.role == "tuning"} == {TUNING_SEED}
    assert set(totals) == {6}  # known from the start, for the progress bar


def test_test_images_choose_nothing():
    plan = schedule(["none"])
    lowest_test = walk(
        plan, lambda run: 0.9 if run.settings.lr == 1e-2 else 0.4
    )  # record() gives it the lower test AUROC
    assert lowest_test[-1].settings.lr == 1e-2


def test_a_variant_takes_over_the_choices_of_cle_smote_and_shares_its_tuning_runs():
    def score(run):
        right = (run.settings.lr == 1e-2) + (run.method.pretraining_lr == 1e-5) + (run.method.target_share == 0.3)
        return 0.5 + 0.1 * right + 0.01 * (run.method.beta == 0.1)

    totals.clear()
    made = walk(schedule(["cle-smote", "cle-smote-share", "smote-triplets"]), score)
    assert len({run.id for run in made}) == len(made) == 6 + 3 + 6  # tuning of one, of the other's own search, trials
    assert set(totals) == {15}
    for run in made[-6:]:
        assert run.role == "trial"
        assert (run.settings.lr, run.method.pretraining_lr, run.method.beta) == (1e-2, 1e-5, 0.1)
        assert run.method.target_share == (0.3 if run.method.name == "cle-smote-share" else None)
    alone = walk(schedule(["smote-triplets"]), score)
    assert [run.method.name for run in alone] == ["cle-smote"] * 6 + ["smote-triplets"] * 2


def test_one_choice_holds_for_all_experiments_of_a_kind():
    experiments = imbalances("a", ["b", "c"], {"a": 50, "b": 50, "c": 50})
    made = walk(schedule(["none"], experiments, seeds=[0]), lambda run: run.settings.lr)
    assert [run.experiment.name for run in made if run.role == "tuning"] == [
        "interclass", "interclass", "intraclass-single-b", "intraclass-single-b", "both-single-b", "both-single-b",
    ]  # fmt: skip
    assert sum(run.role == "trial" for run in made) == len(experiments) == 5


def test_the_choice_does_not_hang_on_which_experiments_are_selected():
    experiments = imbalances("a", ["b", "c"], {"a": 50, "b": 50, "c": 50})
    whole, part = (schedule(["none"], experiments, seeds=[0], chosen=chosen) for chosen in (None, ["both-single-c"]))
    made = walk(part, lambda run: run.settings.lr)
    assert [(run.experiment.name, run.role) for run in made] == [
        ("both-single-b", "tuning"), ("both-single-b", "tuning"), ("both-single-c", "trial"),
    ]  # fmt: skip
    assert {run.id for run in made} < {run.id for run in walk(whole, lambda run: run.settings.lr)}


def test_a_trial_knows_what_its_learning_rate_was_chosen_from():
    *_, trial = walk(schedule(["none"], seeds=[0]), lambda run: 0.5)
    *_, other = walk(schedule(["none"], seeds=[0], lrs=(1e-3, 1e-1)), lambda run: 0.5)
    *_, plain = walk(schedule(["none"], seeds=[0], tune=False), lambda run: 0.5)
    assert trial.settings == other.settings == plain.settings
    assert [run.config.get("learning_rates") for run in (trial, other, plain)] == [[1e-3, 1e-2], [1e-3, 1e-1], None]
    assert len({trial.id, other.id, plain.id}) == 3


def test_trials_are_made_seed_by_seed():
    made = walk(schedule(["none", "smote"], lrs=(1e-3,), seeds=range(3)), lambda run: 0.5)
    assert [run.seed for run in made] == [0, 0, 1, 1, 2, 2]


def test_without_tuning_there_are_trials_only():
    made = walk(schedule(["cle-smote"], tune=False), lambda run: 0.5)
    assert [(run.role, run.settings.lr, run.method.beta) for run in made] == [("trial", 1e-3, 1.0)] * 2


def test_as_published_chooses_learning_rates_of_baselines_by_test_images_and_no_other():
    plan = schedule(["smote", "cle-smote"], settings=None, seeds=[0])
    made = walk(plan, lambda run: 1 - run.settings.lr)  # the test AUROC is the learning rate
    trials = {run.method.name: run.settings for run in made if run.role == "trial"}
    assert trials["smote"].lr == 1e-2
    assert trials["cle-smote"].lr == 5e-4
    assert len(made) == 4 + 2


def test_the_name_of_a_run_is_of_all_that_its_result_depends_on():
    plan = schedule(["none"], tune=False)
    names = {run.id for run in plan.ready({})[0]}
    other = Experiment("x", "x", {"a": 40, "b": 11}, EXPERIMENT.classes)
    for changed in (
        schedule(["none"], tune=False, settings=Settings(steps=5, epochs=2)),
        schedule(["none"], tune=False, lrs=(1e-4,)),
        schedule(["none"], [other], tune=False),
        schedule(["smote"], tune=False),
    ):
        assert not names & {run.id for run in changed.ready({})[0]}
    again = {run.id for run in schedule(["none"], tune=False).ready({})[0]}
    assert again == names


def test_ready_runs_name_their_role():
    ready, waiting = schedule(["none"]).ready({})
    assert [run.role for run in ready] == ["tuning"] * 2
    assert waiting == 2
    with pytest.raises(AttributeError):
        ready[0].seed = 1
