"""Training modes left as they were found."""

import pytest
from torch import nn

from clesmote_losses.modes import preserved_modes


@pytest.mark.parametrize("fails", [False, True])
def test_each_part_gets_its_own_mode_back(fails: bool) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[1].eval()  # frozen by the user

    def body() -> None:
        with preserved_modes(model):
            model.train()
            model[0].eval()
            if fails:
                raise KeyboardInterrupt

    if fails:
        with pytest.raises(KeyboardInterrupt):
            body()
    else:
        body()
    assert [part.training for part in model.modules()] == [True, True, False]
