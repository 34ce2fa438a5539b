import { env, InferenceSession, Tensor } from 'onnxruntime-web';
import type { LabelCode } from '../contract/contract.ts';

export interface Forest {
  /** Labels of standardised vectors, in order. */
  predict(vectors: readonly (readonly number[])[]): Promise<LabelCode[]>;
  close(): Promise<void>;
}

/** Loads an ONNX classifier as scripts/training exports it: `input` [n, features] → `label` [n], `probabilities` [n, labels]. */
export async function createForest(onnx: Uint8Array): Promise<Forest> {
  env.wasm.numThreads = 1;
  env.logLevel = 'error';
  const session = await InferenceSession.create(onnx);
  return {
    async predict(vectors) {
      const width = vectors[0]?.length ?? 0;
      const input = new Tensor('float32', Float32Array.from(vectors.flat()), [vectors.length, width]);
      const output = await session.run({ input }, ['label']);
      const codes = output['label']?.data as Iterable<bigint | string>;
      return Array.from(codes, (code) => (typeof code === 'bigint' ? Number(code) : code));
    },
    close: () => session.release(),
  };
}
