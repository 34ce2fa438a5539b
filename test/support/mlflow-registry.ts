import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { request as plainRequest } from 'node:http';

/** MLflow's REST API 2.0, as somebody uses it who registers and promotes models. */
export function createRegistryApi(trackingUrl: string, caFile?: string) {
  const call = async (method: string, path: string, body: object): Promise<unknown> =>
    JSON.parse(await send(method, `/api/2.0/mlflow${path}`, JSON.stringify(body)));

  async function send(method: string, path: string, sent: string | Buffer): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
    const open = trackingUrl.startsWith('https:') ? request : plainRequest;
    // Node sends the body of a DELETE without its length, unless told
    const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(sent) };
    const ca = caFile === undefined ? undefined : readFileSync(caFile);
    const outgoing = open(`${trackingUrl}${path}`, { method, headers, ...(ca && { ca }), agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.once('end', () => resolve({ status: response.statusCode as number, text }));
    });
    outgoing.once('error', reject).end(sent);
    const { status, text } = await promise;
    if (status !== 200) throw new Error(`${method} ${path} was answered with ${status}: ${text}`);
    return text;
  }

  return {
    createModel: (name: string) => call('POST', '/registered-models/create', { name }),
    async createRun(metrics: Record<string, number>): Promise<string> {
      const { run } = (await call('POST', '/runs/create', { experiment_id: '0', start_time: Date.now() })) as {
        run: { info: { run_id: string } };
      };
      for (const [key, value] of Object.entries(metrics))
        await call('POST', '/runs/log-metric', { run_id: run.info.run_id, key, value, timestamp: Date.now() });
      return run.info.run_id;
    },
    /** Where the server hands artifacts through. @param path such as contract/contract.json */
    async logArtifact(runId: string, path: string, bytes: Buffer): Promise<void> {
      const { run } = JSON.parse(await send('GET', `/api/2.0/mlflow/runs/get?run_id=${runId}`, '')) as {
        run: { info: { artifact_uri: string } };
      };
      const folder = run.info.artifact_uri.replace('mlflow-artifacts:/', '');
      await send('PUT', `/api/2.0/mlflow-artifacts/artifacts/${folder}/${path}`, bytes);
    },
    async createVersion(name: string, source: string, runId: string): Promise<string> {
      const created = (await call('POST', '/model-versions/create', { name, source, run_id: runId })) as {
        model_version: { version: string };
      };
      return created.model_version.version;
    },
    promote: (name: string, version: string) =>
      call('POST', '/model-versions/transition-stage', {
        name,
        version,
        stage: 'Production',
        archive_existing_versions: true,
      }),
    setAlias: (name: string, alias: string, version: string) =>
      call('POST', '/registered-models/alias', { name, alias, version }),
    deleteAlias: (name: string, alias: string) => call('DELETE', '/registered-models/alias', { name, alias }),
  };
}
