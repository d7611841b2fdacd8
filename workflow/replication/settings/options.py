"""Files generated from the models of settings: JSON schemas for editors and the tables of docs/options.md.

``python -m replication.settings.options [ROOT]`` writes them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replication.settings.artifacts import Artifact, ArtifactsFile
from replication.settings.checks import Options, adapter
from replication.settings.config import CatalogFile, Config, Subset
from replication.settings.experiment import Block, ExperimentFile, Only, Override, ScaleGrid, When, experiment_type
from replication.settings.hyper import (
    Lora,
    NlpBalance,
    NlpHyper,
    NlpMethod,
    OperatorHyper,
    OperatorMethod,
    Pretraining,
)

_HEAD = """# Options

Every key of the files that you may edit, as `replication check` validates them. This page is generated:
`python -m replication.settings.options` writes it, and the schemas in `workflow/schemas/` for editors.
"""
_SECTIONS: dict[str, Any] = {
    "`config.yaml`": Config,
    "`subset` of `config.yaml`": Subset,
    "`only` of `config.yaml`": Only,
    "An experiment (`experiments/*.yaml`)": ExperimentFile,
    "A scale of an experiment (`scales`)": ScaleGrid,
    "A block of a scale (`grid`)": Block,
    "An override of a block (`overrides`)": Override,
    "The runs of an override (`when`)": When,
    "Hyper-parameters of language models (`hyper`)": NlpHyper,
    "Hyper-parameters of operators (`hyper`)": OperatorHyper,
    "Methods of language models (`methods` in `catalog/`)": NlpMethod,
    "Adapters (`lora` of a method)": Lora,
    "Methods of operators (`methods` in `catalog/`)": OperatorMethod,
    "TempBalance (`balance` of a method)": NlpBalance,
    "Pretraining (`pretrain` of an operator in `catalog/`)": Pretraining,
    "An artifact (`workflow/resources/artifacts.yaml`)": Artifact,
}
_TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true, false", "null": "null",
          "object": "mapping"}  # fmt: skip
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def generated() -> dict[str, str]:
    """Path below the repository's root -> content."""
    kinds = {"config": Config, "catalog": CatalogFile, "experiment": experiment_type(), "artifacts": ArtifactsFile}
    files = {f"workflow/schemas/{name}.schema.json": _schema(kind) for name, kind in kinds.items()}
    tables = "".join(f"\n## {title}\n\n{_table(model)}" for title, model in _SECTIONS.items())
    return {**files, "docs/options.md": _HEAD + tables}


def _schema(kind: Any) -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **adapter(kind).json_schema()}
    return json.dumps(schema) + "\n"


def _table(model: Any) -> str:
    schema = adapter(model).json_schema()
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, option in schema["properties"].items():
        default = "required" if key in schema.get("required", ()) else _plain(option.get("default"))
        cells = f"`{key}`", _values(option, schema.get("$defs", {})), default, option.get("description", "")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _plain(value: Any) -> str:
    return "" if value in (None, "", [], {}) else f"`{json.dumps(value)}`"


def _values(option: Options, parts: Mapping[str, Options]) -> str:
    """The values that an option may have, in words."""
    if "$ref" in option:
        return _values(parts[option["$ref"].rpartition("/")[2]], parts)
    if "anyOf" in option:
        return " or ".join(_values(one, parts) for one in option["anyOf"])
    if "const" in option or "enum" in option:
        return ", ".join(f"`{value}`" for value in option.get("enum", [option.get("const")]))
    if option["type"] == "array":
        return f"list of {_values(option['items'], parts)}" if "items" in option else "list"
    bounds = [f"{sign} {option[rule]}" for rule, sign in _BOUNDS.items() if rule in option]
    return " ".join([_TYPES[option["type"]], ", ".join(bounds)]).strip()


def main() -> None:
    """Write all generated files below the root, by default the working directory."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for path, content in generated().items():
        (root / path).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
