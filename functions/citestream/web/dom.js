/** Building and updating the page's elements. Text always enters as text: nothing here parses HTML. */

/** An element with attributes (true: present, false or null: absent) and children (nodes or strings). */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

/**
 * Makes `node`'s attributes and children those of `fresh`, touching only what differs: what the reader has focused,
 * selected or is looking at stays.
 */
export function patch(node, fresh) {
  if (node.attributes) patchAttributes(node, fresh);
  const children = [...node.childNodes];
  const wanted = [...fresh.childNodes];
  wanted.forEach((child, i) => patchChild(node, children[i], child));
  children.slice(wanted.length).forEach((child) => child.remove());
}

function patchAttributes(node, fresh) {
  const stale = node.getAttributeNames().filter((name) => !fresh.hasAttribute(name));
  stale.forEach((name) => node.removeAttribute(name));
  for (const name of fresh.getAttributeNames()) {
    if (node.getAttribute(name) !== fresh.getAttribute(name)) node.setAttribute(name, fresh.getAttribute(name));
  }
}

function patchChild(parent, child, wanted) {
  if (child === undefined) parent.append(wanted);
  else if (child.nodeName !== wanted.nodeName) child.replaceWith(wanted);
  else if (child.nodeType === Node.TEXT_NODE) patchText(child, wanted.data);
  else patch(child, wanted);
}

function patchText(node, text) {
  if (text.startsWith(node.data)) node.appendData(text.slice(node.data.length));
  else node.data = text;
}
