// Asks for the token, where the server wants one.

import { token } from "../api.js";
import { h } from "../dom.js";

export function loginPage(retry) {
  const wrong = token.get() !== null;
  const input = h("input", { type: "password", autocomplete: "current-password", required: true, id: "token" });
  const form = h(
    "form",
    { class: "panel login" },
    h("h1", {}, "Token needed"),
    wrong && h("p", { class: "notice bad", role: "alert" }, "The server does not accept this token."),
    h("p", {}, "This server is protected. Enter its token (the value of ", h("code", {}, "JOBYARD_TOKEN"), "), or one made with ", h("code", {}, "jobyard serve token create"), "; it is kept until this tab is closed."),
    // For password managers.
    h("input", { type: "text", autocomplete: "username", value: "jobyard", hidden: true }),
    h("label", { for: "token" }, "Token"),
    input,
    h("button", { class: "primary" }, "Enter"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    token.set(input.value.trim());
    retry();
  });
  queueMicrotask(() => input.focus());
  return { element: form, title: "Token needed", update: () => {} };
}
