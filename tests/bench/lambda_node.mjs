// The official Node client: node lambda_node.mjs FOLDER, where FOLDER holds aws-lambda-ric, not compiled.
// Its compiled part only fetches events and posts whole answers; streams are written by its JavaScript. So that nothing
// need be compiled, its own other way of fetching events is chosen, and the part is replaced by nothing.
import Module from "node:module";
import { pathToFileURL } from "node:url";

process.env.AWS_LAMBDA_NODEJS_USE_ALTERNATIVE_CLIENT_1 = "true";
const load = Module._load;
Module._load = (request, ...more) => (request.endsWith("rapid-client.node") ? {} : load(request, ...more));

const { run } = await import(pathToFileURL(`${process.argv[2]}/dist/index.mjs`));
await run(import.meta.dirname, "lambda_node_handler.handler");
