"""The rules of the options, and that one entry is all a new option needs."""

import dataclasses

import pytest
import yaml

from clesmote_losses.caps import CAPS
from clesmote_losses.errors import Argument, ArgumentError
from clesmote_losses.hosts.declaration import GROUPS, option
from clesmote_losses.hosts.options import Need, Options, option_of
from clesmote_losses.hosts.timm.flags import errors_as_flags, flag_parser, write_as_flag
from clesmote_losses.smote.samplers import SAMPLERS


@pytest.mark.parametrize(
    ("given", "argument", "message"),
    [
        (
            {"cap_beta": 2.0},
            "smote",
            "cap_beta needs synthetic samples: add smote={smote,borderline,adasyn,over}, or smote_plan",
        ),
        ({"triplet_epochs": 2}, "smote", "triplet_epochs needs synthetic samples"),
        ({"smote": None, "cap": None}, "smote", "cap needs synthetic samples"),
        ({"smote": "smote", "cap": "none", "cap_beta": 2.0}, "cap_beta", "cap_beta has no effect with cap=none"),
        (
            {"smote": "smote", "cap": "constant", "centroids": "batch"},
            "centroids",
            "centroids has no effect with cap=constant",
        ),
        (
            {"smote": "smote", "triplet_margin": 1.0},
            "triplet_margin",
            "triplet_margin has no effect without triplet_epochs",
        ),
        ({"smote_plan": "p", "smote_k": 2}, "smote_k", "smote_k has no effect without smote, because"),
        ({"smote": "smote", "smote_kk": 1}, "smote_kk", "unknown options of the method: smote_kk"),
        ({"smote": "smote", "cap_beta": -1.0}, "cap_beta", "cap_beta must be positive; got -1.0"),
        ({"smote": "smote", "cap_beta": float("nan")}, "cap_beta", "cap_beta must be positive; got nan"),
        (
            {"smote": "over", "smote_k": 2},
            "smote_k",
            "no effect with smote=over or smote_partners=any, which search no",
        ),
        (
            {"smote": "smote", "smote_partners": "any", "smote_features": "f"},
            "smote_features",
            "smote_features has no effect with smote=over or smote_partners=any",
        ),
        ({"smote": "over", "smote_real_share": 0.5}, "smote_real_share", "with smote=over, which makes copies"),
        (
            {"smote": "smote", "smote_blend": "all", "smote_real_share": 0.5},
            "smote_real_share",
            "has no effect with smote_blend=all: pass smote_blend_share",
        ),
        (
            {"smote": "smote", "smote_real_share": 1.5},
            "smote_real_share",
            "smote_real_share must be 1 or less; got 1.5",
        ),
        ({"smote": "smote", "smote_blend_share": 0.2}, "smote_blend_share", "has no effect without smote_blend=all"),
        ({"smote": "adasyn", "smote_blend": "all"}, "smote_blend", "has no effect without smote=smote"),
        ({"smote": "borderline", "smote_partners": "any"}, "smote_partners", "has no effect without smote=smote"),
        ({"smote_plan": "p", "smote_blend": "all"}, "smote_blend", "has no effect without smote, because"),
        ({"smote": "smote", "smote_k": 0}, "smote_k", "smote_k must be positive; got 0"),
        ({"smote": "smote", "triplet_epochs": -1}, "triplet_epochs", "triplet_epochs must be 0 or more; got -1"),
        ({"smote": "smote", "cap": "constant", "cap_gradient": "flow"}, "cap_gradient", "cap=constant has none"),
        ({"smote": "none", "cap": "constant"}, "smote", "smote=none turns the method off: drop its other options"),
        ({"smote": "smote", "cap": "none", "cap_on": "oversampled"}, "cap_on", "cap_on has no effect with cap=none"),
        (
            {"smote": "smote", "cap_on": "rare"},
            "cap_on",
            "cap_on must be one of ('synthetic', 'oversampled'); got 'rare'",
        ),
        (
            {"smote": "smote", "class_weights": "x"},
            "class_weights",
            "must be one of ('none', 'inverse', 'effective'); got",
        ),
        (
            {"smote": "smote", "logit_adjustment": -1.0},
            "logit_adjustment",
            "logit_adjustment must be 0 or more; got -1.0",
        ),
        ({"logit_adjustment": 1.0}, "smote", "logit_adjustment needs synthetic samples"),
        (
            {"smote": "svm"},
            "smote",
            "smote must be one of ('smote', 'borderline', 'adasyn', 'over', 'none'); got 'svm'",
        ),
        (
            {"smote": "smote", "cap": "x"},
            "cap",
            f"cap must be one of {(*CAPS, 'constant', 'none')}; got 'x'",
        ),
    ],
)
def test_options_that_mean_nothing_are_refused(given, argument, message):
    with pytest.raises(ArgumentError) as error:
        Options.from_given(given)
    assert message in str(error.value)
    assert error.value.argument == argument


def test_given_options_take_precedence_over_those_of_a_recorded_run():
    recorded = Options("smote", cap_beta=0.5, triplet_epochs=2, triplet_lr=0.1).recorded()
    options = Options.from_given({"cap": "none", "triplet_epochs": 0}, recorded)
    assert (options.cap, options.triplet_epochs, options.smote) == ("none", 0, "smote")
    with pytest.raises(ArgumentError, match="cap_beta has no effect with cap=none"):
        Options.from_given({"cap": "none", "cap_beta": 0.2}, recorded)


def test_recorded_options_are_plain_values_that_survive_yaml():
    options = Options("adasyn", 3, smote_image_size="64x48", cap="euclidean", cap_beta=2.0, triplet_epochs=1)
    recorded = options.recorded()
    assert recorded["cap_beta"] == 2.0
    assert "smote_plan" not in recorded
    assert Options.from_given({}, yaml.safe_load(yaml.safe_dump(recorded))) == options


@pytest.mark.parametrize(
    ("cap", "distance"), [("cosine", "cosine"), ("euclidean", "euclidean"), ("constant", None), ("none", None)]
)
def test_the_distance_is_that_of_the_cap(cap, distance):
    assert Options(cap=cap).distance == distance


def test_an_unknown_cap_has_no_distance():
    with pytest.raises(ArgumentError, match=r"cap must be one of \('cosine', .*; got 'x'") as error:
        _ = Options(cap="x").distance
    assert error.value.argument == "cap"


def test_numbers_without_a_default_are_parsed_as_numbers():
    flags = ["--smote-real-share", "0.5", "--smote-blend-share", "0.25", "--smote-plan", "7", "train.py"]
    given = flag_parser().parse_args(flags)
    assert (given.smote_real_share, given.smote_blend_share, given.smote_plan) == (0.5, 0.25, "7")


def test_every_option_is_in_a_group_and_explained():
    for field in dataclasses.fields(Options):
        assert field.metadata["group"] in GROUPS
        assert field.metadata["help"]


def test_an_option_is_found_by_its_name_or_by_the_argument_that_it_sets():
    assert option_of("smote_k").name == option_of("k_neighbors").name == "smote_k"
    assert option_of("smote").name == option_of("sampler").name == "smote"
    assert option_of("label_smoothing") is None


@dataclasses.dataclass(frozen=True)
class WithNoise(Options):
    """The options and a new one."""

    smote_noise: float = option(
        0.0,
        "smote",
        "noise added to a synthetic image",
        argument="noise_level",
        at_least=0,
        metavar="SD",
        needs=[Need(lambda options: options.smote == "smote", ("without ", Argument("smote", "smote"), "."))],
    )


def test_a_new_option_is_a_flag_that_is_explained_and_parsed():
    help_text = flag_parser(WithNoise).format_help()
    assert "--smote-noise SD" in help_text
    assert "noise added to a synthetic image (default: 0.0)" in " ".join(help_text.split())
    assert "--smote-noise" not in flag_parser().format_help()
    given = vars(flag_parser(WithNoise).parse_args(["--smote", "smote", "--smote-noise", "0.5", "train.py"]))
    del given["script"], given["arguments"]
    options = WithNoise.from_given(given)
    assert options.smote_noise == 0.5
    assert WithNoise.from_given({}, options.recorded()) == options


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"smote": "smote", "smote_noise": -1.0}, "--smote-noise must be 0 or more; got -1.0"),
        ({"smote": "adasyn", "smote_noise": 0.5}, "--smote-noise has no effect without --smote smote"),
        ({"smote_noise": 0.5}, "--smote-noise needs synthetic samples"),
    ],
)
def test_a_new_option_is_checked_by_its_own_rules(given, message):
    with pytest.raises(SystemExit, match=message), errors_as_flags(options=WithNoise):
        WithNoise.from_given(given)


def test_an_error_of_the_library_names_the_flag_of_a_new_option():
    error = ArgumentError("noise_level", "too much noise: lower ", Argument("noise_level", "0.1"), ".")
    with (
        pytest.raises(SystemExit, match=r"too much noise: lower --smote-noise 0\.1\."),
        errors_as_flags(options=WithNoise),
    ):
        raise error
    assert write_as_flag(Argument("noise_level")) == "noise_level"  # Options has no such option


def test_a_new_cap_is_a_choice(monkeypatch):
    with pytest.raises(SystemExit):
        flag_parser().parse_args(["--cap", "manhattan", "train.py"])
    monkeypatch.setitem(CAPS, "manhattan", CAPS["cosine"])
    assert flag_parser().parse_args(["--cap", "manhattan", "train.py"]).cap == "manhattan"
    assert Options.from_given({"smote": "smote", "cap": "manhattan"}).distance == "manhattan"


def test_a_new_sampler_is_a_choice(monkeypatch):
    with pytest.raises(SystemExit):
        flag_parser().parse_args(["--smote", "mine", "train.py"])
    monkeypatch.setitem(SAMPLERS, "mine", SAMPLERS["smote"])
    assert flag_parser().parse_args(["--smote", "mine", "train.py"]).smote == "mine"
    assert Options.from_given({"smote": "mine"}).smote == "mine"
    with pytest.raises(ArgumentError, match=r"add smote=\{smote,borderline,adasyn,over,mine\}"):
        Options.from_given({"cap": "none"})
