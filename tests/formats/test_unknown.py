"""What is not read is named, with the lines that convert it."""

import pickle
import zlib

import pytest

import pretrained_embed as pe
from pretrained_embed.errors import UnknownFormatError


def refused(path):
    with pytest.raises(UnknownFormatError) as refusal:
        pe.open_vectors(path)
    return str(refusal.value)


@pytest.fixture
def lance(tmp_path):
    """Return a folder as Lance 8 lays it out."""
    folder = tmp_path / "words.lance"
    for name in ("_transactions", "_versions", "data"):
        (folder / name).mkdir(parents=True)
    (folder / "_versions" / "18446744073709551614.manifest").write_bytes(b"\x08\x01")
    data = b"\x20\0\0\0HHHHHHHH" + bytes(40) + b"\2\0\2\0LANC"
    (folder / "data" / "1110.lance").write_bytes(data)
    return folder


def test_a_data_set_of_lance_is_named(lance):
    told = refused(lance)
    assert "data set of Lance" in told
    assert f'\n  table = lance.dataset("{lance}").to_table()' in told
    assert '\n  pq.write_table(table, "vectors.parquet")' in told


def test_a_file_of_lance_is_named_by_its_end(lance):
    path = lance / "data" / "1110.lance"
    told = refused(path)
    assert f'\n  table = lance.file.LanceFileReader("{path}").read_all()' in told


def test_a_saved_model_is_named(tmp_path):
    for name in ("assets", "variables"):
        (tmp_path / name).mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01\x12\x8c\x97\x01\n\xf3\x11")
    for path in (tmp_path, tmp_path / "saved_model.pb"):
        told = refused(path)
        assert "a SavedModel of TensorFlow" in told
        assert f'("{tmp_path}/variables/variables")\n' in told
        assert 'np.save("vectors.npy", saved.get_tensor(NAME))' in told


def test_pickles_that_are_written_again_are_read(tmp_path):
    for name, raw in (
        ("pickle", pickle.dumps({"a": [1.0, 2.0]}, 0)),
        ("pickle", pickle.dumps({"a": [1.0, 2.0]}, 1)),
        ("joblib", zlib.compress(b"x" * 99, 3)),
    ):
        (tmp_path / "v").write_bytes(raw)
        assert f"{name}.dump({name}.load(" in refused(tmp_path / "v")


def test_folders_of_checkpoints_say_what_to_name(tmp_path):
    (tmp_path / ".metadata").write_bytes(b"x")
    assert f'dcp_to_torch_save("{tmp_path}", "model.pt")' in refused(tmp_path)
    (tmp_path / ".metadata").unlink()
    states = tmp_path / "global_step9" / "mp_rank_00_model_states.pt"
    states.parent.mkdir()
    states.write_bytes(b"x")
    assert refused(tmp_path).endswith(f"name the file {states}")
    (tmp_path / "model_index.json").write_text("{}")
    assert f"are in {tmp_path / 'text_encoder'}, name that" in refused(tmp_path)
