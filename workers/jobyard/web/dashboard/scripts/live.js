// Server-sent events, read by fetch: EventSource can't send a token. Connects again by itself, and rests in a hidden tab.

import { headers, Problem, read } from "./api.js";

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 15000;
/** The server sends every second. A connection that is silent for so many milliseconds is dead. */
const LONGEST_SILENCE = 20000;

export class Live {
  /** `onEvent(name, data)`; `onState("live" | "waiting" | "paused" | "refused", problem)`. */
  constructor(onEvent, onState) {
    this.onEvent = onEvent;
    this.onState = onState;
    this.connection = null;
    this.wake = () => {};
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.connection?.abort();
      else this.wake();
    });
    window.addEventListener("online", () => this.wake());
  }

  /** Listens for good. */
  async run() {
    let wait = FIRST_WAIT;
    for (;;) {
      if (document.hidden) {
        this.onState("paused");
        await this.sleep(null);
        wait = FIRST_WAIT;
        continue;
      }
      let problem = null;
      try {
        await this.listen(() => (wait = FIRST_WAIT));
      } catch (error) {
        problem = error;
      }
      if (document.hidden) continue;
      if (problem instanceof Problem && problem.status === 401) {
        this.onState("refused", problem);
        await this.sleep(null);
        continue;
      }
      this.onState("waiting", problem);
      // Not all at once when a server comes back.
      await this.sleep(wait * (0.5 + Math.random()));
      wait = Math.min(LONGEST_WAIT, wait * 2);
    }
  }

  async listen(connected) {
    this.connection = new AbortController();
    let silence;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => this.connection.abort(), LONGEST_SILENCE);
    };
    try {
      heard();
      const response = await fetch("api/events", {
        headers: headers({ Accept: "text/event-stream" }),
        signal: this.connection.signal,
        cache: "no-store",
        credentials: "omit",
      });
      if (!response.ok) await read(response);
      this.onState("live");
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        heard();
        const events = (rest + value).split("\n\n");
        rest = events.pop();
        for (const event of events) {
          connected();
          this.take(event);
        }
      }
    } finally {
      clearTimeout(silence);
      this.connection.abort();
    }
  }

  take(text) {
    const fields = {};
    for (const line of text.split("\n")) {
      const colon = line.indexOf(": ");
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
    }
    if (fields.event && fields.data) this.onEvent(fields.event, JSON.parse(fields.data));
  }

  /** Waits so many milliseconds, or until somebody calls `wake`; null: only for that. */
  sleep(milliseconds) {
    return new Promise((resolve) => {
      const timer = milliseconds === null ? undefined : setTimeout(resolve, milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
