/**
 * The browser client of Citestream: asks a question, reads the answer as it is written, and comes back where it
 * left off when the connection breaks. No dependencies, no build; runs in current browsers and in Node 20.3 or newer.
 *
 *     import { ask } from "https://citestream.example/static/citestream.js";
 *
 *     const answer = ask("How long do refresh tokens live?", { kbIds: ["engineering"] });
 *     for await (const { type, data } of answer) {
 *       if (type === "token") output.append(data.text);
 *       if (type === "citation") sources.set(data.number, data);
 *       if (type === "failure") throw new Error(data.message);
 *     }
 *
 * The last event of every answer is `done` or `failure`. What prevents an answer from starting or from being followed
 * to its end (a refused request, a lost connection) is thrown as a {@link CitestreamError}.
 *
 * @module citestream
 */

const CONNECT_MS = 35_000; // a gateway that buffers is silent until the answer's end, for 29 s at most
const SILENCE_MS = 15_000; // a live stream sends something every 3 s
const RETRY_MS = 1_500; // until the stream itself says how long to wait
const LONGEST_WAIT_MS = 10_000;
const TRIES = 6; // in a row without a new event: half a minute, and an ended stream stays readable for a minute
const TERMINAL = new Set(["done", "failure"]);

/**
 * @typedef {object} Connection Where the server is, and who asks.
 * @property {string | URL} [baseUrl] The server's address; by default where this module was loaded from.
 * @property {string | (() => string | null | Promise<string | null>)} [token] A bearer token, or what returns one;
 *   a function is called before each request.
 * @property {AbortSignal} [signal] Ends reading. The server goes on writing: only `stop()` ends that.
 */

/**
 * @typedef {object} Reconnect
 * @property {number} attempt Counts from 1; back to 1 after each new event.
 * @property {number} delay Milliseconds until the attempt.
 * @property {CitestreamError} error What broke the connection.
 */

/**
 * @typedef {object} Reading
 * @property {(reconnect: Reconnect) => void} [onReconnect] Called before each attempt to come back.
 * @property {number} [silence] Milliseconds without a byte after which a connection counts as dead.
 */

/**
 * @typedef {object} Question
 * @property {string[]} [kbIds] Knowledge bases to search; by default all that the caller may read.
 * @property {number} [topK] How many passages the answer is given, 1 to 20.
 * @property {"results"[]} [include] `["results"]`: those passages come as events, too.
 * @property {{role: "user" | "assistant", content: string}[]} [history] The conversation so far, oldest turn first: a
 *   follow-up is understood by it. An answer goes in as it came, markers and all.
 */

/**
 * @typedef {object} AnswerEvent
 * @property {"results" | "token" | "citation" | "done" | "failure"} type Others may be added: ignore those.
 * @property {any} data The event's JSON.
 * @property {string | null} id Null only where the server lost its log and goes on without.
 */

/**
 * Asks a question. The request is sent when the iteration starts.
 *
 * @param {string} question 1 to 2,000 characters.
 * @param {Question & Connection & Reading} [options]
 * @returns {Answer}
 */
export function ask(question, options = {}) {
  const { kbIds, topK, include, history } = options;
  return new Answer({ query: question, kb_ids: kbIds, top_k: topK, include, history }, null, options);
}

/**
 * Reads an answer that was asked for earlier, from its first event: after a page was reloaded, say.
 *
 * @param {string} streamId
 * @param {Connection & Reading} [options]
 * @returns {Answer}
 */
export function resume(streamId, options = {}) {
  return new Answer(null, streamId, options);
}

/**
 * The knowledge bases that the caller may read.
 *
 * @param {Connection} [options]
 * @returns {Promise<{id: string, document_count: number, chunk_count: number}[]>}
 */
export async function listKnowledgeBases(options) {
  const response = await new Server(options).request("knowledge-bases");
  return (await response.json()).knowledge_bases;
}

/**
 * A document's exact text, in which citations count code points (not UTF-16 units, as JavaScript's strings do).
 *
 * @param {string} documentId
 * @param {Connection} [options]
 * @returns {Promise<{document_id: string, document_name: string, kb_id: string, text: string}>}
 */
export async function getDocument(documentId, options) {
  const response = await new Server(options).request(`documents/${encodeURIComponent(documentId)}`);
  return response.json();
}

/** Why there is no answer, or no more of it. */
export class CitestreamError extends Error {
  name = "CitestreamError";

  /**
   * @param {string} message
   * @param {{status?: number, problem?: object | null, retryAfter?: number | null, cause?: unknown}} [details]
   */
  constructor(message, { status = 0, problem = null, retryAfter = null, cause } = {}) {
    super(message, { cause });
    /** The HTTP status; 0 where the server could not be reached or the connection was lost. */
    this.status = status;
    /** @type {any} The server's problem details (RFC 9457), or null. */
    this.problem = problem;
    /** Seconds after which the server asks to be tried again, or null. */
    this.retryAfter = retryAfter;
  }
}

/**
 * An answer being read: an async iterable of {@link AnswerEvent}, to be iterated once. Each event comes once and in
 * order, however often the connection breaks. Leaving the loop ends the reading, not the production.
 */
export class Answer {
  /** @type {string | null} The stream's id, as soon as the server has told it. */
  streamId = null;
  #server;
  #question;
  #options;
  #key = randomKey();
  #cursor = "";
  #seen = 0;
  #retry = RETRY_MS;
  #tellStream = () => {};
  #stream = new Promise((resolve) => (this.#tellStream = resolve));
  #events = this.#read();

  /**
   * @hideconstructor
   * @param {object | null} question
   * @param {string | null} streamId
   * @param {Connection & Reading} options
   */
  constructor(question, streamId, options) {
    this.#question = question;
    this.#options = options;
    this.#server = new Server(options);
    this.#learn(streamId);
  }

  /** @returns {AsyncGenerator<AnswerEvent, void, void>} */
  [Symbol.asyncIterator]() {
    return this.#events;
  }

  /**
   * Has the server stop writing; the iteration then ends with a `failure` event whose code is `cancelled`.
   *
   * @returns {Promise<void>} Fulfilled when the server has been told, or when there is nothing left to stop.
   */
  async stop() {
    if ((await this.#stream) === null) return;
    await this.#server.request(this.#path, { method: "DELETE", keepalive: true, signal: null });
  }

  get #path() {
    return `streams/${encodeURIComponent(this.streamId ?? "")}`;
  }

  #learn(streamId) {
    if (!streamId || this.streamId) return;
    this.streamId = streamId;
    this.#tellStream(streamId);
  }

  async *#read() {
    let tries = 0;
    try {
      for (;;) {
        try {
          for await (const event of this.#connect()) {
            tries = 0;
            yield event;
            if (TERMINAL.has(event.type)) return;
          }
          return;
        } catch (error) {
          if (!this.#canComeBack(error) || ++tries > TRIES) throw error;
          await this.#pause(tries, error);
        }
      }
    } finally {
      this.#tellStream(null);
    }
  }

  /**
   * What one connection brings that is new. Returns where the server says that nothing is left; throws where the
   * connection breaks, and a stream that just ends is broken: its last event would have ended the reading.
   */
  async *#connect() {
    const connection = new AbortController();
    const signals = [connection.signal, this.#options.signal].filter((signal) => signal !== undefined);
    const signal = AbortSignal.any(signals);
    try {
      const response = await within(CONNECT_MS, connection, this.#request(signal));
      if (response.status === 204) return;
      const reader = bodyOf(response).getReader();
      this.#learn(response.headers.get("Location")?.split("/").pop());
      const parser = new EventParser();
      for (;;) {
        const reading = connected(reader.read(), signal);
        const { value, done } = await within(this.#options.silence ?? SILENCE_MS, connection, reading);
        if (done) throw new CitestreamError("The connection ended before the answer did.");
        const events = parser.push(value);
        this.#retry = parser.retry ?? this.#retry;
        for (const event of events) if (this.#isNew(event)) yield decoded(event);
      }
    } finally {
      connection.abort();
    }
  }

  #request(signal) {
    const headers = { Accept: "text/event-stream" };
    if (this.#cursor) headers["Last-Event-ID"] = this.#cursor;
    if (this.streamId) return this.#server.request(this.#path, { headers, signal });
    headers["Content-Type"] = "application/json";
    headers["Idempotency-Key"] = this.#key; // a repeated request joins the answer that the first one started
    return this.#server.request("search", { method: "POST", headers, body: JSON.stringify(this.#question), signal });
  }

  /**
   * False for what an earlier connection has brought. Where the server goes on without its log, nothing has an id,
   * and nothing of it can come twice.
   */
  #isNew({ id }) {
    const parts = /^(.+)-(\d+)$/.exec(id ?? "");
    if (parts === null) return true;
    if (Number(parts[2]) <= this.#seen) return false;
    this.#seen = Number(parts[2]);
    this.#cursor = id;
    this.#learn(parts[1]);
    return true;
  }

  #canComeBack(error) {
    if (this.#options.signal?.aborted || !(error instanceof CitestreamError)) return false;
    return error.status === 0 || (error.status >= 500 && this.streamId !== null);
  }

  async #pause(attempt, error) {
    const longest = Math.min(this.#retry * 2 ** (attempt - 1), LONGEST_WAIT_MS);
    const delay = longest * (1 - Math.random() / 2); // so that readers cut off together don't come back together
    this.#options.onReconnect?.({ attempt, delay, error });
    this.#options.signal?.throwIfAborted();
    await sleep(delay, this.#options.signal);
  }
}

/**
 * Reads an event stream as the HTML standard says (section 9.2), however its bytes are cut into chunks. An event that
 * the end of the stream leaves unfinished never comes out.
 */
export class EventParser {
  /** The standard's last event ID: of an event that was dispatched, and kept by those without one. */
  lastEventId = "";
  /** @type {number | null} Milliseconds to wait before coming back, if the stream has said so. */
  retry = null;
  #decoder = new TextDecoder(); // strips a byte order mark
  #line = "";
  #afterCr = false;
  #type = "";
  #data = [];
  #id = null;

  /**
   * @param {Uint8Array} bytes The stream's next chunk.
   * @returns {{type: string, data: string, id: string | null}[]} What it completes; `id` is null for an event
   *   that has none of its own.
   */
  push(bytes) {
    const text = this.#decoder.decode(bytes, { stream: true });
    if (text === "") return [];
    const lines = text.slice(this.#afterCr && text.startsWith("\n") ? 1 : 0).split(/\r\n?|\n/);
    this.#afterCr = text.endsWith("\r");
    lines[0] = this.#line + lines[0];
    this.#line = lines.pop();
    return lines.map((line) => this.#take(line)).filter((event) => event !== null);
  }

  #take(line) {
    if (line === "") return this.#dispatch();
    const [, name, value] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line);
    if (name === "event") this.#type = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) this.retry = Number(value);
    return null;
  }

  #dispatch() {
    const event = { type: this.#type || "message", data: this.#data.join("\n"), id: this.#id };
    const isEmpty = this.#data.length === 0;
    this.lastEventId = this.#id ?? this.lastEventId;
    this.#type = "";
    this.#data = [];
    this.#id = null;
    return isEmpty ? null : event;
  }
}

class Server {
  #api;
  #token;
  #signal;

  /** @param {Connection} [connection] */
  constructor({ baseUrl = new URL("..", import.meta.url), token, signal } = {}) {
    const base = new URL(baseUrl, globalThis.location?.href);
    this.#api = `${base.href.replace(/\/*$/, "")}/api/v1/`;
    this.#token = token;
    this.#signal = signal;
  }

  async request(path, { headers = {}, signal = this.#signal, ...init } = {}) {
    const token = typeof this.#token === "function" ? await this.#token() : this.#token;
    if (token) headers.Authorization = `Bearer ${token}`;
    const response = await connected(fetch(this.#api + path, { cache: "no-store", ...init, headers, signal }), signal);
    if (!response.ok) throw await refusal(response);
    return response;
  }
}

async function refusal(response) {
  const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  const problem = isProblem ? await response.json().catch(() => null) : null;
  const message = problem?.detail ?? problem?.title ?? `The server answered with status ${response.status}.`;
  return new CitestreamError(message, { status: response.status, problem, retryAfter: retryAfter(response) });
}

function retryAfter(response) {
  const value = response.headers.get("Retry-After");
  if (value === null) return null;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? null : Math.max(0, Math.ceil(seconds));
}

function bodyOf(response) {
  const type = response.headers.get("Content-Type") ?? "no content type";
  if (response.body && type.startsWith("text/event-stream")) return response.body;
  throw new CitestreamError(`Expected an event stream, but got ${type}.`, { status: response.status });
}

function decoded({ type, data, id }) {
  try {
    return { type, data: JSON.parse(data), id };
  } catch (cause) {
    throw new CitestreamError(`The data of a "${type}" event are not JSON.`, { status: 200, cause });
  }
}

async function connected(promise, signal) {
  try {
    return await promise;
  } catch (cause) {
    throw signal?.aborted ? signal.reason : new CitestreamError("The connection to the server was lost.", { cause });
  }
}

async function within(ms, connection, promise) {
  const timer = setTimeout(() => connection.abort(new CitestreamError("The server has fallen silent.")), ms);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** 128 random bits: randomUUID() exists in secure contexts alone, and a local network's page may be none. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
