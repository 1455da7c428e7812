// The same function as the ASGI app in lambda_clients.py, as it is written for the official Node client.
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";

const { streamifyResponse, HttpResponseStream } = globalThis.awslambda;
const RESPONSES = JSON.parse(process.env.RESPONSES);
const HEADERS = { "content-type": "text/event-stream", "cache-control": "no-cache" };

function frame() {
  const stamp = process.hrtime.bigint().toString().padStart(19, "0");
  return `event: token\ndata: {"text":"the "}\nid: ${stamp}\n\n`;
}

export const handler = streamifyResponse(async (event, response) => {
  const stream = HttpResponseStream.from(response, { statusCode: 200, headers: HEADERS });
  const [count, pause] = RESPONSES[event.rawPath];
  for (let sent = 0; sent < count; sent++) {
    if (pause) await setTimeout(pause * 1000);
    if (!stream.write(frame())) await once(stream, "drain");
  }
  stream.end();
});
