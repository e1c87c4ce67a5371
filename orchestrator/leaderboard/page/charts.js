// Charts as inline SVG, each with its numbers as a table below it.
//
// drawCharts(root) draws every `figure[data-chart]` that holds a script of type application/json with a specification;
// buildChart(spec) returns such a figure drawn. A value is a share in [0, 1], printed in percent; null is missing. SPEC:
//   {kind: "heatmap", title, rows, columns, values[r][c], low?, high?, scale: "sequential" | "diverging"}
//   {kind: "lines", title, x, xLabel, yLabel, unit?: "number", series: [{name, values, low?, high?}], bounds?}   bounds: the axis holds these too
//   {kind: "scatter", title, xLabel, yLabel, points: [{name, x, y, front}]}            x in the unit of its label
//   {kind: "reliability", title, series: [{name, bins: [pixels, summed confidence, correct pixels]}]}
//   {kind: "differences", title, names, values, low, high}                             bars about zero, with intervals
// and of each, where wanted, `note`: a sentence below the title.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const LETTER = 6.6; // px, ours: mean width of a letter at the charts' 12 px
const MANY = 40; // ours: points of a line above which they are drawn small
const MARKS = 6; // series that the style sheet has colours and dashes for; a seventh starts again

// Ramps of the heat maps from few to many, by theme: ours, one hue of even steps in lightness, and two hues about a middle.
const RAMPS = {
  sequential: { light: ["#f4f6f8", "#bcd3e6", "#6fa3cc", "#2f6ea6", "#133a63"], dark: ["#1d2329", "#20415f", "#2f6c9f", "#6fabd9", "#cfe6f7"] },
  diverging: { light: ["#9a4a1f", "#dd9a70", "#f6f5f2", "#76aecb", "#1f5f8b"], dark: ["#f0a878", "#9a5a35", "#22272c", "#2c6a90", "#86c5ea"] },
};

/** Make an element of a namespace with attributes and children; text children are text. */
function make(namespace, name, attributes = {}, children = []) {
  const element = namespace ? document.createElementNS(namespace, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...[children].flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const html = (name, attributes, children) => make(null, name, attributes, children);
const svg = (name, attributes, children) => make(SVG, name, attributes, children);

/** Mix a ramp's colours at a place in [0, 1]; return red, green and blue. */
function mixColour(ramp, place) {
  const at = Math.min(Math.max(place, 0), 1) * (ramp.length - 1);
  const index = Math.min(Math.floor(at), ramp.length - 2);
  const read = (text) => [1, 3, 5].map((start) => parseInt(text.slice(start, start + 2), 16));
  const [from, to] = [read(ramp[index]), read(ramp[index + 1])];
  return from.map((value, channel) => Math.round(value + (at - index) * (to[channel] - value)));
}

/** Return black or white, whichever is easier to read on a colour: one of them has a contrast of 4.58 at least. */
function chooseInk(colour) {
  const [r, g, b] = colour.map((value) => (value <= 10 ? value / 3294 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff"; // WCAG 2: both contrasts are equal at 0.179
}

/** Return the fill of a cell and of the text in it, each for both themes. */
function colourCell(scale, place) {
  const [light, dark] = ["light", "dark"].map((theme) => mixColour(RAMPS[scale][theme], place));
  const show = (colour) => `rgb(${colour.join(" ")})`;
  return {
    fill: `light-dark(${show(light)}, ${show(dark)})`,
    ink: `light-dark(${chooseInk(light)}, ${chooseInk(dark)})`,
  };
}

/** Shorten a text to a number of letters. */
const shorten = (text, letters) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);

/** Build a drawing of a size in px that shrinks with its room but for `wide` ones, which scroll. */
function openDrawing(width, height, title, children) {
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `${title}. The numbers are in the table below.` });
  drawing.append(...children.flat(Infinity).filter(Boolean));
  return drawing;
}

/** Build a table of text from a head and rows. */
function buildTable(head, rows) {
  const cell = (text, index) => (index ? html("td", {}, text) : html("th", { scope: "row" }, text));
  return html("table", { class: "plain" }, [
    html("thead", {}, html("tr", {}, head.map((text) => (text ? html("th", { scope: "col" }, text) : html("td", {}))))),
    html("tbody", {}, rows.map((row) => html("tr", {}, row.map(cell)))),
  ]);
}

/** Build the legend of series: a swatch and a name each. */
function buildLegend(names) {
  if (names.length < 2) return null;
  return html("ul", { class: "legend" }, names.map((name, index) =>
    html("li", {}, [
      svg("svg", { width: 22, height: 10, "aria-hidden": "true" }, svg("path", { d: "M1 5H21", class: `line mark${index % MARKS}` })),
      name,
    ])));
}

/** Return the scale of an axis: value -> px. */
const fit = (low, high, from, to) => (value) => from + ((value - low) / (high - low || 1)) * (to - from);

/** Return low and high of values with room about them; within [0, 1] where they all lie there. */
function spread(values, floor = null) {
  const known = values.filter(isNumber);
  if (!known.length) return [0, 1];
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const room = (most - least) * 0.08 || Math.abs(most) * 0.1 || 0.05;
  const low = least >= 0 ? Math.max(0, least - room) : least - room;
  return [floor ?? low, least >= 0 && most <= 1 ? Math.min(1, most + room) : most + room];
}

/** Draw horizontal grid lines with shares, or with numbers, and the axes' names. */
function drawShareAxis(ticks, y, box, label, show = null) {
  const print = show ?? ((tick) => showShare(tick, false, ticks[1] - ticks[0] < 0.0099 ? 1 : 0));
  const marks = ticks.map((tick) => [
    svg("path", { d: `M${box.left} ${y(tick)}H${box.right}`, class: "grid" }),
    svg("text", { x: box.left - 6, y: y(tick) + 4, class: "end" }, print(tick)),
  ]);
  return [marks, svg("text", { x: 2, y: 12, class: "axis" }, label)];
}

function drawHeatmap(spec, room) {
  const letters = 24;
  const names = spec.rows.map((name) => shorten(name, letters));
  const left = Math.max(...names.map((name) => name.length), 3) * LETTER + 10;
  const longest = Math.max(...spec.columns.map((name) => name.length), 1);
  const fitting = (room - left - 24) / spec.columns.length;
  const cell = { width: Math.min(Math.max(fitting, 36), 46), height: 24 }; // 36: "−46.5" at 11 px
  const tilted = longest * LETTER > cell.width - 4;
  const head = tilted ? Math.min(longest, letters) * LETTER * 0.72 + 16 : 22;
  const spare = tilted ? Math.min(longest, letters) * LETTER * 0.72 : 0; // what the last tilted name needs on its right
  const width = left + spec.columns.length * cell.width + Math.max(4, spare - cell.width / 2);
  const known = spec.values.flat().filter(isNumber);
  const diverging = spec.scale === "diverging";
  const most = Math.max(...known.map(Math.abs), 1e-9);
  const low = spec.low ?? (diverging ? -most : 0);
  const high = spec.high ?? (diverging ? most : Math.max(...known, 1e-9));
  const columns = spec.columns.map((name, index) => {
    const x = left + (index + 0.5) * cell.width;
    const turn = tilted ? { transform: `rotate(-45 ${x - 4} ${head - 6})`, x: x - 4, class: "start" } : { x, class: "middle" };
    return svg("text", { ...turn, y: head - 6 }, shorten(name, letters));
  });
  const rows = spec.values.map((line, row) => {
    const y = head + row * cell.height;
    const cells = line.map((value, column) => {
      const x = left + column * cell.width;
      const box = svg("rect", { x: x + 1, y: y + 1, width: cell.width - 2, height: cell.height - 2, rx: 3, class: "cell" });
      const text = svg("text", { x: x + cell.width / 2, y: y + 16, class: "middle number" }, showShare(value, diverging));
      if (isNumber(value)) {
        const colours = colourCell(diverging ? "diverging" : "sequential", (value - low) / (high - low || 1));
        box.style.fill = colours.fill;
        text.style.fill = colours.ink;
      }
      return svg("g", {}, [svg("title", {}, `${spec.rows[row]}, ${spec.columns[column]}: ${showShare(value, diverging)}`), box, text]);
    });
    return [svg("text", { x: left - 8, y: y + 16, class: "end" }, names[row]), cells];
  });
  const height = head + spec.rows.length * cell.height + 2;
  const table = [["", ...spec.columns], spec.rows.map((name, row) => [name, ...spec.values[row].map((v) => showShare(v, diverging))])];
  return { drawing: openDrawing(width, height, spec.title, [columns, rows]), table, wide: width > room };
}

function drawLines(spec, room) {
  const width = Math.min(room, 620);
  const height = 250;
  const show = spec.unit === "number" ? showNumber : showShare;
  const box = { left: spec.unit === "number" ? 52 : 40, right: width - 14, top: 24, bottom: height - 40 };
  const bounds = [...(spec.bounds ?? []), ...spec.series.flatMap((series) => [...series.values, ...(series.low ?? []), ...(series.high ?? [])])];
  const [low, high] = spread(bounds);
  const y = fit(low, high, box.bottom, box.top);
  const x = fit(0, Math.max(spec.x.length - 1, 1), box.left + 12, box.right - 12);
  const every = Math.ceil((spec.x.length * Math.max(...spec.x.map((name) => String(name).length + 2), 3) * LETTER) / (box.right - box.left));
  const labels = spec.x.map((name, index) =>
    index % every ? null : svg("text", { x: x(index), y: box.bottom + 16, class: "middle" }, shorten(String(name), 18)));
  const series = spec.series.map(({ name, values, low: lows, high: highs }, number) => {
    const mark = `mark${number % MARKS}`;
    const held = values.map((_, i) => i).filter((i) => lows && highs && isNumber(lows[i]) && isNumber(highs[i]));
    const band = held.length > 1
      ? svg("path", { class: `band ${mark}`, d: `M${held.map((i) => `${x(i)} ${y(highs[i])}`).join("L")}L${held.reverse().map((i) => `${x(i)} ${y(lows[i])}`).join("L")}Z` })
      : null;
    let pen = "M";
    const path = values.map((value, i) => {
      if (!isNumber(value)) { pen = "M"; return ""; }
      const point = `${pen}${x(i)} ${y(value)}`;
      pen = "L";
      return point;
    }).join("");
    const dots = values.map((value, i) => {
      if (!isNumber(value)) return null;
      const interval = lows && highs && isNumber(lows[i]) && isNumber(highs[i]) ? ` (${show(lows[i])} to ${show(highs[i])})` : "";
      return svg("circle", { cx: x(i), cy: y(value), r: spec.x.length > MANY ? 1.5 : 3, class: `dot ${mark}` }, svg("title", {}, `${name}, ${spec.x[i]}: ${show(value)}${interval}`));
    });
    return [band, path ? svg("path", { d: path, class: `line ${mark}` }) : null, dots];
  });
  const head = [spec.xLabel, ...spec.series.flatMap((s) => (s.low ? [s.name, `${s.name}, from`, `${s.name}, to`] : [s.name]))];
  const rows = spec.x.map((name, i) => [
    String(name),
    ...spec.series.flatMap((s) => (s.low ? [s.values[i], s.low[i], s.high[i]] : [s.values[i]]).map((v) => show(v))),
  ]);
  const axes = [drawShareAxis(listTicks(low, high, 5), y, box, spec.yLabel, spec.unit === "number" ? show : null), labels, svg("text", { x: box.right, y: height - 6, class: "end axis" }, spec.xLabel)];
  return { drawing: openDrawing(width, height, spec.title, [axes, series]), table: [head, rows], legend: spec.series.map((s) => s.name) };
}

/** Return the forms of a point's name: the whole one, what comes after its last plus, that without what is in brackets, its beginning. */
function listShorter(name) {
  const last = name.split(" + ").at(-1);
  const tail = last === name ? name : `… + ${last}`;
  return [shorten(name, 28), shorten(tail, 20), shorten(tail.replace(/ \(.*\)$/, ""), 20), shorten(name, 12)];
}

const meet = (one, other) => one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];

/** Place a point's name above or below it, on either side, in the first of its forms that meets nothing of what is taken. */
function placeName(forms, [x, y], box, taken) {
  for (const text of forms) {
    const width = text.length * LETTER;
    for (const [up, right] of [[true, true], [true, false], [false, true], [false, false]]) {
      const start = right ? x + 4 : x - 4 - width;
      const area = [start, up ? y - 20 : y + 5, start + width, up ? y - 5 : y + 20];
      if (start < box.left || area[2] > box.right || area[3] > box.bottom || taken.some((other) => meet(area, other))) continue;
      return { text, area, x: right ? start : x - 4, y: up ? y - 9 : y + 16, class: right ? "start" : "end" };
    }
  }
  return null;
}

/** Place the names of points, [name, place] in their order; all of them shorter where else more of them would have no room. */
function placeNames(points, box, obstacles) {
  const tries = [0, 1, 2].map((shorter) => {
    const taken = [...obstacles];
    return points.map(([name, place]) => {
      const placed = placeName(listShorter(name).slice(shorter), place, box, taken);
      if (placed) taken.push(placed.area);
      return placed;
    });
  });
  const count = (names) => names.filter(Boolean).length;
  return tries.reduce((best, names) => (count(names) > count(best) ? names : best));
}

/** Return small boxes along a line through points, in px: what would strike a name through. */
function coverLine(points) {
  return points.slice(1).flatMap(([x, y], index) => {
    const [fromX, fromY] = points[index];
    const count = Math.ceil(Math.hypot(x - fromX, y - fromY) / 4);
    const at = (from, to, step) => from + ((to - from) * step) / count;
    return Array.from({ length: count + 1 }, (_, step) => [at(fromX, x, step), at(fromY, y, step)]).map(([a, b]) => [a - 1, b - 1, a + 1, b + 1]);
  });
}

function drawScatter(spec, room) {
  const points = spec.points.filter((point) => isNumber(point.x) && isNumber(point.y));
  const width = Math.min(room, 620);
  const height = 320;
  const box = { left: 40, right: width - 16, top: 40, bottom: height - 42 };
  const xs = points.map((point) => point.x);
  const log = xs.length > 1 && Math.min(...xs) > 0 && Math.max(...xs) / Math.min(...xs) > 20; // ours: below, a plain scale shows all
  const read = log ? Math.log10 : (value) => value;
  const [least, most] = xs.length ? [Math.min(...xs), Math.max(...xs)] : [0, 1];
  const margin = (read(most) - read(least)) * 0.1 || (log ? 0.1 : Math.abs(most) * 0.2 || 1);
  const [from, to] = [log || least < 0 ? read(least) - margin : Math.max(0, least - margin), read(most) + margin];
  const [low, high] = spread(points.map((point) => point.y));
  const y = fit(low, high, box.bottom - 8, box.top); // 8: a name has room below the lowest point
  const place = fit(from, to, box.left + 8, box.right - 8);
  const x = (value) => place(read(value));
  const ticks = (log ? listLogTicks(10 ** from, 10 ** to) : listTicks(from, to, width < 420 ? 3 : 5)).map((tick) => [
    svg("path", { d: `M${x(tick)} ${box.bottom}V${box.bottom + 4}`, class: "grid" }),
    svg("text", { x: x(tick), y: box.bottom + 17, class: "middle" }, showNumber(tick)),
  ]);
  const front = points.filter((point) => point.front).sort((a, b) => a.x - b.x || a.y - b.y);
  const steps = front.length > 1 ? svg("path", { d: `M${front.map((p) => `${x(p.x)} ${y(p.y)}`).join("L")}`, class: "front" }) : null;
  const dotted = points.map((p) => [x(p.x) - 5, y(p.y) - 5, x(p.x) + 5, y(p.y) + 5]);
  const taken = [...dotted, ...coverLine(front.map((p) => [x(p.x), y(p.y)]))]; // a name that has no room beside these is left to the tooltip
  const sorted = [...points].sort((a, b) => Number(b.front) - Number(a.front));
  const names = placeNames(sorted.map((p) => [p.name, [x(p.x), y(p.y)]]), box, taken);
  const dots = sorted.map((point, index) => {
    const name = names[index];
    return svg("g", { class: point.front ? "point best" : "point" }, [
      svg("title", {}, `${point.name}: ${showShare(point.y)} at ${showNumber(point.x)}${point.front ? ", on the front" : ""}`),
      svg("circle", { cx: x(point.x), cy: y(point.y), r: point.front ? 6 : 4.5 }),
      name ? svg("text", { x: name.x, y: name.y, class: name.class }, name.text) : null,
    ]);
  });
  const label = log ? `${spec.xLabel} (log scale)` : spec.xLabel;
  const axes = [drawShareAxis(listTicks(low, high, 5), y, box, spec.yLabel), ticks, svg("text", { x: box.right, y: height - 6, class: "end axis" }, label)];
  const rows = points.map((p) => [p.name, showNumber(p.x), showShare(p.y), p.front ? "yes" : "no"]);
  return { drawing: openDrawing(width, height, spec.title, [axes, steps, dots.reverse()]), table: [["", spec.xLabel, spec.yLabel, "on the Pareto front"], rows] };
}

function drawReliability(spec, room) {
  const size = Math.min(room, 320);
  const box = { left: 40, right: size - 10, top: 28, bottom: size - 40 };
  const [x, y] = [fit(0, 1, box.left, box.right), fit(0, 1, box.bottom, box.top)];
  const read = ({ bins: [pixels, confidence, correct] }) => {
    const total = pixels.reduce((sum, count) => sum + count, 0);
    return pixels.map((count, i) => (count > 0 ? { share: count / total, confidence: confidence[i] / count, accuracy: correct[i] / count } : null)).filter(Boolean);
  };
  const curves = spec.series.map(read);
  const drawn = curves.map((curve, number) => [
    svg("path", { class: `line mark${number % MARKS}`, d: curve.length ? `M${curve.map((p) => `${x(p.confidence)} ${y(p.accuracy)}`).join("L")}` : "M0 0" }),
    curve.map((p) => svg("circle", { cx: x(p.confidence), cy: y(p.accuracy), r: 2 + 6 * Math.sqrt(p.share), class: `dot mark${number % MARKS}` },
      svg("title", {}, `${spec.series[number].name}: confidence ${showShare(p.confidence)}, accuracy ${showShare(p.accuracy)}, ${showShare(p.share)} % of the pixels`))),
  ]);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((tick) => svg("text", { x: x(tick), y: box.bottom + 16, class: "middle" }, showShare(tick, false, 0)));
  const axes = [
    drawShareAxis([0, 0.25, 0.5, 0.75, 1], y, box, "correct (%)"),
    svg("path", { d: `M${x(0)} ${y(0)}L${x(1)} ${y(1)}`, class: "ideal" }), ticks,
    svg("text", { x: box.right, y: size - 6, class: "end axis" }, "confidence (%)"),
  ];
  const rows = curves.flatMap((curve, number) => curve.map((p) => [spec.series[number].name, showShare(p.confidence), showShare(p.accuracy), showShare(p.share)]));
  return { drawing: openDrawing(size, size, spec.title, [axes, drawn]), table: [["", "confidence", "correct", "share of pixels"], rows], legend: spec.series.map((s) => s.name) };
}

function drawDifferences(spec, room) {
  const line = 24;
  const most = Math.max(Math.min(room / 2, 310, room - 160), 117); // px for names, ours: half, but 160 for bars and 16 letters at least
  const names = spec.names.map((name) => shorten(name, Math.floor((most - 12) / LETTER)));
  const left = Math.max(...names.map((name) => name.length), 4) * LETTER + 12;
  const width = Math.max(Math.min(room, 620), left + 160);
  const top = 24;
  const height = top + spec.names.length * line + 22;
  const bounds = [...spec.values, ...(spec.low ?? []), ...(spec.high ?? [])].filter(isNumber);
  const reach = Math.max(...bounds.map(Math.abs), 0.001) * 1.06;
  const x = fit(-reach, reach, left, width - 58);
  const ticks = listTicks(-reach, reach, 4);
  const grid = ticks.map((tick) => [
    svg("path", { d: `M${x(tick)} ${top - 4}V${height - 20}`, class: Math.abs(tick) < 1e-9 ? "zero" : "grid" }),
    svg("text", { x: x(tick), y: height - 6, class: "middle" }, showShare(tick, true, ticks[1] - ticks[0] < 0.0099 ? 1 : 0)),
  ]);
  const bars = spec.values.map((value, index) => {
    const y = top + index * line;
    const [low, high] = [spec.low?.[index], spec.high?.[index]];
    const known = isNumber(low) && isNumber(high);
    const open = !known || (low <= 0 && high >= 0);
    const text = showShare(value, true) + (known ? ` (${showShare(low, true)} to ${showShare(high, true)})` : "");
    const bar = isNumber(value)
      ? svg("rect", { x: Math.min(x(0), x(value)), y: y + 5, width: Math.max(Math.abs(x(value) - x(0)), 1), height: line - 10, rx: 2, class: open ? "bar open" : value > 0 ? "bar more" : "bar less" })
      : null;
    const whisker = known ? svg("path", { d: `M${x(low)} ${y + 8}v8m0-4H${x(high)}m0-4v8`, class: "whisker" }) : null;
    return svg("g", {}, [
      svg("title", {}, `${spec.names[index]}: ${text}`),
      svg("text", { x: left - 8, y: y + 16, class: "end" }, names[index]), bar, whisker,
      svg("text", { x: width - 4, y: y + 16, class: "end number" }, showShare(value, true)),
    ]);
  });
  const rows = spec.names.map((name, i) => [name, ...[spec.values[i], spec.low?.[i], spec.high?.[i]].map((v) => showShare(v, true))]);
  return { drawing: openDrawing(width, height, spec.title, [grid, bars]), table: [["", "difference", "from", "to"], rows], wide: width > room };
}

const DRAW = { heatmap: drawHeatmap, lines: drawLines, scatter: drawScatter, reliability: drawReliability, differences: drawDifferences };

/** Draw a specification into a figure, in place of what it holds; `room` is its width in px. */
function drawInto(figure, spec, room) {
  const { drawing, table, legend, wide } = DRAW[spec.kind](spec, Math.max(room, 240));
  const parts = [
    html("figcaption", {}, spec.title),
    spec.note ? html("p", { class: "soft" }, spec.note) : null,
    legend ? buildLegend(legend) : null,
    html("div", { class: wide ? "scroll drawing" : "drawing", role: wide ? "group" : null, "aria-label": wide ? spec.title : null }, drawing),
    html("details", { class: "numbers" }, [
      html("summary", {}, ["Numbers", html("span", { class: "hidden" }, ` of ${spec.title}`)]),
      html("div", { class: "scroll", role: "group", "aria-label": `Numbers of ${spec.title}` }, buildTable(...table)),
    ]),
  ];
  figure.replaceChildren(...parts.filter(Boolean));
  figure.classList.add("chart", `chart-${spec.kind}`);
}

/** Build a figure with a chart for a room of some px. */
function buildChart(spec, room) {
  const figure = html("figure", {});
  drawInto(figure, spec, room);
  return figure;
}

/** Draw every chart below an element that is not drawn yet. */
function drawCharts(root) {
  for (const figure of root.querySelectorAll("figure[data-chart]")) {
    const script = figure.querySelector('script[type="application/json"]');
    if (!script) continue;
    const room = figure.clientWidth || Math.min(window.innerWidth - 40, 620);
    drawInto(figure, JSON.parse(script.textContent), room);
  }
  watchScrolling(root);
}
