// The chart of finished jobs a second.

import { h, setText, svg } from "./dom.js";
import { rate } from "./format.js";

const WIDTH = 300;
const HEIGHT = 64;

export class Chart {
  constructor() {
    this.area = svg("path", { class: "chart-area" });
    this.line = svg("path", { class: "chart-line", "vector-effect": "non-scaling-stroke" });
    this.failed = svg("path", { class: "chart-failed", "vector-effect": "non-scaling-stroke" });
    this.picture = svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": "Completed jobs a second" },
      this.area,
      this.line,
      this.failed,
    );
    this.top = h("span", { class: "chart-top" });
    this.element = h("div", { class: "chart" }, this.top, h("span", { class: "chart-span" }, "last 5 minutes"), this.picture);
  }

  /** Draws `samples` ({completed, failed} a second, the oldest first), of which `room` fit in. */
  draw(samples, room) {
    const highest = Math.max(1, ...samples.map((sample) => Math.max(sample.completed, sample.failed)));
    const x = (index) => (((room - samples.length + index) / (room - 1)) * WIDTH).toFixed(1);
    const y = (value) => (HEIGHT - 1 - (value / highest) * (HEIGHT - 4)).toFixed(1);
    const path = (name) => samples.map((sample, index) => `${index ? "L" : "M"}${x(index)} ${y(sample[name])}`).join("");
    const completed = path("completed");
    this.line.setAttribute("d", completed);
    this.area.setAttribute("d", completed ? `${completed}L${WIDTH} ${HEIGHT}L${x(0)} ${HEIGHT}Z` : "");
    this.failed.setAttribute("d", samples.some((sample) => sample.failed > 0) ? path("failed") : "");
    setText(this.top, `${rate(highest)}/s`);
    const last = samples.at(-1);
    if (last) this.picture.setAttribute("aria-label", `Completed jobs a second: now ${rate(last.completed)}, at most ${rate(highest)}`);
  }
}
