import * as z from 'zod';
import { type Ask, createRegistryHttp, type RegistryAnswer, RegistryFault } from './registry-http.ts';

export interface RegistrySettings {
  url: string;
  caFile: string | undefined;
  /** What makes a version the live one: its stage, or from MLflow 2.3 on an alias. */
  selector: { stage: string } | { alias: string };
}

/** The version that the registry names live. */
export interface RegisteredVersion {
  version: string;
  runId: string | null;
  /** What its run scored on held-out customers, 0 to 1; null when the run says nothing of it. */
  f1: number | null;
}

/** A version in the registry's list. */
export interface ListedVersion {
  version: string;
  runId: string | null;
  isInStaging: boolean;
}

/** One look at the registry. `reason` has no word of the registry's own. */
export type RegistryReading =
  | { outcome: 'up'; live: RegisteredVersion | null; reason: string | null }
  | { outcome: 'away' | 'bad_answer'; reason: string };

export interface RegistryClient {
  /** Asks which version is live. Never throws; ends within `timeoutMs`, whatever the registry does. */
  readLive(): Promise<RegistryReading>;
  /** The model's versions; of very many the newest. @throws RegistryFault */
  readVersions(): Promise<ListedVersion[]>;
  /** An artifact of a run. @param path such as contract/contract.json. @throws RegistryFault */
  readArtifact(runId: string, path: string, limits: { maxBytes: number; timeoutMs: number }): Promise<Buffer>;
  close(): void;
}

const api = '/api/2.0/mlflow';
const defaultTimeoutMs = 5_000;
/** MLflow before 2.2 lists every version, whatever it is asked. */
const maxListed = 200;
const maxListBytes = 8_000_000;

const versionSchema = z.object({
  name: z.string(),
  version: z.string().regex(/^\d{1,18}$/),
  current_stage: z.string().default(''),
  run_id: z
    .string()
    .regex(/^[\w-]{0,64}$/)
    .default(''),
});
const byStageSchema = z.object({ model_versions: z.array(versionSchema).max(1).default([]) });
const byAliasSchema = z.object({ model_version: versionSchema });
const listSchema = z.object({
  model_versions: z.array(versionSchema.extend({ status: z.string().default('READY') })).default([]),
});
const errorSchema = z.object({ error_code: z.string() });
const runSchema = z.object({
  run: z.object({
    data: z.object({ metrics: z.array(z.object({ key: z.string(), value: z.unknown() })).default([]) }),
  }),
});

/** Names of the metric, best first, without case and punctuation. */
const f1Names = ['testf1', 'testf1score', 'f1', 'f1score'];

/**
 * Reads MLflow's registry (REST API 2.0). What it says should be live proves nothing: a promotion does not reach a model
 * server that runs.
 */
export function createRegistryClient(
  options: RegistrySettings & { modelName: string; timeoutMs?: number },
): RegistryClient {
  const { selector, modelName, timeoutMs = defaultTimeoutMs } = options;
  const http = createRegistryHttp(options);
  let scored: { runId: string; f1: number } | undefined;

  async function readVersion(ask: Ask): Promise<z.output<typeof versionSchema> | string> {
    if ('stage' in selector) {
      const { stage } = selector;
      const answer = await ask(`${api}/registered-models/get-latest-versions`, { name: modelName, stages: stage });
      const nothing = nothingNamed(answer, 'stage');
      if (nothing !== null) return nothing;
      const [found] = parse(byStageSchema, answer).model_versions;
      if (found === undefined) return 'the registry names no version of the model in the stage of MODEL_STAGE';
      if (found.name !== modelName || found.current_stage.toLowerCase() !== stage.toLowerCase())
        throw badAnswer('the registry answered about another model or stage');
      return found;
    }
    const answer = await ask(`${api}/registered-models/alias`, { name: modelName, alias: selector.alias });
    const nothing = nothingNamed(answer, 'alias');
    if (nothing !== null) return nothing;
    const found = parse(byAliasSchema, answer).model_version;
    if (found.name !== modelName) throw badAnswer('the registry answered about another model');
    return found;
  }

  /** Read once. A run that has no score yet, or cannot be read, costs the version nothing and is asked again. */
  async function readF1(runId: string, ask: Ask): Promise<number | null> {
    if (scored?.runId === runId) return scored.f1;
    const metrics = await ask(`${api}/runs/get`, { run_id: runId })
      .then((answer) => parse(runSchema, answer).run.data.metrics)
      .catch(() => null);
    if (metrics === null) return null;
    const named = new Map(metrics.map(({ key, value }) => [key.toLowerCase().replaceAll(/[^a-z\d]/g, ''), value]));
    const values = f1Names.map((name) => named.get(name));
    const f1 = values.find((value) => typeof value === 'number' && value >= 0 && value <= 1) as number | undefined;
    if (f1 !== undefined) scored = { runId, f1 };
    return f1 ?? null;
  }

  return {
    async readLive() {
      try {
        return await http.within(timeoutMs, async (ask): Promise<RegistryReading> => {
          const found = await readVersion(ask);
          if (typeof found === 'string') return { outcome: 'up', live: null, reason: found };
          const runId = found.run_id || null;
          const f1 = runId === null ? null : await readF1(runId, ask);
          return { outcome: 'up', live: { version: found.version, runId, f1 }, reason: null };
        });
      } catch (error) {
        const { outcome, message } = error as RegistryFault;
        return { outcome, reason: message };
      }
    },

    readVersions: () =>
      http.within(timeoutMs, async (ask) => {
        const quote = modelName.includes("'") ? '"' : "'";
        const params = {
          filter: `name=${quote}${modelName}${quote}`,
          max_results: maxListed,
          order_by: 'version_number DESC',
        };
        const answer = await ask(`${api}/model-versions/search`, params, maxListBytes);
        return parse(listSchema, answer)
          .model_versions.filter(({ name, status }) => name === modelName && status === 'READY')
          .map(({ version, run_id: runId, current_stage: stage }) => ({
            version,
            runId: runId || null,
            isInStaging: stage.toLowerCase() === 'staging',
          }));
      }),

    readArtifact: (runId, path, { maxBytes, timeoutMs }) =>
      http.within(timeoutMs, async (ask) => {
        const { status, body } = await ask('/get-artifact', { path, run_uuid: runId }, maxBytes);
        // MLflow 2.1.0 answers 500 for an artifact that is not there
        if (status !== 200) throw badAnswer(`its run has no artifact ${path} that can be read (answered ${status})`);
        return body;
      }),

    close: http.close,
  };
}

const badAnswer = (message: string) => new RegistryFault('bad_answer', message);

/** Why there is no such version, when MLflow says so in its own JSON; a page in HTML is an endpoint that it lacks. */
function nothingNamed({ status, body }: RegistryAnswer, by: 'stage' | 'alias'): string | null {
  if (status !== 404 && status !== 400) return null;
  const code = errorSchema.safeParse(readJson(body)).data?.error_code;
  if (code === 'RESOURCE_DOES_NOT_EXIST') return `the registry knows no such model${by === 'alias' ? ' or alias' : ''}`;
  if (code === 'INVALID_PARAMETER_VALUE') return `the registry knows no such ${by}`;
  if (by === 'alias' && status === 404 && code === undefined)
    throw badAnswer('the registry knows no aliases (MLflow before 2.3): set MODEL_STAGE');
  return null;
}

function parse<T extends z.ZodType>(schema: T, { status, body }: RegistryAnswer): z.output<T> {
  if (status !== 200) throw badAnswer(`the registry answered ${status}`);
  const parsed = schema.safeParse(readJson(body));
  if (!parsed.success) throw badAnswer("the registry's answer cannot be read");
  return parsed.data;
}

function readJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}
