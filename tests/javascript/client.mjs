// One call of SageMaker Runtime per line: JSON on stdin, its outcome as JSON on stdout.
//
//   {"operation": "InvokeEndpoint", "input": {...}, "config": {"maxAttempts": 1}}
//
// What is told is what a program sees: the output's members, or the error's class and fields. Bytes
// travel as base64. Nothing configures the client but the environment and `config`.
import "./loopback.mjs"; // first
import readline from "node:readline";
import * as sdk from "@aws-sdk/client-sagemaker-runtime";

const base64 = (bytes) => Buffer.from(bytes).toString("base64");

async function told(output) {
  const { $metadata, Body, ...members } = output;
  const metadata = { status: $metadata.httpStatusCode, attempts: $metadata.attempts };
  if (Body === undefined || Body instanceof Uint8Array) {
    return { ...metadata, members, body: Body && base64(Body) };
  }
  const parts = [];
  try {
    for await (const event of Body) {
      parts.push(base64(event.PayloadPart.Bytes));
    }
  } catch (error) {
    return { ...metadata, members, parts, error: described(error) };
  }
  return { ...metadata, members, parts };
}

function described(error) {
  const { $metadata, $response, $fault, $service, $retryable, name, message, stack, ...fields } = error;
  const typed = sdk[name];
  return {
    name,
    message,
    fault: $fault,
    typed: typeof typed === "function" && error instanceof typed,
    service: error instanceof sdk.SageMakerRuntimeServiceException,
    status: $metadata?.httpStatusCode,
    attempts: $metadata?.attempts,
    requestId: $metadata?.requestId,
    fields,
  };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { operation, input, config } = JSON.parse(line);
  const client = new sdk.SageMakerRuntimeClient(config);
  const body = Buffer.from(input.Body, "base64");
  let result;
  try {
    result = await told(await client.send(new sdk[`${operation}Command`]({ ...input, Body: body })));
  } catch (error) {
    result = { error: described(error) };
  }
  client.destroy();
  console.log(JSON.stringify(result));
}
