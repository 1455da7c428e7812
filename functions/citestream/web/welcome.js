/** What stands on the page before the first question, by what there is to ask. */

import { element } from "./dom.js";

/** They fit the sample documents. */
const EXAMPLES = [
  { kb: "handbook", question: "How many days a year may I work from another country?" },
  { kb: "engineering", question: "How does a client get an access token with OAuth?" },
  { kb: "handbook", question: "Within how many days are travel expenses claimed?" },
];

/**
 * Questions to try, if the knowledge bases hold the samples; how to load documents, if there are none.
 *
 * @param {{id: string, document_count: number}[]} knowledgeBases
 * @param {(question: string) => void} ask
 * @returns {Node[]}
 */
export function welcome(knowledgeBases, ask) {
  if (knowledgeBases.every(({ document_count: documents }) => documents === 0)) return noDocuments();
  const fitting = EXAMPLES.filter(({ kb }) => knowledgeBases.some(({ id }) => id === kb));
  const items = fitting.map(({ question }) =>
    element(
      "li",
      {},
      button(question, () => ask(question)),
    ),
  );
  return items.length ? [element("h2", {}, "For example"), element("ul", { class: "examples" }, ...items)] : [];
}

/** Why the page can't tell what there is to ask, and a button to try again. */
export function trouble(error, again) {
  const text = element("p", {}, `The knowledge bases could not be listed. ${error.message}`);
  return element("div", { class: "notice failed", role: "alert" }, text, button("Try again", again));
}

function noDocuments() {
  const command = element("pre", {}, element("code", {}, "citestream ingest PATH --kb NAME"));
  return [element("h2", {}, "No documents yet"), element("p", {}, "Load some, then reload this page:"), command];
}

function button(text, onClick) {
  const node = element("button", { type: "button" }, text);
  node.addEventListener("click", onClick);
  return node;
}
