import type { ListedVersion } from './registry-client.ts';

/** The versions that may answer, by number; each is another one. */
export interface VersionRoles {
  live: string | null;
  /** Which is live next, as far as one can know. */
  candidate: string | null;
  /** Which was live before, and may still be served. */
  previous: string | null;
}

/**
 * The candidate is in Staging, or has the highest number above the live one, as the version has from which a rollback
 * led away. The previous one was live before, or has the highest number below.
 * @param before roles until now, of versions that can be used.
 */
export function chooseVersions(live: string, listed: readonly ListedVersion[], before: VersionRoles): VersionRoles {
  const others = listed
    .filter(({ version }) => version !== live)
    .toSorted((a, b) => (BigInt(a.version) < BigInt(b.version) ? 1 : -1));
  const isAbove = ({ version }: ListedVersion) => BigInt(version) > BigInt(live);
  const candidate = (others.find((one) => one.isInStaging) ?? others.find(isAbove))?.version ?? null;
  const wasLive = before.live !== live ? before.live : before.previous;
  const below = others.find((one) => !isAbove(one) && one.version !== candidate)?.version ?? null;
  return { live, candidate, previous: wasLive !== null && wasLive !== candidate ? wasLive : below };
}
