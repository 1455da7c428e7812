/** The panel that shows a citation in its document: what is cited stands highlighted in the whole text. */

import { getDocument } from "./citestream.js";
import { element } from "./dom.js";

/** Where in a string the code point of that number is: offsets count code points, strings UTF-16 units. */
export function codePointIndex(text, count) {
  let index = 0;
  for (let left = count; left > 0 && index < text.length; left -= 1) index += text.codePointAt(index) > 0xffff ? 2 : 1;
  return index;
}

/** Where in the knowledge bases the citation stands, in words. */
export function placeOf({ kb_id, page, section }) {
  return [kb_id, page === null ? null : `page ${page}`, section].filter(Boolean).join(" · ");
}

export class SourcePanel {
  #dialog;
  #parts;
  #connection;
  #citation = null;

  constructor(dialog, connection) {
    this.#dialog = dialog;
    this.#connection = connection;
    const [name, place, notice, text] = ["name", "place", "notice", "text"].map((part) =>
      dialog.querySelector(`#source-${part}`),
    );
    this.#parts = { name, place, notice, text };
    dialog.querySelector("#source-close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close()); // beside the panel
  }

  /** Shows the citation; `opener` has the focus again when the panel is closed. */
  async open(citation, opener) {
    this.#citation = citation;
    this.#parts.name.textContent = citation.document_name;
    this.#parts.place.textContent = placeOf(citation);
    this.#show("Loading the document…", quote(citation));
    opener.focus(); // where the dialog returns it to; a click alone focuses no button in Safari
    this.#dialog.showModal();
    const [notice, ...content] = await this.#load(citation);
    if (this.#citation === citation) this.#show(notice, ...content);
  }

  async #load(citation) {
    try {
      const { text } = await getDocument(citation.document_id, this.#connection);
      return contentOf(text, citation);
    } catch (error) {
      const reason =
        error.status === 404 ? "The document is no longer there, or no longer yours to read." : error.message;
      return [`${reason} This is what was cited:`, quote(citation)];
    }
  }

  #show(notice, ...content) {
    this.#parts.notice.replaceChildren(...(notice ? [element("p", { class: "notice" }, notice)] : []));
    this.#parts.text.replaceChildren(...content);
    this.#parts.text.querySelector("mark")?.scrollIntoView({ block: "center" });
  }
}

function contentOf(text, { char_start, char_end, excerpt }) {
  const start = codePointIndex(text, char_start);
  if (text.slice(start, codePointIndex(text, char_end)) === excerpt) return ["", ...marked(text, start, excerpt)];
  const moved = text.indexOf(excerpt);
  if (moved >= 0)
    return ["The document has changed since; the passage now stands here.", ...marked(text, moved, excerpt)];
  return ["The document has changed since, and no longer holds the passage: ", quote({ excerpt }), text];
}

function marked(text, start, excerpt) {
  return [text.slice(0, start), element("mark", {}, excerpt), text.slice(start + excerpt.length)];
}

function quote({ excerpt }) {
  return element("blockquote", {}, excerpt);
}
