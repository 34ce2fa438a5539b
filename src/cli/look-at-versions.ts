import { createLogger } from '../logger.ts';
import { openModelVersions, type OpenedVersions } from '../model-guard/open-model-versions.ts';
import { registryEveryMs } from '../model-guard/registry-watch.ts';
import type { Settings } from '../settings.ts';

/** The versions that the service would start with; nothing is written to its disk. @throws OperatorError */
export async function lookAtVersions(settings: Settings): Promise<OpenedVersions> {
  const logger = createLogger({ level: 'silent' });
  const opened = await openModelVersions({ settings, logger, everyMs: registryEveryMs, onlyLook: true });
  opened.registryClient?.close();
  await opened.registryVersions?.close();
  return opened;
}
