"""The recipes, by the names of their classes; only the one that is asked for is imported."""

from __future__ import annotations

from importlib import import_module

from dlcv.training.recipe import Recipe, TrainError

RECIPES = {
    'MagicPointRecipe': 'magicpoint',
    'SuperPointRecipe': 'superpoint',
    'FlowNetRecipe': 'flownet',
    'UnFlowRecipe': 'unflow',
    'MonodepthRecipe': 'monodepth',
    'SupervisedMonodepthRecipe': 'monodepth_supervised',
    'SfMLearnerRecipe': 'sfmlearner',
    'DeepVORecipe': 'deepvo',
    'AceEncoderRecipe': 'ace_encoder',
    'DeepFundamentalRecipe': 'deep_fundamental',
    'NetVLADRecipe': 'netvlad',
    'LIFTRecipe': 'lift',
    'DispNetRecipe': 'dispnet',
    'UnsupervisedDispNetRecipe': 'dispnet_unsupervised',
    'SegmentationRecipe': 'segmentation',
    'CaptionRecipe': 'caption',
    'LocalizationRecipe': 'localization',
}
"""Module of this package that holds each class."""


def recipe_class(name: str) -> type[Recipe]:
    """Return the class of a recipe.

    Raises:
        TrainError: If there is none of that name.
    """
    if name not in RECIPES:
        raise TrainError(f'no recipe {name!r}; there are {", ".join(RECIPES)}')
    module = import_module(f'dlcv.training.recipes.{RECIPES[name]}')
    found: type[Recipe] = getattr(module, name)
    return found
