import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import axios from 'axios';
import * as z from 'zod';
import { ServiceError } from '../errors.ts';

export interface RegistrySettings {
  url: string;
  caFile: string | undefined;
  stage: string;
}

const timeoutMs = 5_000;
const maxReplyBytes = 1_000_000;
const replySchema = z.object({
  model_versions: z.array(z.object({ version: z.string(), current_stage: z.string(), run_id: z.string() })).default([]),
});

/**
 * The version that MLflow's registry names for a stage, or null when there is none. It says what should be live and
 * proves nothing: a promotion does not reach a model server that runs.
 * @throws ServiceError model_unavailable when the registry cannot be read.
 */
export async function readLiveVersion(settings: RegistrySettings, modelName: string): Promise<string | null> {
  const httpsAgent = settings.caFile === undefined ? new Agent() : new Agent({ ca: readFileSync(settings.caFile) });
  try {
    const { data } = await axios.get<unknown>('/api/2.0/mlflow/registered-models/get-latest-versions', {
      baseURL: settings.url.replace(/\/+$/, ''),
      params: { name: modelName, stages: settings.stage },
      signal: AbortSignal.timeout(timeoutMs),
      httpsAgent,
      maxRedirects: 0,
      proxy: false,
      maxContentLength: maxReplyBytes,
    });
    return replySchema.parse(data).model_versions[0]?.version ?? null;
  } catch (error) {
    const status = axios.isAxiosError(error) ? (error.response?.status ?? error.code) : 'unreadable';
    throw new ServiceError('model_unavailable', { reason: `the registry cannot be read (${status})` });
  } finally {
    httpsAgent.destroy();
  }
}
