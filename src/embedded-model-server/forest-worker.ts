import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { generate } from 'selfsigned';
import { predictForest } from '../model-copy/forest.ts';
import { readOnnxForest } from '../model-copy/read-onnx-forest.ts';
import { createMlflowHandler } from './mlflow-handler.ts';

export interface ForestWorkerData {
  onnx: Uint8Array;
  featureNames: string[];
}

export interface ForestWorkerReady {
  port: number;
  /** PEM of the certificate to trust; its key never leaves this thread. */
  ca: string;
}

const dayMs = 86_400_000;
const certificateDays = 3_650;

const { onnx, featureNames } = workerData as ForestWorkerData;
const forest = readOnnxForest(onnx);
const predict = (vectors: readonly (readonly number[])[]) => predictForest(forest, vectors).labels;
const { cert, private: key } = await generate(
  [{ name: 'commonName', value: 'customer-labels embedded model server' }],
  {
    keyType: 'ec',
    curve: 'P-256',
    notAfterDate: new Date(Date.now() + certificateDays * dayMs),
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  },
);

const server = createServer({ cert, key, keepAliveTimeout: 65_000 }, createMlflowHandler({ predict, featureNames }));
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  parentPort?.postMessage({ port, ca: cert } satisfies ForestWorkerReady);
});

parentPort?.once('message', () => {
  server.close();
  server.closeIdleConnections();
});
