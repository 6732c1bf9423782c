"""The samplers of imbalanced-learn that a plan can be made with."""

from collections.abc import Callable
from typing import NamedTuple


class Sampler(NamedTuple):
    type: Callable[[], type]
    k: str = "k_neighbors"

    def make(self, k_neighbors, **options):
        return self.type()(**{self.k: k_neighbors}, **options)


def _of(name):
    def get():
        import imblearn.over_sampling as o

        return getattr(o, name)

    return get


SAMPLERS = {
    "smote": Sampler(_of("SMOTE")),
    "borderline": Sampler(_of("BorderlineSMOTE")),
    "adasyn": Sampler(_of("ADASYN"), "n_neighbors"),
}
