// Reads one stream with eventsource-parser and prints its events as JSON, a line each.
import { createParser } from "eventsource-parser";

const [url, question] = process.argv.slice(2);
const parser = createParser({
  onEvent: ({ event, data, id }) => console.log(JSON.stringify({ event, data, id })),
  onError: (error) => { throw error; },
});
const response = await fetch(`${url}/api/v1/search`, {
  method: "POST",
  headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
  body: JSON.stringify({ query: question }),
});
const decoder = new TextDecoder();
for await (const chunk of response.body) parser.feed(decoder.decode(chunk, { stream: true }));
