// Calls to the REST API. An answer that says no becomes a `Problem`.

const TOKEN = "jobyard-token";

/** What the API answered instead of what was asked for (RFC 9457), or that it did not answer. */
export class Problem extends Error {
  constructor(status, title, detail, more = {}) {
    super(detail || title);
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.more = more;
  }
}

/** An integer that JavaScript can't hold exactly, as it was written. */
export class BigNumber {
  constructor(source) {
    this.source = source;
  }
  toJSON() {
    return this.source;
  }
}

// For this tab only, and gone when it is closed.
export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value) => sessionStorage.setItem(TOKEN, value),
  clear: () => sessionStorage.removeItem(TOKEN),
};

/** Headers of every request. */
export function headers(more = {}) {
  const known = token.get();
  return known ? { ...more, Authorization: `Bearer ${known}` } : more;
}

export const get = (path, query = {}, signal) => call("GET", withQuery(path, query), undefined, signal);
export const post = (path, body = {}) => call("POST", path, body);
export const remove = (path, query = {}) => call("DELETE", withQuery(path, query));

/** A path with each part percent-encoded: names and ids may contain anything. */
export const path = (...parts) => ["api", ...parts.map(encodeURIComponent)].join("/");

/** A path with parameters; those that are empty are left away. */
export function withQuery(base, query) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") parameters.set(name, value);
  }
  const text = parameters.toString();
  return text ? `${base}?${text}` : base;
}

async function call(method, url, body, signal) {
  let response;
  try {
    response = await fetch(url, {
      method,
      signal,
      cache: "no-store",
      credentials: "omit",
      headers: headers(body === undefined ? {} : { "Content-Type": "application/json" }),
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "No answer", "The server can't be reached.");
  }
  return read(response);
}

/** An answer's content. Throws the problem where it is one. */
export async function read(response) {
  const content = parse(await response.text());
  if (response.ok) return content;
  throw new Problem(response.status, content?.title ?? response.statusText, content?.detail ?? "", content ?? {});
}

function parse(text) {
  try {
    return JSON.parse(text, (_, value, context) =>
      typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source
        ? new BigNumber(context.source)
        : value,
    );
  } catch {
    return null;
  }
}
