import { setTimeout as sleep } from 'node:timers/promises';
import type { TestService } from './test-service.ts';

/** What /ready says of the registry. */
export interface RegistryCheck {
  state: string;
  since: string;
  reason: string | null;
  version: string | null;
  versionSince: string | null;
  promotion: string;
  promotionReason: string | null;
}

export const readiness = async (test: TestService) => (await test.http.get('/ready').expect(200)).body;

/** Waits until /ready says this of the registry; ends by the test's own time limit. */
export async function untilRegistry(
  test: TestService,
  isSo: (check: RegistryCheck) => boolean,
): Promise<RegistryCheck> {
  for (;;) {
    const check: RegistryCheck = (await readiness(test)).checks.registry;
    if (isSo(check)) return check;
    await sleep(10);
  }
}

/** The value of a metric without labels, as text. */
export async function gauge(test: TestService, name: string): Promise<string | undefined> {
  const { text } = await test.http.get('/metrics').expect(200);
  return text.match(new RegExp(`^${name} (.*)$`, 'm'))?.[1];
}
