/** The page: a question goes out, an answer comes in, and every state in between has words. */

import { AnswerView } from "./answer.js";
import { Choices } from "./choices.js";
import { ask, listKnowledgeBases, resume } from "./citestream.js";
import { SourcePanel } from "./source.js";
import { storage } from "./storage.js";
import { trouble, welcome } from "./welcome.js";

const LONGEST_QUESTION = 2_000;
const TOKEN = "citestream.token";
const UNFINISHED = "citestream.unfinished";
const STOP_MS = 5_000; // how long the server has to take note of a stop

const [form, question, hint, send] = ["ask", "question", "hint", "send"].map(byId);
const [login, loginReason, token, forget] = ["login", "login-reason", "token", "forget"].map(byId);
const [status, greeting, output] = ["status", "welcome", "answer"].map(byId);

const choices = new Choices(byId("knowledge-bases"));
const connection = { token: () => storage.getItem(TOKEN) };
const source = new SourcePanel(byId("source"), connection);

/** The answer being read: what stops its production, and what merely ends the reading. */
let running = null;

start();

function start() {
  form.addEventListener("submit", onSubmit);
  login.addEventListener("submit", onLogin);
  forget.addEventListener("click", onForget);
  question.addEventListener("keydown", onKey);
  question.addEventListener("input", () => showHint(characters() > LONGEST_QUESTION ? tooLong() : ""));
  send.addEventListener("click", (event) => event.detail > 1 && event.preventDefault()); // a double click asks once
  forget.hidden = !storage.getItem(TOKEN);
  const unfinished = storage.getItem(UNFINISHED);
  if (unfinished) takeUp(JSON.parse(unfinished));
  loadKnowledgeBases();
}

// What the reader does

function onKey(event) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
}

function onSubmit(event) {
  event.preventDefault();
  if (running) {
    if (event.submitter) stop(running);
    return;
  }
  const complaint = complaintAboutQuestion();
  showHint(complaint);
  if (complaint) question.focus();
  else submit(question.value.trim(), choices.ids);
}

function onLogin(event) {
  event.preventDefault();
  storage.setItem(TOKEN, token.value.trim());
  token.value = "";
  login.hidden = true;
  forget.hidden = false;
  question.focus();
  loadKnowledgeBases();
}

function onForget() {
  storage.removeItem(TOKEN);
  location.reload();
}

function complaintAboutQuestion() {
  if (characters() === 0) return "Type a question first.";
  if (characters() > LONGEST_QUESTION) return tooLong();
  return choices.ids?.length === 0 ? "Choose at least one knowledge base to search in." : "";
}

function characters() {
  return [...question.value.trim()].length;
}

function tooLong() {
  const [most, now] = [LONGEST_QUESTION, characters()].map((number) => number.toLocaleString("en"));
  return `A question has ${most} characters at most; this one has ${now}.`;
}

function showHint(text) {
  hint.textContent = text;
  question.setAttribute("aria-invalid", String(text !== ""));
}

// An answer

function submit(text, kbIds) {
  read(
    text,
    (reading) => ask(text, { kbIds, ...reading }),
    () => submit(text, kbIds),
  );
}

/** Goes on reading the answer that was being written when the page was reloaded. */
function takeUp({ text, streamId }) {
  question.value = text;
  read(
    text,
    (reading) => resume(streamId, reading),
    () => submit(text, choices.ids),
  );
}

async function read(text, open, again) {
  const detached = new AbortController();
  const answer = open({
    ...connection,
    signal: detached.signal,
    onReconnect: () => say("Connection lost. Coming back…"),
  });
  const view = new AnswerView(text, (citation, opener) => source.open(citation, opener));
  begin({ answer, detached, view });
  try {
    for await (const event of answer) {
      storage.setItem(UNFINISHED, JSON.stringify({ text, streamId: answer.streamId }));
      follow(event, view, again);
    }
  } catch (error) {
    if (detached.signal.aborted) confessStop(view);
    else explain(error, view, again);
  } finally {
    end();
  }
}

function begin(started) {
  running = started;
  send.textContent = "Stop";
  send.classList.add("stop");
  if ([greeting, output].some((box) => box.contains(document.activeElement))) send.focus(); // what had it goes now
  greeting.replaceChildren();
  output.replaceChildren(started.view.node);
  say("Searching…");
}

function end() {
  running = null;
  send.textContent = "Ask";
  send.classList.remove("stop");
  storage.removeItem(UNFINISHED);
}

function follow({ type, data }, view, again) {
  if (type === "token") {
    view.write(data.text);
    say("Writing…");
  } else if (type === "citation") {
    view.cite(data);
  } else if (type === "done") {
    view.finish(data);
    say(data.finish_reason === "no_answer" ? "No answer found." : `Done, ${count(view.sourceCount, "source")}.`);
  } else if (type === "failure" && data.code === "cancelled") {
    view.settle();
    say("Stopped.");
  } else if (type === "failure") {
    view.fail(data.message, data.retryable ? again : null);
    say("Failed.");
  }
}

/** Why the server refused, or can't be followed to the answer's end. */
function explain(error, view, again) {
  say("Failed.");
  if (error.status === 401) askForToken(error);
  if (error.status === 404) loadKnowledgeBases(); // one of those shown may be gone
  const wait = error.retryAfter > 0 ? ` Try again in ${count(error.retryAfter, "second")}.` : "";
  const isPassing = [0, 401, 410, 429].includes(error.status) || error.status >= 500;
  view.fail(`${error.message}${wait}`, isPassing ? again : null);
}

function confessStop(view) {
  say("Stopped.");
  view.fail("The server could not be told to stop. It may go on for a while, unread.");
}

async function stop({ answer, detached }) {
  say("Stopping…");
  const patience = setTimeout(() => detached.abort(), STOP_MS);
  try {
    await answer.stop();
  } catch {
    detached.abort();
  } finally {
    clearTimeout(patience);
  }
}

// Who asks, and where

function askForToken(error) {
  const isRefused = storage.getItem(TOKEN) !== null;
  loginReason.textContent = isRefused
    ? `The server did not accept the token: ${error.message}`
    : "This server answers only those it knows. Paste the token that your administrator or sign-in page gave you.";
  login.hidden = false;
  token.focus();
}

async function loadKnowledgeBases() {
  try {
    showKnowledgeBases(await listKnowledgeBases(connection));
  } catch (error) {
    if (error.status === 401) askForToken(error);
    else greeting.replaceChildren(trouble(error, loadKnowledgeBases));
  }
}

function showKnowledgeBases(list) {
  choices.show(list);
  const isEmpty = !output.hasChildNodes();
  greeting.replaceChildren(...(isEmpty ? welcome(list, askThis) : []));
}

function askThis(text) {
  question.value = text;
  form.requestSubmit();
}

// Small things

function byId(id) {
  return document.getElementById(id);
}

function say(text) {
  if (status.textContent !== text) status.textContent = text;
}

function count(number, noun) {
  return `${number === 0 ? "no" : number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
