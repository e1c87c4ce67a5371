// What every page does: the theme and its button, buttons that copy, regions that scroll by keyboard.
"use strict";

const THEME_KEY = "segshift-theme";

/** Read the theme that was chosen here before, or null; a page from disk may have no storage. */
function readTheme() {
  try {
    return localStorage.getItem(THEME_KEY);
  } catch {
    return null;
  }
}

/** Show a theme, `light` or `dark`; null shows what the system prefers. */
function showTheme(theme) {
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
}

/** Say whether the page is dark now. */
function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Make the theme's button work: it names the theme that it leads to. */
function startTheme(button) {
  const name = () => { button.textContent = isDark() ? "Light theme" : "Dark theme"; };
  button.hidden = false;
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    showTheme(theme);
    try {
      localStorage.setItem(THEME_KEY, theme);
    } catch { /* it holds until the page is closed */ }
    name();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();
}

/** Copy text; where a page from disk may not use the clipboard, select nothing and say no. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "hidden";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** Answer a click on a button with `data-copy`. */
async function answerCopy(event) {
  const button = event.target.closest?.("[data-copy]");
  if (!button || button.dataset.busy) return;
  const label = button.innerHTML;
  button.dataset.busy = "yes";
  button.textContent = (await copyText(button.dataset.copy)) ? "Copied" : "Not copied";
  button.focus();
  setTimeout(() => {
    button.innerHTML = label;
    delete button.dataset.busy;
  }, 1500);
}

const scrollWatch = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const region = target.closest(".scroll");
    if (!region) continue;
    if (region.scrollWidth > region.clientWidth) region.tabIndex = 0;
    else region.removeAttribute("tabindex");
  }
});

/** Let every `.scroll` below an element that is wider than its room be reached, and so scrolled, by keyboard. */
function watchScrolling(root) {
  for (const region of root.querySelectorAll(".scroll")) {
    scrollWatch.observe(region);
    if (region.firstElementChild) scrollWatch.observe(region.firstElementChild);
  }
}

/** Show the copy buttons below an element, which do nothing without this script. */
function showCopyButtons(root) {
  for (const button of root.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}

showTheme(readTheme());
document.addEventListener("click", answerCopy);
document.addEventListener("DOMContentLoaded", () => {
  document.documentElement.classList.add("scripted");
  startTheme(document.querySelector("[data-theme-button]"));
  showCopyButtons(document);
  watchScrolling(document);
  drawCharts(document);
});
