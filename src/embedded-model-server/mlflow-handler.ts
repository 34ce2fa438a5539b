import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LabelCode } from '../contract/contract.ts';
import {
  formatPredictions,
  InvocationError,
  mlflowProtocolVersion,
  parseInvocation,
} from '../model-server/scoring-protocol.ts';

const maxBodyBytes = 64 * 1024 * 1024;

interface MlflowHandlerOptions {
  /** Labels of standardised vectors, in order. */
  predict(vectors: readonly (readonly number[])[]): LabelCode[];
  featureNames: string[];
}

/** MLflow's scoring routes: /ping, /health, /version and /invocations, with MLflow's statuses and error shape. */
export function createMlflowHandler({ predict, featureNames }: MlflowHandlerOptions) {
  async function invocations(request: IncomingMessage, response: ServerResponse) {
    if (request.method !== 'POST') return send(response, 405, 'Method Not Allowed', 'text/plain');
    if (!/^application\/json\s*(;\s*charset=utf-8\s*)?$/i.test(request.headers['content-type'] ?? ''))
      return send(response, 415, 'The content type must be application/json', 'text/plain');
    try {
      const vectors = parseInvocation(await readJson(request), featureNames);
      send(response, 200, formatPredictions(predict(vectors)));
    } catch (error) {
      const known = error instanceof InvocationError;
      const body = known
        ? { error_code: 'BAD_REQUEST', message: error.message }
        : { error_code: 'INTERNAL_ERROR', message: 'The model could not be evaluated.' };
      send(response, known ? 400 : 500, JSON.stringify(body));
    }
  }

  return (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url?.split('?')[0];
    if (path === '/invocations') return void invocations(request, response);
    if (request.method !== 'GET') return send(response, 405, 'Method Not Allowed', 'text/plain');
    if (path === '/ping' || path === '/health') return send(response, 200, '\n');
    if (path === '/version') return send(response, 200, mlflowProtocolVersion);
    send(response, 404, 'Not Found', 'text/plain');
  };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw new InvocationError('The body is too large.');
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new InvocationError('The body is not JSON.');
  }
}

function send(response: ServerResponse, status: number, body: string, type = 'application/json') {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) }).end(body);
}
