"""Finished rows of a vocabulary, or of a part of it, from open sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from pretrained_embed.arrays import Float32Array
from pretrained_embed.errors import ShapeError
from pretrained_embed.formats import Reader
from pretrained_embed.matrix.combine import Combination
from pretrained_embed.matrix.options import Options
from pretrained_embed.matrix.postprocess import Step, fitted, resolve
from pretrained_embed.matrix.sample import sample
from pretrained_embed.matrix.several import Rows, fill_gaps, put_together
from pretrained_embed.vocabulary import Vocabulary

FILL = Combination()


class RowMaker:
    """Makes rows of the vectors of several sources, or of one.

    ``dim`` is the number of dimensions that they have in the end. Raises `ShapeError`
    and `OptionError` where sources, combination and steps do not fit each other.
    """

    def __init__(
        self,
        readers: Sequence[Reader],
        options: Options,
        combination: Combination = FILL,
        steps: Sequence[Step] = (),
    ) -> None:
        self.readers = readers
        self.names = [reader.name for reader in readers]
        self.options = options
        self.combination = combination
        combined = combination.dim([reader.dim for reader in readers], self.names)
        self.steps, self.dim = resolve(steps, combined)

    def check_dim(self, dim: int) -> None:
        """Raise `ShapeError` if the rows do not have ``dim`` dimensions."""
        if self.dim != dim:
            raise ShapeError(
                f"{' and '.join(self.names)} would give rows of {self.dim} dimensions; "
                f"those to be kept have {dim}"
            )

    def rows(
        self,
        vocabulary: Vocabulary,
        readers: Sequence[Reader] | None = None,
        *,
        partial: bool,
    ) -> Rows:
        """Return the rows of a vocabulary; see `pretrained_embed.build_matrix`.

        ``readers``, where they are given, are those of the sources as far as this part
        needs them. ``partial`` says that the vocabulary is a part of one: it is no
        error that little of it is found.
        """
        make = fill_gaps if self.combination.how == "fill" else put_together
        rows = make(
            vocabulary,
            readers or self.readers,
            self.options,
            self.combination,
            partial=partial,
        )
        if self.steps:
            rows.vectors = self._change(rows.vectors)
        return rows

    @cached_property
    def _change(self) -> Callable[[Float32Array], Float32Array]:
        first = sample(self.readers, self.combination, self.options.on_bad_row)
        return fitted(self.steps, first)
