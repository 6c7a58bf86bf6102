"""Convert the files of this folder, and keep what pymagnitude itself says of them.

Made with pymagnitude 0.1.143 (its unpacked source distribution, of which converter and
reader run as they are), numpy 1.23.5 and Python 3.8 on x86-64 Linux::

    pip install 'numpy<1.24' gensim==3.8.3 lz4 annoy xxhash fasteners
    PYTHONPATH=pymagnitude-0.1.143 python tests/data/magnitude/make.py

Beside each file stands ``NAME.json``, its keys in the order of their rows, and
``NAME.npy``, what ``query`` gives for them, float32 (keys, dim).
"""

import json
import sys
import tempfile
import types
from pathlib import Path

import numpy as np

# The converter imports a reader of ELMo models: it needs PyTorch, and is not used here.
ELMO = "pymagnitude.third_party.allennlp.commands.elmo"
for name in (ELMO.rsplit(".", 2)[0], ELMO.rsplit(".", 1)[0], ELMO):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = []
sys.modules[ELMO].ElmoEmbedder = None

from pymagnitude import Magnitude  # noqa: E402  (needs what stands above)
from pymagnitude.converter import convert  # noqa: E402

HERE = Path(__file__).parent
KEYS = ["the", "The", "café", "new york", "日本", "1", "-0.5", "again", "😀"]
DIM = 6


def main():
    rows = np.random.default_rng(0).normal(size=(len(KEYS), DIM)) * 3
    lines = [f"{len(KEYS)} {DIM}"]
    for number, key in enumerate(KEYS):
        lines.append(" ".join([key, *(f"{value:.6f}" for value in rows[number])]))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "vectors.txt"
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        convert(str(source), str(HERE / "plain.magnitude"))
        convert(
            str(source), str(HERE / "subwords.magnitude"), precision=4, subword=True
        )
    for name in ("plain.magnitude", "subwords.magnitude"):
        held = Magnitude(str(HERE / name), eager=False)
        np.save(HERE / f"{name}.npy", np.array([held.query(key) for key in KEYS]))
        text = json.dumps({"words": [key for key, _ in held]}, ensure_ascii=False)
        (HERE / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
