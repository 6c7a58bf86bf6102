"""Make the states of layers in this folder, as release 0.1 saved them.

Made by the code of commit 0f0e8c0 (release 0.1) with Python 3.11, torch 2.13.0,
keras 3.15.1 (backend JAX), jax 0.10.2, flax 0.12.8, equinox 0.13.8 and orbax 0.12.8 on
x86-64 Linux::

    KERAS_BACKEND=jax python tests/data/release_0_1/layers/make.py

Later code need not run it. ``expected.npz`` says what is in the files:

* ``start`` float32 (300, 4): the matrix that every layer was made of;
* ``frozen`` bool (300,): the rows that were frozen in the layers named ``some``;
* ``push`` float32 (300, 4): what one step of training took from the rows, halved.

So the table of a layer is ``start - push / 2`` in the rows that train and ``start`` in
the others: the loss is the sum of ``push * row``, the step one of SGD at the rate 0.5.
Row 0 is the pad token, row 150 a hole, the others the tokens ``w1`` to ``w299``.

Kinds of layers: ``some`` trains the rows that are not frozen, ``whole`` all but the
pad row and the hole, ``still`` none, ``no_pad`` all, from a vocabulary without a pad
token and a hole, so that row 0 and row 150 are tokens too.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import pretrained_embed as pe

HERE = Path(__file__).parent
ROWS, DIM, HOLE = 300, 4, 150
RATE = 0.5
NEVER = np.isin(np.arange(ROWS), [0, HOLE])  # rows that never train


def numbers() -> dict[str, np.ndarray]:
    drawn = np.random.default_rng(14)
    start = drawn.normal(size=(ROWS, DIM)).astype(np.float32)
    start[1] = [-0.0, 1e-40, 65000.0, 1 / 3]  # values that arithmetic would change
    push = drawn.normal(size=(ROWS, DIM)).astype(np.float32)
    frozen = drawn.random(ROWS) < 0.4
    frozen[1] = True
    start[[0, HOLE]] = 0
    frozen[[0, HOLE]] = True  # by themselves, whatever is asked for
    return {"start": start, "push": push, "frozen": frozen}


NUMBERS = numbers()
START, PUSH, FROZEN = NUMBERS["start"], NUMBERS["push"], NUMBERS["frozen"]


def matrix(pad: bool = True) -> pe.EmbeddingMatrix:
    if not pad:
        tokens = [f"w{i}" for i in range(ROWS)]
        return pe.EmbeddingMatrix(START, pe.Vocabulary(tokens, pad=None))
    ids = {f"w{i}": i for i in range(1, ROWS) if i != HOLE}
    return pe.EmbeddingMatrix(START, pe.Vocabulary({"<pad>": 0, **ids}, pad="<pad>"))


def table(kind: str) -> np.ndarray:
    stays = {
        "some": FROZEN,
        "whole": NEVER,
        "still": np.ones(ROWS, bool),
        "no_pad": np.zeros(ROWS, bool),
    }[kind]
    return np.where(stays[:, None], START, START - np.float32(RATE) * PUSH)


def check(kind: str, layer_table: np.ndarray) -> None:
    """The layer that is about to be saved has the table that is said of it."""
    assert layer_table.astype(np.float32).tobytes() == table(kind).tobytes(), kind


FREEZE = {"some": FROZEN, "whole": False, "still": True, "no_pad": False}


def torch_states() -> None:
    import torch

    from pretrained_embed.adapters import torch as pe_torch

    ids = torch.arange(ROWS)

    def step(layer: torch.nn.Module) -> None:
        parameters = [p for p in layer.parameters() if p.requires_grad]
        if parameters:
            optimizer = torch.optim.SGD(parameters, RATE)
            (layer(ids) * torch.from_numpy(PUSH)).sum().backward()
            optimizer.step()

    folder = HERE / "torch"
    folder.mkdir(exist_ok=True)
    for kind in ("some", "whole", "still"):
        layer = pe_torch.embedding(matrix(), freeze=FREEZE[kind])
        step(layer)
        if kind == "whole":
            with torch.no_grad():  # the hole is a row like others to torch
                layer.weight[HOLE] = 0
        check(kind, layer(ids).detach().numpy())
        torch.save(layer.state_dict(), folder / f"{kind}.pt")

    layer = pe_torch.embedding(matrix(), freeze=FROZEN)
    step(layer)
    model = torch.nn.Sequential(layer, torch.nn.Linear(DIM, 1))
    torch.save(model.state_dict(), folder / "some_in_a_model.pt")
    from safetensors.torch import save_file

    save_file(layer.state_dict(), folder / "some.safetensors")

    layer = pe_torch.embedding(matrix(), freeze=FROZEN, dtype=torch.bfloat16)
    torch.save(layer.state_dict(), folder / "some_untrained_bfloat16.pt")
    bag = pe_torch.embedding_bag(matrix())
    torch.save(bag.state_dict(), folder / "bag_untrained.pt")

    with tempfile.TemporaryDirectory() as work:
        matrix().save(Path(work) / "m.npz")
        alone = pe_torch.sharded_embedding(pe.load_shard(Path(work) / "m.npz", 0, 1))
        step(alone)
        torch.save(alone.state_dict(), folder / "sharded_0_of_1.pt")
        running = [
            subprocess.Popen([sys.executable, __file__, "rank", str(rank), work])
            for rank in (0, 1)
        ]
        for process in running:
            assert process.wait(timeout=100) == 0


def torch_rank(rank: int, work: Path) -> None:
    import torch
    from torch import distributed

    from pretrained_embed.adapters import torch as pe_torch

    distributed.init_process_group(
        "gloo", init_method=f"file://{work}/meet", rank=rank, world_size=2
    )
    layer = pe_torch.sharded_embedding(pe.load_shard(work / "m.npz", rank, 2))
    optimizer = torch.optim.SGD(layer.parameters(), RATE)
    mine = torch.arange(layer.start, layer.stop)
    (layer(mine) * torch.from_numpy(PUSH)[mine]).sum().backward()
    optimizer.step()
    torch.save(layer.state_dict(), HERE / "torch" / f"sharded_{rank}_of_2.pt")
    distributed.destroy_process_group()


def keras_states() -> None:
    import keras

    from pretrained_embed.adapters import keras as pe_keras

    folder = HERE / "keras"
    folder.mkdir(exist_ok=True)
    ids = np.arange(ROWS)[:, None]
    for kind, freeze in FREEZE.items():
        keras.utils.clear_session()
        trainable = ~freeze if kind == "some" else not freeze
        layer = pe_keras.embedding(matrix(pad=kind != "no_pad"), trainable=trainable)
        inputs = keras.Input((1,), dtype="int32")
        model = keras.Model(inputs, layer(inputs))
        for variable in layer.trainable_variables:
            rows = {"some": ~FROZEN, "whole": ~NEVER}.get(kind, np.ones(ROWS, bool))
            keras.optimizers.SGD(RATE).apply([PUSH[rows]], [variable])
        check(kind, np.asarray(layer(np.arange(ROWS))))
        model.save(folder / f"{kind}.keras")
        model.save_weights(folder / f"{kind}.weights.h5")
        if kind == "some":
            model.compile(keras.optimizers.Adam(0.0), "mse")  # moments, and no step
            model.fit(ids, PUSH[:, None], batch_size=ROWS, verbose=0)
            check(kind, np.asarray(layer(np.arange(ROWS))))
            model.save(folder / "some_with_optimizer.keras")


def jax_states() -> None:
    import equinox
    import jax
    import optax
    import orbax.checkpoint
    from flax import linen, nnx, serialization

    from pretrained_embed.adapters import jax as pe_jax

    folder = HERE / "jax"
    folder.mkdir(exist_ok=True)
    ids = jax.numpy.arange(ROWS)
    for kind, freeze in FREEZE.items():
        layer = pe_jax.embedding(matrix(pad=kind != "no_pad"), freeze=freeze)
        if kind != "still":
            optimizer = nnx.Optimizer(layer, optax.sgd(RATE), wrt=nnx.Param)
            optimizer.update(layer, nnx.grad(lambda m: (m(ids) * PUSH).sum())(layer))
        check(kind, np.asarray(layer(ids)))
        pure = nnx.to_pure_dict(nnx.state(layer))
        packed = serialization.msgpack_serialize(jax.tree.map(np.asarray, pure))
        (folder / f"nnx_{kind}.msgpack").write_bytes(packed)
        if kind == "some":
            with orbax.checkpoint.StandardCheckpointer() as saver:
                saver.save((folder / "nnx_some_orbax").absolute(), pure)
            said = folder / "nnx_some_orbax" / "commit_success.txt"
            said.write_text("Checkpoint commit was successful.\n")  # without our path

    make = pe_jax.pretrained(matrix())
    params = linen.Embed(ROWS, DIM, embedding_init=make).init(jax.random.key(0), ids)
    (folder / "linen_untrained.msgpack").write_bytes(serialization.to_bytes(params))
    layer = equinox.nn.Embedding(weight=make(None, (ROWS, DIM)))
    equinox.tree_serialise_leaves(folder / "equinox_untrained.eqx", layer)


def main() -> None:
    if sys.argv[1:2] == ["rank"]:
        torch_rank(int(sys.argv[2]), Path(sys.argv[3]))
        return
    np.savez_compressed(HERE / "expected.npz", **NUMBERS)
    torch_states()
    keras_states()
    jax_states()


if __name__ == "__main__":
    main()
