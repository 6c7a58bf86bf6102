"""Habits of people who use torch.nn.Embedding."""

import copy
from typing import ClassVar

import pytest

from .habits import HabitTests, habit

pytest.importorskip("torch", reason="PyTorch is not installed")
import torch
from torch import nn

from pretrained_embed.adapters import torch as pe_torch


@habit("layer.requires_grad_(False)")
def freeze_module(layer):
    layer.requires_grad_(False)
    return any(parameter.requires_grad for parameter in layer.parameters())


@habit(".half()")
def half(layer):
    return str(copy.deepcopy(layer).half()(torch.arange(7)).dtype)


class TestHabits(HabitTests):
    habits: ClassVar = [freeze_module, half]

    def layer(self, matrix, rows):
        return pe_torch.embedding(matrix, freeze=rows)

    def plain_layer(self, matrix, trains):
        return nn.Embedding.from_pretrained(
            torch.tensor(matrix.vectors), freeze=not trains, padding_idx=0
        )
