"""Options of :class:`SMOTEDataset` on its draws: how many of them are blends, of which classes, and of which images."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

from clesmote_losses.errors import Argument, ArgumentError, check_choice, check_numbers

Blend = Literal["oversampled", "all"]
Partners = Literal["nearest", "any"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawOptions:
    """What :class:`SMOTEDataset` draws besides what its sampler says; see there.

    Raises:
        ArgumentError: If a value is out of its range, or has no effect beside another one.
    """

    real_share: float | None = None
    blend: Blend = "oversampled"
    blend_share: float | None = None
    partners: Partners = "nearest"

    def __post_init__(self) -> None:
        check_choice("blend", self.blend, get_args(Blend))
        check_choice("partners", self.partners, get_args(Partners))
        check_numbers(**{name: value for name, value in vars(self).items() if "share" in name and value is not None})
        if self.real_share is not None and not 0 <= self.real_share <= 1:
            raise _error("real_share", f" must be in [0, 1]; got {self.real_share!r}.")
        if self.blend_share is not None and not 0 < self.blend_share < 1:
            raise _error(
                "blend_share",
                f" must be between 0 and 1, both excluded, since real images always stay; got {self.blend_share!r}.",
            )
        if self.real_share is not None and self.blend == "all":
            raise _error("real_share", " is for ", _OVERSAMPLED, ". With ", _ALL, ", pass ", _BLEND_SHARE, ".")
        if self.blend_share is not None and self.blend != "all":
            raise _error("blend_share", " needs ", _ALL, ". Without it, pass ", Argument("real_share"), ".")
        # plain values, which JSON keeps; a share of 0 asks for nothing
        object.__setattr__(self, "real_share", float(self.real_share) if self.real_share else None)
        if self.blend == "all":
            object.__setattr__(self, "blend_share", float(self.blend_share or 0.5))

    def check_sampler(self, sampler: str) -> None:
        """Check that the options have a meaning for the imbalanced-learn class of this name.

        Raises:
            ArgumentError: If one has none.
        """
        smote = Argument("sampler", "SMOTE()")
        if sampler == "RandomOverSampler":
            for name in self.given():
                raise _error(name, f" is about blends, and {sampler} makes none: pass ", smote, ".")
        elif sampler in ("BorderlineSMOTE", "ADASYN"):
            why = f": {sampler} chooses images by their nearest neighbours of other classes. Pass "
            for name in self.given().keys() & {"blend", "partners"}:
                raise _error(name, f" {getattr(self, name)!r} does not work with {sampler}", why, smote, ".")

    def given(self) -> dict[str, Any]:
        """Return the options that are not at their defaults, as plain values: those that a plan records."""
        return {name: value for name, value in vars(self).items() if value != DEFAULTS[name]}


DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in dataclasses.fields(DrawOptions)}
_OVERSAMPLED, _ALL = Argument("blend", '"oversampled"'), Argument("blend", '"all"')
_BLEND_SHARE = Argument("blend_share")


def _error(name: str, *parts: str | Argument) -> ArgumentError:
    return ArgumentError(name, Argument(name), *parts)


def recorded_draws(options: Mapping[str, Any]) -> DrawOptions:
    """Return the options on draws among those of a plan; those that it does not record are the defaults.

    Raises:
        ArgumentError: As :class:`DrawOptions`.
        TypeError: If a value is of the wrong kind.
    """
    return DrawOptions(**{name: options[name] for name in DEFAULTS if name in options})
