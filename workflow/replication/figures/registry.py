"""Name of a layout -> the function that draws it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from matplotlib.figure import Figure

from replication.errors import ConfigError
from replication.figures import esd, predictions, ratio, rollout, strength
from replication.figures.data import FigureData

REGISTRY: Mapping[str, Callable[[FigureData], Figure]] = {
    "fig1_esd": esd.spectra_and_exponents,
    "fig2_alpha_std_nlp": ratio.score_and_spread,
    "fig3_glue_ratio": ratio.methods_and_gain,
    "fig4_cfd_ratio": ratio.methods_and_gain,
    "fig5_domain": ratio.domain_sets,
    "fig6_alpha_std_sciml": ratio.score_and_spread,
    "fig7_alpha_std_tb_nlp": ratio.methods_and_gain,
    "fig8_alpha_std_tb_sciml": ratio.methods_and_gain,
    "gain_map": strength.gain_against_strength,
    "predictions_1d": predictions.profiles_and_errors,
    "predictions_2d": predictions.fields_and_errors,
}
ANIMATIONS: Mapping[str, Callable[[FigureData], rollout.Animation]] = {"rollout_2d": rollout.animate}


def draw(data: FigureData) -> Figure:
    """The figure of an artifact. Raises ConfigError for an unknown layout, DataError for unsuitable runs."""
    if data.artifact.layout not in REGISTRY:
        raise ConfigError(
            f"artifacts.yaml: key 'artifacts.{data.artifact.name}.layout' is {data.artifact.layout!r}, "
            f"expected one of {', '.join(REGISTRY)}"
        )
    return REGISTRY[data.artifact.layout](data)
