// Builds elements. Whatever is shown goes in as text: nothing here, or anywhere in the dashboard, reads markup from a string.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. `properties`: `class`, `on…` handlers, `dataset`, `style` (through the CSSOM, which a strict content security
 * policy allows), otherwise attributes; false, null and undefined leave an attribute away. Children: nodes, text, arrays.
 */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** An SVG element. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "style") Object.assign(element.style, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child);
    else if (child !== null && child !== undefined && child !== false) element.append(child instanceof Node ? child : String(child));
  }
}

/** Sets an element's text, if it is another one: so a screen reader hears only what changes. */
export function setText(element, text) {
  text = String(text);
  if (element.textContent !== text) element.textContent = text;
}

/** Puts these children in place of those that are there. */
export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/**
 * Shows `items` as children of `parent`, one each. A child whose item has not changed stays as it is, with focus and selection.
 */
export function keyed(parent, items, keyOf, render) {
  const known = parent.keyedChildren ?? new Map();
  const next = new Map();
  let before = null;
  for (const item of items) {
    const key = keyOf(item);
    const fingerprint = JSON.stringify(item);
    let entry = known.get(key);
    if (!entry || entry.fingerprint !== fingerprint) {
      const node = render(item);
      const focused = entry && entry.node.contains(document.activeElement) ? document.activeElement.dataset.name : undefined;
      if (entry) entry.node.replaceWith(node);
      entry = { fingerprint, node };
      if (focused) node.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus();
    }
    const place = before ? before.nextSibling : parent.firstChild;
    if (place !== entry.node) parent.insertBefore(entry.node, place);
    before = entry.node;
    next.set(key, entry);
  }
  for (const [key, entry] of known) if (!next.has(key)) entry.node.remove();
  while (before ? before.nextSibling : parent.firstChild) (before ? before.nextSibling : parent.firstChild).remove();
  parent.keyedChildren = next;
}
