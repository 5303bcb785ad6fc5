// One job: what it is, what has happened to it, and what can be done.

import { get, path, post, remove, withQuery } from "../api.js";
import { h, replace } from "../dom.js";
import { age, between, duration, moment, number, pretty, relative } from "../format.js";
import { action, badge, confirm, crumb, failure, links, progressBar, toast } from "../parts.js";

/** Characters of a value that are shown at first. */
const SHOWN = 20000;

export function jobPage(context, id, query) {
  const queue = query.get("queue") ?? undefined;
  const element = h("div", {}, h("h1", {}, "Job"), h("p", { class: "muted" }, "Loading …"));
  let shown = "";
  let ended = false;
  let busy = false;

  async function load() {
    if (busy) return;
    busy = true;
    try {
      show(await get(path("jobs", id), { queue }));
    } catch (problem) {
      ended = problem.status === 404;
      shown = "";
      replace(element, h("h1", {}, "Job ", h("code", {}, id)), failure(problem));
    } finally {
      busy = false;
    }
  }

  function show(job) {
    ended = ["completed", "failed", "cancelled"].includes(job.status);
    const now = JSON.stringify(job) + (ended ? "" : Math.floor(Date.now() / 1000));
    if (now === shown) return;
    const open = new Set([...element.querySelectorAll("details[open]")].map((one) => one.dataset.key));
    const focused = element.contains(document.activeElement) ? document.activeElement.dataset.name : undefined;
    shown = now;
    replace(element, content(job, load));
    for (const one of element.querySelectorAll("details")) if (open.has(one.dataset.key)) one.open = true;
    if (focused) element.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus();
  }

  load();
  // A dead letter may be retried by somebody else, but not every second.
  let turns = 0;
  return { element, title: `Job ${id}`, update: () => (!ended || ++turns % 5 === 0) && load() };
}

function content(job, reload) {
  return [
    crumb([links.queue(job.queue, job.status), job.queue]),
    h(
      "div",
      { class: "head" },
      h("h1", {}, job.actor, " ", badge(job.status, job.cancelling)),
      h("div", { class: "buttons" }, buttons(job, reload)),
    ),
    job.status === "active" || (job.progress > 0 && job.progress < 100) ? progress(job) : null,
    h(
      "dl",
      { class: "facts" },
      facts(job).map(([label, value]) => h("div", {}, h("dt", {}, label), h("dd", {}, value))),
    ),
    h(
      "div",
      { class: "columns" },
      h("section", { class: "panel" }, h("h2", {}, "History"), timeline(job)),
      h(
        "div",
        {},
        h("section", { class: "panel" }, h("h2", {}, "Arguments"), value(job.args.length ? (Object.keys(job.kwargs).length ? { args: job.args, kwargs: job.kwargs } : job.args) : job.kwargs)),
        job.status === "completed" ? h("section", { class: "panel" }, h("h2", {}, "Result"), job.result_note ? h("p", { class: "muted" }, job.result_note) : value(job.result)) : null,
        Object.keys(job.options).length
          ? h("details", { class: "panel", dataset: { key: "options" } }, h("summary", { dataset: { name: "options" } }, "Options"), value(job.options))
          : null,
      ),
    ),
  ];
}

function buttons(job, reload) {
  const address = (...more) => withQuery(path("jobs", job.job_id, ...more), { queue: job.queue });
  if (job.status === "failed") {
    return [
      action("Retry", async () => {
        await post(address("retry"));
        toast("It waits again, with all its attempts before it.");
        await reload();
      }, { class: "primary" }),
      action("Discard", async () => {
        if (!(await confirm("Discard this dead letter?", "Job, arguments and errors are forgotten for good.", "Discard"))) return;
        await post(path("dead-letters", "discard"), { queue: job.queue, ids: [job.job_id] });
        toast("Discarded.");
        location.hash = links.dead();
      }, { class: "danger", needs: "admin" }),
    ];
  }
  if (["waiting", "parked", "delayed", "active"].includes(job.status) && !job.cancelling) {
    return action("Cancel", async () => {
      const detail = job.status === "active" ? "Its worker is asked to interrupt it." : "It will not be started.";
      if (!(await confirm("Cancel this job?", detail, "Cancel the job"))) return;
      await remove(path("jobs", job.job_id), { queue: job.queue });
      await reload();
    }, { class: "danger" });
  }
  return null;
}

function progress(job) {
  const counts = Object.entries(job.progress_counts).map(([name, count]) => `${name} ${typeof count === "number" ? number(count) : count}`);
  return h(
    "section",
    { class: "panel progress", "aria-label": "Progress" },
    progressBar(job.progress),
    h("span", {}, h("strong", {}, `${Math.round(job.progress)} %`), " ", [job.progress_message, ...counts].filter(Boolean).join(" · ")),
  );
}

function facts(job) {
  const copy = h("button", { type: "button", class: "quiet small", dataset: { name: "copy" }, onclick: () => navigator.clipboard?.writeText(job.job_id).then(() => toast("Copied.")) }, "Copy");
  return [
    ["Id", [h("code", { class: "id-full" }, job.job_id), " ", copy]],
    ["Queue", h("a", { href: links.queue(job.queue, job.status), dataset: { name: "queue" } }, job.queue)],
    ["Priority", String(job.priority)],
    ["Attempts", String(job.attempts)],
    job.position === null ? null : ["Jobs before it", number(job.position)],
    job.due_at ? ["Due", `${moment(job.due_at)} (${relative(job.due_at)})`] : null,
    job.worker ? ["Worker", h("code", {}, job.worker)] : null,
    job.started_at && job.ended_at ? ["Last run took", duration(between(job.started_at, job.ended_at))] : null,
    job.status === "active" ? ["Running for", age(between(job.started_at))] : null,
  ].filter(Boolean);
}

function timeline(job) {
  const steps = [[job.created_at, "created", "Created", null]];
  for (const error of job.errors) {
    const took = error.started_at && error.ended_at ? ` after ${duration(between(error.started_at, error.ended_at))}` : "";
    steps.push([error.ended_at, "failed", `Attempt ${error.attempt} failed${took}`, details(error)]);
  }
  if (job.status === "active") steps.push([job.started_at, "active", `Attempt ${job.attempts} runs`, null]);
  if (job.status === "waiting") steps.push([null, "waiting", "Waits for a worker", null]);
  if (job.status === "parked") steps.push([null, "parked", "Waits for another job of its key", null]);
  if (job.status === "delayed") steps.push([job.due_at, "delayed", job.attempts ? `Attempt ${job.attempts + 1} is due` : "Due", null]);
  const ends = { completed: `Completed in attempt ${job.attempts}`, failed: "Became a dead letter", cancelled: "Cancelled" };
  if (job.status in ends) steps.push([job.ended_at, job.status, ends[job.status], null]);
  return h(
    "ol",
    { class: "timeline" },
    steps.map(([time, status, label, more]) =>
      h("li", { dataset: { status } }, h("div", {}, h("strong", {}, label), " ", time && h("time", { datetime: time, title: relative(time) }, moment(time))), more),
    ),
  );
}

function details(error) {
  return [
    h("p", { class: "error-text" }, h("strong", {}, error.error), error.message ? `: ${error.message}` : ""),
    error.traceback
      ? h("details", { dataset: { key: `attempt ${error.attempt}` } }, h("summary", { dataset: { name: `attempt ${error.attempt}` } }, "Traceback"), h("pre", { tabindex: 0 }, error.traceback))
      : null,
    error.worker ? h("p", { class: "muted" }, "on ", h("code", {}, error.worker), error.node ? [", node ", h("code", {}, error.node)] : null) : null,
    error.image ? h("p", { class: "muted" }, "image ", h("code", {}, error.image)) : null,
  ];
}

function value(given) {
  const text = pretty(given);
  const pre = h("pre", { tabindex: 0 }, text.slice(0, SHOWN));
  if (text.length <= SHOWN) return pre;
  const more = h("button", { type: "button", class: "quiet small" }, `Show all ${number(text.length)} characters`);
  more.addEventListener("click", () => {
    pre.textContent = text;
    more.remove();
  });
  return [pre, more];
}
