// The leaderboard's tables: sorting, filters, search, groups of columns, opened rows; all of it in the address's hash,
// so that a view can be linked. What a row opens to is drawn by opened.js.
"use strict";

const BOARD = JSON.parse(document.getElementById("leaderboard-data").textContent);
const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const FIRST_ROWS = 50; // ours: so many are laid out in some hundredths of a second; a button shows the others
const DEFAULT_SORT = { column: "#", descending: false };

/** The fixed columns of a table: how a row is sorted by them. */
const FIXED = {
  "#": (row) => row.rank ?? null,
  entry: (row) => row.entry,
  architecture: (row) => row.architecture ?? null,
  parameters: (row) => row.parameters ?? null,
  seeds: (row) => row.seeds ?? null,
  status: (row) => row.status,
};
const TEXTS = new Set(["entry", "architecture", "status"]);

/** Print a score of a table in percent, or as the number that its column is. */
function showScore(table, column, value) {
  if (!isNumber(value)) return "–";
  return column in table.digits ? printFixed(value, table.digits[column]) : showShare(value);
}

/** Tie the numbers of a table to its elements. */
function openView(table) {
  const section = document.querySelector(`[data-table="${CSS.escape(table.id)}"]`);
  const body = section.querySelector("tbody");
  const elements = new Map([...(body?.rows ?? [])].map((element) => [element.dataset.row, element]));
  const rows = table.rows.map((row, index) => ({
    ...row, index, element: elements.get(row.id), opened: null, fits: true,
    text: [row.entry, row.method, row.adaptation, row.architecture, row.status, ...(row.data ?? []), ...(row.warnings ?? [])].filter(Boolean).join(" ").toLowerCase(),
  }));
  const place = new Map(table.columns.map((column, index) => [column, index]));
  return { ...table, section, body, rows, place, order: rows, sort: DEFAULT_SORT, groupsOpen: new Set(), all: false };
}

const views = BOARD.tables.map(openView);
const filters = document.querySelector("form.filters");
const rowsById = new Map(views.flatMap((view) => view.rows.map((row) => [row.id, { view, row }])));

/** Return what a row is sorted by in a column; null where that is missing. */
function readKey(view, row, column) {
  if (column in FIXED) return FIXED[column](row);
  return row.mean?.[view.place.get(column.slice("score ".length))] ?? null;
}

/** Order rows by a column; missing values come last either way, and equals stay in the order of the ranking. */
function orderRows(view, { column, descending }) {
  const keyed = view.rows.map((row) => [readKey(view, row, column), row]);
  const compare = TEXTS.has(column) ? (a, b) => collator.compare(a, b) : (a, b) => a - b;
  const sign = descending ? -1 : 1;
  keyed.sort(([a, first], [b, second]) => {
    if (a === null || b === null) return (a === null) - (b === null) || first.index - second.index;
    return sign * compare(a, b) || first.index - second.index;
  });
  return keyed.map(([, row]) => row);
}

/** Sort a table and say so in its head. */
function sortTable(view, sort) {
  view.sort = sort;
  for (const head of view.section.querySelectorAll("thead th")) {
    if (head.dataset.column === sort.column) head.setAttribute("aria-sort", sort.descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  view.order = orderRows(view, sort);
  showRows(view);
}

/** Show the rows that fit, in their order: the first of them, or all; and offer the others. What is hidden stays behind. */
function showRows(view) {
  let fitting = 0;
  const shown = [];
  for (const row of view.order) {
    fitting += Number(row.fits);
    row.element.hidden = !row.fits || (!view.all && fitting > FIRST_ROWS);
    if (row.opened) row.opened.hidden = row.element.hidden;
    if (!row.element.hidden) shown.push(row.element, ...(row.opened ? [row.opened] : []));
  }
  const { children } = view.body;
  if (shown.some((element, index) => element !== children[index])) view.body.prepend(...shown);
  view.more.hidden = view.all || fitting <= FIRST_ROWS;
  view.more.textContent = `Show all ${fitting} rows, not the first ${FIRST_ROWS} alone`;
}

/** Add the columns of a group to a table, or take them away. */
function toggleGroup(view, name, open) {
  const group = view.groups.find((candidate) => candidate.name === name);
  if (!group || view.groupsOpen.has(name) === open) return;
  const button = view.section.querySelector(`.groups [data-group="${CSS.escape(name)}"]`);
  button.setAttribute("aria-pressed", String(open));
  if (open) {
    view.groupsOpen.add(name);
    view.section.querySelector("thead tr").append(...group.columns.map((column) =>
      html("th", { scope: "col", class: "extra", "data-column": `score ${column}`, "data-of": name }, html("button", { type: "button" }, breakName(column)))));
    for (const row of view.rows) {
      row.element.append(...group.columns.map((column) => {
        const at = view.place.get(column);
        const std = row.std?.[at];
        const missing = isNumber(row.mean?.[at]) ? null : row.missing?.[column] ?? row.reason ?? "not measured";
        return html("td", { class: "extra", "data-of": name, title: missing }, [
          showScore(view, column, row.mean?.[at]),
          isNumber(std) ? html("small", {}, ` ± ${showScore(view, column, std)}`) : null,
        ]);
      }));
    }
  } else {
    view.groupsOpen.delete(name);
    for (const cell of view.section.querySelectorAll(`.scores [data-of="${CSS.escape(name)}"]`)) cell.remove();
    if (!view.section.querySelector("thead [aria-sort]")) sortTable(view, DEFAULT_SORT);
  }
  for (const row of view.rows) if (row.opened) row.opened.firstElementChild.colSpan = countColumns(view);
}

/** Bring the columns that a group has unfolded into view, the first of them beside the entries. */
function revealGroup(view, name) {
  const board = view.section.querySelector(".board");
  const heads = [...view.section.querySelectorAll(`thead [data-of="${CSS.escape(name)}"]`)].map((head) => head.getBoundingClientRect());
  const [room, entry] = [board.getBoundingClientRect(), view.section.querySelector("thead .entry").getBoundingClientRect()];
  if (heads[0].left >= entry.right && heads.at(-1).right <= room.right) return;
  board.scrollLeft += heads[0].left - entry.right;
}

/** Shade a table's right edge while there is more of it beyond. */
function shadeEdge(board) {
  board.parentElement.classList.toggle("goes-on", board.scrollLeft + board.clientWidth < board.scrollWidth - 1);
}

const countColumns = (view) => view.section.querySelectorAll("thead th").length;

/** Let a column's name break after its slashes and underscores. */
function breakName(name) {
  return name.split(/(?<=[/_])/).flatMap((part, index) => (index ? [document.createElement("wbr"), part] : [part]));
}

/** Open or close a row; its sheet is drawn the first time. */
function toggleRow(view, row, open) {
  if (Boolean(row.opened) === open) return;
  const button = row.element.querySelector(".entry button");
  button.setAttribute("aria-expanded", String(open));
  if (!open) {
    row.opened.remove();
    row.opened = null;
    button.removeAttribute("aria-controls");
    return;
  }
  const sheet = html("div", { class: "sheet" });
  row.opened = html("tr", { class: "opened", id: `opened-${row.id}` }, html("td", { colspan: countColumns(view) }, sheet));
  row.opened.hidden = row.element.hidden;
  row.element.after(row.opened);
  button.setAttribute("aria-controls", row.opened.id);
  fillSheet(sheet, view, row);
}

/** Read the filters: key -> what was chosen; nothing of what is open. */
function readFilters() {
  return Object.fromEntries([...new FormData(filters)].filter(([, value]) => value));
}

/** Show the rows that the filters let through, and say how many these are. */
function filterRows() {
  const chosen = readFilters();
  const words = (chosen.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  let [shown, tables, all] = [0, 0, 0];
  for (const view of views) {
    const here = (!chosen.kind || view.kind === chosen.kind) && (!chosen.table || view.id === chosen.table) && (!chosen.data || view.data.includes(chosen.data));
    let count = 0;
    for (const row of view.rows) {
      const fits = here && words.every((word) => row.text.includes(word))
        && (!chosen.architecture || row.architecture === chosen.architecture)
        && (!chosen.method || row.method === chosen.method || row.adaptation === chosen.method)
        && (!chosen.status || row.status === chosen.status);
      row.fits = fits;
      count += Number(fits);
    }
    if (view.body) showRows(view);
    all += view.rows.length;
    view.section.hidden = count === 0 && Object.keys(chosen).length > 0;
    shown += count;
    tables += Number(count > 0);
  }
  const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
  const text = shown ? `${shown === all ? "All" : `${shown} of`} ${plural(all, "row")} in ${plural(tables, "table")}` : "No row fits: choose less, or show all";
  filters.querySelector(".counted").textContent = text;
}

/** Write what is chosen, sorted and opened into the address's hash. */
function writeHash() {
  const state = new URLSearchParams(readFilters());
  for (const view of views) {
    if (view.sort !== DEFAULT_SORT) state.append(`sort.${view.id}`, (view.sort.descending ? "-" : "") + view.sort.column);
    if (view.all) state.append("all", view.id);
    for (const name of view.groupsOpen) state.append(`columns.${view.id}`, name);
    for (const row of view.rows) if (row.opened) state.append("open", row.id);
  }
  const text = String(state);
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

/** Show what the address's hash says; a plain anchor, such as a table's, leaves the view as it is. */
function readHash() {
  const text = location.hash.slice(1);
  if (text && !text.includes("=")) return;
  const state = new URLSearchParams(text);
  for (const control of filters.elements) {
    if (!control.name) continue;
    control.value = state.get(control.name) ?? "";
    if (control.selectedIndex === -1) control.value = "";
  }
  const open = new Set(state.getAll("open"));
  for (const view of views) {
    if (!view.body) continue;
    view.all = state.getAll("all").includes(view.id);
    const groups = new Set(state.getAll(`columns.${view.id}`));
    for (const { name } of view.groups) toggleGroup(view, name, groups.has(name));
    const sort = state.get(`sort.${view.id}`);
    const column = sort?.replace(/^-/, "");
    const known = column && view.section.querySelector(`thead [data-column="${CSS.escape(column)}"]`);
    sortTable(view, known ? { column, descending: sort.startsWith("-") } : DEFAULT_SORT);
    for (const row of view.rows) toggleRow(view, row, open.has(row.id));
  }
  filterRows();
}

/** Answer a click in a table's section: a head sorts, an entry opens, a group unfolds. */
function answerClick(view, event) {
  const head = event.target.closest("thead button")?.closest("th");
  if (head) {
    const { column } = head.dataset;
    const again = view.sort.column === column;
    const downwards = column !== "#" && !TEXTS.has(column); // the first click shows the largest numbers, but the first ranks
    sortTable(view, { column, descending: again ? !view.sort.descending : downwards });
    return writeHash();
  }
  const opener = event.target.closest("tbody .entry button");
  if (opener) {
    const { row } = rowsById.get(opener.closest("tr").dataset.row);
    toggleRow(view, row, !row.opened);
    return writeHash();
  }
  const group = event.target.closest(".groups button");
  if (group) {
    const open = !view.groupsOpen.has(group.dataset.group);
    toggleGroup(view, group.dataset.group, open);
    if (open) revealGroup(view, group.dataset.group);
    return writeHash();
  }
  if (event.target === view.more) {
    view.all = true;
    showRows(view);
    view.order.filter((row) => row.fits)[FIRST_ROWS].element.querySelector(".entry button").focus();
    return writeHash();
  }
  return undefined;
}

/** Make a table's heads, entries and groups buttons. */
function startView(view) {
  if (!view.body) return;
  view.more = html("button", { type: "button", class: "quiet more-rows", hidden: true });
  const board = view.section.querySelector(".board");
  board.parentElement.after(view.more);
  board.addEventListener("scroll", () => shadeEdge(board), { passive: true });
  const watch = new ResizeObserver(() => shadeEdge(board));
  for (const each of [board, board.firstElementChild]) watch.observe(each);
  for (const button of view.section.querySelectorAll("thead button")) button.disabled = false;
  for (const row of view.rows) {
    const name = row.element.querySelector(".name");
    name.replaceWith(html("button", { type: "button", class: "name", "aria-expanded": "false" }, name.textContent));
  }
  if (view.groups.length) {
    const bar = view.section.querySelector(".groups");
    bar.append("More columns:", ...view.groups.map(({ name, columns }) =>
      html("button", { type: "button", "aria-pressed": "false", "data-group": name }, `${name} (${columns.length})`)));
    bar.hidden = false;
  }
  view.section.addEventListener("click", (event) => answerClick(view, event));
}

document.addEventListener("DOMContentLoaded", () => {
  for (const view of views) {
    startView(view);
    if (view.body) drawCost(view);
  }
  filters.hidden = views.length === 0;
  filters.addEventListener("input", () => { filterRows(); writeHash(); });
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("reset", () => setTimeout(() => { filterRows(); writeHash(); }));
  window.addEventListener("hashchange", readHash);
  readHash();
  if (!location.hash.includes("=")) filterRows();
});
