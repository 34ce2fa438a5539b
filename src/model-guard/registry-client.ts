import { readFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import axios, { type AxiosResponse } from 'axios';
import * as z from 'zod';

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

/** One look at the registry. `reason` has no word of the registry's own. */
export type RegistryReading =
  | { outcome: 'up'; live: RegisteredVersion | null; reason: string | null }
  | { outcome: 'away' | 'bad_answer'; reason: string };

export interface RegistryClient {
  /** Asks which version is live. Never throws; ends within `timeoutMs`, whatever the registry does. */
  readLive(): Promise<RegistryReading>;
  close(): void;
}

const defaultTimeoutMs = 5_000;
const maxReplyBytes = 1_000_000;

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
const errorSchema = z.object({ error_code: z.string() });
const runSchema = z.object({
  run: z.object({
    data: z.object({ metrics: z.array(z.object({ key: z.string(), value: z.unknown() })).default([]) }),
  }),
});

/** Names of the metric, best first, without case and punctuation. */
const f1Names = ['testf1', 'testf1score', 'f1', 'f1score'];

class UnusableAnswer extends Error {}

/**
 * Reads MLflow's registry (REST API 2.0). What it says should be live proves nothing: a promotion does not reach a model
 * server that runs.
 */
export function createRegistryClient(
  options: RegistrySettings & { modelName: string; timeoutMs?: number },
): RegistryClient {
  const { url, caFile, selector, modelName, timeoutMs = defaultTimeoutMs } = options;
  const httpAgent = new HttpAgent();
  const httpsAgent = new HttpsAgent({
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ...(caFile !== undefined && { ca: readFileSync(caFile) }),
  });
  const closed = new AbortController();
  const http = axios.create({
    baseURL: `${url.replace(/\/+$/, '')}/api/2.0/mlflow`,
    adapter: 'http',
    httpAgent,
    httpsAgent,
    maxRedirects: 0,
    proxy: false,
    decompress: false,
    maxContentLength: maxReplyBytes,
    // Parsed here: axios would hide broken JSON
    responseType: 'text',
    transformResponse: [],
    validateStatus: () => true,
    headers: { Accept: 'application/json', 'Accept-Encoding': 'identity' },
  });
  let scored: { runId: string; f1: number } | undefined;

  const ask = (path: string, params: object, signal: AbortSignal) => http.get<string>(path, { params, signal });

  async function readVersion(signal: AbortSignal): Promise<z.output<typeof versionSchema> | string> {
    if ('stage' in selector) {
      const { stage } = selector;
      const answer = await ask('/registered-models/get-latest-versions', { name: modelName, stages: stage }, signal);
      const nothing = nothingNamed(answer, 'stage');
      if (nothing !== null) return nothing;
      const [found] = parse(byStageSchema, answer).model_versions;
      if (found === undefined) return 'the registry names no version of the model in the stage of MODEL_STAGE';
      if (found.name !== modelName || found.current_stage.toLowerCase() !== stage.toLowerCase())
        throw new UnusableAnswer('the registry answered about another model or stage');
      return found;
    }
    const answer = await ask('/registered-models/alias', { name: modelName, alias: selector.alias }, signal);
    const nothing = nothingNamed(answer, 'alias');
    if (nothing !== null) return nothing;
    const found = parse(byAliasSchema, answer).model_version;
    if (found.name !== modelName) throw new UnusableAnswer('the registry answered about another model');
    return found;
  }

  /** Read once. A run that has no score yet, or cannot be read, costs the version nothing and is asked again. */
  async function readF1(runId: string, signal: AbortSignal): Promise<number | null> {
    if (scored?.runId === runId) return scored.f1;
    const metrics = await ask('/runs/get', { run_id: runId }, signal)
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
      const late = AbortSignal.timeout(timeoutMs);
      const signal = AbortSignal.any([late, closed.signal]);
      try {
        const found = await readVersion(signal);
        if (typeof found === 'string') return { outcome: 'up', live: null, reason: found };
        const runId = found.run_id || null;
        const f1 = runId === null ? null : await readF1(runId, signal);
        return { outcome: 'up', live: { version: found.version, runId, f1 }, reason: null };
      } catch (error) {
        if (error instanceof UnusableAnswer) return { outcome: 'bad_answer', reason: error.message };
        if (late.aborted) return { outcome: 'away', reason: `the registry did not answer within ${timeoutMs} ms` };
        return describeFault(error);
      }
    },
    close() {
      closed.abort();
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}

/** Why there is no such version, when MLflow says so in its own JSON; a page in HTML is an endpoint that it lacks. */
function nothingNamed(answer: AxiosResponse<string>, by: 'stage' | 'alias'): string | null {
  if (answer.status !== 404 && answer.status !== 400) return null;
  const code = errorSchema.safeParse(readJson(answer.data)).data?.error_code;
  if (code === 'RESOURCE_DOES_NOT_EXIST') return `the registry knows no such model${by === 'alias' ? ' or alias' : ''}`;
  if (code === 'INVALID_PARAMETER_VALUE') return `the registry knows no such ${by}`;
  if (by === 'alias' && answer.status === 404 && code === undefined)
    throw new UnusableAnswer('the registry knows no aliases (MLflow before 2.3): set MODEL_STAGE');
  return null;
}

function parse<T extends z.ZodType>(schema: T, { status, data }: AxiosResponse<string>): z.output<T> {
  if (status !== 200) throw new UnusableAnswer(`the registry answered ${status}`);
  const parsed = schema.safeParse(readJson(data));
  if (!parsed.success) throw new UnusableAnswer("the registry's answer cannot be read");
  return parsed.data;
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function describeFault(error: unknown): RegistryReading {
  const code = axios.isAxiosError(error) ? (error.code ?? '') : '';
  if (code === 'ERR_BAD_RESPONSE' || code.startsWith('HPE_'))
    return { outcome: 'bad_answer', reason: 'the registry answered too much, broke off, or speaks no proper HTTP' };
  return { outcome: 'away', reason: `no connection to the registry (${code || 'unknown'})` };
}
