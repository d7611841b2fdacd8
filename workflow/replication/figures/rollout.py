"""The animation of a 2-D rollout: target, both predictions and both errors, frame by frame."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from replication.runs.checkpoint import write_atomically
from replication.figures.data import FigureData
from replication.figures.multiples import small_print
from replication.figures.samples import MINUS, Sample, draw_image, edges, number_text, say_diverged
from replication.figures.style import BALANCED, BASELINE, ERROR_COLORS, FIELD_COLORS, PAGE

#: Pixels per inch; keeps a page-wide animation far below a megabyte.
DPI = 120
HEIGHT = 3.8
FRAME_MS = 600
#: At this resolution glyphs are rounded to whole pixels, which makes a line of small print up to this much longer (in).
ROUNDING = 0.4
#: The channel shown: the first, which is density in PDEBench.
CHANNEL = 0


@dataclass(frozen=True)
class Animation:
    """Pictures of equal size, each with a label."""

    pictures: list[Image.Image]
    labels: list[str]

    def save(self, path: Path) -> None:
        """Write an endless GIF; its comment holds the labels, one line per picture. Equal pictures give equal bytes."""
        buffer = io.BytesIO()
        first, *others = self.pictures
        first.save(
            buffer, format="GIF", save_all=True, append_images=others, duration=FRAME_MS, loop=0,
            comment="\n".join(self.labels).encode(),
        )  # fmt: skip
        write_atomically(path, buffer.getvalue())


def animate(data: FigureData) -> Animation:
    """The first channel of a 2-D sample over its predicted frames, all scales fixed.

    Raises DataError if a method's sample predictions are missing or not of a 2-D flow.
    """
    sample = Sample.of(data, 2)
    truth = sample.truth
    figure = Figure(figsize=(PAGE, HEIGHT), dpi=DPI, layout="compressed")
    canvas = FigureCanvasAgg(figure)
    show = _build(figure, sample)
    # The layout is computed once; otherwise panels would jump when a title changes.
    show(0)
    canvas.draw()
    figure.set_layout_engine("none")
    pixels = []
    for frame in range(truth.frames):
        show(frame)
        canvas.draw()
        pixels.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    labels = [_words(sample, frame) for frame in range(truth.frames)]
    return Animation(_with_one_palette(pixels), labels)


def _build(figure: Figure, sample: Sample) -> Callable[[int], None]:
    """Draw the first frame. Returns a function that shows another one."""
    truth, name = sample.truth, sample.truth.channels[CHANNEL]
    extent = (*edges(truth.grid[:, 0, 0]), *edges(truth.grid[0, :, 1]))
    grid = figure.subplots(2, 3)
    limits, pointed = sample.field_limits(CHANNEL, slice(None))
    field, error = (limits, FIELD_COLORS), (sample.error_limits(CHANNEL, slice(None)), ERROR_COLORS)
    panels = [(grid[0, 0], "target", truth.target, field)]
    for one, (over, under) in zip(sample.predictions, grid.T[1:], strict=True):
        panels += [(over, one.title, one.values, field), (under, f"{one.title} {MINUS} target", one.errors, error)]
        if one.diverged:
            say_diverged(over)
            say_diverged(under)
    images = []
    for axis, title, values, scale in panels:
        images.append((draw_image(axis, values[..., 0, CHANNEL], extent, *scale), values[..., CHANNEL]))
        axis.set_box_aspect((extent[3] - extent[2]) / (extent[1] - extent[0]))
        axis.set(title=title, xlabel="x", ylabel="y")
    for axis in (*grid[0, 1:], grid[1, 2]):
        axis.set_ylabel("")
        axis.tick_params(labelleft=False)
    for axis in grid[0]:
        axis.set_xlabel("")
        axis.tick_params(labelbottom=False)
    figure.colorbar(images[0][0], ax=list(grid[0]), label=name, extend=pointed, pad=0.01)
    if not sample.all_diverged:
        figure.colorbar(images[-1][0], ax=list(grid[1]), label=f"error of {name}", pad=0.01)
    mark = _draw_errors(grid[1, 0], sample)
    figure.supxlabel(small_print(sample.notes, PAGE - ROUNDING), fontsize=7, style="italic", color="0.25")

    def show(frame: int) -> None:
        for image, values in images:
            image.set_data(np.ma.masked_invalid(values[..., frame].T))
        mark.set_xdata([truth.time_axis[frame]] * 2)
        figure.suptitle(f"{name}, {truth.moment(frame)} (predicted frame {frame + 1} of {truth.frames})", fontsize=8)

    return show


def _draw_errors(axis: Axes, sample: Sample) -> Line2D:
    """Draw each method's nRMSE over the predicted frames. Returns the line that marks the current frame."""
    moments = sample.truth.time_axis
    for one in sample.predictions:
        if not one.diverged:
            axis.plot(
                moments, np.ma.masked_invalid(one.nrmse[:, CHANNEL]), color=one.look.color, linestyle=one.look.dashes,
                marker=one.look.marker, markerfacecolor="white" if one.look is BASELINE else one.look.color,
                label=one.title,
            )  # fmt: skip
    axis.set(xlabel=sample.time_label, title=f"nRMSE of {sample.truth.channels[CHANNEL]}")
    axis.set_box_aspect(1)
    if not sample.all_diverged:
        axis.set_ylim(0, 1.5 * axis.get_ylim()[1])  # room for the legend above the lines
        axis.legend(loc="upper right")
    return axis.axvline(moments[0], color="0.5", linewidth=0.8, linestyle=":")


def _words(sample: Sample, frame: int) -> str:
    """A frame as text: its time, and each method's nRMSE."""
    parts = [
        f"{one.title} diverged" if one.diverged else f"{one.title} nRMSE {number_text(one.nrmse[frame, CHANNEL])}"
        for one in sample.predictions
    ]
    return f"{sample.truth.moment(frame)}: {', '.join(parts)}"


def _with_one_palette(pixels: list[np.ndarray]) -> list[Image.Image]:
    """Pictures ``[height, width, 3]`` in one palette that holds both colour maps evenly.

    With a palette per picture colours would flicker, and the rare ends of the maps would get too few entries.
    """
    maps = [mpl.colormaps[name](np.linspace(0, 1, 96))[:, :3] for name in (FIELD_COLORS, ERROR_COLORS)]
    # Shades from each colour of lines and text to white, for their smoothed edges.
    inks = [np.linspace(mpl.colors.to_rgb(color), (1, 1, 1), 21) for color in ("k", BASELINE.color, BALANCED.color)]
    colors = (255 * np.concatenate([*maps, *inks])).round().astype(np.uint8)
    holder = Image.new("P", (1, 1))
    holder.putpalette(colors.tobytes())
    return [Image.fromarray(each).quantize(palette=holder, dither=Image.Dither.NONE) for each in pixels]
