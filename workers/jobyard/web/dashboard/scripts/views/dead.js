// Dead letters of all queues: search them, try some or all again, discard some or all.

import { get, path, post } from "../api.js";
import { h, replace } from "../dom.js";
import { number } from "../format.js";
import { action, confirm, failure, JobTable, links, Pager, toast } from "../parts.js";

const PATIENCE = 2000;

export function deadPage(context, query) {
  const filter = { queue: query.get("queue") ?? "", actor: query.get("actor") ?? "", error: query.get("error") ?? "" };
  const filtered = Object.values(filter).some(Boolean);
  const chosen = new Map();
  const selected = h("span", { class: "muted" });
  const table = new JobTable("failed", {
    select: chosen,
    onselect: showSelection,
    showQueue: true,
    empty: filtered ? "No dead letter fits." : "No dead letters. Jobs that fail in all their attempts come here, and wait for somebody to decide.",
  });
  const pager = new Pager(() => {
    chosen.clear();
    load();
  });
  const trouble = h("div");

  const queues = h("select", { id: "filter-queue", name: "queue" }, h("option", { value: "" }, "All queues"));
  const form = h(
    "form",
    { class: "filter", onsubmit: apply },
    h("label", {}, "Queue", queues),
    h("label", {}, "Actor", h("input", { name: "actor", value: filter.actor, autocomplete: "off", spellcheck: "false" })),
    h("label", {}, "Error", h("input", { name: "error", value: filter.error, placeholder: "type, or part of the message", autocomplete: "off", spellcheck: "false" })),
    h("button", { class: "primary" }, "Search"),
    filtered && h("a", { href: links.dead() }, "Show all"),
  );

  const some = [
    action("Retry selected", () => change("retry", true), { class: "primary" }),
    action("Discard selected", () => change("discard", true), { class: "danger", needs: "admin" }),
  ];
  const element = h(
    "div",
    {},
    h("h1", {}, "Dead letters"),
    form,
    h(
      "div",
      { class: "toolbar" },
      some,
      selected,
      h("span", { class: "space" }),
      action(filtered ? "Retry all that fit" : "Retry all", () => change("retry", false), { class: "quiet" }),
      action(filtered ? "Discard all that fit" : "Discard all", () => change("discard", false), { class: "quiet", needs: "admin" }),
    ),
    trouble,
    table.element,
    pager.element,
  );

  function apply(event) {
    event.preventDefault();
    location.hash = links.dead(Object.fromEntries(new FormData(form)));
  }

  function showSelection() {
    selected.textContent = chosen.size ? `${number(chosen.size)} selected` : "";
    for (const button of some) button.hidden = chosen.size === 0;
  }

  async function change(what, onlyChosen) {
    const retry = what === "retry";
    const which = onlyChosen ? `${number(chosen.size)} dead ${chosen.size === 1 ? "letter" : "letters"}` : filtered ? "all dead letters that fit" : "all dead letters";
    const detail = retry ? "They wait again, with all their attempts before them." : "Jobs, arguments and errors are forgotten for good.";
    if (!(onlyChosen && retry) && !(await confirm(`${retry ? "Retry" : "Discard"} ${which}?`, detail, retry ? "Retry" : "Discard", !retry))) return;
    let changed = 0;
    for (const body of onlyChosen ? byQueue(chosen) : [wanted()]) {
      changed += (await post(path("dead-letters", what), body)).changed;
    }
    toast(`${number(changed)} ${changed === 1 ? "job" : "jobs"} ${retry ? "wait again" : "discarded"}.`);
    chosen.clear();
    pager.trail = [];
    await load();
  }

  function wanted() {
    const body = Object.fromEntries(Object.entries(filter).filter(([, value]) => value));
    return Object.keys(body).length ? body : { all: true };
  }

  let busy = false;
  let loadedAt = 0;
  let seen = null;

  async function load() {
    if (busy) return;
    busy = true;
    try {
      const page = await get("api/dead-letters", { ...filter, cursor: pager.cursor, limit: 50 });
      const there = new Set(page.jobs.map((job) => job.job_id));
      for (const id of chosen.keys()) if (!there.has(id)) chosen.delete(id);
      table.show(page.jobs);
      pager.show(page.next_cursor);
      replace(trouble);
    } catch (problem) {
      replace(trouble, failure(problem));
    } finally {
      busy = false;
      loadedAt = Date.now();
      showSelection();
    }
  }

  function update(stats) {
    const names = stats.queues.map((queue) => queue.name);
    if (filter.queue && !names.includes(filter.queue)) names.push(filter.queue);
    if (queues.options.length !== names.length + 1) {
      const current = queues.value || filter.queue;
      replace(queues, h("option", { value: "" }, "All queues"), names.map((name) => h("option", { value: name }, name)));
      queues.value = current;
    }
    if (pager.first && stats.totals.failed !== seen && Date.now() - loadedAt > PATIENCE) {
      seen = stats.totals.failed;
      load();
    }
  }

  showSelection();
  load();
  if (context.stats) update(context.stats);
  return { element, title: "Dead letters", update };
}

function byQueue(chosen) {
  const bodies = new Map();
  for (const job of chosen.values()) {
    if (!bodies.has(job.queue)) bodies.set(job.queue, { queue: job.queue, ids: [] });
    bodies.get(job.queue).ids.push(job.job_id);
  }
  return [...bodies.values()];
}
