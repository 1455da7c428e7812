/** One answer as the page shows it: the question, the text as it grows, its sources, and how it ended. */

import { element, patch } from "./dom.js";
import { render } from "./markdown.js";
import { placeOf } from "./source.js";

const CONFIDENCE = [
  [70, "High"],
  [40, "Medium"],
  [0, "Low"],
];
const SUPPORT = [
  [0.7, "strong"],
  [0.4, "partial"],
  [0, "weak"],
];

export class AnswerView {
  #text = "";
  #citations = new Map();
  #isOpen = true;
  #frame = null;
  #prose = element("div", { class: "prose", "aria-busy": "true" });
  #ending = element("div", { class: "ending" });
  #list = element("ol");
  #sources = element("section", { class: "sources", hidden: true }, element("h3", {}, "Sources"), this.#list);
  node;

  /** @param {(citation: object, opener: HTMLElement) => void} openSource */
  constructor(question, openSource) {
    const heading = element("h2", { id: "asked", dir: "auto" }, question);
    this.node = element("section", { class: "answer", "aria-labelledby": "asked" });
    this.node.append(heading, this.#prose, this.#ending, this.#sources);
    this.node.addEventListener("click", ({ target }) => {
      const opener = target.closest("button[data-source]");
      if (opener) openSource(this.#citations.get(Number(opener.dataset.source)), opener);
    });
  }

  get sourceCount() {
    return this.#citations.size;
  }

  write(text) {
    this.#text += text;
    this.#frame ??= requestAnimationFrame(() => this.#render());
  }

  cite(citation) {
    this.#citations.set(citation.number, citation);
    this.#list.append(sourceItem(citation));
    this.#sources.hidden = false;
    this.#frame ??= requestAnimationFrame(() => this.#render());
  }

  finish({ confidence_score: score, finish_reason: reason }) {
    this.settle();
    if (reason === "no_answer") this.#ending.append(notice("Try other words, or other knowledge bases."));
    else this.#ending.append(confidence(score));
    if (reason === "length") this.#ending.append(notice("The answer reached its length limit and stops here."));
  }

  /** Shows why there is no answer, or no more of it; `again` is what a "Try again" button does. */
  fail(message, again = null) {
    this.settle();
    const box = element("div", { class: "notice failed", role: "alert" }, element("p", {}, message));
    if (again) {
      const button = element("button", { type: "button" }, "Try again");
      button.addEventListener("click", again);
      box.append(button);
    }
    this.#ending.append(box);
  }

  /** No more text will come. */
  settle() {
    this.#isOpen = false;
    this.#render();
    this.#prose.removeAttribute("aria-busy");
  }

  #render() {
    cancelAnimationFrame(this.#frame);
    this.#frame = null;
    const fresh = element("div", { class: "prose", "aria-busy": this.#isOpen && "true" });
    fresh.append(render(this.#text, (number) => this.#marker(number), this.#isOpen));
    patch(this.#prose, fresh);
  }

  /** A chip that opens its source as soon as that is known. One without a source in the end was no marker. */
  #marker(number) {
    const citation = this.#citations.get(number);
    if (!citation && !this.#isOpen) return `[${number}]`;
    const name = citation ? `Source ${number}: ${citation.document_name}` : `Source ${number}, not yet known`;
    const attributes = { type: "button", class: "chip", "data-source": number, "aria-label": name };
    return element("button", { ...attributes, title: citation?.excerpt ?? null, disabled: !citation }, String(number));
  }
}

function sourceItem(citation) {
  const { number, document_name: name, excerpt, support } = citation;
  const open = element("button", { type: "button", class: "link", "data-source": number }, name);
  const label = `${wordFor(support, SUPPORT)} support`;
  return element(
    "li",
    {},
    element("span", { class: "number" }, String(number)),
    element(
      "div",
      {},
      element("h4", {}, open),
      element("p", { class: "quiet" }, placeOf(citation)),
      element("blockquote", {}, excerpt),
      element("p", { class: "support" }, meter(support * 100, "Support"), `${label} (${Math.round(support * 100)} %)`),
    ),
  );
}

function confidence(score) {
  const word = wordFor(score, CONFIDENCE);
  const label = element("p", { class: "confidence" }, element("span", {}, "Confidence"), meter(score, "Confidence"));
  label.append(element("strong", {}, word), ` ${score} of 100`);
  return label;
}

/** A bar; the words beside it say the same. */
function meter(percent, label) {
  const bar = element("span");
  bar.style.inlineSize = `${percent}%`; // by script: the page's policy allows no style attributes
  const range = { "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(percent) };
  return element("span", { class: "meter", role: "meter", "aria-label": label, ...range }, bar);
}

function notice(text) {
  return element("p", { class: "notice" }, text);
}

function wordFor(value, table) {
  return table.find(([least]) => value >= least)[1];
}
