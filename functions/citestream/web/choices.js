/** The knowledge bases to search in: a check box each, all chosen at first. */

import { element } from "./dom.js";

export class Choices {
  #fieldset;

  constructor(fieldset) {
    this.#fieldset = fieldset;
  }

  /** The ids chosen; undefined where all are: those added since the page was loaded are meant, too. */
  get ids() {
    const chosen = this.#boxes.filter((box) => box.checked);
    return chosen.length === this.#boxes.length ? undefined : chosen.map((box) => box.value);
  }

  /** Shows these; what was not chosen before stays so. */
  show(knowledgeBases) {
    const ids = this.ids;
    const known = this.#boxes.map((box) => box.value);
    const labels = knowledgeBases.map(({ id, document_count: documents }) => {
      const checked = !ids || ids.includes(id) || !known.includes(id);
      const box = element("input", { type: "checkbox", value: id, checked });
      return element("label", { title: `Documents: ${documents}` }, box, element("span", {}, id));
    });
    this.#fieldset.replaceChildren(this.#fieldset.firstElementChild, ...labels);
    this.#fieldset.hidden = labels.length === 0;
  }

  get #boxes() {
    return [...this.#fieldset.querySelectorAll("input")];
  }
}
