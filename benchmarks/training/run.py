"""A run: one network trained on one experiment by one method with one seed, and the JSON line of its result."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils import parametrize

from benchmarks.data.experiments import Experiment
from benchmarks.data.source import Source
from benchmarks.data.trials import Trial, described, draw
from benchmarks.methods.registry import Method
from benchmarks.training.as_published import PublishedSettings
from benchmarks.training.controlled import Settings
from benchmarks.training.environment import environment
from benchmarks.training.training_images import TrainingData
from clesmote_losses.atomic_write import atomic_write
from clesmote_losses.restore import preserved_rng

Arrays = dict[str, NDArray[Any]]
Record = dict[str, Any]  # a line
_DIGITS = 6  # decimals of the numbers in a line


@dataclass(frozen=True)
class Run:
    """What one line is about.

    Attributes:
        suite: Name of the suite.
        source: The data.
        experiment: What is drawn from it.
        method: What is done against the imbalance.
        settings: What all methods have in common; their type is the preset.
        seed: Seed of everything random.
        role: ``"trial"``, or ``"tuning"`` for a run that hyperparameters are chosen by.
        learning_rates: Those that the learning rate of a trial was chosen from; ``None`` if nothing was chosen.
    """

    suite: str
    source: Source
    experiment: Experiment
    method: Method
    settings: Settings | PublishedSettings
    seed: int
    role: str = "trial"
    learning_rates: tuple[float, ...] | None = None

    def draw(self) -> Trial:
        """Draw the images of the run."""
        return draw(self.source, self.experiment, self.seed, validate=self.settings.validate)

    @cached_property
    def config(self) -> dict[str, Any]:
        """All that the result depends on except versions of software, as plain values."""
        config = {
            "suite": self.suite,
            "experiment": described(self.source, self.experiment, self.draw()),
            "method": self.method.chosen(),
            "settings": self.settings.plain(),
            "seed": self.seed,
        }
        if self.learning_rates is not None:
            config["learning_rates"] = list(self.learning_rates)
        return config

    @cached_property
    def id(self) -> str:
        """Name of the run; it does not depend on the role."""
        return run_id(self.config)

    @property
    def steps(self) -> int:
        """Number of optimizer steps."""
        return self.settings.total_steps(self.draw(), self.experiment, self.method)

    def with_choice(self, choice: dict[str, Any]) -> "Run":
        """Return the run with other values of the settings, or of the method where the settings have no such field."""
        own = {field.name for field in fields(self.settings)}
        of_settings = {name: value for name, value in choice.items() if name in own}
        of_method = {name: value for name, value in choice.items() if name not in own}
        return replace(self, settings=replace(self.settings, **of_settings), method=replace(self.method, **of_method))

    def make(
        self,
        device: torch.device,
        *,
        on_steps: Callable[[int], object] = lambda steps: None,
        weights: Path | None = None,
        look: Callable[[nn.Module, TrainingData], Arrays] | None = None,
    ) -> tuple[Record, Arrays | None]:
        """Train and test. The global random number generators keep their state.

        Args:
            device: Where it runs.
            on_steps: Called with the number of optimizer steps made since the last call.
            weights: Save the network of the chosen epoch to this ``.safetensors`` file.
            look: Returns the arrays to keep beside the line, of the trained network and its training set.

        Returns:
            The line, and what ``look`` returned.
        """

        def save(model: nn.Module) -> None:
            if weights is not None:
                save_weights(model, weights)

        # cuDNN's fastest algorithms are not deterministic
        with preserved_rng(seed=self.seed), torch.backends.cudnn.flags(deterministic=True, benchmark=False):
            model, data, result = self.settings.train(
                self.draw(),
                self.experiment,
                self.method,
                self.seed,
                device=device,
                on_steps=on_steps,
                on_best=save,
            )
            arrays = None if look is None else look(model, data)
        line = {"id": self.id, "role": self.role, "config": self.config, **result, "environment": environment(device)}
        if self.source.flow:
            line["selection"] = dict(self.source.flow)
        return _as_stored(line), arrays


def run_id(config: dict[str, Any]) -> str:
    """Return the name of the run of a configuration: equal configurations are the same run."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    return f"{config['method']['name']}-seed{config['seed']}-{digest[:10]}"


def save_weights(model: nn.Module, path: Path) -> None:
    """Write weights that timm's ``checkpoint_path=`` loads.

    A cosine classifier is written as a plain one without bias. It predicts the same classes, since the length of the embedding
    scales all logits of an image alike.
    """
    from safetensors.torch import save_file

    state = dict(model.state_dict())
    for name, layer in model.named_modules():
        if parametrize.is_parametrized(layer, "weight"):
            del state[f"{name}.parametrizations.weight.original"]
            state |= {f"{name}.weight": layer.weight, f"{name}.bias": torch.zeros(len(layer.weight))}
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with atomic_write(path) as unfinished:
        save_file(state, unfinished, {"format": "pt"})


def _as_stored(line: Record) -> Record:
    """Return the line as JSON holds it, with rounded numbers; what is not finite is ``None``."""
    text = json.dumps(line)
    return dict(
        json.loads(text, parse_float=lambda number: round(float(number), _DIGITS), parse_constant=lambda _: None)
    )
