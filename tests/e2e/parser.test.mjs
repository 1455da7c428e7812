// The rules of the HTML standard, section 9.2.6 "Interpreting an event stream", each with its vectors. Every vector is
// read whole, and cut in two at every byte, and byte by byte: where the network cuts must never matter.

import assert from "node:assert/strict";
import { test } from "node:test";

const { EventParser } = await import(process.env.CITESTREAM_CLIENT);

const message = (data, id = null) => ({ type: "message", data, id });
const event = (type, data, id = null) => ({ type, data, id });

/** rule: [stream, events, {lastEventId, retry} where they matter] */
const VECTORS = {
  "a blank line dispatches": ["data: one\n\ndata: two\n\n", [message("one"), message("two")]],
  "lines end in CRLF": ["event: token\r\ndata: one\r\n\r\ndata: two\r\n\r\n", [event("token", "one"), message("two")]],
  "lines end in CR alone": ["event: token\rdata: one\r\rdata: two\r\r", [event("token", "one"), message("two")]],
  "line ends may be mixed": ["data: a\rdata: b\r\ndata: c\n\r\ndata: d\n\r", [message("a\nb\nc"), message("d")]],
  "CR CR LF is two line ends": ["data: a\r\r\ndata: b\n\n", [message("a"), message("b")]],
  "LF CR is two line ends": ["data: a\n\rdata: b\n\r", [message("a"), message("b")]],
  "no other character ends a line": [
    "data: a\u2028b\u2029c\u0085d\ve\ff\x1cg\n\n",
    [message("a\u2028b\u2029c\u0085d\ve\ff\x1cg")],
  ],
  "a byte order mark is stripped once": ["\ufeffdata: a\n\n", [message("a")]],
  "a second byte order mark is part of the name": ["\ufeff\ufeffdata: a\n\ndata: b\n\n", [message("b")]],
  "a byte order mark further on is text": ["data: \ufeffa\n\n", [message("\ufeffa")]],
  "text is UTF-8": ["data: é€😀שלום\n\n", [message("é€😀שלום")]],
  "one space after the colon is removed": [
    "data:a\n\ndata: b\n\ndata:  c\n\n",
    [message("a"), message("b"), message(" c")],
  ],
  "no other space is": ["data:\ta \n\ndata : b\n\n", [message("\ta ")]],
  "data lines are joined": ["data: a\ndata\ndata: \ndata: b\n\n", [message("a\n\n\nb")]],
  "an empty data line is data": ["data\n\ndata:\n\ndata\ndata\n\n", [message(""), message(""), message("\n")]],
  "without data nothing is dispatched": ["event: done\n\ndata: a\n\n", [message("a")]],
  "blank lines alone are nothing": ["\n\n\r\r\r\ndata: a\n\n\n\n", [message("a")]],
  "the type is of its event alone": ["event: token\ndata: a\n\ndata: b\n\n", [event("token", "a"), message("b")]],
  "the last type wins, and an empty one is message": ["event: x\nevent\ndata: a\n\n", [message("a")]],
  "comments are nothing": [": open\n:\n:data: no\ndata: a\n: hb\ndata: b\n\n: hb\n\n", [message("a\nb")]],
  "a value may hold colons": ["data: a:b: c\n\n", [message("a:b: c")]],
  "unknown fields, and those in capitals, are ignored": ["Data: no\nfoo: bar\nfoo\ndata: a\n\n", [message("a")]],
  "an id is of the event, and the last one's kept": [
    "id: s-1\ndata: a\n\ndata: b\n\n",
    [message("a", "s-1"), message("b")],
    { lastEventId: "s-1" },
  ],
  "an id without data counts": ["data: a\nid: 1\n\nid: 2\n\n", [message("a", "1")], { lastEventId: "2" }],
  "an empty id clears": [
    "id: 1\ndata: a\n\nid\ndata: b\n\n",
    [message("a", "1"), message("b", "")],
    { lastEventId: "" },
  ],
  "an id with NUL is ignored": [
    "id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n",
    [message("a", "1"), message("b")],
    { lastEventId: "1" },
  ],
  "an id counts when its event is complete": [
    "id: 1\ndata: a\n\nid: 2\ndata: b\n",
    [message("a", "1")],
    { lastEventId: "1" },
  ],
  "retry is digits": ["retry: 1500\ndata: a\n\n", [message("a")], { retry: 1500 }],
  "any other retry is ignored": [
    "retry: 7\nretry: 1.5\nretry: -1\nretry: 1e3\nretry:\nretry: ٣\nretry:  8\n\n",
    [],
    { retry: 7 },
  ],
  "what the end leaves unfinished is discarded": ["data: a\n\nevent: done\ndata: b\n", [message("a")]],
  "so is an unfinished line": ["data: a\n\ndata: b", [message("a")]],
  "a frame as Citestream sends it": [
    ': open\nevent: token\ndata: {"text":"OAuth"}\nretry: 1500\nid: 7f3c-1\n\n: hb\nevent: done\ndata: {}\nid: 7f3c-2\n\n',
    [event("token", '{"text":"OAuth"}', "7f3c-1"), event("done", "{}", "7f3c-2")],
    { lastEventId: "7f3c-2", retry: 1500 },
  ],
};

function read(chunks) {
  const parser = new EventParser();
  const events = chunks.flatMap((chunk) => parser.push(chunk));
  return { events, lastEventId: parser.lastEventId, retry: parser.retry };
}

for (const [rule, [stream, events, rest = {}]] of Object.entries(VECTORS)) {
  test(rule, () => {
    const bytes = new TextEncoder().encode(stream);
    const whole = read([bytes]);
    assert.deepEqual(whole.events, events);
    for (const [name, value] of Object.entries(rest)) assert.deepEqual(whole[name], value, name);
    assert.deepEqual(read(Array.from(bytes, (byte) => Uint8Array.of(byte))), whole, "byte by byte");
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      assert.deepEqual(read([bytes.subarray(0, cut), bytes.subarray(cut)]), whole, `cut at byte ${cut}`);
    }
  });
}

test("a lone CR dispatches before the next byte comes", () => {
  assert.deepEqual(read([new TextEncoder().encode("data: a\r\r")]).events, [message("a")]);
});

test("bytes that are not UTF-8 become replacement characters", () => {
  const bytes = [...new TextEncoder().encode("data: a"), 0xff, 0x0a, 0x0a];
  assert.deepEqual(read([Uint8Array.from(bytes)]).events, [message("a\ufffd")]);
});

test("a long event in small chunks takes linear time", () => {
  const parser = new EventParser();
  const chunk = new TextEncoder().encode("x".repeat(16));
  parser.push(new TextEncoder().encode("data: "));
  for (let i = 0; i < 100_000; i += 1) parser.push(chunk);
  assert.equal(parser.push(new TextEncoder().encode("\n\n"))[0].data.length, 1_600_000);
});
