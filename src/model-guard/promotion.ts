import type { GuardState } from './model-guard.ts';
import type { RegisteredVersion } from './registry-client.ts';

export interface Promotion {
  /** Whether the version that the registry names is the one that calls prove. `unknown`: nothing can be compared. */
  state: 'live' | 'not_live' | 'unknown';
  /** Why it is so, in a sentence; null when it is live. */
  reason: string | null;
}

interface PromotionOptions {
  /** What the registry named live when it was last read; null when it named none. */
  live: RegisteredVersion | null;
  /** The version of the contract, the only one that calls can prove. */
  contractVersion: string | null;
  guard: Pick<GuardState, 'status' | 'lastProvedAt'>;
}

/**
 * Compares what the registry says with what calls prove. While the model server is away its last proof still stands; once
 * it answers as another model, nobody knows which one that is.
 */
export function judgePromotion({ live, contractVersion, guard }: PromotionOptions): Promotion {
  const unknown = (reason: string): Promotion => ({ state: 'unknown', reason });
  if (live === null) return unknown('the registry names no version to compare with');
  if (contractVersion === null)
    return unknown(`the registry names version ${live.version}; the contract names none, so they cannot be compared`);
  if (!/^\d+$/.test(contractVersion))
    return unknown('the version of the contract is not one of a registry, which are whole numbers');

  const isSame = live.version === contractVersion;
  if (guard.status === 'proved' && isSame) return { state: 'live', reason: null };
  const lastProofStands = guard.status === 'proved' || (guard.status !== 'untrusted' && guard.lastProvedAt !== null);
  if (isSame)
    return unknown(`the registry names version ${live.version}, and the model server does not prove it at the moment`);
  if (!lastProofStands)
    return unknown(
      `the registry names version ${live.version}, the contract is for version ${contractVersion}, and the model server proves neither`,
    );
  return {
    state: 'not_live',
    reason: `the registry names version ${live.version} live, calls still prove version ${contractVersion}`,
  };
}

/** What the operator does about it. */
export function promotionCure({ followsRegistry }: { followsRegistry: boolean }): string {
  const serve =
    "See in server 2's status.json why scripts.serving refused it, or restart a plain mlflow models serve there.";
  return followsRegistry ? serve : `${serve} Then start this service with the contract of that version.`;
}
