// Starts the dashboard: shows the page that the address names, and hands it what the server tells.

import { get } from "./api.js";
import { h, replace, setText } from "./dom.js";
import { number } from "./format.js";
import { Live } from "./live.js";
import { notice } from "./parts.js";
import { deadPage } from "./views/dead.js";
import { jobPage } from "./views/job.js";
import { loginPage } from "./views/login.js";
import { overview } from "./views/overview.js";
import { queuePage } from "./views/queue.js";
import { workersPage } from "./views/workers.js";

const HISTORY = 300;
const THEME = "jobyard-theme";
const LIVE = { live: "Live", waiting: "Reconnecting", paused: "Paused", refused: "Token needed" };

const main = document.getElementById("main");
const trouble = document.getElementById("trouble");
/** What pages know: the newest numbers, and the rates of the last minutes. */
const context = { stats: null, history: [] };
let page = null;

function route() {
  const [where, query] = location.hash.replace(/^#/, "").split("?");
  const parts = where.split("/").filter(Boolean).map(decode);
  const parameters = new URLSearchParams(query);
  if (parts.length === 0) return overview(context);
  if (parts[0] === "queues" && parts.length === 2) return queuePage(context, parts[1], parameters);
  if (parts[0] === "jobs" && parts.length === 2) return jobPage(context, parts[1], parameters);
  if (parts[0] === "dead") return deadPage(context, parameters);
  if (parts[0] === "workers") return workersPage(context);
  return { element: h("div", {}, h("h1", {}, "Not found"), notice("There is no such page.")), title: "Not found", update: () => {} };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function show(next, focus) {
  page = next;
  replace(main, page.element);
  document.title = `${page.title} · Jobyard`;
  for (const link of document.querySelectorAll("#nav a")) {
    const here = link.getAttribute("href") === `#/${location.hash.replace(/^#\/?/, "").split(/[?/]/)[0]}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (focus) {
    main.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
}

/** Buttons for what the token is not good for are not shown (see style.css). The server refuses it in any case. */
async function showAllowed() {
  try {
    document.documentElement.dataset.scope = (await get("api/access")).scope;
  } catch {
    // The next connection asks again.
  }
}

function onEvent(name, data) {
  if (name === "history") context.history = data.samples;
  if (name === "trouble") {
    setText(trouble, `${data.title}. ${data.detail}`);
    trouble.hidden = false;
  }
  if (name === "stats") {
    trouble.hidden = true;
    context.stats = data;
    context.history = [...context.history, data.per_second].slice(-HISTORY);
    const dead = document.getElementById("nav-dead");
    setText(dead, number(data.totals.failed));
    dead.hidden = data.totals.failed === 0;
    page.update(data);
  }
}

const live = new Live(onEvent, (state, problem) => {
  const sign = document.getElementById("live");
  sign.dataset.state = state;
  setText(sign, LIVE[state]);
  if (state === "live") {
    trouble.hidden = true;
    showAllowed();
  }
  if (state === "waiting" && problem) {
    setText(trouble, `No connection to the server: ${problem.message || "it hung up"}. What you see may be old.`);
    trouble.hidden = false;
  }
  if (state === "refused") {
    show(loginPage(() => { show(route(), true); live.wake(); }), false);
  }
});

window.addEventListener("hashchange", () => show(route(), true));

document.getElementById("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = document.getElementById("find-id").value.trim();
  if (id) location.hash = `#/jobs/${encodeURIComponent(id)}`;
});

const chosen = localStorage.getItem(THEME);
if (chosen) document.documentElement.dataset.theme = chosen;
document.getElementById("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const theme = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  localStorage.setItem(THEME, theme);
});

show(route(), false);
live.run();
