"use strict";
// What the explorer's script uses is returned at the end.
const reportParts = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const BASE = "#123a5e", TB = "#D55E00", FIT = "#B2182B";

  // ---- tables: sorting and downloads -------------------------------------------------------------------

  const numeric = (text) => parseFloat(text.replace(/\u2212/g, "-").replace(/^[<=+ ]+/, ""));

  function sortBy(table, column, direction) {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [row.cells[column].textContent.trim(), row]);
    const filled = rows.filter(([text]) => text !== "" && text !== "n/a");
    const numbers = filled.length > 0 && filled.every(([text]) => !Number.isNaN(numeric(text)));
    const value = ([text]) => (numbers ? numeric(text) : text.toLowerCase());
    rows.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      const emptyX = a[0] === "" || Number.isNaN(x), emptyY = b[0] === "" || Number.isNaN(y);
      if (emptyX || emptyY) return Number(emptyX) - Number(emptyY);
      return x < y ? -direction : x > y ? direction : 0;
    });
    body.append(...rows.map(([, row]) => row));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      sortBy(table, column, down ? -1 : 1);
    }));
  }

  function save(href, name) {
    const link = document.createElement("a");
    link.href = href;
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
  }

  for (const button of document.querySelectorAll("[data-download]")) {
    button.addEventListener("click", () => {
      const { type, text } = data.downloads[button.dataset.download];
      const href = URL.createObjectURL(new Blob([text], { type }));
      save(href, button.dataset.download);
      setTimeout(() => URL.revokeObjectURL(href), 1000);
    });
  }
  for (const button of document.querySelectorAll("[data-image]")) {
    button.addEventListener("click", () => save(document.getElementById(button.dataset.image).src, button.dataset.name));
  }

  // ---- players: an animation frame by frame -------------------------------------------------------------

  for (const [name, { pictures, labels, every_ms: every }] of Object.entries(data.players)) {
    const host = document.querySelector(`[data-player="${name}"]`);
    const [picture, play, back, slider, on, label] = ["picture", "play", "back", "frame", "on", "label"]
      .map((role) => host.querySelector(`[data-role="${role}"]`));
    let timer = 0;
    const show = (index) => {
      const at = (index + pictures.length) % pictures.length;
      slider.value = at + 1;
      slider.setAttribute("aria-valuetext", `${at + 1} of ${pictures.length}, ${labels[at]}`);
      picture.src = `data:image/png;base64,${pictures[at]}`;
      picture.alt = `${host.getAttribute("aria-label")}. ${labels[at]}`;
      label.textContent = labels[at];
    };
    const here = () => Number(slider.value) - 1;
    // Frames are read out when a reader steps, not while they run.
    const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; label.setAttribute("aria-live", "polite"); };
    const start = () => {
      stop();
      label.setAttribute("aria-live", "off");
      play.textContent = "Pause";
      timer = setInterval(() => show(here() + 1), every || 600);
    };
    // It starts by itself when it first comes into view, unless the reader wants less motion or was quicker.
    const watcher = new IntersectionObserver(([entry]) => {
      if (!entry.isIntersecting) return;
      watcher.disconnect();
      start();
    }, { threshold: 0.6 });
    const byHand = (action) => () => { watcher.disconnect(); action(); };
    play.addEventListener("click", byHand(() => (timer ? stop() : start())));
    back.addEventListener("click", byHand(() => { stop(); show(here() - 1); }));
    on.addEventListener("click", byHand(() => { stop(); show(here() + 1); }));
    slider.addEventListener("input", byHand(() => { stop(); show(here()); }));
    show(0);
    host.querySelector(".controls").hidden = false;
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) watcher.observe(host);
  }

  // ---- charts: a small plotting layer over SVG ---------------------------------------------------------

  function node(name, attributes, parent, text) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  }

  const shortNumber = (value) => {
    const size = Math.abs(value);
    if (value === 0) return "0";
    if (size < 1e4 && size >= 1e-3) return String(+value.toPrecision(5));
    const [mantissa, exponent] = value.toExponential(3).split("e");
    return `${+mantissa}e${+exponent}`;
  };

  function linearTicks(low, high) {
    const raw = (high - low) / 4, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
    const ticks = [];
    for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) ticks.push(+value.toPrecision(12));
    return ticks;
  }

  function logTicks(low, high) {
    const ticks = [];
    for (let power = Math.ceil(low); power <= high; power += 1) ticks.push(power);
    if (ticks.length >= 2) return ticks.filter((_, index) => index % Math.ceil(ticks.length / 7) === 0);
    return linearTicks(low, high);
  }

  // series: {name, color, dash, points: [[x, y], ...], marks}; bars: {name, color, edges, heights, outline};
  // rules: {x, name, dash}. On a logarithmic axis values are given as log10.
  function chart(host, { title, xLabel, yLabel, series = [], bars = [], rules = [], xLog = false, yLog = false, xRange, height = 290, named = true, empty }) {
    host.replaceChildren();
    const all = [...series.flatMap((line) => line.points), ...bars.flatMap((bar) => bar.corners)]
      .filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
    if (!all.length) {
      const note = document.createElement("p");
      note.className = "notes";
      note.textContent = `${title}: ${empty || "nothing was recorded"}.`;
      host.append(note);
      return;
    }
    const width = Math.max(280, host.clientWidth || 480);
    const box = { left: 70, right: width - 12, top: 26, bottom: height - (xLabel ? 42 : 24) };
    const extent = (index) => {
      const values = all.map((point) => point[index]);
      let low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
      if (high - low < 1e-12) { const pad = Math.abs(high) * 0.05 || 0.5; low -= pad; high += pad; }
      return [low, high];
    };
    let [xLow, xHigh] = xRange || extent(0), [yLow, yHigh] = extent(1);
    const pad = (yHigh - yLow) * 0.06;
    yLow -= pad; yHigh += pad;
    const x = (value) => box.left + (value - xLow) / (xHigh - xLow) * (box.right - box.left);
    const y = (value) => box.bottom - (value - yLow) / (yHigh - yLow) * (box.bottom - box.top);
    const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title }, null);
    node("text", { x: 2, y: 14, class: "title" }, svg, title);
    const label = (value, log) => (log ? shortNumber(10 ** value) : shortNumber(value));
    for (const tick of (yLog ? logTicks : linearTicks)(yLow, yHigh)) {
      node("line", { x1: box.left, x2: box.right, y1: y(tick), y2: y(tick), stroke: "#e6e9ec" }, svg);
      node("text", { x: box.left - 6, y: y(tick) + 4, "text-anchor": "end" }, svg, label(tick, yLog));
    }
    for (const tick of (xLog ? logTicks : linearTicks)(xLow, xHigh)) {
      node("line", { x1: x(tick), x2: x(tick), y1: box.bottom, y2: box.bottom + 4, stroke: "#57606a" }, svg);
      node("text", { x: x(tick), y: box.bottom + 16, "text-anchor": "middle" }, svg, label(tick, xLog));
    }
    node("path", { d: `M${box.left},${box.top}V${box.bottom}H${box.right}`, fill: "none", stroke: "#57606a" }, svg);
    if (xLabel) node("text", { x: (box.left + box.right) / 2, y: height - 8, "text-anchor": "middle" }, svg, xLabel);
    const middle = (box.top + box.bottom) / 2;
    node("text", { x: 13, y: middle, "text-anchor": "middle", transform: `rotate(-90 13 ${middle})` }, svg, yLabel);
    const clip = `clip-${host.id}`;
    const frame = node("clipPath", { id: clip }, node("defs", {}, svg));
    node("rect", { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top }, frame);
    const plot = node("g", { "clip-path": `url(#${clip})` }, svg);
    for (const bar of bars) {
      let path = "";
      for (const [from, to, top] of bar.rects) {
        if (!Number.isFinite(top)) continue;
        path += `M${x(from)},${box.bottom}V${y(top)}H${x(to)}V${box.bottom}`;
      }
      node("path", { d: path, fill: bar.outline ? "none" : bar.color, "fill-opacity": 0.45, stroke: bar.color, "stroke-width": bar.outline ? 1.1 : 0.5 }, plot);
    }
    for (const line of series) {
      const known = line.points.filter(([px, py]) => Number.isFinite(px) && Number.isFinite(py));
      const path = known.map(([px, py], index) => `${index ? "L" : "M"}${x(px).toFixed(1)},${y(py).toFixed(1)}`).join("");
      node("path", { d: path, fill: "none", stroke: line.color, "stroke-width": line.width || 1.6, "stroke-dasharray": line.dash || "none", "stroke-opacity": line.opacity || 1 }, plot);
      if (line.marks !== false && known.length <= 60) {
        for (const [px, py] of known) {
          const dot = node("circle", { cx: x(px), cy: y(py), r: 2.4, fill: line.color, "fill-opacity": line.opacity || 1 }, plot);
          node("title", {}, dot, `${line.name}: ${label(px, xLog)}, ${yLog ? shortNumber(10 ** py) : +py.toPrecision(5)}`);
        }
      }
    }
    for (const rule of rules) {
      if (!Number.isFinite(rule.x)) continue;
      node("line", { x1: x(rule.x), x2: x(rule.x), y1: box.top, y2: box.bottom, stroke: "#000", "stroke-dasharray": "2 3" }, plot);
    }
    host.append(svg);
    if (named) host.append(legend([...bars, ...series, ...rules]));
  }

  function legend(items) {
    const list = document.createElement("div");
    list.className = "legend";
    const seen = new Set();
    for (const item of items) {
      if (!item.name || seen.has(item.name)) continue;
      seen.add(item.name);
      const entry = document.createElement("span");
      const sample = node("svg", { viewBox: "0 0 26 10" }, null);
      if (item.rects && !item.outline) node("rect", { x: 3, y: 1, width: 20, height: 8, fill: item.color, "fill-opacity": 0.45, stroke: item.color }, sample);
      else node("line", { x1: 1, x2: 25, y1: 5, y2: 5, stroke: item.color || "#000", "stroke-width": 2, "stroke-dasharray": item.dash || (item.color ? "none" : "2 3") }, sample);
      entry.append(sample, ` ${item.name}`);
      list.append(entry);
    }
    return list;
  }

  // ---- choosing runs -----------------------------------------------------------------------------------

  const runs = data.runs.map((run) => {
    const [experiment, model, dataset, ratio, method, seed] = run.id;
    return { ...run, experiment, model, dataset, ratio, method, seed, setting: [experiment, model, dataset, ratio].join("\n") };
  });
  const title = (kind, name) => data.titles[kind][name] || name;
  const percent = (ratio) => `${+(100 * ratio).toPrecision(3)} %`;
  const settingName = (run) => `${run.experiment}: ${title("model", run.model)}, ${title("dataset", run.dataset)}, ${percent(run.ratio)}`;
  const balanced = (method) => /(^|\+)tb/.test(method);
  const color = (method, index) => (balanced(method) ? TB : [BASE, "#0072B2", "#009E73", "#CC79A7"][index % 4]);

  // Keeps what was chosen; else takes the preferred entry, else the first.
  function fill(select, entries, preferred) {
    const before = select.value;
    select.replaceChildren(...entries.map(([value, text]) => {
      const option = document.createElement("option");
      option.value = value;
      option.textContent = text;
      return option;
    }));
    const wanted = [before, preferred].find((name) => entries.some(([value]) => String(value) === String(name)));
    if (wanted !== undefined) select.value = wanted;
  }

  const unique = (items) => [...new Set(items)];

  // A picker narrows from setting to method to seed to layer, and calls draw with what is chosen.
  function picker(name, draw) {
    const host = document.querySelector(`[data-picker="${name}"]`);
    const role = (which) => host.querySelector(`[data-role="${which}"]`);
    const [setting, method, seed, layer] = ["setting", "method", "seed", "layer"].map(role);
    const names = new Map(runs.map((run) => [run.setting, settingName(run)]));
    fill(setting, [...names]);
    const update = () => {
      const here = runs.filter((run) => run.setting === setting.value);
      const methods = unique(here.map((run) => run.method));
      if (method) fill(method, methods.map((id) => [id, title("method", id)]), methods.find(balanced));
      const ofMethod = method ? here.filter((run) => run.method === method.value) : here;
      if (seed) fill(seed, ofMethod.map((run) => [run.seed, run.seed]));
      const run = seed ? ofMethod.find((item) => String(item.seed) === seed.value) : undefined;
      const layers = run ? run.layers : [], fitted = layers.find((item) => item.alpha !== null);
      if (layer) fill(layer, layers.map((item) => [item.name, item.name]), fitted && fitted.name);
      draw({ here, run, layer: layer && run ? run.layers.find((item) => item.name === layer.value) : undefined });
    };
    host.addEventListener("change", update);
    update();
    const choose = (run) => {
      setting.value = run.setting;
      update();
      method.value = run.method;
      update();
    };
    return { update, choose };
  }

  // ---- what the charts show ----------------------------------------------------------------------------

  function densities(histogram, count) {
    if (!histogram || !histogram.length) return [];
    const [low, high, ...counts] = histogram, step = (high - low) / counts.length;
    const total = count || counts.reduce((a, b) => a + b, 0);
    return counts.map((number, index) => {
      const from = low + index * step, to = from + step;
      return [from, to, number ? Math.log10(number / total / (10 ** to - 10 ** from)) : NaN];
    });
  }

  function bars(name, histogram, count, settings) {
    const rects = densities(histogram, count);
    return { name, rects, corners: rects.flatMap(([from, to, top]) => [[from, top], [to, top]]), ...settings };
  }

  function drawSpectra({ here, run, layer }) {
    const facts = document.getElementById("layer-facts");
    const esd = document.getElementById("chart-esd"), trajectory = document.getElementById("chart-alpha");
    if (!run || !layer) {
      facts.textContent = "No spectra were recorded.";
      return;
    }
    const fitted = layer.alpha !== null && layer.start !== null;
    facts.textContent = `${layer.name} (${layer.shape}, ${layer.n} eigenvalues): ` + (fitted
      ? `alpha ${layer.alpha}, Kolmogorov-Smirnov distance ${layer.ks}, tail from ${layer.start}.`
      : `no exponent (${layer.why || "none was fitted"}).`);
    const shown = [];
    if (layer.esd.last) shown.push(bars("after training", layer.esd.last, layer.n, { color: "#3B7DB0" }));
    if (layer.esd.first) shown.push(bars("before training", layer.esd.first, layer.n, { color: "#7a7a7a", outline: true }));
    const lines = [];
    if (fitted && layer.esd.last) {
      const start = Math.log10(layer.start), end = layer.esd.last[1];
      const scale = Math.log10((layer.tail / layer.n) * (layer.alpha - 1)) - start;
      lines.push({ name: `tail fit, alpha ${layer.alpha}`, color: FIT, marks: false, width: 2,
        points: Array.from({ length: 30 }, (_, index) => { const at = start + (end - start) * index / 29; return [at, scale - layer.alpha * (at - start)]; }) });
    }
    chart(esd, { title: "Spectral density", xLabel: "eigenvalue of W\u1D40W", yLabel: "density", xLog: true, yLog: true,
      bars: shown, series: lines, rules: fitted ? [{ x: Math.log10(layer.start), name: "start of the tail" }] : [] });
    const series = here.filter((other) => other.seed === run.seed).map((other, index) => {
      const same = other.layers.find((item) => item.name === layer.name);
      return { name: title("method", other.method), color: color(other.method, index), dash: balanced(other.method) ? "" : "5 3",
        points: same ? same.trajectory.map((alpha, at) => [other.epochs[at], alpha === null ? NaN : alpha]) : [] };
    });
    chart(trajectory, { title: `Alpha over training, seed ${run.seed}`, xLabel: "epoch", yLabel: "alpha", series, empty: "the layer has no exponent" });
  }

  // Stops of viridis, dark to light; the light end is left out, it vanishes on white.
  const STOPS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [190, 215, 50]];
  function shade(part) {
    const place = part * (STOPS.length - 1), index = Math.min(STOPS.length - 2, Math.floor(place));
    const mixed = STOPS[index].map((value, at) => Math.round(value + (STOPS[index + 1][at] - value) * (place - index)));
    return `rgb(${mixed.join(",")})`;
  }

  // Four charts on one time axis: loss and score of both methods, one line per seed; rates and exponents of one run.
  function drawCurves({ here, run }) {
    const methods = unique(here.map((item) => item.method));
    const lines = (name) => here.filter((item) => item.curves[name]).map((item) => ({
      name: title("method", item.method), color: color(item.method, methods.indexOf(item.method)), opacity: 0.75, width: 1.3,
      dash: balanced(item.method) ? "" : "5 3",
      points: item.curves.epoch.map((epoch, at) => [epoch, item.curves[name][at] === null ? NaN : item.curves[name][at]]),
    }));
    const blocks = (name) => {
      const known = Object.entries(run ? run.blocks : {}).filter(([, values]) => values[name]);
      return known.map(([block, values], index) => ({
        name: block, color: shade(known.length > 1 ? index / (known.length - 1) : 0), dash: index % 2 ? "6 3" : "",
        points: values[name].map((value, at) => [run.epochs[at], value === null ? NaN : value]),
      }));
    };
    const metric = here.length ? here[0].metric : "", called = metric.replace("nrmse", "nRMSE").replaceAll("_", " ");
    const whose = run ? `${title("method", run.method)}, seed ${run.seed}` : "";
    const epochs = here.flatMap((item) => [...item.epochs, ...(item.curves.epoch || [])]);
    const xRange = [0, Math.max(1, ...epochs)];
    const put = (id, height, options) => chart(document.getElementById(`chart-${id}`), { xRange, height, ...options });
    // A loss that falls a hundredfold would lie on the axis for most of the time.
    const losses = lines("train_loss"), values = losses.flatMap((line) => line.points.map(([, value]) => value)).filter(Number.isFinite);
    const yLog = Math.min(...values) > 0 && Math.max(...values) > 100 * Math.min(...values);
    if (yLog) losses.forEach((line) => { line.points = line.points.map(([epoch, value]) => [epoch, Math.log10(value)]); });
    put("loss", 190, { title: "Training loss, one line per seed", yLabel: "loss", series: losses, yLog, named: false });
    put("score", 190, { title: `Validation ${called}, one line per seed`, yLabel: called, series: lines(`val_${metric}`) });
    put("rates", 190, { title: `Learning rate of every block: ${whose}`, yLabel: "learning rate", series: blocks("lr"), named: false });
    put("exponents", 210, { title: `Exponent of every block: ${whose}`, xLabel: "epoch", yLabel: "alpha", series: blocks("alpha"), empty: "no block has an exponent" });
  }

  let curves;
  // The curves of a cell of the explorer, where its runs are in the page.
  function showCell({ model, dataset }, { ratio, method }) {
    const run = runs.find((item) => item.model === model && item.dataset === dataset && item.ratio === ratio && item.method === method);
    if (run) curves.choose(run);
  }

  if (runs.length) {
    curves = picker("curves", drawCurves);
    const redraw = [picker("spectra", drawSpectra), curves];
    let timer;
    addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(() => redraw.forEach(({ update }) => update()), 150); });
  }

  return { data, node, fill, linearTicks, shortNumber, title, percent, balanced, color, legend, showCell };
})();
