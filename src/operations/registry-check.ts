import * as z from 'zod';
import { promotionCure } from '../model-guard/promotion.ts';
import type { RegistryState } from '../model-guard/registry-watch.ts';

const registryUpSchema = z.object({
  state: z.enum(['unread', 'up', 'away', 'bad_answer']),
  since: z.iso.datetime().meta({ description: 'When this state began.' }),
  lastReadAt: z.iso.datetime().nullable(),
  reason: z.string().nullable(),
  version: z.string().nullable().meta({ description: 'The version that it last named live.' }),
  versionSince: z.iso.datetime().nullable().meta({ description: 'When this service first saw that version named.' }),
  promotion: z.enum(['live', 'not_live', 'unknown']).meta({
    description: 'not_live: the registry names another version than calls prove. unknown: they cannot be compared.',
  }),
  promotionReason: z.string().nullable(),
  contracts: z
    .object({
      known: z.array(z.string()).meta({ description: 'Versions whose contract is known, the live one first.' }),
      unusable: z.array(
        z.object({
          version: z.string().nullable().meta({ description: 'null: the list of versions itself.' }),
          reason: z.string(),
        }),
      ),
    })
    .nullable()
    .meta({ description: 'null: contracts come from files, and the registry only explains.' }),
});
const notSetSchema = z.object({ state: z.literal('not_set') });

export const registryCheckSchema = z.union([notSetSchema, registryUpSchema]);
/** The same with the run that made the version. */
export const registryModelSchema = z.union([
  notSetSchema,
  registryUpSchema.extend({
    runId: z.string().nullable(),
    f1: z.number().nullable().meta({ description: "The run's F1 on held-out customers, 0 to 1." }),
    isLive: z.boolean().nullable().meta({ description: 'Whether calls prove this version; null when it is unknown.' }),
  }),
]);

export type RegistryCheck = z.output<typeof registryCheckSchema>;

/** What /ready says of the registry: nothing in it is a word that the registry or a person chose, but version numbers. */
export function describeRegistry(registry: RegistryState | null): RegistryCheck {
  if (registry === null) return { state: 'not_set' };
  const { status, since, lastReadAt, reason, live, promotion, versions } = registry;
  const cure = promotionCure({ followsRegistry: versions !== null });
  return {
    state: status,
    since: since.toISOString(),
    lastReadAt: lastReadAt?.toISOString() ?? null,
    reason,
    version: live?.version ?? null,
    versionSince: live?.since.toISOString() ?? null,
    promotion: promotion.state,
    promotionReason: promotion.state === 'not_live' ? `${promotion.reason}. ${cure}` : promotion.reason,
    contracts: versions,
  };
}

/** What /v1/model says of it. */
export function describeRegisteredModel(registry: RegistryState | null): z.output<typeof registryModelSchema> {
  const check = describeRegistry(registry);
  if (check.state === 'not_set') return check;
  return {
    ...check,
    runId: registry?.live?.runId ?? null,
    f1: registry?.live?.f1 ?? null,
    isLive: check.promotion === 'unknown' ? null : check.promotion === 'live',
  };
}
