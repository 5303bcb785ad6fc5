// The first page: what is going on in all queues.

import { path, post } from "../api.js";
import { Chart } from "../chart.js";
import { h, keyed, setText } from "../dom.js";
import { age, number, rate } from "../format.js";
import { action, links, notice, toast } from "../parts.js";

const SAMPLES = 300;

const TILES = [
  ["waiting", "Waiting", "#/"],
  ["active", "Active", "#/"],
  ["delayed", "Delayed", "#/"],
  ["failed", "Dead letters", "#/dead"],
];

export function overview(context) {
  const figures = {};
  const tile = ([name, label, href]) => {
    figures[name] = h("strong", { id: `total-${name}` }, "–");
    const content = [h("span", { class: "label" }, label), figures[name]];
    return name === "failed"
      ? h("a", { class: "tile", href, dataset: { status: name } }, content)
      : h("div", { class: "tile", dataset: { status: name } }, content);
  };
  const workers = h("strong", {}, "–");
  const workersDetail = h("span", { class: "muted" });
  const perSecond = h("strong", { id: "per-second" }, "–");
  const completed = h("span", { class: "muted" });
  const oldest = h("span", { class: "muted" });
  const chart = new Chart();
  const rows = h("tbody");
  const table = h(
    "div",
    { class: "table" },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Queue"),
          ["Waiting", "Active", "Delayed", "Dead"].map((name) => h("th", { scope: "col", class: `figure${name === "Delayed" ? " wide" : ""}` }, name)),
          h("th", { scope: "col", class: "figure wide" }, "Completed"),
          h("th", { scope: "col", class: "figure wide" }, "Oldest waits"),
          h("th", { scope: "col", class: "end" }, h("span", { class: "sr" }, "Actions")),
        ),
      ),
      rows,
    ),
  );
  const none = notice("No queue has ever had a job. As soon as an application enqueues one, it appears here.");
  none.hidden = true;

  const waitingTile = tile(TILES[0]);
  waitingTile.append(oldest);

  const element = h(
    "div",
    {},
    h("h1", {}, "Overview"),
    h(
      "section",
      { class: "tiles", "aria-label": "Numbers over all queues" },
      waitingTile,
      TILES.slice(1).map(tile),
      h("a", { class: "tile", href: "#/workers" }, h("span", { class: "label" }, "Workers"), workers, workersDetail),
    ),
    h(
      "section",
      { class: "panel throughput", "aria-label": "Throughput" },
      h("div", { class: "throughput-figures" }, h("span", { class: "label" }, "Completed a second"), perSecond, completed),
      chart.element,
    ),
    h("section", { "aria-labelledby": "queues" }, h("h2", { id: "queues" }, "Queues"), table, none),
  );

  function update(stats) {
    for (const [name] of TILES) setText(figures[name], number(stats.totals[name]));
    setText(perSecond, rate(stats.per_second.completed));
    setText(completed, `${number(stats.totals.completed)} in all`);
    const ages = stats.queues.map((queue) => queue.oldest_seconds).filter((age) => age !== null);
    setText(oldest, ages.length ? `the oldest for ${age(Math.max(...ages))}` : "");
    if (stats.workers) {
      setText(workers, number(stats.workers.total));
      setText(workersDetail, `${number(stats.workers.active)} active, ${number(stats.workers.idle)} idle`);
    }
    chart.draw(context.history.slice(-SAMPLES), SAMPLES);
    keyed(rows, stats.queues, (queue) => queue.name, row);
    table.hidden = stats.queues.length === 0;
    none.hidden = !table.hidden;
  }

  if (context.stats) update(context.stats);
  return { element, title: "Overview", update };
}

function row(queue) {
  const figure = (state, value) =>
    h("td", { class: `figure${state === "delayed" ? " wide" : ""}` }, h("a", { href: links.queue(queue.name, state), class: value ? "" : "zero", dataset: { status: value ? state : "" } }, number(value)));
  return h(
    "tr",
    { dataset: { queue: queue.name } },
    h(
      "td",
      {},
      h("a", { href: links.queue(queue.name), class: "strong", dataset: { name: "queue" } }, queue.name),
      queue.paused && [" ", h("span", { class: "badge", dataset: { status: "paused" } }, "Paused")],
      queue.held && [" ", h("span", { class: "badge", dataset: { status: "held" }, title: queue.held }, "Held")],
      queue.lost !== 0 && [" ", h("span", { class: "badge", dataset: { status: "failed" } }, `${queue.lost} lost`)],
    ),
    ["waiting", "active", "delayed", "failed"].map((state) => figure(state, queue[state])),
    h("td", { class: "figure wide" }, number(queue.completed)),
    h("td", { class: "figure wide" }, age(queue.oldest_seconds)),
    h("td", { class: "end" }, pauseButton(queue)),
  );
}

/** Pauses or resumes a queue. What it does is seen with the next sample. */
export function pauseButton(queue) {
  const doing = queue.paused ? "resume" : "pause";
  return action(
    queue.paused ? "Resume" : "Pause",
    async () => {
      await post(path("queues", queue.name, doing));
      toast(queue.paused ? `${queue.name} goes on.` : `${queue.name} is paused: it accepts jobs, but starts none.`);
    },
    { class: "quiet small", name: "pause" },
  );
}
