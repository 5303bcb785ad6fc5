// Pieces that several pages show: states, lists of jobs, questions, notices.

import { withQuery } from "./api.js";
import { h, keyed } from "./dom.js";
import { age, between, duration, moment, relative } from "./format.js";

/** The states in the order in which they are shown, with their words for people. */
export const STATES = {
  active: "Active",
  waiting: "Waiting",
  parked: "Parked",
  delayed: "Delayed",
  failed: "Dead letters",
  completed: "Completed",
  cancelled: "Cancelled",
};

const ONE = { ...STATES, failed: "Dead letter" };

export const links = {
  queue: (name, state) => withQuery(`#/queues/${encodeURIComponent(name)}`, { state }),
  job: (job) => withQuery(`#/jobs/${encodeURIComponent(job.job_id)}`, { queue: job.queue }),
  dead: (filter = {}) => withQuery("#/dead", filter),
};

export const badge = (status, cancelling = false) =>
  h("span", { class: "badge", dataset: { status } }, cancelling ? "Cancelling" : ONE[status]);

/** The way back: the overview, then these pages. */
export const crumb = (...pages) =>
  h("nav", { class: "crumb", "aria-label": "You are in" }, [["#/", "Overview"], ...pages].map(([href, label]) => h("a", { href }, label)));

/** A time that says how long ago it was, and when. */
export const ago = (time) => h("time", { datetime: time, title: time ? moment(time) : null }, relative(time));

export const progressBar = (percent, label) =>
  h("progress", { max: 100, value: percent, "aria-label": label ?? "Progress" }, `${Math.round(percent)} %`);

export const notice = (text, kind = "") => h("p", { class: `notice ${kind}` }, text);

/** What to show in place of a page, or a part of it, that can't be loaded. */
export const failure = (problem) =>
  h("div", { class: "notice bad", role: "alert" }, h("strong", {}, problem.title ?? "This can't be shown"), " ", problem.message);

/**
 * A button that does something and can't be pressed again meanwhile. What goes wrong is said. `options.needs`: the scope of the
 * token without which it is not shown.
 */
export function action(label, run, options = {}) {
  const needs = options.needs ?? "operate";
  const button = h("button", { type: "button", class: options.class ?? "", dataset: { name: options.name ?? label, needs } }, label);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await run();
    } catch (problem) {
      toast(problem.message, "bad");
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

/** Says something for a few seconds. */
export function toast(text, kind = "good") {
  const element = h("div", { class: `toast ${kind}` }, text);
  document.getElementById("toasts").append(element);
  setTimeout(() => element.remove(), kind === "bad" ? 8000 : 4000);
}

/** Asks; resolves to true or false. */
export function confirm(question, detail, yes, danger = true) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { "aria-labelledby": "question" },
      h("h2", { id: "question" }, question),
      h("p", {}, detail),
      h(
        "form",
        { method: "dialog", class: "buttons" },
        h("button", { value: "no", class: "quiet", autofocus: danger }, "Keep as it is"),
        h("button", { value: "yes", class: danger ? "danger" : "primary" }, yes),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

const TIMES = {
  waiting: ["Created", (job) => ago(job.created_at)],
  parked: ["Created", (job) => ago(job.created_at)],
  delayed: ["Due", (job) => ago(job.due_at)],
  active: ["Running for", (job) => age(between(job.started_at))],
  failed: ["Died", (job) => ago(job.ended_at)],
  completed: ["Completed", (job) => ago(job.ended_at)],
  cancelled: ["Cancelled", (job) => ago(job.ended_at)],
};

/** A list of jobs of one state. `options.select`: a Set of the ids that are ticked; `options.showQueue`. */
export class JobTable {
  constructor(status, options = {}) {
    this.options = options;
    const [time, timeCell] = TIMES[status];
    this.columns = [
      ["Job", (job) => h("a", { href: links.job(job), class: "id", dataset: { name: "job" }, title: job.job_id }, job.job_id)],
      ["Actor", (job) => job.actor],
      ...(options.showQueue ? [["Queue", (job) => h("a", { href: links.queue(job.queue, "failed") }, job.queue), "wide"]] : []),
      status === "failed"
        ? ["Last error", (job) => h("span", { class: "error-text" }, job.error ?? "–"), "fluid"]
        : ["Arguments", (job) => h("code", { class: "clip" }, job.arguments || "–"), "fluid wide"],
      ...(status === "active" ? [["Progress", (job) => progressBar(job.progress, `Progress of ${job.job_id}`)]] : []),
      ["Attempts", (job) => String(job.attempts), "figure wide"],
      ["Priority", (job) => String(job.priority), "figure wide"],
      [time, timeCell, "figure"],
      ...(status === "completed" ? [["Took", (job) => duration(between(job.started_at, job.ended_at)), "figure wide"]] : []),
    ];
    this.all = options.select
      ? h("input", { type: "checkbox", "aria-label": "Select all on this page", onchange: (event) => this.tickAll(event.target.checked) })
      : null;
    this.body = h("tbody");
    this.empty = h("p", { class: "empty", hidden: true }, options.empty ?? "No jobs.");
    this.element = h(
      "div",
      { class: "table jobs" },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h("tr", {}, this.all && h("th", { class: "tick" }, this.all), this.columns.map(([name, , kind]) => h("th", { class: kind ?? "" , scope: "col" }, name))),
        ),
        this.body,
      ),
      this.empty,
    );
  }

  show(jobs) {
    this.jobs = jobs;
    // The times are relative, so a row changes by itself: once a second for young ones is enough.
    const stamped = jobs.map((job) => ({ ...job, shown: this.columns.map(([, cell]) => text(cell(job))).join("\n") }));
    keyed(this.body, stamped, (job) => `${job.queue} ${job.job_id}`, (job) => this.row(job));
    this.empty.hidden = jobs.length > 0;
    if (this.all) this.all.checked = jobs.length > 0 && jobs.every((job) => this.options.select.has(job.job_id));
  }

  row(job) {
    const tick =
      this.all &&
      h("input", {
        type: "checkbox",
        "aria-label": `Select ${job.job_id}`,
        dataset: { name: "tick" },
        onchange: (event) => this.tick(job, event.target.checked),
      });
    if (tick) tick.checked = this.options.select.has(job.job_id);
    return h(
      "tr",
      {},
      tick && h("td", { class: "tick" }, tick),
      this.columns.map(([name, cell, kind]) => h("td", { class: kind ?? "", dataset: { label: name } }, cell(job))),
    );
  }

  tick(job, on) {
    if (on) this.options.select.set(job.job_id, job);
    else this.options.select.delete(job.job_id);
    this.options.onselect?.();
  }

  tickAll(on) {
    for (const job of this.jobs) this.tick(job, on);
    for (const box of this.body.querySelectorAll("input[type=checkbox]")) box.checked = on;
  }
}

const text = (cell) => (cell instanceof Node ? cell.textContent + (cell.value ?? "") : String(cell));

/** Leafs through pages of a list by the API's cursors: there is a next one, and a way back. */
export class Pager {
  constructor(onturn) {
    this.onturn = onturn;
    this.trail = [];
    this.next = null;
    this.back = h("button", { type: "button", class: "quiet", onclick: () => this.turn(() => this.trail.pop()) }, "← Back");
    this.forth = h("button", { type: "button", class: "quiet", onclick: () => this.turn(() => this.trail.push(this.next)) }, "Next →");
    this.page = h("span", { class: "muted" });
    this.element = h("div", { class: "pager", hidden: true }, this.back, this.page, this.forth);
  }

  get cursor() {
    return this.trail.at(-1);
  }

  get first() {
    return this.trail.length === 0;
  }

  turn(move) {
    move();
    this.onturn();
  }

  show(next) {
    this.next = next;
    this.back.disabled = this.first;
    this.forth.disabled = !next;
    this.page.textContent = `Page ${this.trail.length + 1}`;
    this.element.hidden = this.first && !next;
  }
}
