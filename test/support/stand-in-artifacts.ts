import { createHash } from 'node:crypto';
import { json, type StandInRegistry, text } from './stand-in-registry.ts';
import type { ToyVersion } from './toy-model.ts';

/** A version as a registry has it. */
export interface Registered {
  version: string;
  stage: string;
  runId: string;
  /** By path below the run. */
  artifacts: Record<string, string | Buffer>;
}

/** A version of the toy model, registered with its contract and some bytes for an ONNX copy. */
export function registered({ contract }: ToyVersion, how: Partial<Registered> = {}): Registered {
  const version = contract.model.version as string;
  const onnx = Buffer.from(`onnx of ${version}`);
  const sha256 = createHash('sha256').update(onnx).digest('hex');
  const { stage = 'None', runId = `run-${version}` } = how;
  const written = { ...contract, model: { ...contract.model, runId }, onnx: { file: 'model.onnx', sha256 } };
  return {
    version,
    stage,
    runId,
    artifacts: { 'contract/contract.json': JSON.stringify(written), 'contract/model.onnx': onnx },
  };
}

/** Answers as MLflow 2.1.0 does with these versions; what an artifact is can be changed at any time. */
export function registryOf(versions: () => readonly Registered[], name = 'toy'): StandInRegistry['respond'] {
  return (call) => {
    const { path, query } = call;
    const entries = versions().map(({ version, stage, runId }) => ({
      name,
      version,
      current_stage: stage,
      run_id: runId,
      status: 'READY',
    }));
    if (path.endsWith('/get-latest-versions'))
      json({ model_versions: entries.filter((one) => one.current_stage === query.get('stages')) })(call);
    else if (path.endsWith('/model-versions/search')) json({ model_versions: entries })(call);
    else if (path.endsWith('/runs/get')) json({ run: { data: {} } })(call);
    else {
      const run = versions().find(({ runId }) => runId === query.get('run_uuid'));
      const found = run?.artifacts[query.get('path') as string];
      if (path === '/get-artifact' && found !== undefined) call.response.writeHead(200).end(found);
      else text('<h1>Internal Server Error</h1>', 500)(call);
    }
  };
}
