// The worker processes that are alive, and what each one does now.

import { get } from "../api.js";
import { h, keyed, replace, setText } from "../dom.js";
import { age, between, number } from "../format.js";
import { failure, links, notice } from "../parts.js";

const PATIENCE = 1500;

export function workersPage() {
  const summary = h("p", { class: "muted" });
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
          h("th", { scope: "col" }, "Worker"),
          h("th", { scope: "col" }, "State"),
          h("th", { scope: "col", class: "wide" }, "Queues"),
          h("th", { scope: "col", class: "fluid" }, "Runs now"),
          h("th", { scope: "col", class: "figure" }, "Busy threads"),
          h("th", { scope: "col", class: "figure wide" }, "Completed"),
          h("th", { scope: "col", class: "figure wide" }, "Failed"),
          h("th", { scope: "col", class: "figure wide" }, "Up for"),
        ),
      ),
      rows,
    ),
  );
  const none = notice("No worker is running. Start one with: jobyard worker YOUR_MODULE");
  none.hidden = true;
  const trouble = h("div");
  const element = h("div", {}, h("h1", {}, "Workers"), summary, trouble, table, none);

  let busy = false;
  let loadedAt = 0;

  async function load() {
    if (busy) return;
    busy = true;
    try {
      const answer = await get("api/workers");
      setText(summary, `${number(answer.total)} ${answer.total === 1 ? "process" : "processes"}: ${number(answer.active)} active, ${number(answer.idle)} idle${answer.draining ? `, ${number(answer.draining)} draining` : ""}`);
      keyed(rows, answer.workers.map(withAge), (worker) => worker.token, row);
      table.hidden = answer.workers.length === 0;
      none.hidden = !table.hidden;
      replace(trouble);
    } catch (problem) {
      replace(trouble, failure(problem));
    } finally {
      busy = false;
      loadedAt = Date.now();
    }
  }

  load();
  return { element, title: "Workers", update: () => Date.now() - loadedAt > PATIENCE && load() };
}

const STATES = { active: "Active", idle: "Idle", draining: "Draining" };

const withAge = ({ seen_at, ...worker }) => ({ ...worker, age: age(between(worker.started_at)) });

function row(worker) {
  return h(
    "tr",
    {},
    h("td", {}, h("span", { class: "strong", title: worker.token }, worker.name)),
    h("td", {}, h("span", { class: "badge", dataset: { status: worker.state } }, STATES[worker.state])),
    h("td", { class: "wide" }, worker.queues.join(", ")),
    h(
      "td",
      { class: "fluid" },
      worker.running.length
        ? h("ul", { class: "plain" }, worker.running.map((id) => h("li", {}, h("a", { class: "id", href: links.job({ job_id: id }), title: id, dataset: { name: id } }, id))))
        : h("span", { class: "muted" }, "–"),
    ),
    h("td", { class: "figure" }, `${number(worker.running.length)} of ${number(worker.threads)}`),
    h("td", { class: "figure wide" }, number(worker.completed)),
    h("td", { class: "figure wide" }, number(worker.failed)),
    h("td", { class: "figure wide" }, worker.age),
  );
}
