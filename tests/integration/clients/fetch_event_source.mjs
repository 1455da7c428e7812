// Reads one stream with @microsoft/fetch-event-source and prints its messages as JSON, a line each. Where a third
// argument is given, the connection is broken after that many messages, so that the library repeats its request.
import { createRequire } from "node:module";

// The library is written for browsers: these are the parts of one that it touches.
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
globalThis.window = globalThis;

const require = createRequire(import.meta.url);
const { fetchEventSource } = require("@microsoft/fetch-event-source");
const [url, question, breakAfter] = process.argv.slice(2);
let left = Number(breakAfter ?? Infinity);

await fetchEventSource(`${url}/api/v1/search`, {
  method: "POST",
  headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
  body: JSON.stringify({ query: question }),
  openWhenHidden: true,
  async onopen(response) {
    if (!response.ok) throw new Error(`status ${response.status}`);
  },
  onmessage({ event, data, id }) {
    console.log(JSON.stringify({ event, data, id }));
    left -= 1;
    if (left === 0) throw new Error("broken on purpose");
  },
  onerror(error) {
    if (error.message !== "broken on purpose") throw error;
    return 1;
  },
});
