"""When an option has an effect."""

import pytest

from clesmote_losses.hosts import needs
from clesmote_losses.hosts.options import Options


@pytest.mark.parametrize(
    ("need", "met", "unmet"),
    [
        (needs.SAMPLER, {"smote": "adasyn"}, {"smote_plan": "plan.safetensors"}),
        (needs.SMOTE, {"smote": "smote"}, {"smote": "adasyn"}),
        (needs.SEARCH, {"smote": "borderline"}, {"smote": "over"}),
        (needs.SEARCH, {"smote": "smote"}, {"smote": "smote", "smote_partners": "any"}),
        (needs.BLENDS, {"smote": "smote"}, {"smote": "over"}),
        (needs.OVERSAMPLED, {"smote": "smote"}, {"smote": "smote", "smote_blend": "all"}),
        (needs.ALL, {"smote": "smote", "smote_blend": "all"}, {"smote": "smote"}),
        (needs.CAP, {"smote": "smote", "cap": "constant"}, {"smote": "smote", "cap": "none"}),
        (needs.DISTANCE, {"smote": "smote", "cap": "euclidean"}, {"smote": "smote", "cap": "constant"}),
        (needs.TRIPLETS, {"smote": "smote", "triplet_epochs": 1}, {"smote": "smote"}),
    ],
)
def test_a_need_is_met_by_the_options_that_it_names(need: needs.Need, met: dict, unmet: dict) -> None:
    assert need.is_met(Options(**met))
    assert not need.is_met(Options(**unmet))
