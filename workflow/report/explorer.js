"use strict";
// The data-ratio explorer: means with their deviations, seeds, trivial predictor and published values of one measure.
(() => {
  const { data, node, fill, linearTicks, shortNumber, title, percent, balanced, color, legend, showCell } = reportParts;
  const host = document.querySelector('[data-picker="explorer"]');
  const [model, dataset, measure] = ["model", "dataset", "measure"].map((name) => host.querySelector(`[data-role="${name}"]`));
  const plot = document.getElementById("chart-explorer"), said = document.getElementById("explorer-said");
  const note = document.getElementById("explorer-note");
  const MINUS = "\u2212";
  const SMALLEST_TICK = 34, DODGE = 6;
  const shown = (value, digits = 4) => shortNumber(+value.toPrecision(digits)).replace("-", MINUS);
  const unique = (items) => [...new Set(items)];

  function draw() {
    fill(model, unique(data.explorer.map((group) => group.model)).map((name) => [name, title("model", name)]));
    const ofModel = data.explorer.filter((group) => group.model === model.value);
    fill(dataset, ofModel.map((group) => [group.dataset, title("dataset", group.dataset)]));
    const group = ofModel.find((item) => item.dataset === dataset.value);
    fill(measure, group.measures.map((item) => [item.name, item.label]));
    const chosen = group.measures.find((item) => item.name === measure.value);
    note.textContent = group.stand_in ? `Stand-in: ${group.stand_in}.` : "";
    said.textContent = "";
    plot.replaceChildren();
    if (chosen) drawMeasure(group, chosen);
  }

  function words(point, published) {
    const head = `${title("method", point.method)}, ${percent(point.ratio)} (${point.n} samples): `;
    const lost = point.diverged ? ` ${point.diverged} diverged.` : "";
    if (!point.seeds.length) return `${head}no finished run.${lost}`;
    const spread = point.sd === null ? "" : ` ± ${shown(point.sd, 2)}`;
    const seeds = point.seeds.map(([seed, value]) => `${seed}: ${shown(value)}`).join(", ");
    const paper = published ? ` Published: ${shown(published[2])}${published[3] === null ? "" : ` ± ${shown(published[3], 2)}`}.` : "";
    return `${head}${shown(point.mean)}${spread}. Seeds ${seeds}.${lost}${paper}`;
  }

  function axes(svg, box, x, y, low, high, points, label) {
    for (const tick of linearTicks(low, high)) {
      node("line", { x1: box.left, x2: box.right, y1: y(tick), y2: y(tick), stroke: "#e6e9ec" }, svg);
      node("text", { x: box.left - 6, y: y(tick) + 4, "text-anchor": "end" }, svg, shown(tick));
    }
    let taken = -Infinity;
    for (const point of [...points].sort((a, b) => a.ratio - b.ratio)) {
      const at = x(point.ratio);
      if (at - taken < SMALLEST_TICK) continue;
      taken = at;
      node("line", { x1: at, x2: at, y1: box.bottom, y2: box.bottom + 4, stroke: "#57606a" }, svg);
      node("text", { x: at, y: box.bottom + 16, "text-anchor": "middle" }, svg, `${+(100 * point.ratio).toPrecision(3)}`);
      node("text", { x: at, y: box.bottom + 29, "text-anchor": "middle" }, svg, point.n);
    }
    node("path", { d: `M${box.left},${box.top}V${box.bottom}H${box.right}`, fill: "none", stroke: "#57606a" }, svg);
    node("text", { x: (box.left + box.right) / 2, y: box.bottom + 46, "text-anchor": "middle" }, svg, "training data (% / samples), logarithmic");
    node("text", { x: 2, y: 14, class: "title" }, svg, label);
  }

  function marker(method, x, y, fillColor, parent) {
    const stroke = color(method, 0);
    if (balanced(method)) node("circle", { cx: x, cy: y, r: 4.5, fill: fillColor, stroke, "stroke-width": 1.5 }, parent);
    else node("rect", { x: x - 4, y: y - 4, width: 8, height: 8, fill: fillColor, stroke, "stroke-width": 1.5 }, parent);
  }

  function drawMeasure(group, { label, points, trivial, published }) {
    const width = Math.max(280, plot.clientWidth || 480), height = 340;
    const box = { left: 58, right: width - 14, top: 28, bottom: height - 56 };
    const values = points.flatMap((point) => [...point.seeds.map(([, value]) => value), point.mean - point.sd, point.mean + point.sd]);
    values.push(...published.map((row) => row[2]), ...(trivial ? [trivial[1]] : []));
    const finite = values.filter(Number.isFinite);
    let low = Math.min(...finite), high = Math.max(...finite);
    const pad = (high - low) * 0.08 || Math.abs(high) * 0.05 || 0.5;
    low -= pad; high += pad;
    const ratios = points.map((point) => Math.log10(point.ratio));
    const left = Math.min(...ratios), span = Math.max(...ratios) - left;
    const x = (ratio) => box.left + (span ? 0.08 + 0.84 * (Math.log10(ratio) - left) / span : 0.5) * (box.right - box.left);
    const y = (value) => box.bottom - (value - low) / (high - low) * (box.bottom - box.top);
    // A group, not an image: its points are to be reached with the keyboard.
    const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `${label} against the share of training data` }, null);
    axes(svg, box, x, y, low, high, points, label);
    const methods = unique(points.map((point) => point.method)).sort((a, b) => balanced(a) - balanced(b));
    const shift = (method) => (methods.indexOf(method) - (methods.length - 1) / 2) * 2 * DODGE;
    if (trivial) {
      node("line", { x1: box.left, x2: box.right, y1: y(trivial[1]), y2: y(trivial[1]), stroke: "#333", "stroke-width": 1.3, "stroke-dasharray": "2 3", class: "trivial" }, svg);
    }
    for (const [ratio, method, mean, deviation] of published) {
      const at = x(ratio) + shift(method), mark = node("g", { class: "published" }, svg);
      if (deviation !== null) node("line", { x1: at, x2: at, y1: y(mean - deviation), y2: y(mean + deviation), stroke: "#8b949e" }, mark);
      node("path", { d: `M${at},${y(mean) - 7}l7,7l-7,7l-7,-7z`, fill: "none", stroke: "#8b949e", "stroke-width": 1.4 }, mark);
    }
    for (const method of methods) {
      const known = points.filter((point) => point.method === method && point.mean !== null).sort((a, b) => a.ratio - b.ratio);
      const path = known.map((point, index) => `${index ? "L" : "M"}${x(point.ratio) + shift(method)},${y(point.mean)}`).join("");
      node("path", { d: path, fill: "none", stroke: color(method, 0), "stroke-width": 1.6, "stroke-dasharray": balanced(method) ? "none" : "5 3" }, svg);
    }
    // In the order of the keys: method by method, from the smallest ratio.
    const ordered = [...points].filter((point) => point.mean !== null)
      .sort((a, b) => methods.indexOf(a.method) - methods.indexOf(b.method) || a.ratio - b.ratio);
    const marks = ordered.map((point) => drawPoint(svg, x(point.ratio) + shift(point.method), y, point));
    const tell = (index) => {
      const point = ordered[index];
      marks.forEach((mark, other) => mark.classList.toggle("chosen", other === index));
      said.textContent = words(point, published.find(([ratio, method]) => ratio === point.ratio && method === point.method));
    };
    marks.forEach((mark, index) => {
      mark.setAttribute("aria-label", words(ordered[index]));
      mark.setAttribute("tabindex", index ? -1 : 0);
      mark.addEventListener("focus", () => tell(index));
      mark.addEventListener("mouseenter", () => tell(index));
      mark.addEventListener("click", () => { mark.focus(); showCell(group, ordered[index]); });
      mark.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (step) {
          const next = marks[(index + step + marks.length) % marks.length];
          marks.forEach((other) => other.setAttribute("tabindex", other === next ? 0 : -1));
          next.focus();
        } else if (event.key === "Enter" || event.key === " ") showCell(group, ordered[index]);
        else return;
        event.preventDefault();
      });
    });
    plot.append(svg, legend([
      ...methods.map((method) => ({ name: `${title("method", method)} (mean ± SD with ddof 1, and each seed)`, color: color(method, 0), dash: balanced(method) ? "" : "5 3" })),
      ...(trivial ? [{ name: `best trivial predictor: ${trivial[0]}, ${shown(trivial[1])}`, color: "#333", dash: "2 3" }] : []),
      ...(published.length ? [{ name: "published (diamond)", color: "#8b949e" }] : []),
    ]));
  }

  function drawPoint(svg, at, y, point) {
    const mark = node("g", { role: "button", class: "point" }, svg), stroke = color(point.method, 0);
    node("circle", { cx: at, cy: y(point.mean), r: 14, class: "ring" }, mark);
    for (const [, value] of point.seeds) node("circle", { cx: at, cy: y(value), r: 2.2, fill: stroke, "fill-opacity": 0.45 }, mark);
    if (point.sd !== null) node("line", { x1: at, x2: at, y1: y(point.mean - point.sd), y2: y(point.mean + point.sd), stroke }, mark);
    marker(point.method, at, y(point.mean), balanced(point.method) ? stroke : "#fff", mark);
    return mark;
  }

  if (data.explorer.length) {
    host.addEventListener("change", draw);
    let timer;
    addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(draw, 150); });
    draw();
  }
})();
