/**
 * The little Markdown that answers are written in: paragraphs, headings, lists, rules and fenced code; strong,
 * emphasis, code and markers in a line. Links, images, maths and HTML stay the text that they are: an answer comes
 * from a model and from documents, and neither may choose what the reader's browser loads.
 */

import { element } from "./dom.js";

const FENCE = /^ {0,3}(`{3,}|~{3,})[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}([-*_])(?: *\1){2,}\s*$/;
const ITEM = /^ {0,3}(?:[-*+]|(\d{1,9})[.)])(?: +|$)/;
const DEEPEST_LIST = 6;

const CLOSED = inline("");
const OPEN = inline("|$"); // what an unfinished text leaves open will most likely be closed: no flicker when it is

function inline(orEnd) {
  const parts = [
    String.raw`(?<ticks>\x60+)(?!\x60)(?<code>[^\n]+?)(?:(?<!\x60)\k<ticks>(?!\x60)${orEnd})`,
    String.raw`\$\$.+?\$\$|\\\(.+?\\\)|\\\[.+?\\\]`, // maths
    String.raw`!?\[[^\]\n]*\]\([^\s)]*\)`, // a link or an image
    String.raw`\[(?<marker>\d{1,3})\](?<stop>[.,;:!?)]*)`,
    String.raw`\\(?<escaped>[\\\x60*_#+\-.!>~|$])`,
    String.raw`\*\*(?=\S)(?<strong>.+?)(?:(?<=\S)\*\*(?!\*)${orEnd})`,
    String.raw`\*(?=[^\s*])(?<emphasis>[^*]*[^\s*])\*(?!\*)`,
    String.raw`(?<![\p{L}\p{N}_])_(?=[^\s_])(?<underlined>[^_]*[^\s_])_(?![\p{L}\p{N}_])`,
  ];
  return new RegExp(parts.join("|"), "gsu");
}

/**
 * @param {string} text The answer so far.
 * @param {(number: number) => Node | string} marker What to show for `[number]`.
 * @param {boolean} open Whether more text is to come.
 * @returns {DocumentFragment}
 */
export function render(text, marker, open = false) {
  const fragment = document.createDocumentFragment();
  fragment.append(...blocks(text.split("\n"), { marker, open, depth: 0 }));
  return fragment;
}

function* blocks(lines, context) {
  const kinds = context.depth < DEEPEST_LIST ? [fence, heading, rule, list, paragraph] : [paragraph];
  for (let at = after(lines, 0, isFilled); at < lines.length;) {
    let block = null;
    for (const kind of kinds) block ??= kind(lines, at, context);
    yield block.node;
    at = after(lines, block.next, isFilled);
  }
}

function fence(lines, at) {
  const opening = FENCE.exec(lines[at]);
  if (!opening) return null;
  const isEnd = (line) => line.trim().startsWith(opening[1]) && /^(`+|~+)$/.test(line.trim());
  const end = after(lines, at + 1, isEnd);
  const code = element("code", {}, lines.slice(at + 1, end).join("\n"));
  return { node: element("pre", { dir: "auto" }, code), next: end + 1 };
}

/** An answer's headings rank below the page's own: `#` is an h3. */
function heading(lines, at, context) {
  const match = HEADING.exec(lines[at]);
  if (!match) return null;
  const level = Math.min(match[1].length + 2, 6);
  return {
    node: element(`h${level}`, { dir: "auto" }, ...spans(match[2], until(at + 1, lines, context))),
    next: at + 1,
  };
}

function rule(lines, at) {
  return RULE.test(lines[at]) ? { node: element("hr"), next: at + 1 } : null;
}

function list(lines, at, context) {
  const first = ITEM.exec(lines[at]);
  if (!first) return null;
  const isOrdered = first[1] !== undefined;
  const items = [];
  let end = at;
  for (let next = at; next < lines.length && isItem(lines[next], isOrdered); next = after(lines, end, isFilled)) {
    end = endOfItem(lines, next);
    items.push(item(lines.slice(next, end), { ...until(end, lines, context), depth: context.depth + 1 }));
  }
  const start = isOrdered && first[1] !== "1" ? first[1] : null;
  return { node: element(isOrdered ? "ol" : "ul", { dir: "auto", start }, ...items), next: end };
}

function isItem(line, isOrdered) {
  const match = RULE.test(line) ? null : ITEM.exec(line);
  return match !== null && (match[1] !== undefined) === isOrdered;
}

/** An item owns what is indented below it, and a paragraph's further lines even where they are not. */
function endOfItem(lines, at) {
  let end = at + 1;
  for (let next = end; next < lines.length; next += 1) {
    if (!isFilled(lines[next])) continue;
    if (!/^(?: {2}|\t)/.test(lines[next]) && (next !== end || endsItem(lines[next]))) break;
    end = next + 1;
  }
  return end;
}

function item([first, ...rest], context) {
  const width = ITEM.exec(first)[0].length;
  const indent = new RegExp(`^(?:\\t| {0,${width}})`);
  const content = [first.slice(width), ...rest.map((line) => line.replace(indent, ""))];
  const nodes = [...blocks(content, context)];
  const isTight = nodes[0]?.nodeName === "P";
  return element("li", {}, ...(isTight ? [...nodes[0].childNodes, ...nodes.slice(1)] : nodes));
}

function paragraph(lines, at, context) {
  const end = after(lines, at + 1, (line) => !isFilled(line) || startsBlock(line));
  const text = lines.slice(at, end).join("\n").trim();
  return { node: element("p", { dir: "auto" }, ...spans(text, until(end, lines, context))), next: end };
}

/** Whether the line ends a paragraph; of numbered items only the first may, or a line's year would. */
function startsBlock(line) {
  const [found, number] = ITEM.exec(line) ?? [];
  const isItem = found !== undefined && found !== line && (number === undefined || number === "1");
  return isItem || [FENCE, HEADING, RULE].some((pattern) => pattern.test(line));
}

function endsItem(line) {
  return startsBlock(line) || ITEM.test(line);
}

function after(lines, from, matches) {
  let at = from;
  while (at < lines.length && !matches(lines[at])) at += 1;
  return at;
}

function isFilled(line) {
  return line.trim() !== "";
}

/** Only the text's very last block can have more to come. */
function until(end, lines, context) {
  return { ...context, open: context.open && end === lines.length };
}

function* spans(text, context) {
  let from = 0;
  for (const match of text.matchAll(context.open ? OPEN : CLOSED)) {
    if (match.index > from) yield text.slice(from, match.index);
    yield span(match[0], match.groups, { ...context, open: false });
    from = match.index + match[0].length;
  }
  if (from < text.length) yield text.slice(from);
}

function span(text, { code, marker, stop, escaped, strong, emphasis, underlined }, context) {
  const slanted = emphasis ?? underlined;
  if (code !== undefined) return element("code", {}, code);
  if (marker !== undefined)
    return stop ? unbroken(context.marker(Number(marker)), stop) : context.marker(Number(marker));
  if (strong !== undefined) return element("strong", {}, ...spans(strong, context));
  if (slanted !== undefined) return element("em", {}, ...spans(slanted, context));
  return escaped ?? text;
}

/** A full stop stays on its marker's line. */
function unbroken(...nodes) {
  return element("span", { class: "unbroken" }, ...nodes);
}
