// The client against servers that misbehave on purpose: each test scripts one request after the other.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, beforeEach, test } from "node:test";

const client = await import(process.env.CITESTREAM_CLIENT);

/** What the server does with its next requests, in turn, and what it has got. */
let plan = [];
let got = [];

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  got.push({
    method: request.method,
    path: request.url,
    headers: request.headers,
    body: Buffer.concat(chunks).toString(),
  });
  const step = plan.shift() ?? refuse(500);
  await step(response, request);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const baseUrl = `http://127.0.0.1:${server.address().port}`;

beforeEach(() => {
  plan = [];
  got = [];
});
after(() => {
  server.closeAllConnections();
  server.close();
});

const frame = (number, type, data) => `event: ${type}\ndata: ${JSON.stringify(data)}\nretry: 1\nid: s1-${number}\n\n`;
const token = (number, text) => frame(number, "token", { text });
const done = (number) => frame(number, "done", { confidence_score: 80 });
const STREAM = { "Content-Type": "text/event-stream; charset=utf-8", Location: "/api/v1/streams/s1" };

/** Sends the text; the response then ends, breaks off, or stays silent. */
function stream(text, ending = "end") {
  return (response) => {
    response.writeHead(200, STREAM);
    response.write(`: open\n${text}`, () =>
      ({ end: () => response.end(), cut: () => response.destroy(), hang() {} })[ending](),
    );
  };
}

function refuse(status, problem = { title: "No", status }, headers = {}) {
  return (response) => {
    response.writeHead(status, { "Content-Type": "application/problem+json", ...headers });
    response.end(JSON.stringify(problem));
  };
}

const breakOff = (response) => response.destroy();
const nothing = (response) => response.writeHead(204).end();
const cursors = () => got.map(({ headers }) => headers["last-event-id"]);

function ask(options = {}) {
  return client.ask("Why?", { baseUrl, ...options });
}

async function all(answer) {
  const events = [];
  for await (const event of answer) events.push(event);
  return events;
}

function thrownBy(answer) {
  return all(answer).then(
    () => assert.fail("nothing was thrown"),
    (error) => error,
  );
}

test("a question is posted, and its events come decoded", async () => {
  plan = [stream(token(1, "Because") + done(2))];
  const history = [
    { role: "user", content: "What?" },
    { role: "assistant", content: "That [1]." },
  ];
  const answer = ask({ kbIds: ["a"], topK: 3, include: ["results"], history, token: "secret" });
  assert.deepEqual(await all(answer), [
    { type: "token", data: { text: "Because" }, id: "s1-1" },
    { type: "done", data: { confidence_score: 80 }, id: "s1-2" },
  ]);
  assert.equal(answer.streamId, "s1");
  const [{ method, path, headers, body }] = got;
  assert.deepEqual([method, path], ["POST", "/api/v1/search"]);
  assert.deepEqual(JSON.parse(body), { query: "Why?", kb_ids: ["a"], top_k: 3, include: ["results"], history });
  assert.deepEqual(
    [headers.accept, headers["content-type"], headers.authorization, headers["last-event-id"]],
    ["text/event-stream", "application/json", "Bearer secret", undefined],
  );
  assert.match(headers["idempotency-key"], /^[0-9a-f]{32}$/);
});

test("each question has a key of its own, and only the fields that were given", async () => {
  plan = [stream(done(1)), stream(done(1))];
  await all(ask());
  await all(ask());
  assert.notEqual(got[0].headers["idempotency-key"], got[1].headers["idempotency-key"]);
  assert.equal(got[0].body, '{"query":"Why?"}');
});

for (const ending of ["cut", "end"]) {
  test(`after a connection's ${ending} without a last event, reading goes on after the last one seen`, async () => {
    plan = [
      stream(token(1, "a") + token(2, "b") + "event: token\ndata: {}\nid: s1-3\n", ending),
      stream(token(3, "c") + done(4)),
    ];
    const reconnects = [];
    const events = await all(ask({ onReconnect: (reconnect) => reconnects.push(reconnect) }));
    assert.deepEqual(
      events.map(({ id }) => id),
      ["s1-1", "s1-2", "s1-3", "s1-4"],
    );
    assert.deepEqual(
      got.map(({ method, path }) => `${method} ${path}`),
      ["POST /api/v1/search", "GET /api/v1/streams/s1"],
    );
    assert.deepEqual(cursors(), [undefined, "s1-2"]);
    assert.equal(reconnects.length, 1);
    assert.equal(reconnects[0].attempt, 1);
    assert.ok(reconnects[0].delay <= 1 && reconnects[0].error instanceof client.CitestreamError);
  });
}

test("what comes twice is passed on once", async () => {
  plan = [
    stream(token(1, "a") + token(2, "b"), "cut"),
    stream(token(1, "a") + token(2, "b") + token(3, "c") + done(4)),
  ];
  assert.deepEqual(
    (await all(ask())).map(({ id }) => id),
    ["s1-1", "s1-2", "s1-3", "s1-4"],
  );
});

test("events without an id, from a server that has lost its log, all count", async () => {
  plan = [
    stream(
      token(1, "a") +
        'event: token\ndata: {"text":"b"}\n\nevent: token\ndata: {"text":"b"}\n\nevent: done\ndata: {}\n\n',
    ),
  ];
  assert.deepEqual(
    (await all(ask())).map(({ id }) => id),
    ["s1-1", null, null, null],
  );
});

test("a connection that breaks before its first event is read from the start", async () => {
  plan = [stream("", "cut"), stream(done(1))];
  await all(ask());
  assert.deepEqual(
    got.map(({ method }) => method),
    ["POST", "GET"],
  );
  assert.deepEqual(cursors(), [undefined, undefined]);
});

test("a request without an answer is repeated under its key", async () => {
  plan = [breakOff, stream(done(1))];
  assert.equal((await all(ask())).length, 1);
  assert.deepEqual(
    got.map(({ method }) => method),
    ["POST", "POST"],
  );
  assert.equal(got[0].headers["idempotency-key"], got[1].headers["idempotency-key"]);
});

test("a silent connection is dead", async () => {
  plan = [stream(token(1, "a"), "hang"), stream(done(2))];
  assert.deepEqual(
    (await all(ask({ silence: 1000 }))).map(({ id }) => id),
    ["s1-1", "s1-2"],
  );
  assert.deepEqual(cursors(), [undefined, "s1-1"]);
});

test("a slow reader is no silence", async () => {
  plan = [stream(token(1, "a") + token(2, "b") + done(3))];
  for await (const event of ask({ silence: 1000 }))
    if (event.id === "s1-1") await new Promise((resume) => setTimeout(resume, 1100));
  assert.equal(got.length, 1);
});

test("coming back ends after a number of tries without anything new", async () => {
  plan = [stream(token(1, "a"), "cut"), refuse(503), refuse(502), ...Array(20).fill(stream(token(1, "a"), "cut"))];
  const attempts = [];
  const error = await thrownBy(ask({ onReconnect: ({ attempt }) => attempts.push(attempt) }));
  assert.ok(error instanceof client.CitestreamError);
  assert.equal(error.status, 0);
  assert.deepEqual(attempts, [1, 2, 3, 4, 5, 6]);
});

test("anything new starts the count again", async () => {
  const frames = Array.from({ length: 9 }, (_, i) => stream(token(i + 1, "a"), "cut"));
  plan = [...frames, stream(done(10))];
  const attempts = [];
  assert.equal((await all(ask({ onReconnect: ({ attempt }) => attempts.push(attempt) }))).length, 10);
  assert.deepEqual(attempts, Array(9).fill(1));
});

test("204 says that nothing is left", async () => {
  plan = [stream(token(1, "a"), "cut"), nothing];
  assert.equal((await all(ask())).length, 1);
});

for (const status of [400, 401, 404, 410, 429]) {
  test(`a ${status} on coming back ends the reading`, async () => {
    plan = [stream(token(1, "a"), "cut"), refuse(status)];
    assert.equal((await thrownBy(ask())).status, status);
    assert.equal(got.length, 2);
  });
}

for (const status of [401, 406, 422, 503]) {
  test(`a ${status} to the question is thrown, with the problem`, async () => {
    const problem = {
      title: "Title",
      detail: "What is wrong",
      status,
      errors: [{ field: "query", message: "too long" }],
    };
    plan = [refuse(status, problem)];
    const error = await thrownBy(ask());
    assert.ok(error instanceof client.CitestreamError);
    assert.deepEqual([error.status, error.message, error.retryAfter], [status, "What is wrong", null]);
    assert.deepEqual(error.problem, problem);
    assert.equal(got.length, 1);
  });
}

for (const [value, check] of [
  ["7", (seconds) => seconds === 7],
  [new Date(Date.now() + 3_600_000).toUTCString(), (seconds) => seconds > 3000 && seconds <= 3600],
  [new Date(Date.now() - 60_000).toUTCString(), (seconds) => seconds === 0],
  ["soon", (seconds) => seconds === null],
]) {
  test(`Retry-After: ${value.replace(/^\w+, .*/, "a date")}`, async () => {
    plan = [refuse(429, { title: "Busy" }, { "Retry-After": value })];
    const error = await thrownBy(ask());
    assert.ok(check(error.retryAfter), String(error.retryAfter));
    assert.equal(error.message, "Busy");
  });
}

test("an error that is no problem document still tells its status", async () => {
  plan = [(response) => response.writeHead(403, { "Content-Type": "text/html" }).end("<h1>Forbidden</h1>")];
  const error = await thrownBy(ask());
  assert.deepEqual([error.status, error.problem], [403, null]);
  assert.match(error.message, /403/);
});

test("a page in place of the stream is an error, not an answer", async () => {
  plan = [(response) => response.writeHead(200, { "Content-Type": "text/html" }).end("<h1>Sign in</h1>")];
  assert.match((await thrownBy(ask())).message, /text\/html/);
});

test("data that are not JSON are an error", async () => {
  plan = [stream("event: token\ndata: {nope\nid: s1-1\n\n")];
  assert.match((await thrownBy(ask())).message, /"token"/);
  assert.equal(got.length, 1);
});

test("a failure is the last event", async () => {
  const data = { code: "timeout", message: "Too slow.", retryable: true };
  plan = [stream(frame(1, "failure", data) + token(2, "never"))];
  assert.deepEqual(
    (await all(ask())).map(({ data: each }) => each),
    [data],
  );
});

test("stop deletes the stream, and the reading goes on to its failure", async () => {
  let live;
  const cancelled = frame(2, "failure", { code: "cancelled", message: "Stopped.", retryable: true });
  plan = [
    (response) => stream(token(1, "a"), "hang")((live = response)),
    (response) => (nothing(response), live.end(cancelled)),
  ];
  const answer = ask({ token: () => "fresh" });
  const types = [];
  let stopped;
  for await (const { type } of answer) {
    types.push(type);
    stopped ??= answer.stop();
  }
  await stopped;
  assert.deepEqual(types, ["token", "failure"]);
  const { method, path, headers } = got[1];
  assert.deepEqual([method, path, headers.authorization], ["DELETE", "/api/v1/streams/s1", "Bearer fresh"]);
});

test("stop before the server has answered waits for the stream's name", async () => {
  plan = [stream(token(1, "a"), "hang"), nothing];
  const answer = ask();
  const stopped = answer.stop();
  const first = answer[Symbol.asyncIterator]().next();
  await stopped;
  await first;
  assert.deepEqual(
    got.map(({ method }) => method),
    ["POST", "DELETE"],
  );
  await answer[Symbol.asyncIterator]().return();
});

test("stop has nothing to do where the question was refused", async () => {
  plan = [refuse(422)];
  const answer = ask();
  const stopped = answer.stop();
  await thrownBy(answer);
  await stopped;
  assert.equal(got.length, 1);
});

test("an aborted signal ends the reading alone; stop still works", async () => {
  plan = [stream(token(1, "a"), "hang"), nothing];
  const reading = new AbortController();
  const answer = ask({ signal: reading.signal });
  const error = await (async () => {
    for await (const _ of answer) reading.abort(new Error("enough"));
  })().catch((reason) => reason);
  assert.equal(error.message, "enough");
  assert.equal(got.length, 1);
  await answer.stop();
  assert.equal(got[1].method, "DELETE");
});

test("an abort ends the wait before coming back", async () => {
  plan = [stream(token(1, "a").replace("retry: 1\n", "retry: 60000\n"), "cut")];
  const reading = new AbortController();
  const answer = ask({ signal: reading.signal, onReconnect: () => setTimeout(() => reading.abort(), 1) });
  assert.equal((await thrownBy(answer)).name, "AbortError");
});

test("leaving the loop closes the connection and cancels nothing", async () => {
  let closed;
  plan = [
    (response) => {
      closed = new Promise((resolve) => response.on("close", resolve));
      stream(token(1, "a"), "hang")(response);
    },
  ];
  for await (const _ of ask()) break;
  await closed;
  assert.equal(got.length, 1);
});

test("a token's function is called for each request, and may have none", async () => {
  const tokens = ["one", null];
  plan = [stream(token(1, "a"), "cut"), stream(done(2))];
  await all(ask({ token: async () => tokens.shift() }));
  assert.deepEqual(
    got.map(({ headers }) => headers.authorization),
    ["Bearer one", undefined],
  );
});

test("resume reads an earlier answer from its first event", async () => {
  plan = [stream(token(1, "a") + done(2))];
  assert.equal((await all(client.resume("s1", { baseUrl }))).length, 2);
  assert.deepEqual([got[0].method, got[0].path], ["GET", "/api/v1/streams/s1"]);
});

test("the address may have a path", async () => {
  plan = [stream(done(1))];
  await all(ask({ baseUrl: `${baseUrl}/prod/` }));
  assert.equal(got[0].path, "/prod/api/v1/search");
});

test("knowledge bases and documents", async () => {
  const json = (body) => (response) =>
    response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(body));
  plan = [json({ knowledge_bases: [{ id: "a" }] }), json({ document_id: "d/1", text: "T" }), refuse(404)];
  assert.deepEqual(await client.listKnowledgeBases({ baseUrl }), [{ id: "a" }]);
  assert.equal((await client.getDocument("d/1", { baseUrl, token: "t" })).text, "T");
  assert.deepEqual([got[1].path, got[1].headers.authorization], ["/api/v1/documents/d%2F1", "Bearer t"]);
  await assert.rejects(client.getDocument("gone", { baseUrl }), { status: 404 });
});

test("a server that is not there", async () => {
  await assert.rejects(client.listKnowledgeBases({ baseUrl: "http://127.0.0.1:9" }), { status: 0 });
});
