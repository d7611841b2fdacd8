"""Every task of the paper loads from a folder in its published format and trains on a tiny model."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nlp_tiny import FT, TB, Chain

from replication.text import fetching, preparing
from replication.text.preparing import read_table

ROWS = 24
Rows = list[dict[str, Any]]


def tsv(path: Path, rows: Rows, *, header: bool = True) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
        if header:
            writer.writerow(rows[0])
        writer.writerows(row.values() for row in rows)


def lines(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def pairs(names: tuple[str, ...], labels: tuple[Any, ...], label: str = "label") -> Rows:
    """Rows with texts in columns ``names`` and alternating labels; their characters break careless readers."""
    return [{**{name: f'{name} {n} " said é' for name in names}, label: labels[n % len(labels)]} for n in range(ROWS)]


def both(writer: Callable[[Path, Rows], None], train: str, dev: str, rows: Rows) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        writer(folder / train, rows)
        writer(folder / dev, rows[: ROWS // 2])

    return write


def glue(
    names: tuple[str, ...], labels: tuple[Any, ...], dev: str = "dev.tsv", label: str = "label"
) -> Callable[[Path], None]:
    return both(tsv, "train.tsv", dev, [{"index": n, **row} for n, row in enumerate(pairs(names, labels, label))])


def superglue(names: tuple[str, ...], labels: tuple[Any, ...]) -> Callable[[Path], None]:
    return both(lines, "train.jsonl", "val.jsonl", pairs(names, labels))


def domain(labels: tuple[str, ...]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for split in ("train", "dev", "test"):
            lines(folder / f"{split}.txt", [{**row, "metadata": []} for row in pairs(("text",), labels)])

    return write


def cola(folder: Path) -> None:
    rows = [{"source": "gj04", "label": n % 2, "mark": "", "sentence": f"sentence {n}"} for n in range(ROWS)]
    for name in ("train.tsv", "dev.tsv"):
        tsv(folder / name, rows, header=False)


def multirc(folder: Path) -> None:
    passages = [
        {
            "idx": n,
            "passage": {
                "text": f"passage {n}",
                "questions": [
                    {"idx": q, "question": "why?", "answers": [{"idx": a, "text": f"a{a}", "label": a} for a in (0, 1)]}
                    for q in (0, 1)
                ],
            },
        }
        for n in range(8)
    ]
    lines(folder / "train.jsonl", passages)
    lines(folder / "val.jsonl", passages[:3])


def squad(folder: Path) -> None:
    context = "word " * 8 + "it is Paris , and " + "more " * 12
    where = context.index("Paris")
    articles = [
        {
            "title": f"t{n}",
            "paragraphs": [
                {
                    "context": context,
                    "qas": [
                        {"id": f"{n}", "question": "What?", "answers": [{"text": "Paris", "answer_start": where}] * 2}
                    ],
                }
            ],
        }
        for n in range(30)
    ]
    (folder / "train-v1.1.json").write_text(json.dumps({"version": "1.1", "data": articles}))
    (folder / "dev-v1.1.json").write_text(json.dumps({"version": "1.1", "data": articles[:3]}))


def scienceqa(folder: Path) -> None:
    problems = {
        str(n): {
            "question": f"question {n}?", "choices": ["yes", "no", "maybe"][: 2 + n % 2], "answer": n % 2, "hint": "",
            "image": "image.png" if n % 6 == 5 else None, "split": ("train", "train", "val", "test")[n % 4],
        }
        for n in range(48)
    }  # fmt: skip
    (folder / "problems.json").write_text(json.dumps(problems))


def stsb(folder: Path) -> None:
    rows = [{"index": n, "sentence1": f"one {n}", "sentence2": f"two {n}", "score": n % 6} for n in range(ROWS)]
    for name in ("train.tsv", "dev.tsv"):
        tsv(folder / name, rows)


CHEMPROT = (
    "ACTIVATOR", "AGONIST", "AGONIST-ACTIVATOR", "AGONIST-INHIBITOR", "ANTAGONIST", "DOWNREGULATOR",
    "INDIRECT-DOWNREGULATOR", "INDIRECT-UPREGULATOR", "INHIBITOR", "PRODUCT-OF", "SUBSTRATE", "SUBSTRATE_PRODUCT-OF",
    "UPREGULATOR",
)  # fmt: skip
SCIERC = ("COMPARE", "CONJUNCTION", "EVALUATE-FOR", "FEATURE-OF", "HYPONYM-OF", "PART-OF", "USED-FOR")
ENTAILMENT = ("entailment", "not_entailment")
WRITERS: dict[str, Callable[[Path], None]] = {
    "sst2": both(tsv, "train.tsv", "dev.tsv", pairs(("sentence",), (0, 1))),
    "mnli": glue(
        ("sentence1", "sentence2"), ("neutral", "entailment", "contradiction"), "dev_matched.tsv", "gold_label"
    ),
    "qnli": glue(("question", "sentence"), ENTAILMENT),
    "qqp": glue(("question1", "question2"), (0, 1), label="is_duplicate"),
    "cola": cola,
    "mrpc": glue(("#1 String", "#2 String"), (0, 1), label="Quality"),
    "stsb": stsb,
    "rte": superglue(("premise", "hypothesis"), ENTAILMENT),
    "boolq": superglue(("passage", "question"), (True, False)),
    "cb": superglue(("premise", "hypothesis"), ("entailment", "contradiction", "neutral")),
    "wic": superglue(("word", "sentence1", "sentence2"), (True, False)),
    "multirc": multirc,
    "copa": superglue(("premise", "choice1", "choice2", "question"), (0, 1)),
    "squad": squad,
    "scicite": domain(("background", "method", "result")),
    "chemprot": domain(CHEMPROT),
    "hyperpartisan": domain(("false", "true")),
    "rct-500": domain(("BACKGROUND", "OBJECTIVE", "METHODS", "RESULTS", "CONCLUSIONS")),
    "sciie": domain(SCIERC),
    "citation-intent": domain(("Background", "CompareOrContrast", "Extends", "Future", "Motivation", "Uses")),
    "scienceqa": scienceqa,
}


@pytest.mark.parametrize("name", WRITERS)
def test_task_loads_from_its_published_format_and_trains(
    name: str, catalog: dict, make_chain: Callable[..., Chain], tmp_path: Path
) -> None:
    WRITERS[name](tmp_path)
    options = {**catalog["datasets"][name]}
    if isinstance(options["splits"]["validation"], dict):
        options["splits"] = {**options["splits"], "validation": {"rows": 4}}
    model = {"multiple_choice_lm": "tiny-llama", "multiple_choice": "tiny-roberta"}.get(
        options.get("kind"), "tiny-bert"
    )
    options["max_length"] = 128
    chain = make_chain(options, tmp_path, catalog["models"][model])
    record, _ = chain.run(FT, indices=range(preparing.count_training_rows(chain.data)), epochs=1, batch_size=16)
    assert record["status"] == "finished"
    scores = record["metrics"]["test"]["final"]
    assert next(iter(scores)) == record["primary"] == options.get("metrics", list(scores))[0]
    assert all(-1 <= value <= 1 for metric, value in scores.items() if metric != "loss")


def test_every_declared_task_but_the_embedded_one_is_tested_here(catalog: dict) -> None:
    embedded = {"rotten-tomatoes", "rotten-tomatoes-smoke"}
    assert set(WRITERS) == set(catalog["datasets"]) - embedded


SHARED = {
    "cola": ("cola", "The sailors rode", 8551), "mnli": ("mnli_subset", "Salt kept", 8999),
    "qnli": ("qnli_subset", None, 8999), "qqp": ("qqp_subset", None, 8999), "mrpc": ("mrpc_subset", None, 3300),
    "chemprot": ("chemprot", None, 4169), "sciie": ("sciie", None, 3219),
    "citation-intent": ("citation_intent", None, 1688),
    "sst2": ("sst2", "it 's a charming", 67349),
}  # fmt: skip


@pytest.mark.parametrize("name", SHARED)
def test_published_copies_load_as_they_are(name: str, catalog: dict, shared_dir: Path, tmp_path: Path) -> None:
    folder, first_test_text, rows = SHARED[name]
    options = catalog["datasets"][name]
    fetching.fetch(options, tmp_path / "raw", folder=shared_dir / "data" / folder)
    preparing.prepare(options, tmp_path / "raw", tmp_path / "data")
    manifest = json.loads((tmp_path / "data/manifest.json").read_text())["splits"]
    held_out = manifest["validation"]["rows"] if not isinstance(options["splits"]["validation"], str) else 0
    assert manifest["train"]["rows"] + held_out == rows
    if first_test_text:
        assert read_table(tmp_path / "data", "test").column("text_0")[0].as_py().startswith(first_test_text)


def test_the_papers_subset_of_sst2_is_its_first_rows(catalog: dict, shared_dir: Path, tmp_path: Path) -> None:
    options = catalog["datasets"]["sst2"]
    fetching.fetch(options, tmp_path / "raw", folder=shared_dir / "data/sst2")
    preparing.prepare(options, tmp_path / "raw", tmp_path / "data")
    with (shared_dir / "data/sst2/train.tsv").open() as file:
        published = [next(file).split("\t")[0] for _ in range(14)][1:]
    assert read_table(tmp_path / "data", "train").column("text_0").to_pylist()[:13] == published
    assert int(preparing.count_training_rows(tmp_path / "data") * 0.0002) == 13


def test_ragged_lines_are_left_out_only_if_the_task_says_so(catalog: dict, tmp_path: Path) -> None:
    from replication.errors import DataError

    WRITERS["qqp"](tmp_path)
    with (tmp_path / "train.tsv").open("a") as file:
        file.write("broken line\n")
    options = {**catalog["datasets"]["qqp"], "splits": {"test": "dev", "validation": {"rows": 4}}}
    preparing.prepare(options, tmp_path, tmp_path / "data")
    assert preparing.count_training_rows(tmp_path / "data") == ROWS - 4
    held_out = preparing.held_out_rows(tmp_path / "data")
    texts = {
        split: read_table(tmp_path / "data", split).column("text_0").to_pylist() for split in ("train", "validation")
    }
    validation = iter(texts["validation"])
    train = iter(texts["train"])
    whole = [next(validation if n in held_out else train) for n in range(ROWS)]
    assert whole == [f'question1 {n} " said é' for n in range(ROWS)], "positions in the published file"
    with pytest.raises(DataError, match="line 26 has 1 fields"):
        preparing.prepare({**options, "skip_ragged": False}, tmp_path, tmp_path / "data")


def test_tb_balances_a_task_of_spans(catalog: dict, make_chain: Callable[..., Chain], tmp_path: Path) -> None:
    squad(tmp_path)
    options = {
        **catalog["datasets"]["squad"],
        "max_length": 64,
        "splits": {"test": "dev-v1.1", "validation": {"rows": 4}},
    }
    chain = make_chain(options, tmp_path, catalog["models"]["tiny-roberta"])
    record, folder = chain.run(TB, indices=range(24), epochs=5, batch_size=8, lr=3e-3)
    rates = {row["lr"] for row in csv.DictReader((folder / "spectra.csv").open()) if row["epoch"] == "3"}
    assert len(rates) > 1
    assert record["n_train"] == 24
    assert record["metrics"]["test"]["selected"]["span_f1"] > 0.5, "one answer at one place can be learned"
