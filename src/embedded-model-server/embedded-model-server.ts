import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { ModelServerAddress } from '../model-server/model-server-client.ts';
import type { ForestWorkerData, ForestWorkerReady } from './forest-worker.ts';

export interface EmbeddedModelServer {
  address: ModelServerAddress;
  close(): Promise<void>;
}

/**
 * Starts the forest behind MLflow's protocol on a free loopback port: HTTPS, a certificate made for this start.
 * @param onnx the model's ONNX bytes; featureNames in the model's order.
 * @throws Error when the model cannot be loaded.
 */
export async function startEmbeddedModelServer(model: ForestWorkerData): Promise<EmbeddedModelServer> {
  const worker = new Worker(new URL('./forest-worker.ts', import.meta.url), {
    workerData: model,
    resourceLimits: { maxYoungGenerationSizeMb: 8 },
  });
  const [{ port, ca }] = (await once(worker, 'message')) as [ForestWorkerReady];
  return {
    address: { url: `https://127.0.0.1:${port}`, ca, clientCertificate: undefined },
    async close() {
      worker.postMessage('close');
      await once(worker, 'exit');
    },
  };
}
