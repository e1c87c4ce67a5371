// What a row of the leaderboard opens to: what is said about it, its charts, its pictures and where it comes from; and the
// chart of cost against quality beside each table.
"use strict";

const COSTS = ["parameters", "GFLOPs/frame", "frames/s", "peak GPU memory (GB)", "peak memory (GB)"];
const MORE_IS_BETTER = new Set(["frames/s"]);
const CONDITIONS = { clean: "clean", corrupted: "corrupted", stream: "stream" };
const PANELS = ["image", "label", "prediction", "error"];
const SERIES = 6; // curves in one chart: more of them cannot be told apart

/** Return a row's score in a column, and its interval. */
function readScore(view, row, column) {
  const at = view.place.get(column);
  return { mean: row.mean?.[at] ?? null, low: row.low?.[at] ?? null, high: row.high?.[at] ?? null };
}

/** Return corruption -> severity -> column of the cells of a benchmark, in the order of the table. */
function listCells(view) {
  const cells = new Map();
  if (view.kind !== "benchmark") return cells;
  for (const column of view.columns) {
    const match = /^([^/]+)\/(\d+)$/.exec(column);
    if (!match || !(match[1] in view.families)) continue;
    if (!cells.has(match[1])) cells.set(match[1], new Map());
    cells.get(match[1]).set(Number(match[2]), column);
  }
  return cells;
}

/** Specify the heat map of corruptions and severities. */
function specifyGrid(view, row, cells) {
  const severities = [...new Set([...cells.values()].flatMap((levels) => [...levels.keys()]))].sort((a, b) => a - b);
  const values = [...cells.values()].map((levels) => severities.map((s) => (levels.has(s) ? readScore(view, row, levels.get(s)).mean : null)));
  return { kind: "heatmap", title: "mIoU by corruption and severity (%)", rows: [...cells.keys()], columns: severities.map(String), values, scale: "sequential", low: 0 };
}

/** Specify a chart of curves over severity for each family of corruptions, all with the same axis. */
function specifyCurves(view, row, cells) {
  const bounds = [...cells.values()].flatMap((levels) => [...levels.values()]).flatMap((column) => Object.values(readScore(view, row, column))).filter(isNumber);
  const families = Map.groupBy([...cells.keys()], (name) => view.families[name]);
  const charts = [];
  for (const [family, names] of families) {
    for (let start = 0; start < names.length; start += SERIES) {
      const some = names.slice(start, start + SERIES);
      const severities = [...new Set(some.flatMap((name) => [...cells.get(name).keys()]))].sort((a, b) => a - b);
      if (severities.length < 2) continue;
      const series = some.map((name) => {
        const scores = severities.map((s) => (cells.get(name).has(s) ? readScore(view, row, cells.get(name).get(s)) : { mean: null, low: null, high: null }));
        const band = scores.some((score) => isNumber(score.low)) ? { low: scores.map((score) => score.low), high: scores.map((score) => score.high) } : {};
        return { name, values: scores.map((score) => score.mean), ...band };
      });
      charts.push({ kind: "lines", title: `${family[0].toUpperCase()}${family.slice(1)} over severity`, x: severities, xLabel: "severity", yLabel: "mIoU (%)", series, bounds });
    }
  }
  return charts;
}

/** Specify the heat map of classes and conditions. */
function specifyClasses(view, row) {
  let conditions = row.detail?.classIou ?? {};
  let classes = row.detail?.classes ?? [];
  if (!Object.keys(conditions).length) {
    const columns = view.columns.filter((column) => column.startsWith("IoU/"));
    classes = columns.map((column) => column.slice("IoU/".length));
    conditions = columns.length ? { IoU: columns.map((column) => readScore(view, row, column).mean) } : {};
  }
  const names = Object.keys(conditions);
  if (!names.length || !classes.length) return null;
  const values = classes.map((_, index) => names.map((name) => conditions[name][index] ?? null));
  return { kind: "heatmap", title: "IoU by class (%)", rows: classes, columns: names, values, scale: "sequential", low: 0, high: 1 };
}

/** Specify the drift over the rounds of a stream. */
function specifyRounds(row) {
  const rounds = Object.entries(row.detail?.rounds ?? {});
  const count = Math.max(0, ...rounds.map(([, values]) => values.length));
  if (count < 2) return [];
  const x = Array.from({ length: count }, (_, index) => index + 1);
  const bounds = rounds.flatMap(([, values]) => values).filter(isNumber);
  return Array.from({ length: Math.ceil(rounds.length / SERIES) }, (_, part) => ({
    kind: "lines", title: part ? "Drift over rounds, more domains" : "Drift over rounds", x, xLabel: "round", yLabel: "mIoU (%)", bounds,
    series: rounds.slice(part * SERIES, (part + 1) * SERIES).map(([name, values]) => ({ name, values })),
  }));
}

/** Specify the reliability diagram. */
function specifyReliability(row) {
  const series = Object.entries(row.detail?.reliability ?? {}).map(([name, bins]) => ({ name: CONDITIONS[name] ?? name, bins }));
  return series.length ? { kind: "reliability", title: "Reliability", series, note: "Below the dotted line the network is too sure of itself; a larger dot holds more pixels." } : null;
}

/** List what a reader should know of a row before its numbers. */
function buildSaid(view, row) {
  const lines = [
    ...(row.warnings ?? []).map((text) => html("li", { class: "warning" }, `Warning: ${text}.`)),
    row.reason ? html("li", {}, `Not ranked: ${row.reason}.`) : null,
    row.tuned ? html("li", {}, `Tuned: ${row.tuned}.`) : null,
    row.data ? html("li", {}, `Its network has seen: ${row.data.join(", ")}.`) : null,
    row.status === "self-reported" ? html("li", { class: "warning" }, "Self-reported: these numbers are their author's word; they were not made by this store.") : null,
    ...[...Map.groupBy(Object.entries(row.missing ?? {}), ([, reason]) => reason)].map(([reason, group]) => html("li", {}, `No ${group.map(([column]) => column).join(", ")}: ${reason}.`)),
  ].filter(Boolean);
  return lines.length ? html("ul", { class: "said" }, lines) : null;
}

/** Build the charts of a row in a grid; those that are drawn wide take all of it. */
function buildCharts(view, row, room) {
  const cells = listCells(view);
  const specs = [
    cells.size ? specifyGrid(view, row, cells) : null,
    ...specifyCurves(view, row, cells),
    ...specifyRounds(row),
    specifyReliability(row),
    specifyClasses(view, row),
  ].filter(Boolean);
  if (!specs.length) return null;
  const [gap, least] = [32, 320]; // px, as in the style sheet's grid
  const beside = Math.max(1, Math.floor((room + gap) / (least + gap)));
  const part = Math.floor((room - gap * (beside - 1)) / beside);
  return html("div", { class: "charts" }, specs.map((spec) => {
    const full = spec.kind === "heatmap" && spec.columns.length > 8;
    const figure = buildChart(spec, full ? room : part);
    if (full) figure.classList.add("full");
    return figure;
  }));
}

/** Build what the colours of a row's pictures mean. */
function buildColours(row) {
  const error = row.pictures.some(({ panels }) => "error" in panels) ? html("p", { class: "soft" }, "error: red is wrong, grey is not scored") : null;
  const swatches = (row.colours ?? []).map((fill, index) => html("li", {}, [
    svg("svg", { width: 14, height: 10, "aria-hidden": "true" }, svg("rect", { class: "swatch", width: 14, height: 10, rx: 2, fill })),
    row.detail.classes[index],
  ]));
  return [error, swatches.length ? html("ul", { class: "legend" }, swatches) : null];
}

/** Build the panels of a row's fixed frames. */
function buildPictures(row) {
  if (!row.pictures && !row.leftOut) return null;
  const frames = (row.pictures ?? []).map(({ frame, condition, panels }) => {
    const figures = PANELS.filter((panel) => panel in panels).map((panel) => {
      const alt = { image: `Frame ${frame}, ${condition}`, label: `Labels of frame ${frame}`, prediction: `What ${row.entry} predicts for frame ${frame}, ${condition}`, error: `Where ${row.entry} is wrong in frame ${frame}, ${condition}` }[panel];
      return html("figure", {}, [html("img", { src: BOARD.images[panels[panel]], alt }), html("figcaption", {}, panel)]);
    });
    return html("div", { class: "frame" }, [html("h5", {}, `${frame}, ${condition}`), html("div", { class: "panels" }, figures)]);
  });
  const note = row.leftOut ? html("p", { class: "soft" }, `${row.leftOut} ${row.leftOut === 1 ? "picture is" : "pictures are"} left out, so that this file stays small.`) : null;
  return [html("h4", {}, "Fixed frames"), ...(row.pictures ? buildColours(row) : []), ...frames, note];
}

/** Build a list of names and values, each value text or an element. */
function buildFacts(pairs) {
  return html("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").flatMap(([name, value]) => [html("dt", {}, name), html("dd", {}, value)]));
}

/** Build text with a button that copies it. */
function buildCopyable(text, what) {
  return html("span", { class: "copyable" }, [
    html("code", {}, text),
    html("button", { type: "button", class: "quiet", "data-copy": text }, ["Copy", html("span", { class: "hidden" }, ` ${what}`)]),
  ]);
}

/** Fold a list of names and values away. */
function foldFacts(title, entries) {
  if (!entries.length) return null;
  const list = buildFacts(entries.map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]));
  return html("details", {}, [html("summary", {}, title), list]);
}

/** Build where a row comes from. */
function buildProvenance(row) {
  const from = row.provenance;
  if (!from) return null;
  const spent = isNumber(from.seconds) ? `${from.seconds < 120 ? `${Math.round(from.seconds)} s` : `${Math.round(from.seconds / 60)} min`}` : null;
  const head = row.status === "self-reported" ? "Where it comes from, as its author says" : "Where it comes from";
  return [
    html("h4", {}, head),
    buildFacts([
      ["reproduce", buildCopyable(from.command, "the command")],
      ["experiment", [from.experiment, from.stage].filter(Boolean).join(", stage ")],
      ["source", from.source],
      ["code", from.commits?.join(", ")],
      ["ran on", from.hardware?.join("; ")],
      ["started", from.started_at?.replace("T", " ").slice(0, 16)],
      ["scoring took", spent],
      ...(from.checkpoints ?? []).map((hash, index) => [index ? "" : "checkpoint (sha256)", buildCopyable(hash, "the checkpoint's hash")]).map(([name, value]) => [name || "checkpoint", value]),
      ["weights from", from.weights?.join(", ")],
    ]),
    foldFacts("Settings, as they ran", Object.entries(from.settings ?? {})),
    foldFacts("Data fingerprints", Object.entries(from.datasets ?? {})),
    foldFacts("Packages", Object.entries(from.packages ?? {})),
  ];
}

/** Fill what a row opens to; the sheet is in the page, so that its width is known. */
function fillSheet(sheet, view, row) {
  const style = getComputedStyle(sheet);
  const room = sheet.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const parts = [buildSaid(view, row), buildCharts(view, row, room), buildPictures(row), buildProvenance(row)].flat().filter(Boolean);
  if (!parts.length) parts.push(html("p", { class: "soft" }, "There is no record behind this row: nothing more is known of it."));
  sheet.append(...parts);
  watchScrolling(sheet);
}

/** Return a row's cost in a column. */
function readCost(view, row, column) {
  return column === "parameters" ? row.parameters ?? null : readScore(view, row, column).mean;
}

/** Mark the points that no other is better than in both. */
function markFront(points, moreIsBetter) {
  const sign = moreIsBetter ? -1 : 1;
  return points.map((point) => ({
    ...point,
    front: !points.some((other) => sign * other.x <= sign * point.x && other.y >= point.y && (other.x !== point.x || other.y !== point.y)),
  }));
}

/** Draw cost against quality beside a table, where there is a cost that tells its rows apart. */
function drawCost(view) {
  const main = view.columns[0];
  if (!main || main in view.digits) return;
  const scored = view.rows.map((row) => ({ row, y: readScore(view, row, main).mean })).filter(({ y }) => isNumber(y));
  const costs = COSTS.filter((column) => new Set(scored.map(({ row }) => readCost(view, row, column)).filter(isNumber)).size > 1);
  if (!costs.length) return;
  const place = view.section.querySelector(".cost");
  place.hidden = false;
  const chart = html("div", {});
  const show = (column) => {
    const points = scored.map(({ row, y }) => ({ name: row.entry, x: readCost(view, row, column), y })).filter(({ x }) => isNumber(x));
    const spec = { kind: "scatter", title: `${main} against ${column}`, xLabel: column, yLabel: `${main} (%)`, points: markFront(points, MORE_IS_BETTER.has(column)), note: "Filled dots are on the Pareto front: no other row is at least as good in both." };
    chart.replaceChildren(buildChart(spec, place.clientWidth));
    watchScrolling(chart);
  };
  const select = html("select", {}, costs.map((column) => html("option", { value: column }, column)));
  select.addEventListener("change", () => show(select.value));
  if (costs.length > 1) place.append(html("label", {}, ["Cost", select]));
  place.append(chart);
  show(costs[0]);
}
