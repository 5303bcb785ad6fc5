// One queue: its ledger, and its jobs by state.

import { get } from "../api.js";
import { h, keyed, replace, setText } from "../dom.js";
import { age, number } from "../format.js";
import { crumb, failure, JobTable, links, Pager, STATES } from "../parts.js";
import { pauseButton } from "./overview.js";

/** Milliseconds between two looks at the list, at least. */
const PATIENCE = 1500;

export function queuePage(context, name, query) {
  const state = query.get("state") in STATES ? query.get("state") : "waiting";
  const counts = {};
  const tabs = h(
    "nav",
    { class: "tabs", "aria-label": "States" },
    Object.entries(STATES).map(([one, label]) => {
      counts[one] = h("span", { class: "count" }, "–");
      return h("a", { href: links.queue(name, one), "aria-current": one === state ? "page" : null }, label, " ", counts[one]);
    }),
  );
  const paused = h("span", { class: "badge", dataset: { status: "paused" }, hidden: true }, "Paused");
  const held = h("div", { class: "notice", hidden: true });
  const buttons = h("div", { class: "buttons" });
  const facts = h("dl", { class: "facts" });
  const table = new JobTable(state, { empty: `No ${STATES[state].toLowerCase()}${state === "failed" ? "" : " jobs"} in this queue.` });
  const trouble = h("div");
  const pager = new Pager(load);
  const element = h(
    "div",
    {},
    crumb(),
    h("div", { class: "head" }, h("h1", {}, name, " ", paused), buttons),
    held,
    facts,
    tabs,
    trouble,
    table.element,
    pager.element,
  );

  let busy = false;
  let loadedAt = 0;
  let seen = "";

  async function load() {
    if (busy) return;
    busy = true;
    try {
      const page = await get("api/jobs", { queue: name, state, cursor: pager.cursor, limit: 50 });
      table.show(page.jobs);
      pager.show(page.next_cursor);
      replace(trouble);
    } catch (problem) {
      replace(trouble, failure(problem));
    } finally {
      busy = false;
      loadedAt = Date.now();
    }
  }

  function update(stats) {
    const queue = stats.queues.find((one) => one.name === name);
    if (!queue) return;
    for (const one of Object.keys(STATES)) {
      // Of what has ended, the list shows what is still kept.
      setText(counts[one], number(one === "completed" ? queue.kept_completed : one === "cancelled" ? queue.kept_cancelled : queue[one]));
    }
    paused.hidden = !queue.paused;
    held.hidden = !queue.held;
    setText(held, queue.held ? `The operator holds this queue: no job is started until that is mended. ${queue.held}` : "");
    keyed(buttons, [{ name, paused: queue.paused }], (one) => one.name, pauseButton);
    const known = {
      Accepted: number(queue.accepted),
      Completed: number(queue.completed),
      Retried: number(queue.retried),
      "Recovered from dead workers": number(queue.recovered),
      "Oldest waits": age(queue.oldest_seconds),
      Lost: number(queue.lost),
    };
    keyed(facts, Object.entries(known), ([label]) => label, ([label, value]) => h("div", {}, h("dt", {}, label), h("dd", {}, value)));
    // A later page would shift under the reader's eyes.
    const now = JSON.stringify(queue);
    const changes = now !== seen || state === "active" || state === "delayed";
    if (pager.first && changes && Date.now() - loadedAt > PATIENCE) {
      seen = now;
      load();
    }
  }

  load();
  if (context.stats) update(context.stats);
  return { element, title: name, update };
}

