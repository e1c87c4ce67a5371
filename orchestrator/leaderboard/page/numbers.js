// How numbers are printed, and which of them an axis names.
"use strict";

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** Print a number with some digits after the point as Python does: a tie goes to the even digit, not away from zero. */
function printFixed(value, digits) {
  const text = value.toFixed(digits);
  const halves = value * 2 ** (digits + 1); // exact; odd for a tie, and for nothing else: its fraction is one of twos and of tens
  if (!Number.isInteger(halves) || halves % 2 === 0 || Number(text.at(-1)) % 2 === 0) return text;
  return (value < 0 ? "-" : "") + (Math.trunc(Math.abs(value) * 10 ** digits) / 10 ** digits).toFixed(digits);
}

/** Print a share in percent, a missing one as a dash; with a sign where it is a difference. */
function showShare(value, signed = false, digits = 1) {
  if (!isNumber(value)) return "–";
  const text = printFixed(100 * value, digits);
  if (!signed) return text;
  return Number(text) === 0 ? (0).toFixed(digits) : (value > 0 ? "+" : "−") + text.replace("-", "");
}

/** Print a number of any size in few letters: 4.2 M, 0.31. */
function showNumber(value) {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  for (const [unit, letter] of [[1e12, " T"], [1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
    if (size >= unit) return Number((value / unit).toPrecision(3)) + letter;
  }
  return String(Number(value.toPrecision(3)));
}

/** Return about `count` round numbers from low to high. */
function listTicks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw * 0.999);
  const ticks = [];
  for (let index = Math.ceil(low / step - 1e-6); index * step <= high + step * 1e-6; index += 1) ticks.push(index * step);
  return ticks;
}

/** Return the powers of ten, and their double and fivefold, between two positive numbers. */
function listLogTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const factor of high / low > 300 ? [1] : [1, 2, 5]) {
      const tick = factor * 10 ** power;
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
    }
  }
  return ticks;
}
