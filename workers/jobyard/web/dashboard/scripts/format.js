// Figures, times and values as people read them.

import { BigNumber } from "./api.js";

const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** 12,345; from a hundred thousand on 123.5K. */
export const number = (value) => (value >= 100000 ? compact.format(value) : whole.format(value));

/** A rate: 0, 0.4, 12, 1,200. */
export const rate = (value) => (value > 0 && value < 10 ? value.toFixed(1) : number(Math.round(value)));

/** Seconds as 320 ms, 4.2 s, 3 min 20 s, 5 h 10 min, 2 d 3 h. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.9995) return `${Math.round(Math.max(0, seconds) * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const two = (large, small, divisor, names) => {
    const rest = Math.floor(small % divisor);
    return rest ? `${Math.floor(large)} ${names[0]} ${rest} ${names[1]}` : `${Math.floor(large)} ${names[0]}`;
  };
  if (seconds < 3600) return two(seconds / 60, seconds, 60, ["min", "s"]);
  if (seconds < 86400) return two(seconds / 3600, seconds / 60, 60, ["h", "min"]);
  return two(seconds / 86400, seconds / 3600, 24, ["d", "h"]);
}

/** A duration in whole seconds, for what changes while one looks at it. */
export function age(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return "< 1 s";
  return seconds < 10 ? `${Math.floor(seconds)} s` : duration(Math.floor(seconds));
}

/** Seconds between two times of the API; the second one may be missing: now. */
export const between = (from, to) => (from ? ((to ? Date.parse(to) : Date.now()) - Date.parse(from)) / 1000 : null);

/** "4 s ago", "in 3 min". */
export function relative(time) {
  const seconds = between(time);
  if (seconds === null) return "–";
  if (Math.abs(seconds) < 1) return "now";
  return seconds >= 0 ? `${age(seconds)} ago` : `in ${age(Math.ceil(-seconds))}`;
}

/** A time of today as clock time, another one with its day. */
export function moment(time) {
  if (!time) return "–";
  const date = new Date(time);
  return (date.toDateString() === new Date().toDateString() ? clock : day).format(date);
}

/** A value as indented JSON. Integers stay exact. */
export function pretty(value, indent = "") {
  if (value instanceof BigNumber) return value.source;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}  `;
  const [open, close, parts] = Array.isArray(value)
    ? ["[", "]", value.map((item) => pretty(item, inner))]
    : ["{", "}", Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${pretty(item, inner)}`)];
  return parts.length ? `${open}\n${inner}${parts.join(`,\n${inner}`)}\n${indent}${close}` : open + close;
}
