"""Train a network except the parts that its user has frozen."""

from collections.abc import Iterable

from torch import nn


def train_unfrozen(*modules: nn.Module) -> None:
    """Put modules into training mode, except their frozen parts.

    A part is frozen if it is in evaluation mode inside a module in training mode, or if none of its parameters requires a
    gradient. Where the module itself is in evaluation mode, such as after a validation, only the gradients count.
    """
    for module in modules:
        parts = list(module.modules())
        in_evaluation = [part for part in parts if module.training and not part.training]
        module.train()
        for part in parts:
            parameters = list(part.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                part.eval()
        for part in in_evaluation:
            part.training = False  # not eval(), which is for its parts too


def check_trainable(model: nn.Module, classifier: Iterable[nn.Module]) -> None:
    """Raise ``ValueError`` if every parameter of a model is frozen, apart from those of its classifier."""
    heads = {parameter for layer in classifier for parameter in layer.parameters()}
    if not any(parameter.requires_grad for parameter in model.parameters() if parameter not in heads):
        raise ValueError(
            "there is nothing to train: no parameter outside the classifier has requires_grad=True, and triplets do not train the "
            "classifier. Unfreeze the layers that should learn: layer.requires_grad_(True)."
        )
