// The conformance suite of Durable Streams, run by Vitest against the server at $SERVER_URL.
import { runConformanceTests } from "@durable-streams/server-conformance-tests";

runConformanceTests({ baseUrl: process.env.SERVER_URL });
