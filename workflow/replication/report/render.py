"""A table as Markdown and LaTeX (booktabs)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

DAGGER = "†"


@dataclass(frozen=True)
class Cell:
    """One entry: text, bold or not, and whether it carries the dagger of significance."""

    text: str = ""
    bold: bool = False
    dagger: bool = False


@dataclass(frozen=True)
class Row:
    """Labels in the first columns, then entries; ``rule`` draws a line above."""

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    rule: bool = False


@dataclass(frozen=True)
class Table:
    """A table in the paper's arrangement; ``heads`` names the label columns, then the entries' columns."""

    name: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default_factory=tuple)


def to_markdown(table: Table) -> str:
    """A pipe table under its title, notes below."""
    labels = len(table.rows[0].labels) if table.rows else 0
    lines = [f"**{table.title}**", "", _pipes(map(_pipe_safe, table.heads))]
    lines.append(_pipes(["---"] * labels + ["---:"] * (len(table.heads) - labels)))
    for row in table.rows:
        cells = [_markdown_cell(cell) for cell in row.cells]
        lines.append(_pipes([*map(_pipe_safe, row.labels), *cells]))
    if table.notes:
        lines += ["", *(f"- {note}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _pipes(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _pipe_safe(text: str) -> str:
    return text.replace("|", "\\|")


def _markdown_cell(cell: Cell) -> str:
    text = _pipe_safe(cell.text) + (DAGGER if cell.dagger else "")
    return f"**{text}**" if cell.bold and text else text


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "\N{MINUS SIGN}": r"$-$", "<": r"$<$",
    ">": r"$>$", "α": r"$\alpha$", "λ": r"$\lambda$", DAGGER: r"$^\dagger$", "–": "--", "×": r"$\times$",
}  # fmt: skip


def latex_text(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(character, character) for character in text)


def _latex_cell(cell: Cell) -> str:
    text = latex_text(cell.text)
    if cell.bold and text:
        text = rf"\textbf{{{text}}}"
    return text + (r"$^\dagger$" if cell.dagger else "")


def to_latex(table: Table) -> str:
    """A ``table*`` float with booktabs rules; needs ``\\usepackage{booktabs}``."""
    labels = len(table.rows[0].labels) if table.rows else 0
    columns = "l" * labels + "r" * (len(table.heads) - labels)
    lines = [
        r"\begin{table*}[t]", r"\centering\small", rf"\begin{{tabular}}{{{columns}}}", r"\toprule",
        _ampersands(map(latex_text, table.heads)), r"\midrule",
    ]  # fmt: skip
    for index, row in enumerate(table.rows):
        if row.rule and index:
            lines.append(r"\midrule")
        lines.append(_ampersands([*map(latex_text, row.labels), *map(_latex_cell, row.cells)]))
    lines += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{_caption(table)}}}"]
    lines += [rf"\label{{tab:{table.name}}}", r"\end{table*}"]
    return "\n".join(lines) + "\n"


def _ampersands(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _caption(table: Table) -> str:
    return " ".join(latex_text(_sentence(text)) for text in (table.title, *table.notes))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."


def plain_rows(table: Table) -> list[Sequence[str]]:
    """Heads and rows as plain text, for the report."""
    rows = [[*row.labels, *(cell.text + (DAGGER if cell.dagger else "") for cell in row.cells)] for row in table.rows]
    return [list(table.heads), *rows]
