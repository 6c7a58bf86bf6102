from __future__ import annotations

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from conformance import ReadingConformance, all_rows, select
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import stream_of

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.errors import FormatError, RowError, TruncatedError
from pretrained_embed.formats.records import json as ours

WORDS = ["the", "été", 'q"\\', "", "new\nline"]
VECTORS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def objects(words=WORDS, vectors=VECTORS):
    return [
        {"id": number, "token": word, "vector": vector.tolist()}
        for number, (word, vector) in enumerate(zip(words, vectors, strict=True))
    ]


FORMS = {
    "object": json.dumps(dict(zip(WORDS, VECTORS.tolist(), strict=True))),
    "indented": json.dumps(dict(zip(WORDS, VECTORS.tolist(), strict=True)), indent=1),
    "list": json.dumps(objects()),
    "indented-list": json.dumps(objects(), indent=2, ensure_ascii=False),
    "lines": "\n".join(map(json.dumps, objects())),
    "lines-crlf": "\r\n".join(map(json.dumps, objects())) + "\r\n\r\n",
    "bom": "\ufeff" + json.dumps(objects()),
}


class TestJsonLines(ReadingConformance):
    def write(self, path, tokens, vectors):
        lines = [
            json.dumps({"w": token, "v": vector.tolist()})
            for token, vector in zip(tokens, vectors, strict=True)
        ]
        path.write_text("\n".join(lines) + "\n")


class TestJsonObject(ReadingConformance):
    def write(self, path, tokens, vectors):
        pairs = [
            f"{json.dumps(token)}: {json.dumps(vector.tolist())}"
            for token, vector in zip(tokens, vectors, strict=True)
        ]
        path.write_text("{" + ",\n".join(pairs) + "}")


@pytest.mark.parametrize("chunk", [7, 1 << 18])
@pytest.mark.parametrize("text", FORMS.values(), ids=[*FORMS])
def test_all_forms_are_read(tmp_path, text, chunk, monkeypatch):
    monkeypatch.setattr(ours, "_CHUNK", chunk)
    (tmp_path / "x").write_bytes(text.encode())

    with pe.open_vectors(tmp_path / "x") as reader:
        tokens, vectors = all_rows(reader)
        out, selection = select(reader, [("été", 0, 0), ("zzz", 1, 0)])

    assert reader.format == "json"
    assert tokens == WORDS
    assert vectors.tobytes() == VECTORS.tobytes()
    assert selection.source_rows.tolist() == [1, -1, -1]
    assert out[0].tobytes() == VECTORS[1].tobytes()


def test_frames_of_pandas_and_polars_are_read(tmp_path):
    frame = pd.DataFrame({"word": WORDS, "vector": list(VECTORS)})
    frame.to_json(tmp_path / "a", orient="records", double_precision=15)
    frame.to_json(tmp_path / "b", orient="records", lines=True, double_precision=15)
    pl.DataFrame({"word": WORDS, "vector": VECTORS}).write_ndjson(tmp_path / "c")

    for name in "abc":
        with pe.open_vectors(tmp_path / name) as reader:
            tokens, vectors = all_rows(reader)
        assert tokens == WORDS
        assert vectors.tobytes() == VECTORS.tobytes()


def test_one_object_a_line_may_be_one_line(tmp_path):
    (tmp_path / "x").write_text('{"vector": [1, 2], "word": "a"}')
    (tmp_path / "y").write_text('{"a": [1, 2]}')

    for name in "xy":
        with pe.open_vectors(tmp_path / name) as reader:
            assert all_rows(reader)[0] == ["a"]


def test_keys_are_named_and_others_are_told(tmp_path):
    row = {"de": "der", "en": "the", "a": [1.0], "b": [2.0], "n": None}
    (tmp_path / "x").write_text(json.dumps([row]))

    with pytest.raises(FormatError, match="all hold lists of numbers; name them"):
        pe.open_vectors(tmp_path / "x")
    with pe.open_vectors(f"{tmp_path / 'x'}#token=en,vector=b") as reader:
        tokens, vectors = all_rows(reader)
    assert tokens == ["the"]
    assert vectors.tolist() == [[2.0]]
    assert reader.findings.notes == ["other columns were left behind: de, a, n"]


def test_numbers_may_have_keys_of_their_own(tmp_path):
    (tmp_path / "x").write_text('{"w": "a", "d0": 1.5, "d1": 2.5}\n')

    with pe.open_vectors(tmp_path / "x") as reader:
        assert all_rows(reader)[1].tolist() == [[1.5, 2.5]]


@pytest.mark.parametrize(
    ("record", "what"),
    [
        ('{"w": "b", "v": [1]}', "1 numbers, 2 expected"),
        ('{"w": "b", "v": [1, null]}', "number 2 of the vector is None"),
        ('{"w": "b", "v": [true, 1]}', "number 1 of the vector is True"),
        ('{"w": "b", "v": ["1", 1]}', "number 1 of the vector is '1'"),
        ('{"w": "b", "v": null}', "no list of numbers, but None"),
        ('{"w": "b"}', "no list of numbers, but None"),
        ('{"w": null, "v": [1, 2]}', "no token, but None"),
        ('{"w": "\\ud800", "v": [1, 2]}', "half a character"),
        ("[1, 2]", "no object, but"),
    ],
)
def test_a_malformed_record_is_named_by_its_line_or_left_out(tmp_path, record, what):
    good = '{"w": "a", "v": [1, 2]}'
    (tmp_path / "x").write_text(f"{good}\n{record}\n{good}\n")

    with pe.open_vectors(tmp_path / "x") as reader:
        with pytest.raises(RowError, match="x, line 2: ") as error:
            all_rows(reader)
        tokens, _ = all_rows(reader, on_bad_row="skip")

    assert what in str(error.value)
    assert tokens == ["a", "a"]
    assert reader.findings.bad_rows == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}', "all hold|no column holds|is no list of numbers"),
        ('{"version": "1.0", "model": {"vocab": {}}}', "no column holds"),
        ('[{"a": 1}, {"a": 2}]', "no column holds"),
        ('{"a": [1, 2]} x', "'x' follows the end|no JSON"),
        ('{"a": [1, 2], }', "no JSON"),
        ('[{"w": "a", "v": [1, 2]} {"w": "b"}]', "stands where"),
        ('{"w": "a", "v": [1, 2]}\n{"w": ', "line 2: no JSON|no JSON"),
        ('[{"w": "a", "v": ' + "[" * 100_000, "nested too deep"),
        ('{"a": ' + "[" * 100_000, "nested too deep"),
    ],
)
def test_json_without_vectors_is_refused(tmp_path, text, message):
    (tmp_path / "x").write_text(text)

    with (
        pytest.raises(FormatError, match=message),
        pe.open_vectors(tmp_path / "x") as reader,
    ):
        all_rows(reader)


@pytest.mark.parametrize("form", ["object", "list", "lines"])
def test_a_file_that_is_cut_anywhere_is_refused(tmp_path, form):
    raw = FORMS[form].encode()

    for length in range(2, len(raw) - 1):
        (tmp_path / "x").write_bytes(raw[:length])
        try:
            with pe.open_vectors(tmp_path / "x") as reader:
                tokens, _ = all_rows(reader)
        except FormatError:
            continue
        assert form == "lines"  # cut between two lines
        assert tokens == WORDS[: len(tokens)]
    (tmp_path / "x").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(TruncatedError), pe.open_vectors(tmp_path / "x") as reader:
        all_rows(reader)


def test_a_value_that_has_no_end_is_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "_LONGEST_VALUE", 1 << 16)
    monkeypatch.setattr(ours, "_CHUNK", 1 << 10)
    (tmp_path / "x").write_text('{"a": [1, 2], "b": [' + "1, " * 100_000)

    with (
        pytest.raises(FormatError, match="a value of more than"),
        pe.open_vectors(tmp_path / "x") as reader,
    ):
        all_rows(reader)


@settings(deadline=None)
@given(st.lists(st.floats(width=64), min_size=2, max_size=2))
def test_a_number_means_float32_of_float(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("json") / "x"
    path.write_text(json.dumps({"a": numbers}))

    with formats.open_reader(stream_of(path)) as reader:
        _, vectors = all_rows(reader)

    with np.errstate(over="ignore"):
        read = json.loads(path.read_text())["a"]  # JSON keeps no sign of a NaN
        expected = np.array(read, np.float64).astype(np.float32)
    assert vectors[0].tobytes() == expected.tobytes()


def test_whole_numbers_of_any_length_are_numbers(tmp_path):
    digits = "9" * 5000
    (tmp_path / "x").write_text(f'{{"a": [16777217, {digits}, 123456789012345678901]}}')

    with pe.open_vectors(tmp_path / "x") as reader:
        _, vectors = all_rows(reader)

    expected = [np.float32(16777217.0), np.inf, np.float32(1.2345678901234568e20)]
    assert vectors.tolist() == [expected]
